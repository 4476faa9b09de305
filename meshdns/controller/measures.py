"""The controller's own numbers, on its page of the scoreboard.

Whoever scrapes reads them there, whether the controller lives or not. Counters go on from what an earlier controller of
the same instance published.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Final

from meshdns import meters
from meshdns.controller.census import Census
from meshdns.controller.description import ClusterDescription
from meshdns.mesh.declarations import Kind
from meshdns.mesh.inventory import Inventory
from meshdns.mesh.problems import Problem
from meshdns.meters import Ledger
from meshdns.scoreboard import CONTROLLER, Scoreboard

_STATUSES: Final = ("synced", "stale", "never synced", "removed")
_COUNT_OBJECTS: Final = 10.0  # seconds between two counts of a cluster's objects: 10,000 take a millisecond
_KIND_OF: Final = itemgetter(0)
"""The kind in a declaration's key."""


class Measures:
    """What the controller counts. `clock` gives monotonic seconds."""

    def __init__(self, board: Scoreboard, clock: Callable[[], float]) -> None:
        self._board = board
        self._clock = clock
        self._ledger = Ledger(board.published(CONTROLLER))
        self._forget_gauges()
        self._pending: float | None = None
        self._objects: dict[str, Counter[Kind]] = {}
        self._counted: dict[str, float] = {}

    def changed(self) -> None:
        """Something came that a commit is to follow."""
        if self._pending is None:
            self._pending = self._clock()

    def committed(self, rows: int) -> None:
        """A commit is done, which changed so many rows, and nothing is left for another."""
        began, self._pending = self._pending, None
        if rows:
            self._ledger.add(meters.COMMITS)
            if began is not None:
                self._ledger.observe(meters.PROPAGATION, value=self._clock() - began)

    def not_committed(self) -> None:
        """The view did not take a commit."""
        self._ledger.add(meters.COMMIT_FAILURES)

    def failed(self, cluster: str, kind: Kind) -> None:
        """A list or watch failed."""
        self._ledger.add(meters.CLUSTER_FAILURES, cluster, kind.value)

    def publish(
        self,
        *,
        described: Mapping[str, ClusterDescription],
        contacts: Mapping[str, float],
        credentials: Mapping[str, tuple[float, bool]],
        census: Census,
        inventory: Inventory,
        own: Iterable[Problem],
    ) -> None:
        """Set all gauges anew and publish everything. `own` are the problems of no cluster's object.

        `credentials` are the Unix times at which those of clusters end, and whether they are got anew before.
        """
        for name, each in described.items():
            for status in _STATUSES:
                self._gauge(meters.CLUSTER_STATUS, name, status, value=each.status == status)
            for healthy, word in ((True, "healthy"), (False, "unhealthy"), (None, "unknown")):
                number = sum(gateway.healthy is healthy for gateway in each.gateways or ())
                self._gauge(meters.GATEWAYS, name, word, value=number)
        for name, age in contacts.items():
            self._gauge(meters.CLUSTER_AGE, name, value=max(age, 0))
        for name, (until, renewed) in credentials.items():
            self._gauge(meters.CREDENTIAL_EXPIRY, name, "yes" if renewed else "no", value=until)
        problems = census.problems + Counter((problem.name, problem.kind.value) for problem in own)
        for meter, counts in ((meters.NAMES, census.names), (meters.PROBLEMS, problems)):
            for (first, second), number in counts.items():
                self._gauge(meter, first, second, value=number)
        self._count(inventory)
        for cluster, kinds in self._objects.items():
            for kind, number in kinds.items():
                self._gauge(meters.OBJECTS, cluster, kind.value, value=number)
        self._publish()

    def _gauge(self, meter: meters.Meter, *labels: str, value: float) -> None:
        self._ledger.row(meter, *labels)[0] = float(value)

    def _count(self, inventory: Inventory) -> None:
        """Count the objects of the cluster whose count is oldest, if that is due: all at once would delay changes."""
        for gone in self._counted.keys() - inventory.clusters.keys():
            del self._objects[gone], self._counted[gone]
        name = min(inventory.clusters, key=lambda each: self._counted.get(each, -math.inf), default="")
        now = self._clock()
        if name and now - self._counted.get(name, -math.inf) >= _COUNT_OBJECTS:
            self._counted[name] = now
            self._objects[name] = Counter(map(_KIND_OF, inventory.clusters[name].declarations))

    def _publish(self) -> None:
        self._board.publish(CONTROLLER, self._ledger.encode())
        self._forget_gauges()

    def _forget_gauges(self) -> None:
        """What is gone until the next time must not be told any more."""
        for meter in meters.CONTROLLERS:
            if meter.kind is meters.Kind.GAUGE:
                self._ledger.clear(meter)
