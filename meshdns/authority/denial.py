"""Which names of a zone may not be denied, although the name database does not have them.

Rules:
- A name is denied only if the names of its zone were computed for the settings in force (`meshdns.mesh.zone_hashes`),
  and if the controller can write what has changed since.
- Until then an unknown name is SERVFAIL with EDE 14, without AA and SOA. It is forwarded if it was forwarded before, to
  the same forward zone: the zone was none of the mesh, or had ``fallthrough``.
- If static records alone have changed, this holds for the names that exist because of these records.
- A name with data is answered as it is stored. It has no data of other types, but for those of the static records.
- A fallback zone denies what its upstream has denied, whether or not the mesh is known.

All this follows from settings and state, and is judged when one of them changes, never for a query.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from meshdns.authority.state import NamedbState
from meshdns.authority.zone import ServedZone
from meshdns.dns.names import ancestors, parents, to_text, to_wire
from meshdns.mesh.zone_hashes import NO_HASHES, ZoneHashes

_NOT_COMPUTED: Final = b"not computed yet for the settings in force"
_NOT_WRITTEN: Final = b"changes cannot be written to the name database"
_NO_ZONE: Final = ZoneHashes(upstream=".")  # of names that were in no zone: the root's upstream was asked


class Hold(NamedTuple):
    """Names of one zone that may not be denied; all if `names` is None.

    `wildcards` are the parents of wildcard owner names, `records` the static records that may be missing. Unknown names
    are forwarded if `is_forwarded`, but for those in `others`, the zones inside this one that had them until then;
    `is_new` says that the zone was none of the mesh. `text` is for EDE 14.
    """

    text: bytes
    is_forwarded: bool = False
    is_new: bool = False
    names: frozenset[bytes] | None = None
    wildcards: frozenset[bytes] = frozenset()
    records: frozenset[tuple[bytes, int]] = frozenset()
    others: frozenset[bytes] = frozenset()

    def forwards(self, name: bytes, wildcards: Callable[[bytes], bytes | None] | None) -> bool:
        """Return whether an unknown lower-case wire name is forwarded, as it was before.

        It was not if a wildcard covered it, of a zone around this one, too: `wildcards` returns the row of one; None
        without any.
        """
        above = tuple(ancestors(name))
        if not self.is_forwarded or not self.others.isdisjoint((name, *above)):
            return False
        return wildcards is None or all(wildcards(b"\x01*" + parent) is None for parent in above)

    def covers(self, name: bytes) -> bool:
        """Return whether an unknown lower-case wire name may not be denied."""
        return self.names is None or name in self.names or any(parent in self.wildcards for parent in ancestors(name))

    def covers_type(self, name: bytes, rtype: int) -> bool:
        """Return whether a known name may have a static record of this type."""
        owners = (name, *(b"\x01*" + parent for parent in ancestors(name)))
        return any((owner, rtype) in self.records for owner in owners)


def hold_denials(zones: Iterable[ServedZone], state: NamedbState) -> dict[bytes, Hold]:
    """Return the zones in which not every name may be denied, by apex."""
    return {zone.apex: hold for zone in zones if (hold := _hold(zone, state)) is not None}


def outdated_zones(zones: Iterable[ServedZone], state: NamedbState) -> tuple[str, ...]:
    """Return the sorted names of the zones whose names were not computed for the settings in force."""
    return tuple(sorted(to_text(zone.apex).removesuffix(".") for zone in zones if _is_outdated(zone, state)))


def _is_outdated(zone: ServedZone, state: NamedbState) -> bool:
    built = (state.zones or {}).get(_text(zone), NO_HASHES)
    return (zone.hashes.names, zone.hashes.records) != (built.names, built.records) and bool(zone.hashes.names)


def _hold(zone: ServedZone, state: NamedbState) -> Hold | None:
    if _is_outdated(zone, state):
        return _hold_outdated(zone, state)
    if state.is_unwritable:
        return Hold(_NOT_WRITTEN, is_forwarded=zone.fallthrough)
    return None


def _hold_outdated(zone: ServedZone, state: NamedbState) -> Hold:
    records = frozenset(zone.records)
    if state.zones is None:
        return Hold(_NOT_COMPUTED, records=records)
    before = _enclosing(_text(zone), state.zones)
    is_forwarded = before.upstream != "" and before.upstream == zone.route
    others = frozenset(_inner_zones(zone, state.zones))
    if before.names != zone.hashes.names or state.is_unwritable:
        return Hold(_NOT_COMPUTED, is_forwarded, is_forwarded and not before.names, records=records, others=others)
    owners = {owner for owner, _ in records}
    return Hold(
        _NOT_COMPUTED,
        is_forwarded,
        names=frozenset(owners.union(*(ancestors(owner, zone.apex) for owner in owners))),
        wildcards=frozenset(owner[2:] for owner in owners if owner.startswith(b"\x01*")),
        records=records,
        others=others,
    )


def _inner_zones(zone: ServedZone, zones: Mapping[str, ZoneHashes]) -> Iterator[bytes]:
    """Yield the apexes inside a zone whose names did not go where those of the zone are sent."""
    apex = _text(zone)
    for name, hashes in zones.items():
        if hashes.upstream != zone.route and apex in parents(name):
            yield to_wire(name)


def _enclosing(name: str, zones: Mapping[str, ZoneHashes]) -> ZoneHashes:
    """Return the hashes of the longest zone that a zone was in, itself if it was one."""
    return next((zones[each] for each in (name, *parents(name)) if each in zones), _NO_ZONE)


def _text(zone: ServedZone) -> str:
    return to_text(zone.apex).removesuffix(".")
