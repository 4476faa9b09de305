"""Who waits for answers: how many questions in all, and how many of one client."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from meshdns.dns.query import Query


class Waiter(NamedTuple):
    """One client that waits: its query, how it asked, its packed address, and where its reply goes."""

    query: Query
    tcp: bool
    client: bytes
    reply: Callable[[bytes], None]


class Crowd:
    """Counts those who wait; what it remembers is bounded by their number."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._by_client: Counter[bytes] = Counter()  # those of whom nothing waits are not in it
        self._number = 0

    def __len__(self) -> int:
        return self._number

    @property
    def full(self) -> bool:
        """Whether nobody more may wait."""
        return self._number >= self._most

    def fills(self, client: bytes) -> bool:
        """Whether as many questions of this client wait as may."""
        return self._by_client[client] >= self._most_per_client

    def join(self, client: bytes) -> None:
        """One question more of this client waits."""
        self._by_client[client] += 1
        self._number += 1

    def leave(self, client: bytes) -> None:
        """One question less of this client waits."""
        self._number -= 1
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]
