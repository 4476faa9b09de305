"""Records in presentation format (RFC 1035 section 5.1); the only door to dnslib.

dnslib never sees bytes from the network: the input here is addresses and names of our own.
"""

from collections.abc import Sequence

from dnslib import AAAA, NS, QTYPE, RR, SOA, A

from meshdns.dns import names

SOA_TIMES = (7200, 1800, 86400)
"""Refresh, retry and expire in seconds, as CoreDNS's kubernetes plugin sets them."""


def apex_lines(zone: str, *, server: str, serial: int, ttl: int, negative_ttl: int) -> list[str]:
    """The SOA and NS lines of a zone, whose name server is `server`."""
    times = (serial & 0xFFFFFFFF, *SOA_TIMES, negative_ttl)
    soa = RR(zone, QTYPE.SOA, ttl=negative_ttl, rdata=SOA(f"{server}.", f"hostmaster.{zone}.", times))
    return [_line(soa), _line(RR(zone, QTYPE.NS, ttl=ttl, rdata=NS(f"{server}.")))]


def delegation_line(zone: str, ttl: int, server: str) -> str:
    """The NS line of a zone inside another, as the outer one has it."""
    return _line(RR(zone, QTYPE.NS, ttl=ttl, rdata=NS(f"{server}.")))


def address_lines(owner: str, ttl: int, ipv4: Sequence[str], ipv6: Sequence[str]) -> list[str]:
    """The A and AAAA lines of an owner name."""
    records = [RR(owner, QTYPE.A, ttl=ttl, rdata=A(text)) for text in ipv4]
    records += [RR(owner, QTYPE.AAAA, ttl=ttl, rdata=AAAA(text)) for text in ipv6]
    return [_line(record) for record in records]


def _line(record: RR) -> str:
    """One record on one line, fields separated by single spaces."""
    return " ".join(record.toZone().replace("(", " ").replace(")", " ").split())


def encode_rdata(rtype: str, value: str) -> tuple[int, bytes]:
    """Type number and uncompressed RDATA of a record whose value is in presentation format, as the settings hold it.

    `rtype` is TXT, SRV or PTR; names in `value` are absolute whether or not they end with a dot.
    """
    if rtype == "TXT":
        return QTYPE.TXT, _strings(value)
    if rtype == "PTR":
        return QTYPE.PTR, names.to_wire(value.lower().removesuffix("."))
    priority, weight, port, target = value.split()
    numbers = b"".join(int(number).to_bytes(2, "big") for number in (priority, weight, port))
    return QTYPE.SRV, numbers + names.to_wire(target.lower().removesuffix("."))


def static_line(owner: str, ttl: int, rtype: str, value: str) -> str:
    """A static record of a type other than addresses on one line."""
    if rtype == "TXT":
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{owner}. {ttl} IN TXT "{escaped}"'
    return f"{owner}. {ttl} IN {rtype} {value.removesuffix('.')}."


def _strings(value: str) -> bytes:
    """A text as character strings of at most 255 octets (RFC 1035 3.3.14)."""
    octets = value.encode()
    parts = [octets[i : i + 255] for i in range(0, len(octets), 255)] or [b""]
    return b"".join(bytes([len(part)]) + part for part in parts)
