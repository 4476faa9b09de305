"""Coarse timers: everything that falls due within one period comes at once, and a timer costs an append."""

from typing import Final, Generic, TypeVar

PERIOD: Final = 0.025  # seconds that a timer may come late

T = TypeVar("T")


class Wheel(Generic[T]):
    """Items by the period in which they fall due. Times are seconds of any clock that never goes back."""

    __slots__ = ("_seen", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, list[T]] = {}
        self._seen = 0

    def __bool__(self) -> bool:
        return bool(self._slots)

    def add(self, item: T, due: float, now: float) -> None:
        """Have `item` taken at the first `take` after `due`."""
        if not self._slots:
            self._seen = int(now / PERIOD)
        self._slots.setdefault(max(int(due / PERIOD), self._seen) + 1, []).append(item)

    def take(self, now: float) -> list[T]:
        """Remove and return what has fallen due, in order of the periods."""
        current = int(now / PERIOD)
        out: list[T] = []
        while self._slots and self._seen < current:
            self._seen += 1
            out += self._slots.pop(self._seen, ())
        return out
