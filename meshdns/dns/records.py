"""Records in presentation format (RFC 1035 section 5.1); the only door to dnslib.

dnslib never sees octets from the network: what comes here are addresses and names of our own.
"""

from collections.abc import Sequence

from dnslib import AAAA, NS, QTYPE, RR, SOA, A

SOA_TIMES = (7200, 1800, 86400)
"""Refresh, retry and expire in seconds, as CoreDNS's kubernetes plugin sets them."""


def apex(zone: str, *, serial: int, ttl: int, negative_ttl: int) -> list[str]:
    """The SOA and NS lines of a zone."""
    times = (serial & 0xFFFFFFFF, *SOA_TIMES, negative_ttl)
    soa = RR(zone, QTYPE.SOA, ttl=negative_ttl, rdata=SOA(f"ns.{zone}.", f"hostmaster.{zone}.", times))
    return [_line(soa), _line(RR(zone, QTYPE.NS, ttl=ttl, rdata=NS(f"ns.{zone}.")))]


def address_lines(owner: str, ttl: int, ipv4: Sequence[str], ipv6: Sequence[str]) -> list[str]:
    """The A and AAAA lines of an owner name."""
    records = [RR(owner, QTYPE.A, ttl=ttl, rdata=A(text)) for text in ipv4]
    records += [RR(owner, QTYPE.AAAA, ttl=ttl, rdata=AAAA(text)) for text in ipv6]
    return [_line(record) for record in records]


def _line(record: RR) -> str:
    """One record on one line, fields separated by single spaces."""
    return " ".join(record.toZone().replace("(", " ").replace(")", " ").split())
