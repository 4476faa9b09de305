"""A sampled query: what a worker puts into its ring, and how people and machines read it.

Names are those of whoever asked, so any octet may be in them: they are kept in wire format and escaped as soon as they
become text (`meshdns.dns.names.to_text`), which leaves letters, digits, hyphens, underscores, dots and backslashes.
"""

import socket
import time
from typing import Any, Final

import msgspec

from meshdns.dns import names
from meshdns.dns.address_blocks import unmapped
from meshdns.dns.codes import RCODE_NAMES, type_mnemonic
from meshdns.dns.compression import skip_name
from meshdns.dns.query import HEADER_SIZE

FOR_LOG: Final = 1
FOR_LIVE: Final = 2
_FLAGS: Final = (
    (0x8000, "qr"),
    (0x0400, "aa"),
    (0x0200, "tc"),
    (0x0100, "rd"),
    (0x0080, "ra"),
    (0x0020, "ad"),
    (0x0010, "cd"),
)


class QuerySample(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One query with its reply. `timestamp` is in seconds since 1970, `duration` how long the reply took.

    `destinations` say for whom it was sampled (`FOR_LOG`, `FOR_LIVE`); `query_size` and `reply_size` are octets,
    `udp_size` what the client takes over UDP; `ede_code` is the extended error, -1 for none.
    """

    destinations: int
    timestamp: float
    client_address: bytes
    client_port: int
    tcp: bool
    query_id: int
    name: bytes
    qtype: int
    qclass: int
    flags: int
    query_size: int
    reply_size: int
    dnssec_ok: bool
    udp_size: int
    plugin: str
    reply_class: str
    ede_code: int
    duration: float


def encode(sample: QuerySample) -> bytes:
    """The bytes in the ring."""
    return msgspec.msgpack.encode(sample)


def decode(data: bytes) -> QuerySample | None:
    """The query from the bytes in the ring; None for anything else."""
    try:
        return msgspec.msgpack.decode(data, type=QuerySample)
    except msgspec.DecodeError:
        return None


def question_of(message: bytes) -> tuple[bytes, int, int]:
    """Name, type and class of a well-formed reply; the root and zeros where there is no question."""
    if not message[5]:
        return b"\0", 0, 0
    at = skip_name(message, HEADER_SIZE)
    rtype, rclass = message[at] << 8 | message[at + 1], message[at + 2] << 8 | message[at + 3]
    return message[HEADER_SIZE:at], rtype, rclass


def address_text(source: bytes) -> str:
    """A packed address as text, IPv4 over an IPv6 socket as IPv4."""
    source = unmapped(source)
    return socket.inet_ntop(socket.AF_INET if len(source) == 4 else socket.AF_INET6, source)


def flags_text(bits: int) -> str:
    """The flags of a header as dig and CoreDNS write them."""
    return ",".join(word for bit, word in _FLAGS if bits & bit)


def name_text(name: bytes) -> str:
    """A wire name as text with its final dot."""
    text = names.to_text(name)
    return text if text == "." else text + "."


def as_json(sample: QuerySample) -> dict[str, Any]:
    """The query as an object of stable keys; times in milliseconds, sizes in octets."""
    shown: dict[str, Any] = {
        "ts": timestamp_text(sample.timestamp),
        "client": address_text(sample.client_address),
        "port": sample.client_port,
        "proto": "tcp" if sample.tcp else "udp",
        "id": sample.query_id,
        "name": name_text(sample.name),
        "type": type_mnemonic(sample.qtype),
        "rcode": RCODE_NAMES[sample.flags & 0x0F],
        "flags": flags_text(sample.flags),
        "size": sample.reply_size,
        "ms": round(sample.duration * 1000, 3),
        "source": sample.plugin,
        "class": sample.reply_class,
    }
    if sample.ede_code >= 0:
        shown["ede"] = sample.ede_code
    return shown


def as_coredns(sample: QuerySample) -> str:
    """The query as CoreDNS's plugin log writes it, its ``combined`` format behind ``[INFO]``."""
    host = address_text(sample.client_address)
    client = f"[{host}]" if ":" in host else host
    asked = f"{type_mnemonic(sample.qtype)} {_class_text(sample.qclass)} {name_text(sample.name)}"
    proto = "tcp" if sample.tcp else "udp"
    do = "true" if sample.dnssec_ok else "false"
    return (
        f"[INFO] {client}:{sample.client_port} - {sample.query_id} "
        f'"{asked} {proto} {sample.query_size} {do} {sample.udp_size}" '
        f"{RCODE_NAMES[sample.flags & 0x0F]} {flags_text(sample.flags)} {sample.reply_size} {sample.duration:.9f}s"
    )


def _class_text(number: int) -> str:
    return {1: "IN", 3: "CH", 4: "HS", 255: "ANY"}.get(number, f"CLASS{number}")


def timestamp_text(timestamp: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, to the millisecond."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(timestamp)) + f".{int(timestamp * 1000) % 1000:03d}Z"
