"""Timing wheel: all items that fall due within one period are returned together, and a timer costs an append."""

import math
from typing import Generic, TypeVar

T = TypeVar("T")


class TimerWheel(Generic[T]):
    """Items by the period, in seconds, in which they fall due. Times are of any monotonic clock.

    An item may be a period late and is never early. Nothing is due before `next_due`, which is infinite while
    the wheel is empty.
    """

    __slots__ = ("_buckets", "_period", "next_due")

    def __init__(self, period: float) -> None:
        self._period = period
        self._buckets: dict[int, list[T]] = {}
        self.next_due = math.inf

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def schedule(self, item: T, due: float) -> None:
        """Make the first `pop_due` after the period of `due` return `item`."""
        bucket = int(due / self._period) + 1
        items = self._buckets.get(bucket)
        if items is None:
            self._buckets[bucket] = [item]
            self.next_due = min(self.next_due, bucket * self._period)
        else:
            items.append(item)

    def pop_due(self, now: float) -> list[T]:
        """Remove and return the items that are due, in order of the periods."""
        out: list[T] = []
        if now >= self.next_due:
            current = now / self._period  # compared without rounding, so that no item is early
            for bucket in sorted(bucket for bucket in self._buckets if bucket <= current):
                out += self._buckets.pop(bucket)
            self.next_due = min(self._buckets) * self._period if self._buckets else math.inf
        return out
