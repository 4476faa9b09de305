"""Names answered here and never forwarded: special-use names, reverse zones of private addresses, class CHAOS.

Rules:
- A name in a configured zone, be it of the mesh, fallback or forward (other than ``.``), is never special: an operator
  who writes a route for ``10.in-addr.arpa`` or ``test`` means it.
- `test`, `home.arpa`, `internal` and the reverse zones of private networks may be left to private upstreams
  (`meshdns.authority.special_routes`); `localhost`, `invalid` and `onion` never are.
- A name above a configured zone exists without data: a cache that takes NXDOMAIN for all below it (RFC 8020) would
  lose the configured names.
- Special zones answer as the empty zones of RFC 6303 section 3, with SOA and NS of the zone's own name. Their TTL is
  lower than there: an operator who adds a route wants it to count now, and repeated queries cost no server but this.
- CoreDNS's `forward` queries the root's NS to check our health, twice a second after a failure. The reply is NOERROR
  without records, at once: an upstream's silence must not be mistaken for ours. It claims no authority, and without an
  SOA no cache stores it (RFC 2308 section 2.2). Other types of the root are forwarded.
- Class CHAOS (RFC 4892): ``id.server`` and ``hostname.bind`` are answered with the text of NSID, ``version.server`` and
  ``version.bind`` with the version, each only if the settings allow it. Everything else of the class is REFUSED, as if
  there were no such zones.
"""

import enum
from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Final

from meshdns.dns import names
from meshdns.dns.address_blocks import LOCAL_REVERSE_PREFIXES, SERVED_REVERSE_PREFIXES
from meshdns.dns.codes import (
    CLASS_CH,
    NOERROR,
    NXDOMAIN,
    TYPE_A,
    TYPE_AAAA,
    TYPE_ANY,
    TYPE_NS,
    TYPE_PTR,
    TYPE_SOA,
    TYPE_TXT,
)
from meshdns.dns.names import ROOT, ZoneMap, ancestors, to_wire
from meshdns.dns.query import HEADER_SIZE, Query
from meshdns.dns.response import Section, build_reply, record

TTL: Final = 300
"""Seconds, of all records and denials here; see the rules."""


class SpecialNameGroup(enum.Enum):
    """The groups of names that can be switched, each by the field of the settings with its name."""

    LOCALHOST = "localhost"
    INVALID = "invalid"
    TEST = "test"
    ALT = "alt"
    ONION = "onion"
    LOCAL = "local"
    HOME_ARPA = "home_arpa"
    INTERNAL = "internal"
    RESOLVER_ARPA = "resolver_arpa"
    REVERSE = "reverse"


_SERVABLE: Final = frozenset({SpecialNameGroup.TEST, SpecialNameGroup.HOME_ARPA, SpecialNameGroup.INTERNAL})

_LOCALHOST: Final = names.to_wire("localhost")
_RESOLVER: Final = names.to_wire("resolver.arpa")
_LOOPBACK: Final = {TYPE_A: ip_address("127.0.0.1").packed, TYPE_AAAA: ip_address("::1").packed}
_LOOPBACK_PTR: Final = {
    names.to_wire(ip_address(text).reverse_pointer): {TYPE_PTR: _LOCALHOST} for text in ("127.0.0.1", "::1")
}


class SpecialNames:
    """Answers the special names of the groups that are switched on.

    `configured_zones` are the zones of the settings, as lower-case wire names; the root among them does not count.
    `forwarded` are the apexes of special zones that are left to upstreams all the same.
    """

    def __init__(
        self,
        groups: Iterable[SpecialNameGroup],
        configured_zones: Collection[bytes] = (),
        forwarded: Collection[bytes] = (),
    ) -> None:
        configured = frozenset(configured_zones) - {ROOT}
        special = {zone for group in groups for zone in _zones(group)}.difference(forwarded)
        self.zones = frozenset(special)  # lower-case wire names; names in configured zones are not special there
        self._zones = ZoneMap({zone: zone for zone in special})
        self._configured = ZoneMap(dict.fromkeys(configured, True))
        self._above = configured.union(*(ancestors(zone) for zone in configured))

    def respond_root_ns(self, query: Query, *, edns_options: bytes, tcp: bool) -> bytes | None:
        """Return the reply to a query for the root's NS (see the rules), None for any other."""
        if query.qname_lower != ROOT or query.qtype != TYPE_NS:
            return None
        return build_reply(query, NOERROR, edns_options=edns_options, tcp=tcp)

    def respond(self, query: Query, *, edns_options: bytes, tcp: bool) -> bytes | None:
        """Return the reply to a well-formed question of class IN; None if the name is not special."""
        zone = self._zone(query.qname_lower)
        if zone is None:
            return None
        apex = HEADER_SIZE + len(query.qname_lower) - len(zone)
        found = _rrsets(query.qname_lower, zone)
        rtype = next(iter(found), TYPE_ANY) if query.qtype == TYPE_ANY else query.qtype
        if rtype in found:
            answer = Section(1, record(rtype, TTL, found[rtype]))
            return build_reply(query, NOERROR, answer=answer, aa=True, edns_options=edns_options, tcp=tcp)
        exists = bool(found) or zone == _RESOLVER or query.qname_lower in self._above
        soa = (0xC000 | apex).to_bytes(2, "big") + record(TYPE_SOA, TTL, _soa(zone))[2:]
        rcode = NOERROR if exists else NXDOMAIN
        return build_reply(query, rcode, authority=Section(1, soa), aa=True, edns_options=edns_options, tcp=tcp)

    def _zone(self, name: bytes) -> bytes | None:
        """Return the longest special zone of a name; None also if the name is in a configured zone."""
        zone = self._zones.find(name)
        return None if zone is None or self._configured.find(name) else zone


def _rrsets(name: bytes, zone: bytes) -> dict[int, bytes]:
    """Return the records of a name in a special zone, one of each type; none if the name does not exist."""
    found = dict(
        _LOOPBACK if zone == _LOCALHOST else _LOOPBACK_PTR.get(name, {})
    )  # RFC 6761 6.3: localhost, all below it
    if name == zone:
        found.update({TYPE_SOA: _soa(zone), TYPE_NS: zone})
    return found


def servable_zones(group: SpecialNameGroup) -> Iterator[bytes]:
    """Yield the apexes of a group that name servers of private networks may serve."""
    if group is SpecialNameGroup.REVERSE:
        for prefix in SERVED_REVERSE_PREFIXES:
            yield from _reverse_zones(prefix)
    elif group in _SERVABLE:
        yield from _zones(group)


def _zones(group: SpecialNameGroup) -> Iterator[bytes]:
    """Yield the apexes of a group."""
    if group is SpecialNameGroup.REVERSE:
        for prefix in LOCAL_REVERSE_PREFIXES:
            yield from _reverse_zones(prefix)
    else:
        yield names.to_wire(group.value.replace("_", "."))


def _reverse_zones(prefix: str) -> Iterator[bytes]:
    """Yield the reverse zones of a prefix: several if it ends inside a label."""
    network = ip_network(prefix)
    bits = 8 if network.version == 4 else 4
    length = -(-network.prefixlen // bits) * bits
    for part in network.subnets(new_prefix=length):
        labels = part.network_address.reverse_pointer.split(".")
        yield names.to_wire(".".join(labels[(network.max_prefixlen - length) // bits :]))


def _soa(zone: bytes) -> bytes:
    """Return SOA RDATA as in RFC 6303 section 3 but for MINIMUM."""
    times = b"".join(seconds.to_bytes(4, "big") for seconds in (1, 3600, 1200, 604_800, TTL))
    return zone + names.to_wire("nobody.invalid") + times


_IDENTITY: Final = frozenset({to_wire("id.server"), to_wire("hostname.bind")})
_VERSION: Final = frozenset({to_wire("version.server"), to_wire("version.bind")})
_MAX_STRING: Final = 255


class ChaosNames:
    """Answers class CHAOS with `identity` and `version`; one that is empty is refused."""

    def __init__(self, *, identity: bytes, version: bytes) -> None:
        texts = ((_IDENTITY, identity), (_VERSION, version))
        self._texts = {name: text[:_MAX_STRING] for names, text in texts if text for name in names}

    def respond(self, query: Query, *, edns_options: bytes, tcp: bool) -> bytes | None:
        """Return the reply to a question of class CHAOS, None if it is to be refused.

        Without AA, as NSD's: no zone of this class is delegated to any server.
        """
        text = self._texts.get(query.qname_lower)
        if text is None or query.qtype != TYPE_TXT:
            return None
        answer = Section(1, record(TYPE_TXT, 0, bytes([len(text)]) + text, rclass=CLASS_CH))
        return build_reply(query, NOERROR, answer=answer, edns_options=edns_options, tcp=tcp)
