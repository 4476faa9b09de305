"""Sampled queries: their encoding in a worker's ring, as JSON, and as lines of CoreDNS's log.

Names are chosen by clients, so any byte may be in them: they are kept in wire format and escaped as soon as they become
text (`meshdns.dns.names.to_text`), which leaves letters, digits, hyphens, underscores, dots and backslashes.
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
    """One query with its reply. `timestamp` is in seconds since 1970, `duration` in seconds.

    `destinations` are the uses it was sampled for (`FOR_LOG`, `FOR_LIVE`); sizes are in bytes, `udp_size` is the one
    that the client advertises; `ede_code` is the extended error, -1 for none.
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
    """Encode a sample for the ring."""
    return msgspec.msgpack.encode(sample)


def decode(data: bytes) -> QuerySample | None:
    """Decode a sample from the ring; None for anything else."""
    try:
        return msgspec.msgpack.decode(data, type=QuerySample)
    except msgspec.DecodeError:
        return None


def question_of(message: bytes) -> tuple[bytes, int, int]:
    """Return name, type and class of a well-formed reply; the root and zeros if it has no question."""
    if not message[5]:
        return b"\0", 0, 0
    at = skip_name(message, HEADER_SIZE)
    rtype, rclass = message[at] << 8 | message[at + 1], message[at + 2] << 8 | message[at + 3]
    return message[HEADER_SIZE:at], rtype, rclass


def address_text(source: bytes) -> str:
    """Return a packed address as text, an IPv4-mapped one as IPv4."""
    source = unmapped(source)
    return socket.inet_ntop(socket.AF_INET if len(source) == 4 else socket.AF_INET6, source)


def flags_text(bits: int) -> str:
    """Return the flags of a header as dig and CoreDNS write them."""
    return ",".join(word for bit, word in _FLAGS if bits & bit)


def name_text(name: bytes) -> str:
    """Return a wire name as text with its final dot."""
    text = names.to_text(name)
    return text if text == "." else text + "."


def as_json(sample: QuerySample) -> dict[str, Any]:
    """Return the query as an object of stable keys; times in milliseconds, sizes in bytes."""
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
    """Return the query as CoreDNS's plugin log writes it, its ``combined`` format behind ``[INFO]``."""
    host = address_text(sample.client_address)
    client = f"[{host}]" if ":" in host else host
    question = f"{type_mnemonic(sample.qtype)} {_class_text(sample.qclass)} {name_text(sample.name)}"
    proto = "tcp" if sample.tcp else "udp"
    do = "true" if sample.dnssec_ok else "false"
    return (
        f"[INFO] {client}:{sample.client_port} - {sample.query_id} "
        f'"{question} {proto} {sample.query_size} {do} {sample.udp_size}" '
        f"{RCODE_NAMES[sample.flags & 0x0F]} {flags_text(sample.flags)} {sample.reply_size} {sample.duration:.9f}s"
    )


def _class_text(number: int) -> str:
    return {1: "IN", 3: "CH", 4: "HS", 255: "ANY"}.get(number, f"CLASS{number}")


def timestamp_text(timestamp: float) -> str:
    """Return seconds since 1970 as RFC 3339 in UTC, to the millisecond."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(timestamp)) + f".{int(timestamp * 1000) % 1000:03d}Z"
