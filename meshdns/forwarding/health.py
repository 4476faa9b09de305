"""Which of a route's upstreams is worth asking first, judged by silence.

Rules:
- Only a usable answer proves health. SERVFAIL, REFUSED and the like neither prove nor disprove it, ICMP never does: it
  can be forged by anyone who guesses a port.
- An upstream is down after three silent sends in a row during which nothing useful came from it for 1.5 s: a few slow
  names on a lively upstream are not its fault.
- One that is down is asked last. When its rest is over, one query is spent on it first (half open): an answer brings it
  back, else the next rest is twice as long.
- Where all are down, all are asked in order: there is nothing better.
"""

from collections.abc import Sequence
from typing import Final

from meshdns.forwarding.addresses import Address, is_local

SILENT_SENDS: Final = 3
SILENT_SECONDS: Final = 1.5
FIRST_REST: Final = 2.0  # seconds; about one client's patience
LONGEST_REST: Final = 60.0  # seconds


class _Health:
    __slots__ = ("good_at", "rest", "rests_until", "silent")

    def __init__(self) -> None:
        self.silent = 0
        self.good_at = float("-inf")
        self.rest = 0.0  # seconds; 0 while it is up
        self.rests_until = 0.0


class Group:
    """The upstreams of one route in order of preference, with what is known of their health."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.addresses = tuple(addresses)
        self.near = tuple(is_local(address) for address in self.addresses)  # who may be told of a query's trail
        self.secure = tuple(address.tls is not None for address in self.addresses)  # who is asked over TLS alone
        self._health = [_Health() for _ in self.addresses]
        self._all = tuple(range(len(self.addresses)))
        self._resting = 0  # how many are down

    def order(self, now: float) -> Sequence[int]:
        """Indices of the upstreams, the one to ask first in front; spends the half-open trial that it hands out."""
        if not self._resting:
            return self._all
        up: list[int] = []
        down: list[int] = []
        trial: list[int] = []
        for i, health in enumerate(self._health):
            if not health.rest:
                up.append(i)
            elif now >= health.rests_until and not trial:
                health.rest = min(health.rest * 2, LONGEST_REST)
                health.rests_until = now + health.rest
                trial.append(i)
            else:
                down.append(i)
        return (*trial, *up, *down)

    def down(self, upstream: int) -> bool:
        """Whether the upstream is held to be down."""
        return self._health[upstream].rest > 0

    def good(self, upstream: int, now: float) -> None:
        """A usable answer came."""
        health = self._health[upstream]
        health.silent = 0
        health.good_at = now
        if health.rest:
            health.rest = 0.0
            self._resting -= 1

    def silent(self, upstream: int, now: float) -> None:
        """A send was not answered in its time."""
        health = self._health[upstream]
        health.silent += 1
        if not health.rest and health.silent >= SILENT_SENDS and now - health.good_at >= SILENT_SECONDS:
            health.rest = FIRST_REST
            self._resting += 1
            health.rests_until = now + FIRST_REST
