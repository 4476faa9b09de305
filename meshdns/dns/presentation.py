"""Questions and replies of our own for people: types by name, replies in presentation format (RFC 1035 section 5.1).

Rules: only for replies that meshdns built itself, in tools, never on the path of an answer; replies of others are
parsed by `meshdns.dns.reply`.
"""

from ipaddress import ip_address
from typing import Final

import msgspec

from meshdns.dns import names
from meshdns.dns.codes import (
    CLASS_IN,
    FLAG_AA,
    FLAG_RD,
    OPTION_EDE,
    TYPE_A,
    TYPE_AAAA,
    TYPE_ANY,
    TYPE_CNAME,
    TYPE_NS,
    TYPE_OPT,
    TYPE_PTR,
    TYPE_SOA,
    TYPE_SRV,
    TYPE_TXT,
)
from meshdns.dns.compression import HEADER_SIZE, NameReader
from meshdns.dns.query import MAX_UDP_SIZE

_TYPE_NUMBERS: Final = {
    "A": TYPE_A,
    "NS": TYPE_NS,
    "CNAME": TYPE_CNAME,
    "SOA": TYPE_SOA,
    "PTR": TYPE_PTR,
    "MX": 15,
    "TXT": TYPE_TXT,
    "AAAA": TYPE_AAAA,
    "SRV": TYPE_SRV,
    "SVCB": 64,
    "HTTPS": 65,
    "ANY": TYPE_ANY,
}
_TYPE_NAMES: Final = {number: name for name, number in _TYPE_NUMBERS.items()}
_RCODES: Final = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")


class PresentationRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One record of an answer section, its TTL in seconds, its RDATA in presentation format."""

    type: str
    ttl: int
    data: str


class PresentationReply(msgspec.Struct, frozen=True, rename="camel"):
    """A reply as people read it.

    `negative_ttl` is that of the SOA of a denial in seconds, -1 where there is none; `error` is the extended error
    (RFC 8914) with its text, `error_code` is -1 where there is none.
    """

    rcode: str
    authoritative: bool = False
    records: tuple[PresentationRecord, ...] = ()
    negative_ttl: int = -1
    error_code: int = -1
    error: str = ""


def type_number(text: str) -> int:
    """The number of a type by its name in any letter case, or by ``TYPE123`` (RFC 3597 section 5); -1 where unknown."""
    name = text.upper()
    if name in _TYPE_NUMBERS:
        return _TYPE_NUMBERS[name]
    digits = name.removeprefix("TYPE")
    if digits != name and digits.isascii() and digits.isdigit() and len(digits) < 6 and int(digits) <= 0xFFFF:
        return int(digits)
    return -1


def type_name(number: int) -> str:
    """The name of a type."""
    return _TYPE_NAMES.get(number, f"TYPE{number}")


def build_query(name: str, qtype: int) -> bytes:
    """A query for a name in text, with RD and an OPT, so that extended errors come back."""
    header = b"\0\0" + FLAG_RD.to_bytes(2, "big") + b"\0\x01\0\0\0\0\0\x01"
    opt = b"\0" + TYPE_OPT.to_bytes(2, "big") + MAX_UDP_SIZE.to_bytes(2, "big") + bytes(6)
    return header + names.to_wire(name) + qtype.to_bytes(2, "big") + CLASS_IN.to_bytes(2, "big") + opt


def to_presentation(reply: bytes) -> PresentationReply:
    """A reply that `meshdns.dns.response` built, with its question."""
    counts = [int.from_bytes(reply[at : at + 2], "big") for at in (6, 8, 10)]
    known = NameReader(reply)
    at = known.read(HEADER_SIZE)[1] + 4
    records: list[PresentationRecord] = []
    negative_ttl, error_code, error = -1, -1, ""
    for section, count in enumerate(counts):
        for _ in range(count):
            start = known.read(at)[1]
            rtype = int.from_bytes(reply[start : start + 2], "big")
            ttl = int.from_bytes(reply[start + 4 : start + 8], "big")
            rdata = start + 10
            at = rdata + int.from_bytes(reply[start + 8 : start + 10], "big")
            if section == 0:
                records.append(PresentationRecord(type_name(rtype), ttl, _rdata(reply, rtype, rdata, at, known)))
            elif rtype == TYPE_SOA:
                negative_ttl = ttl
            elif rtype == TYPE_OPT:
                error_code, error = _extended_error(reply[rdata:at])
    flags = int.from_bytes(reply[2:4], "big")
    rcode = flags & 0x0F
    return PresentationReply(
        _RCODES[rcode] if rcode < len(_RCODES) else f"RCODE{rcode}",
        bool(flags & FLAG_AA),
        tuple(records),
        negative_ttl,
        error_code,
        error,
    )


def _extended_error(options: bytes) -> tuple[int, str]:
    at = 0
    while at + 4 <= len(options):
        code, size = int.from_bytes(options[at : at + 2], "big"), int.from_bytes(options[at + 2 : at + 4], "big")
        value = options[at + 4 : at + 4 + size]
        if code == OPTION_EDE:
            return int.from_bytes(value[:2], "big"), value[2:].decode("utf-8", "replace")
        at += 4 + size
    return -1, ""


def _rdata(reply: bytes, rtype: int, at: int, end: int, known: NameReader) -> str:
    """RDATA in presentation format; of types that are not ours in the form of RFC 3597 section 5."""
    if rtype in (TYPE_A, TYPE_AAAA):
        return str(ip_address(reply[at:end]))
    if rtype in (TYPE_NS, TYPE_CNAME, TYPE_PTR):
        return _name(known.read(at)[0])
    if rtype == TYPE_SRV:
        return " ".join((*_numbers(reply, at, 3, 2), _name(known.read(at + 6)[0])))
    if rtype == TYPE_SOA:
        primary, at = known.read(at)
        mailbox, at = known.read(at)
        return " ".join((_name(primary), _name(mailbox), *_numbers(reply, at, 5, 4)))
    if rtype == TYPE_TXT:
        return " ".join(_strings(reply[at:end]))
    return f"\\# {end - at} {reply[at:end].hex()}"


def _name(wire: bytes) -> str:
    return names.to_text(wire).removesuffix(".") + "."


def _numbers(reply: bytes, at: int, count: int, size: int) -> list[str]:
    return [str(int.from_bytes(reply[at + i * size : at + (i + 1) * size], "big")) for i in range(count)]


def _strings(rdata: bytes) -> list[str]:
    found = []
    at = 0
    while at < len(rdata):
        text = rdata[at + 1 : at + 1 + rdata[at]]
        found.append('"' + "".join(_character(octet) for octet in text) + '"')
        at += 1 + rdata[at]
    return found


def _character(octet: int) -> str:
    if octet in b'"\\':
        return "\\" + chr(octet)
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"


def escape_unprintable(text: str) -> str:
    r"""Text on one line, whoever wrote it: what is not printable is escaped, a line feed as ``\n``, ESC as ``\x1b``."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
