"""Health of gateways, judged from the outcomes of probes. No clock and no sockets.

Rules:
- A gateway that nothing is known of counts as healthy, also one that left and came back.
- It becomes unhealthy after `unhealthy_after` failures in a row and healthy again after `healthy_after` successes in a
  row.
- It is probed once per interval, give or take 10 %, the first time at a random moment of the first interval, and
  twice as often while its last probe contradicts what it is held to be. So a gateway that dies is known to be dead
  after (1.1 + 0.55 × (unhealthy_after - 1)) intervals and one probe's timeout: 25 s with the defaults.
- What this machine could not do (no file descriptor, no source port, it stood still) says nothing about a gateway.
- A missing route may be the gateway's fault or that of the own network, so such a probe is held back until an address
  of the same family replies. If one had replied in the interval and a half before, the network is there, and what was
  held back counts as failures; else it is dropped. So while the own network is gone, and everything is unreachable, all
  keep the health they had, and its return takes nobody down. An outage too short to be told from a gateway's own counts
  as two failures at most, less than the default `unhealthy_after`.
- Timeouts count against the gateway whatever happens elsewhere: they are what a dead one looks like. If that makes all
  gateways of a name unhealthy, its answer ignores health (see `answer`).
"""

import enum
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from meshdns.mesh.addresses import parse_address
from meshdns.mesh.fair_timers import FairTimers, Owners, Shares

JITTER: Final = 0.1  # of the interval
RECHECK_FACTOR: Final = 0.5  # of the interval, between probes of a gateway in doubt
MAX_ROUND_INTERVALS: Final = 1.5
"""Intervals in which every gateway has been probed: one, its jitter, and a probe's timeout."""

MAX_CONCURRENT_PROBES: Final = 64
PROBE_SHARES: Final = Shares(owner=16, cluster=32, urgent=0)
"""Of `MAX_CONCURRENT_PROBES`: a probe of a silent address takes 3 s."""

ProbeTarget: TypeAlias = tuple[str, int]
"""IP address in canonical text, port 1 to 65535."""

HealthChanges: TypeAlias = list[tuple[ProbeTarget, bool]]
"""Gateways whose health changed, and whether they are healthy now."""


class ProbeOutcome(enum.Enum):
    """Outcome of a probe."""

    ALIVE = "alive"
    REFUSED = "the address replied, but no live gateway did"
    TIMEOUT = "no reply in time"
    NO_ROUTE = "no route from here"
    LOCAL_FAILURE = "this machine could not probe"


class ProbedGateway:
    """Health of one gateway, and the failures that count towards it."""

    __slots__ = ("contradictions", "healthy", "ipv6", "owners", "target")

    def __init__(self, target: ProbeTarget, owners: Owners) -> None:
        self.target = target
        self.owners = owners
        self.ipv6 = ":" in target[0]
        self.healthy = True
        self.contradictions = 0  # outcomes in a row that contradict `healthy`


class GatewayHealth:
    """The gateways that are wanted. `interval` is in seconds, `draw` gives numbers from 0 up to 1.

    `timers` says which gateway is to be probed when.
    """

    def __init__(self, *, interval: float, unhealthy_after: int, healthy_after: int, draw: Callable[[], float]) -> None:
        self.timers: FairTimers[ProbedGateway] = FairTimers(lambda gateway: gateway.owners, PROBE_SHARES)
        self._interval = interval
        self._limits = {True: unhealthy_after, False: healthy_after}  # by what the gateway is held to be
        self._draw = draw
        self._gateways: dict[ProbeTarget, ProbedGateway] = {}
        self._held_back: dict[ProbedGateway, int] = {}  # probes without a route that are held back
        self._last_reply = {False: float("-inf"), True: float("-inf")}  # by family: when an address last replied

    def set_targets(self, targets: Mapping[ProbeTarget, Owners], now: float) -> None:
        """The complete set wanted now, with their owners; others are forgotten.

        What is no IP address with a port is never probed.
        """
        wanted = {
            target: owners
            for target, owners in targets.items()
            if parse_address(target[0]) is not None and 0 < target[1] < 65536
        }
        for gone in self._gateways.keys() - wanted.keys():
            gateway = self._gateways.pop(gone)
            self.timers.cancel(gateway)
            self._held_back.pop(gateway, None)
        for target, owners in wanted.items():
            known = self._gateways.get(target)
            if known is None:
                gateway = self._gateways[target] = ProbedGateway(target, owners)
                self.timers.schedule(gateway, now + self._interval * self._draw())
            elif known.owners != owners:
                known.owners = owners
                self.timers.update_owners(known)

    def record_result(
        self, gateway: ProbedGateway, outcome: ProbeOutcome, *, started: float, now: float
    ) -> HealthChanges:
        """A probe that began at `started` is over at `now`. A gateway that was forgotten meanwhile stays so."""
        if self._gateways.get(gateway.target) is not gateway:
            return []
        changes = self._apply_outcome(gateway, outcome, now)
        pace = RECHECK_FACTOR if gateway.contradictions else 1.0
        jitter = 1 - JITTER + 2 * JITTER * self._draw()
        self.timers.schedule(gateway, started + self._interval * pace * jitter)
        return changes

    def _apply_outcome(self, gateway: ProbedGateway, outcome: ProbeOutcome, now: float) -> HealthChanges:
        if outcome is ProbeOutcome.LOCAL_FAILURE:
            return []
        if outcome is ProbeOutcome.NO_ROUTE:
            self._held_back[gateway] = self._held_back.get(gateway, 0) + 1
            return []
        if outcome is ProbeOutcome.ALIVE:
            self._held_back.pop(gateway, None)
        changes = self._count_result(gateway, succeeded=outcome is ProbeOutcome.ALIVE)
        if outcome is not ProbeOutcome.TIMEOUT:
            changes += self._settle_held_back(now, ipv6=gateway.ipv6)
        return changes

    def _settle_held_back(self, now: float, *, ipv6: bool) -> HealthChanges:
        """An address of the family has replied: what was held back counts, or is dropped after an outage of our own."""
        counts = now - self._last_reply[ipv6] <= MAX_ROUND_INTERVALS * self._interval
        self._last_reply[ipv6] = now
        changes: HealthChanges = []
        for gateway in [held for held in self._held_back if held.ipv6 == ipv6]:
            failures = self._held_back.pop(gateway)
            for _ in range(failures if counts else 0):
                changes += self._count_result(gateway, succeeded=False)
        return changes

    def _count_result(self, gateway: ProbedGateway, *, succeeded: bool) -> HealthChanges:
        """Count an outcome for or against what the gateway is held to be."""
        if succeeded == gateway.healthy:
            gateway.contradictions = 0
            return []
        gateway.contradictions += 1
        if gateway.contradictions < self._limits[gateway.healthy]:
            return []
        gateway.healthy = succeeded
        gateway.contradictions = 0
        return [(gateway.target, succeeded)]
