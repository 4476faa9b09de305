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
    reply: Callable[[bytes], None]


class Shares:
    """Counts what each of many has of something, and how much it may have; who has nothing is not remembered."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def all_taken(self, owner: bytes) -> bool:
        """Whether this one may have no more."""
        return self._taken.get(owner, 0) >= self._most

    def take(self, owner: bytes) -> None:
        """One more."""
        self._taken[owner] = self._taken.get(owner, 0) + 1

    def give_back(self, owner: bytes) -> None:
        """One less."""
        left = self._taken[owner] - 1
        if left:
            self._taken[owner] = left
        else:
            del self._taken[owner]


class Crowd:
    """Counts those who wait; what it remembers is bounded by their number."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._clients = Shares(most_per_client)
        self._number = 0

    def __len__(self) -> int:
        return self._number

    @property
    def full(self) -> bool:
        """Whether nobody more may wait."""
        return self._number >= self._most

    def fills(self, client: bytes) -> bool:
        """Whether as many questions of this client wait as may."""
        return self._clients.all_taken(client)

    def join(self, client: bytes) -> None:
        """One question more of this client waits."""
        self._clients.take(client)
        self._number += 1

    def leave(self, client: bytes) -> None:
        """One question less of this client waits."""
        self._number -= 1
        self._clients.give_back(client)


class Pending:
    """An exchange and who waits for it."""

    __slots__ = ("exchange", "key", "place", "suffix", "waiters")

    def __init__(self, key: bytes, suffix: bytes, place: int, exchange: Exchange) -> None:
        self.key = key
        self.suffix = suffix
        self.place = place
        self.exchange = exchange
        self.waiters: list[Waiter] = []
