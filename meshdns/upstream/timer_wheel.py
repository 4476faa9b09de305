"""Coarse timers: everything that falls due within one period comes at once, and a timer costs an append."""

from typing import Final, Generic, TypeVar

PERIOD: Final = 0.025  # seconds that a timer may come late

T = TypeVar("T")


class TimerWheel(Generic[T]):
    """Items by the period in which they fall due. Times are seconds of any clock that never goes back."""

    __slots__ = ("_current", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, list[T]] = {}
        self._current = 0

    def __bool__(self) -> bool:
        return bool(self._slots)

    def schedule(self, item: T, due: float, now: float) -> None:
        """Have `item` taken at the first `pop_due` after `due`."""
        if not self._slots:
            self._current = int(now / PERIOD)
        self._slots.setdefault(max(int(due / PERIOD), self._current) + 1, []).append(item)

    def pop_due(self, now: float) -> list[T]:
        """Remove and return what has fallen due, in order of the periods."""
        current = int(now / PERIOD)
        out: list[T] = []
        while self._slots and self._current < current:
            self._current += 1
            out += self._slots.pop(self._current, ())
        return out
