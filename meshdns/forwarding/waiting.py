"""Limits on waiting questions: in all, of one client, and below one suffix.

Random names below one domain, whose servers are slow or down, are one attack (*water torture*). Each is a question of
its own to upstreams, and without a bound they would soon take all places. The attacked domain cannot be known; two
labels are enough to keep others apart, and the bound is far above what an honest domain needs.
"""

from collections.abc import Callable
from typing import NamedTuple

from meshdns.dns.query import Query
from meshdns.forwarding.policy import Exchange


class Waiter(NamedTuple):
    """One waiting client: its query, whether it came over TCP, its packed address, and the callback for its reply."""

    query: Query
    tcp: bool
    client: bytes
    on_reply: Callable[[bytes], None]


class PerKeyLimit:
    """Counts by key, with the same limit for each; a key with a count of 0 is not stored."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def is_at_limit(self, key: bytes) -> bool:
        """Return whether the count of a key has reached the limit."""
        return self._counts.get(key, 0) >= self._limit

    def acquire(self, key: bytes) -> None:
        """Add one to the count of a key."""
        self._counts[key] = self._counts.get(key, 0) + 1

    def release(self, key: bytes) -> None:
        """Subtract one from the count of a key."""
        left = self._counts[key] - 1
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]


class WaitLimits:
    """Counts the waiting questions, in all and by client; its size is bounded by their number."""

    def __init__(self, limit: int, limit_per_client: int) -> None:
        self._limit = limit
        self._clients = PerKeyLimit(limit_per_client)
        self._number = 0

    def __len__(self) -> int:
        return self._number

    @property
    def is_full(self) -> bool:
        """Whether no more questions may wait."""
        return self._number >= self._limit

    def is_client_at_limit(self, client: bytes) -> bool:
        """Return whether no more questions of this client may wait."""
        return self._clients.is_at_limit(client)

    def add(self, client: bytes) -> None:
        """Count a waiting question of a client."""
        self._clients.acquire(client)
        self._number += 1

    def remove(self, client: bytes) -> None:
        """Count a question of a client as no longer waiting."""
        self._number -= 1
        self._clients.release(client)


class PendingExchange:
    """An exchange and the clients that wait for it.

    `key` is what their queries share (see `question.exchange_key`). Its outcome is cached under `cache_key` only if
    `is_cached`: if the clients sent nothing on but their question.
    """

    __slots__ = ("cache_key", "exchange", "is_cached", "key", "route_index", "suffix", "waiters")

    def __init__(self, key: bytes, cache_key: bytes, suffix: bytes, route_index: int, exchange: Exchange) -> None:
        self.key = key
        self.cache_key = cache_key
        self.is_cached = key == cache_key
        self.suffix = suffix
        self.route_index = route_index
        self.exchange = exchange
        self.waiters: list[Waiter] = []
