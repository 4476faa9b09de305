"""A zone of the settings, with the records and names that do not depend on the mesh: SOA, NS, its servers."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Final

import msgspec

from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.dns.names import ancestors
from meshdns.dns.response import EMPTY_SECTION, Section, record
from meshdns.mesh.zone_hashes import ZoneHashes

_SOA_REFRESH: Final = b"\x00\x00\x1c\x20"  # 7200 s, as CoreDNS's kubernetes plugin
_SOA_RETRY: Final = b"\x00\x00\x07\x08"  # 1800 s
_SOA_EXPIRE: Final = b"\x00\x01\x51\x80"  # 86400 s


class ServedZone(msgspec.Struct, frozen=True):
    """A zone as the authority needs it. `apex` is its lower-case wire name; TTLs in seconds.

    `server` is the wire name that its NS record gives, empty for ``ns.<zone>``; `servers` are the addresses of
    ``ns.<zone>``, if that name is not declared.
    `hashes` are those of the settings in force; without any, whatever the name database lacks is denied. `route` is the
    forward zone that forwarded names of this zone are sent to, empty if there is none. `records` are the owner names of
    the static records with their types.
    """

    apex: bytes
    ttl: int = 30
    negative_ttl: int = 5
    fallthrough: bool = False
    closest_encloser: bool = False  # wildcards: dns — RFC 4592 4.3.3 instead of Istio's rule
    fallback: bool = False  # upstream first; the mesh only if that denies the name
    has_no_upstream: bool = msgspec.field(
        default=False, name="alone"
    )  # a fallback zone without upstream: the client, a forwarder, has queried it already
    server: bytes = b""
    servers: tuple[str, ...] = ()
    hashes: ZoneHashes = ZoneHashes()
    route: str = ""
    records: tuple[tuple[bytes, int], ...] = ()


FORWARDED: Final = ServedZone(b"")
"""Stands for each forward zone that lies inside a zone: its names are forwarded."""


def find_inner_zones(zones: Collection[bytes], forward_zones: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the apexes of zones, and of forward zones among them, that lie inside one of `zones`: of the longest.

    A forward zone with the name of one of `zones` is none of its own: it says where misses of that zone go.
    """
    found = {}
    for apex in (*zones, *(each for each in forward_zones if each not in zones)):
        outer = next((name for name in ancestors(apex) if name in zones), None)
        if outer is not None:
            found[apex] = outer
    return found


def own_zones(zones: Collection[ServedZone], forward_zones: Iterable[bytes]) -> dict[bytes, bool | None]:
    """Return the zones whose names no upstream may set, each with whether it is a fallback zone.

    None marks a forward zone inside one of them, whose names are not ours.
    """
    found = {zone.apex: zone.fallback for zone in zones}
    return {**found, **dict.fromkeys(find_inner_zones(found, forward_zones).keys() - found.keys())}


def implied_names(served: Collection[ServedZone], inner_zones: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Yield names that exist because of the zones: NS targets, and the names between a zone and one inside it.

    `inner_zones` are those of `find_inner_zones`.
    """
    for zone in served:
        if has_server_name(zone):
            yield server_name(zone.apex)
    for apex, outer in inner_zones.items():
        yield from list(ancestors(apex, outer))[:-1]


def server_name(apex: bytes) -> bytes:
    """Return ``ns.<zone>``."""
    return b"\x02ns" + apex


def has_server_name(zone: ServedZone) -> bool:
    """Return whether ``ns.<zone>`` is the zone's own name; in a fallthrough or fallback zone it is another server's."""
    return not (zone.fallthrough or zone.fallback or zone.server)


def ns_rdata(zone: ServedZone, apex_offset: int) -> bytes:
    """Return NS RDATA, compressed against the question; the apex is at `apex_offset` of the message."""
    return zone.server or b"\x02ns" + compression_pointer(apex_offset)


def server_rrsets(zone: ServedZone) -> dict[int, Section]:
    """Return the addresses of a zone's servers by type, at least one type."""
    rrsets: dict[int, Section] = {}
    for text in zone.servers:
        address = ip_address(text)
        rtype = TYPE_A if address.version == 4 else TYPE_AAAA
        before = rrsets.get(rtype, EMPTY_SECTION)
        rrsets[rtype] = Section(before.count + 1, before.wire + record(rtype, zone.ttl, address.packed))
    return rrsets


def compression_pointer(offset: int) -> bytes:
    """Return a compression pointer to `offset` of the message (RFC 1035 section 4.1.4)."""
    return (0xC000 | offset).to_bytes(2, "big")


def soa_rdata(zone: ServedZone, apex_offset: int, serial: int) -> bytes:
    """Return SOA RDATA, its names compressed against the question; the apex is at `apex_offset` of the message."""
    where = compression_pointer(apex_offset)
    times = _SOA_REFRESH + _SOA_RETRY + _SOA_EXPIRE + zone.negative_ttl.to_bytes(4, "big")
    return ns_rdata(zone, apex_offset) + b"\x0ahostmaster" + where + (serial & 0xFFFFFFFF).to_bytes(4, "big") + times
