"""Who waits for answers: how many questions in all, of one client, and below one suffix.

Names made up at random below one domain, whose servers are slow or dead, are one attack (*water torture*). Each is a
question of its own to upstreams, and without a bound they would soon be all that waits. Which domain is attacked cannot
be known; two labels are enough to keep the others apart, and the bound is far above what an honest domain needs.
"""

from collections.abc import Callable
from typing import NamedTuple

from meshdns.dns.query import Query
from meshdns.forwarding.policy import Exchange


class Waiter(NamedTuple):
    """One client that waits: its query, how it asked, its packed address, and where its reply goes."""

    query: Query
    tcp: bool
    client: bytes
    on_reply: Callable[[bytes], None]


class PerKeyLimit:
    """Counts what each of many has of something, and how much it may have; who has nothing is not remembered."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def is_at_limit(self, key: bytes) -> bool:
        """Whether this one may have no more."""
        return self._counts.get(key, 0) >= self._limit

    def acquire(self, key: bytes) -> None:
        """One more."""
        self._counts[key] = self._counts.get(key, 0) + 1

    def release(self, key: bytes) -> None:
        """One less."""
        left = self._counts[key] - 1
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]


class WaitLimits:
    """Counts those who wait; what it remembers is bounded by their number."""

    def __init__(self, limit: int, limit_per_client: int) -> None:
        self._limit = limit
        self._clients = PerKeyLimit(limit_per_client)
        self._number = 0

    def __len__(self) -> int:
        return self._number

    @property
    def is_full(self) -> bool:
        """Whether nobody more may wait."""
        return self._number >= self._limit

    def is_client_at_limit(self, client: bytes) -> bool:
        """Whether as many questions of this client wait as may."""
        return self._clients.is_at_limit(client)

    def add(self, client: bytes) -> None:
        """One question more of this client waits."""
        self._clients.acquire(client)
        self._number += 1

    def remove(self, client: bytes) -> None:
        """One question less of this client waits."""
        self._number -= 1
        self._clients.release(client)


class PendingExchange:
    """An exchange and who waits for it."""

    __slots__ = ("exchange", "key", "route_index", "suffix", "waiters")

    def __init__(self, key: bytes, suffix: bytes, route_index: int, exchange: Exchange) -> None:
        self.key = key
        self.suffix = suffix
        self.route_index = route_index
        self.exchange = exchange
        self.waiters: list[Waiter] = []
