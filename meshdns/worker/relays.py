"""Cached answers of upstreams made ready: the octets that a question was answered with, while they stay the same.

A cached answer changes when it is a second older, and its TTLs with it. Until then whoever asks the same octets gets
the same octets. So a popular name takes the long way once a second, where the cache also learns that it is popular.
"""

from typing import Final

MAX_KEPT: Final = 8192  # replies of at most 1232 octets; beyond it all are forgotten


class Relays:
    """Replies by the query without its id, each with the moment until which it holds and the case it counts as."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[float, bytes, int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def find(self, data: bytes, now: float) -> tuple[bytes, int] | None:
        """The reply to a query, and its case."""
        found = self._kept.get(data[2:])
        if found is None or now >= found[0]:
            return None
        return data[:2] + found[1], found[2]

    def keep(self, data: bytes, reply: bytes, until: float, case: int) -> None:
        """Keep the reply to a query until that moment, in seconds of the clock that `find` is asked with."""
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[data[2:]] = (until, reply[2:], case)
