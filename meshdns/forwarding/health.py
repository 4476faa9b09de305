"""Health of the upstreams of a route, judged by silence, and the order to query them in.

Rules:
- Only a usable answer proves health. SERVFAIL, REFUSED and the like neither prove nor disprove it, ICMP never does: it
  can be forged by anyone who guesses a port.
- An upstream is down after three silent sends in a row during which nothing useful came from it for 1.5 s: a few slow
  names on a lively upstream are not its fault.
- An upstream that is down is queried last. When its backoff is over, one query is tried on it first (half open): an
  answer brings it back, else the next backoff is twice as long.
- If all upstreams are down, all are queried in order.
"""

from collections.abc import Sequence
from typing import Final

from meshdns.dns.address_blocks import is_globally_reachable
from meshdns.dns.reply import NO_RULES, ReplyRules
from meshdns.forwarding.upstreams import Address

DOWN_AFTER_TIMEOUTS: Final = 3
DOWN_AFTER_SECONDS: Final = 1.5
INITIAL_BACKOFF: Final = 2.0  # seconds; about the timeout of one client
MAX_BACKOFF: Final = 60.0  # seconds


class _Health:
    __slots__ = ("backoff", "last_success", "timeouts", "trial_at")

    def __init__(self) -> None:
        self.timeouts = 0
        self.last_success = float("-inf")
        self.backoff = 0.0  # seconds; 0 while it is up
        self.trial_at = 0.0  # when a query is tried on it, while it is down


class UpstreamGroup:
    """The upstreams of one route in order of preference, with their health; `rules` are for their replies."""

    def __init__(self, addresses: Sequence[Address], rules: ReplyRules = NO_RULES) -> None:
        self.rules = rules
        self.addresses = tuple(addresses)
        self.is_private = tuple(
            not is_globally_reachable(address.host) for address in self.addresses
        )  # loop markers are sent to private addresses alone
        self.uses_tls = tuple(address.tls is not None for address in self.addresses)  # queried over TLS alone
        self._health = [_Health() for _ in self.addresses]
        self._all = tuple(range(len(self.addresses)))
        self._down_count = 0  # how many are down

    def select_order(self, now: float) -> Sequence[int]:
        """Return the indices of the upstreams in the order to query them; a half-open trial is counted as made."""
        if not self._down_count:
            return self._all
        up: list[int] = []
        down: list[int] = []
        trial: list[int] = []
        for i, health in enumerate(self._health):
            if not health.backoff:
                up.append(i)
            elif now >= health.trial_at and not trial:
                health.backoff = min(health.backoff * 2, MAX_BACKOFF)
                health.trial_at = now + health.backoff
                trial.append(i)
            else:
                down.append(i)
        return (*trial, *up, *down)

    def is_down(self, upstream: int) -> bool:
        """Whether the upstream counts as down."""
        return self._health[upstream].backoff > 0

    def record_success(self, upstream: int, now: float) -> None:
        """Record a usable answer."""
        health = self._health[upstream]
        health.timeouts = 0
        health.last_success = now
        if health.backoff:
            health.backoff = 0.0
            self._down_count -= 1

    def record_timeout(self, upstream: int, now: float) -> None:
        """Record a send without a reply in time."""
        health = self._health[upstream]
        health.timeouts += 1
        if (
            not health.backoff
            and health.timeouts >= DOWN_AFTER_TIMEOUTS
            and now - health.last_success >= DOWN_AFTER_SECONDS
        ):
            health.backoff = INITIAL_BACKOFF
            self._down_count += 1
            health.trial_at = now + INITIAL_BACKOFF
