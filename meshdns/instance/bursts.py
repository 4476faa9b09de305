"""Bursts of faults, of which the first alone is logged."""

from collections.abc import Callable, Hashable
from typing import Final

QUIET: Final = 60.0  # seconds without a fault after which the next one begins another burst


class Bursts:
    """Tells the beginnings of bursts, for each kind of fault; `clock` gives seconds. Kinds are of a closed set."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[Hashable, float] = {}

    def begins(self, kind: Hashable) -> bool:
        """Record a fault; return whether a burst begins with it."""
        now = self._clock()
        last, self._last[kind] = self._last.get(kind), now
        return last is None or now - last > QUIET
