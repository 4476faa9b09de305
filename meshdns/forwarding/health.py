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

from meshdns.dns.address_blocks import is_globally_reachable
from meshdns.forwarding.upstreams import Address

DOWN_AFTER_TIMEOUTS: Final = 3
DOWN_AFTER_SECONDS: Final = 1.5
INITIAL_BACKOFF: Final = 2.0  # seconds; about one client's patience
MAX_BACKOFF: Final = 60.0  # seconds


class _Health:
    __slots__ = ("backoff", "last_success", "retry_at", "timeouts")

    def __init__(self) -> None:
        self.timeouts = 0
        self.last_success = float("-inf")
        self.backoff = 0.0  # seconds; 0 while it is up
        self.retry_at = 0.0


class UpstreamGroup:
    """The upstreams of one route in order of preference, with what is known of their health."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.addresses = tuple(addresses)
        self.is_private = tuple(
            not is_globally_reachable(address.host) for address in self.addresses
        )  # who may be told of a query's trail
        self.uses_tls = tuple(address.tls is not None for address in self.addresses)  # who is asked over TLS alone
        self._health = [_Health() for _ in self.addresses]
        self._all = tuple(range(len(self.addresses)))
        self._down_count = 0  # how many are down

    def select_order(self, now: float) -> Sequence[int]:
        """Indices of the upstreams, the one to ask first in front; spends the half-open trial that it hands out."""
        if not self._down_count:
            return self._all
        up: list[int] = []
        down: list[int] = []
        trial: list[int] = []
        for i, health in enumerate(self._health):
            if not health.backoff:
                up.append(i)
            elif now >= health.retry_at and not trial:
                health.backoff = min(health.backoff * 2, MAX_BACKOFF)
                health.retry_at = now + health.backoff
                trial.append(i)
            else:
                down.append(i)
        return (*trial, *up, *down)

    def is_down(self, upstream: int) -> bool:
        """Whether the upstream is held to be down."""
        return self._health[upstream].backoff > 0

    def record_success(self, upstream: int, now: float) -> None:
        """A usable answer came."""
        health = self._health[upstream]
        health.timeouts = 0
        health.last_success = now
        if health.backoff:
            health.backoff = 0.0
            self._down_count -= 1

    def record_timeout(self, upstream: int, now: float) -> None:
        """A send was not answered in its time."""
        health = self._health[upstream]
        health.timeouts += 1
        if (
            not health.backoff
            and health.timeouts >= DOWN_AFTER_TIMEOUTS
            and now - health.last_success >= DOWN_AFTER_SECONDS
        ):
            health.backoff = INITIAL_BACKOFF
            self._down_count += 1
            health.retry_at = now + INITIAL_BACKOFF
