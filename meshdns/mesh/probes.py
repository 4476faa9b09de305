"""Whether gateways are alive, judged from what probes of them brought. No clock and no sockets.

Rules:
- A gateway that nothing is known of counts as healthy, also one that left and came back.
- It becomes unhealthy after `down` failures in a row and healthy again after `up` successes in a row.
- It is probed once per interval, give or take 10 %, the first time at a random moment of the first interval, and
  twice as often while its last probe contradicts what it is held to be. So a gateway that dies is known to be dead
  after (1.1 + 0.55 × (down - 1)) intervals and one probe's patience: 25 s with the defaults.
- What this machine could not do (no file descriptor, no source port, it stood still) says nothing about a gateway.
- A missing route may be the gateway's fault or that of the own network, so such a probe is held back until an address
  of the same family replies. If one had replied in the interval and a half before, the network is there, and what was
  held back counts as failures; else it is dropped. So while the own network is gone, and everything is unreachable, all
  keep the health they had, and its return takes nobody down. An outage too short to be told from a gateway's own counts
  as two failures at most, less than the default `down`.
- Timeouts count against the gateway whatever happens elsewhere: they are what a dead one looks like. If that makes all
  gateways of a name unhealthy, its answer ignores health (see `answer`).
"""

import enum
from collections.abc import Callable, Collection
from typing import Final, TypeAlias

from meshdns.mesh.addresses import parsed
from meshdns.mesh.agenda import Agenda

JITTER: Final = 0.1  # of the interval
DOUBTFUL: Final = 0.5  # of the interval, between probes of a gateway in doubt
ROUND: Final = 1.5  # intervals in which every gateway has been probed: one, its jitter, and a probe's patience

Target: TypeAlias = tuple[str, int]
"""IP address in canonical text, port 1 to 65535."""

Changes: TypeAlias = list[tuple[Target, bool]]
"""Gateways whose health changed, and whether they are healthy now."""


class Outcome(enum.Enum):
    """What a probe brought."""

    ALIVE = "alive"
    REFUSED = "the address replied, but no live gateway did"
    SILENT = "no reply in time"
    UNREACHABLE = "no route from here"
    OWN_FAULT = "this machine could not probe"


class Gateway:
    """What is known of one gateway."""

    __slots__ = ("against", "healthy", "ipv6", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.ipv6 = ":" in target[0]
        self.healthy = True
        self.against = 0  # outcomes in a row that contradict `healthy`


class Probes:
    """The gateways that are wanted. `interval` is in seconds, `draw` gives numbers from 0 up to 1.

    `agenda` says which gateway is to be probed when.
    """

    def __init__(self, *, interval: float, down: int, up: int, draw: Callable[[], float]) -> None:
        self.agenda: Agenda[Gateway] = Agenda()
        self._interval = interval
        self._limits = {True: down, False: up}  # by what the gateway is held to be
        self._draw = draw
        self._gateways: dict[Target, Gateway] = {}
        self._held: dict[Gateway, int] = {}  # probes without a route that are held back
        self._reached = {False: float("-inf"), True: float("-inf")}  # by family: when an address last replied

    def want(self, targets: Collection[Target], now: float) -> None:
        """The complete set wanted now; others are forgotten. What is no IP address with a port is never probed."""
        wanted = {target for target in targets if parsed(target[0]) is not None and 0 < target[1] < 65536}
        for gone in self._gateways.keys() - wanted:
            gateway = self._gateways.pop(gone)
            self.agenda.drop(gateway)
            self._held.pop(gateway, None)
        for target in wanted - self._gateways.keys():
            gateway = self._gateways[target] = Gateway(target)
            self.agenda.put(gateway, now + self._interval * self._draw())

    def heard(self, gateway: Gateway, outcome: Outcome, *, begun: float, now: float) -> Changes:
        """A probe that began at `begun` is over at `now`. A gateway that was forgotten meanwhile stays so."""
        if self._gateways.get(gateway.target) is not gateway:
            return []
        changes = self._judge(gateway, outcome, now)
        pace = DOUBTFUL if gateway.against else 1.0
        jitter = 1 - JITTER + 2 * JITTER * self._draw()
        self.agenda.put(gateway, begun + self._interval * pace * jitter)
        return changes

    def _judge(self, gateway: Gateway, outcome: Outcome, now: float) -> Changes:
        if outcome is Outcome.OWN_FAULT:
            return []
        if outcome is Outcome.UNREACHABLE:
            self._held[gateway] = self._held.get(gateway, 0) + 1
            return []
        if outcome is Outcome.ALIVE:
            self._held.pop(gateway, None)
        changes = self._note(gateway, good=outcome is Outcome.ALIVE)
        if outcome is not Outcome.SILENT:
            changes += self._settle(now, ipv6=gateway.ipv6)
        return changes

    def _settle(self, now: float, *, ipv6: bool) -> Changes:
        """An address of the family has replied: what was held back counts, or is dropped after an outage of our own."""
        counts = now - self._reached[ipv6] <= ROUND * self._interval
        self._reached[ipv6] = now
        changes: Changes = []
        for gateway in [held for held in self._held if held.ipv6 == ipv6]:
            failures = self._held.pop(gateway)
            for _ in range(failures if counts else 0):
                changes += self._note(gateway, good=False)
        return changes

    def _note(self, gateway: Gateway, *, good: bool) -> Changes:
        """Count an outcome for or against what the gateway is held to be."""
        if good == gateway.healthy:
            gateway.against = 0
            return []
        gateway.against += 1
        if gateway.against < self._limits[gateway.healthy]:
            return []
        gateway.healthy = good
        gateway.against = 0
        return [(gateway.target, good)]
