"""Timer queue: items by due time, each once. No clock; times are seconds of any clock that never goes back."""

import heapq
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

_SLACK: Final = 64  # entries of dropped items that are tolerated, besides one for each live item

T = TypeVar("T", bound=Hashable)


class TimerQueue(Generic[T]):
    """Items and their due times. An item that was popped is not in the queue until it is scheduled again."""

    __slots__ = ("_heap", "_latest", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._latest: dict[T, int] = {}  # the `schedule` call that counts for each item; older ones are void
        self._sequence = 0

    def __len__(self) -> int:
        """How many items are waiting."""
        return len(self._latest)

    def schedule(self, item: T, due: float) -> None:
        """Schedule `item` at `due`; an earlier due time of it is void."""
        self._sequence += 1
        self._latest[item] = self._sequence
        heapq.heappush(self._heap, (due, self._sequence, item))
        self._compact()

    def cancel(self, item: T) -> None:
        """Remove `item`; nothing happens if it is not scheduled."""
        self._latest.pop(item, None)
        self._compact()

    @property
    def next_due(self) -> float | None:
        """The due time of the next item, or None."""
        while self._heap and self._is_stale(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float, *, limit: int) -> list[T]:
        """Remove and return what has fallen due, the longest due first, at most `limit` items."""
        out: list[T] = []
        while len(out) < limit and (due := self.next_due) is not None and due <= now:
            item = heapq.heappop(self._heap)[2]
            del self._latest[item]
            out.append(item)
        return out

    def _is_stale(self, entry: tuple[float, int, T]) -> bool:
        return self._latest.get(entry[2]) != entry[1]

    def _compact(self) -> None:
        """Void entries far from due would pile up where items come and go quickly."""
        if len(self._heap) > 2 * len(self._latest) + _SLACK:
            self._heap = [entry for entry in self._heap if not self._is_stale(entry)]
            heapq.heapify(self._heap)
