"""A sampled query: what a worker puts into its ring, and how people and machines read it.

Names are those of whoever asked, so any octet may be in them: they are kept in wire format and escaped as soon as they
become text (`meshdns.dns.names.text`), which leaves letters, digits, hyphens, underscores, dots and backslashes.
"""

import socket
import time
from typing import Any, Final

import msgspec

from meshdns.dns import names
from meshdns.dns.compression import behind
from meshdns.dns.mnemonics import RCODES, type_text
from meshdns.dns.query import HEADER_SIZE

FOR_LOG: Final = 1
FOR_LIVE: Final = 2
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
_FLAGS: Final = (
    (0x8000, "qr"),
    (0x0400, "aa"),
    (0x0200, "tc"),
    (0x0100, "rd"),
    (0x0080, "ra"),
    (0x0020, "ad"),
    (0x0010, "cd"),
)


class Sampled(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One query with its reply. `when` is in seconds since 1970, `seconds` how long the reply took.

    `marks` say for whom it was sampled (`FOR_LOG`, `FOR_LIVE`); `asked` and `replied` are octets, `size` what the
    client takes over UDP; `error` is the extended error, -1 for none.
    """

    marks: int
    when: float
    source: bytes
    port: int
    tcp: bool
    ident: int
    name: bytes
    qtype: int
    qclass: int
    flags: int
    asked: int
    replied: int
    do: bool
    size: int
    plugin: str
    kind: str
    error: int
    seconds: float


def encode(sampled: Sampled) -> bytes:
    """The bytes in the ring."""
    return msgspec.msgpack.encode(sampled)


def decode(data: bytes) -> Sampled | None:
    """The query from the bytes in the ring; None for anything else."""
    try:
        return msgspec.msgpack.decode(data, type=Sampled)
    except msgspec.DecodeError:
        return None


def question(message: bytes) -> tuple[bytes, int, int]:
    """Name, type and class of a well-formed reply; the root and zeros where there is no question."""
    if not message[5]:
        return b"\0", 0, 0
    at = behind(message, HEADER_SIZE)
    rtype, rclass = message[at] << 8 | message[at + 1], message[at + 2] << 8 | message[at + 3]
    return message[HEADER_SIZE:at], rtype, rclass


def address(source: bytes) -> str:
    """A packed address as text, IPv4 over an IPv6 socket as IPv4."""
    if len(source) == 16 and source.startswith(_MAPPED):
        source = source[12:]
    return socket.inet_ntop(socket.AF_INET if len(source) == 4 else socket.AF_INET6, source)


def flags(bits: int) -> str:
    """The flags of a header as dig and CoreDNS write them."""
    return ",".join(word for bit, word in _FLAGS if bits & bit)


def owner(name: bytes) -> str:
    """A wire name as text with its final dot."""
    text = names.text(name)
    return text if text == "." else text + "."


def as_json(sampled: Sampled) -> dict[str, Any]:
    """The query as an object of stable keys; times in milliseconds, sizes in octets."""
    shown: dict[str, Any] = {
        "ts": stamp(sampled.when),
        "client": address(sampled.source),
        "port": sampled.port,
        "proto": "tcp" if sampled.tcp else "udp",
        "id": sampled.ident,
        "name": owner(sampled.name),
        "type": type_text(sampled.qtype),
        "rcode": RCODES[sampled.flags & 0x0F],
        "flags": flags(sampled.flags),
        "size": sampled.replied,
        "ms": round(sampled.seconds * 1000, 3),
        "source": sampled.plugin,
        "class": sampled.kind,
    }
    if sampled.error >= 0:
        shown["ede"] = sampled.error
    return shown


def as_coredns(sampled: Sampled) -> str:
    """The query as CoreDNS's plugin log writes it, its ``combined`` format behind ``[INFO]``."""
    host = address(sampled.source)
    client = f"[{host}]" if ":" in host else host
    asked = f"{type_text(sampled.qtype)} {_class(sampled.qclass)} {owner(sampled.name)}"
    proto = "tcp" if sampled.tcp else "udp"
    do = "true" if sampled.do else "false"
    return (
        f'[INFO] {client}:{sampled.port} - {sampled.ident} "{asked} {proto} {sampled.asked} {do} {sampled.size}" '
        f"{RCODES[sampled.flags & 0x0F]} {flags(sampled.flags)} {sampled.replied} {sampled.seconds:.9f}s"
    )


def _class(number: int) -> str:
    return {1: "IN", 3: "CH", 4: "HS", 255: "ANY"}.get(number, f"CLASS{number}")


def stamp(when: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, to the millisecond."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when)) + f".{int(when * 1000) % 1000:03d}Z"
