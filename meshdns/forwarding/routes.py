"""Which upstreams a name goes to: those of the longest zone that it is in."""

from collections.abc import Sequence

import msgspec

from meshdns.forwarding.addresses import Address


class Route(msgspec.Struct, frozen=True):
    """One ``forward`` entry of the settings: a zone as lower-case wire name, its upstreams in order of preference.

    `random_case` says that names are sent in letters of random case.
    """

    zone: bytes
    upstreams: tuple[Address, ...]
    random_case: bool = False


class Routes:
    """The routes of the settings. The first of several for one zone counts."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._places: dict[bytes, int] = {}
        for place, route in enumerate(routes):
            self._places.setdefault(route.zone, place)
        self._alone = self._places.get(b"\0", -1) if len(self._places) == 1 else -1  # all names go there

    def place(self, lower: bytes) -> int:
        """The index of the route for a lower-case wire name, -1 where no zone takes it."""
        if self._alone >= 0:
            return self._alone
        at = 0
        while True:
            place = self._places.get(lower[at:])
            if place is not None:
                return place
            if not lower[at]:
                return -1
            at += lower[at] + 1
