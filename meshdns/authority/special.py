"""Names that are answered here and never asked of an upstream: special-use names, reverse zones of private addresses.

Rules:
- A name in a configured zone, be it of the mesh, fallback or forward (other than ``.``), is never special: whoever
  writes a route for ``10.in-addr.arpa`` or ``test`` means it.
- A name above a configured zone exists without data: a cache that takes NXDOMAIN for all below it (RFC 8020) would
  lose the configured names.
- Special zones answer as the empty zones of RFC 6303 section 3, with SOA and NS of the zone's own name. Their TTL is
  lower than there: who adds a route wants it to count now, and asking again costs nobody but us.
- The root's NS are asked by CoreDNS's `forward` to see whether we live, twice a second after a failure. The reply is
  NOERROR without records, at once: an upstream's silence must not be mistaken for ours. It claims no authority, and
  without an SOA nobody keeps it (RFC 2308 section 2.2). Other types of the root are forwarded.
"""

import enum
from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Final

from meshdns.dns import names
from meshdns.dns.codes import (
    NOERROR,
    NXDOMAIN,
    TYPE_A,
    TYPE_AAAA,
    TYPE_ANY,
    TYPE_NS,
    TYPE_PTR,
    TYPE_SOA,
)
from meshdns.dns.query import HEADER_SIZE, Query
from meshdns.dns.response import Section, build, record

TTL: Final = 300
"""Seconds, of all records and denials here; see the rules."""

_ROOT: Final = b"\0"


class Special(enum.Enum):
    """The groups of names that can be switched, each by the field of the settings that it is called after."""

    LOCALHOST = "localhost"
    INVALID = "invalid"
    TEST = "test"
    ALT = "alt"
    ONION = "onion"
    LOCAL = "local"
    HOME_ARPA = "home_arpa"
    RESOLVER_ARPA = "resolver_arpa"
    REVERSE = "reverse"


_LOCALHOST: Final = names.wire("localhost")
_RESOLVER: Final = names.wire("resolver.arpa")
_LOOPBACK: Final = {TYPE_A: ip_address("127.0.0.1").packed, TYPE_AAAA: ip_address("::1").packed}
_NAMED: Final = {names.wire(ip_address(text).reverse_pointer): {TYPE_PTR: _LOCALHOST} for text in ("127.0.0.1", "::1")}

_PRIVATE: Final = (
    *("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
    *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "255.255.255.255/32"),
    "100.64.0.0/10",  # RFC 7793
    *("::/128", "::1/128", "fd00::/8", "fe80::/10", "2001:db8::/32"),
)
"""The addresses whose reverse zones are served locally (RFC 6303 section 4)."""


class SpecialNames:
    """Answers the special names of the groups that are switched on.

    `configured` are the zones of the settings, as lower-case wire names; the root among them does not count.
    """

    def __init__(self, groups: Iterable[Special], configured: Collection[bytes] = ()) -> None:
        self._zones = frozenset(zone for group in groups for zone in _zones(group))
        self._configured = frozenset(configured) - {_ROOT}
        self._above = frozenset(above for zone in self._configured for above in _suffixes(zone))

    def root(self, query: Query, *, extra: bytes, tcp: bool) -> bytes | None:
        """The reply where the root's NS are asked; see the rules."""
        if query.lower != _ROOT or query.qtype != TYPE_NS:
            return None
        return build(query, NOERROR, extra=extra, tcp=tcp)

    def respond(self, query: Query, *, extra: bytes, tcp: bool) -> bytes | None:
        """The reply to a well-formed question of class IN; None where the name is not special."""
        zone = self._zone(query.lower)
        if zone is None:
            return None
        apex = HEADER_SIZE + len(query.lower) - len(zone)
        found = _rrsets(query.lower, zone)
        rtype = next(iter(found), TYPE_ANY) if query.qtype == TYPE_ANY else query.qtype
        if rtype in found:
            answer = Section(1, record(rtype, TTL, found[rtype]))
            return build(query, NOERROR, answer=answer, aa=True, extra=extra, tcp=tcp)
        exists = bool(found) or zone == _RESOLVER or query.lower in self._above
        soa = (0xC000 | apex).to_bytes(2, "big") + record(TYPE_SOA, TTL, _soa(zone))[2:]
        rcode = NOERROR if exists else NXDOMAIN
        return build(query, rcode, authority=Section(1, soa), aa=True, extra=extra, tcp=tcp)

    def _zone(self, name: bytes) -> bytes | None:
        """The longest special zone that a name is in; None also where a configured zone has the name."""
        found = None
        for suffix in _suffixes(name):
            if suffix in self._configured:
                return None
            if found is None and suffix in self._zones:
                found = suffix
        return found


def _rrsets(name: bytes, zone: bytes) -> dict[int, bytes]:
    """The records of a name in a special zone, one of each type; none where only its absence is known."""
    found = dict(_LOOPBACK if zone == _LOCALHOST else _NAMED.get(name, {}))  # RFC 6761 6.3: localhost, all below it
    if name == zone:
        found.update({TYPE_SOA: _soa(zone), TYPE_NS: zone})
    return found


def _zones(group: Special) -> Iterator[bytes]:
    """The apexes that a group stands for."""
    if group is Special.REVERSE:
        for prefix in _PRIVATE:
            yield from _reverse_zones(prefix)
    else:
        yield names.wire(group.value.replace("_", "."))


def _reverse_zones(prefix: str) -> Iterator[bytes]:
    """The reverse zones of a prefix: several where it ends inside a label."""
    network = ip_network(prefix)
    bits = 8 if network.version == 4 else 4
    length = -(-network.prefixlen // bits) * bits
    for part in network.subnets(new_prefix=length):
        labels = part.network_address.reverse_pointer.split(".")
        yield names.wire(".".join(labels[(network.max_prefixlen - length) // bits :]))


def _suffixes(name: bytes) -> Iterator[bytes]:
    """A wire name and its ancestors, the root left out."""
    at = 0
    while name[at]:
        yield name[at:]
        at += name[at] + 1


def _soa(zone: bytes) -> bytes:
    """SOA RDATA as in RFC 6303 section 3 but for MINIMUM."""
    times = b"".join(seconds.to_bytes(4, "big") for seconds in (1, 3600, 1200, 604_800, TTL))
    return zone + names.wire("nobody.invalid") + times
