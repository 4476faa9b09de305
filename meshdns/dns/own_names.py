"""Names of our own, whose records no upstream may set."""

from collections.abc import Mapping
from typing import Final

from meshdns.dns.names import ZoneMap, ancestors


class OwnNames:
    """The names in `zones`, lower-case wire names. A value says whether the names of a zone are ours.

    The longest zone of a name decides, so a zone that is not ours may be inside one that is.
    """

    __slots__ = ("_above", "_zones")

    def __init__(self, zones: Mapping[bytes, bool]) -> None:
        self._zones = ZoneMap(zones)
        self._above = frozenset(ancestor for zone, is_ours in zones.items() if is_ours for ancestor in ancestors(zone))

    def __contains__(self, name: bytes) -> bool:
        return self._zones.find(name) is True

    def is_redirected_by(self, owner: bytes) -> bool:
        """Return whether a DNAME of this owner name would rename names of ours (RFC 6672 section 2.3)."""
        return owner in self or owner in self._above


NO_OWN_NAMES: Final = OwnNames({})
