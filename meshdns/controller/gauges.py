"""Metrics of the controller, on its metric page of the scoreboard.

The supervisor reads the page for each scrape, also while the controller is down. Counters continue from the values that
an earlier controller of the same instance published.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Final

from meshdns.controller.cluster_summary import ClusterSummary
from meshdns.instance import metric_pages
from meshdns.instance.metric_pages import MetricPage
from meshdns.instance.scoreboard import CONTROLLER, Scoreboard
from meshdns.mesh.answer import Answer
from meshdns.mesh.candidates import clusters_without_gateway
from meshdns.mesh.host_states import HostStatus
from meshdns.mesh.inventory import Inventory
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.problems import Problem
from meshdns.mesh.settings import MeshSettings
from meshdns.namedb.tables import ProblemKey, problem_cluster

_NO_ZONE: Final = ""


_ProblemLabels = tuple[tuple[str, str], ...]


class MeshCounts:
    """Numbers of names and problems, kept up to date with each commit instead of being counted for each scrape.

    `names` counts by zone and cluster, `problems` by cluster and kind, `names_without_gateway` by the cluster whose
    gateways they lead through.
    """

    def __init__(self, settings: MeshSettings) -> None:
        self.names: Counter[tuple[str, str]] = Counter()
        self.problems: Counter[tuple[str, str]] = Counter()
        self.names_without_gateway: Counter[str] = Counter()
        self._settings = settings
        self._clusters_by_name: dict[str, tuple[str, ...]] = {}  # by name, those that its answer rests on
        self._lacking_by_name: dict[str, tuple[str, ...]] = {}  # by name, those whose gateways it lacks
        self._interned: dict[tuple[str, ...], tuple[str, ...]] = {}  # few sets of clusters serve many names
        self._stored_problems: dict[ProblemKey, _ProblemLabels] = {}

    def update_name(self, name: str, answer: Answer | None) -> None:
        """Count the new answer of a name; None if it no longer exists."""
        zone = self._zone(name)
        for cluster in self._clusters_by_name.pop(name, ()):
            self.names[zone, cluster] -= 1
        self._update_lacking(name, answer)
        if answer is None or not answer.is_declared:
            return
        clusters = self._interned.setdefault(answer.declaring_clusters, answer.declaring_clusters)
        self._clusters_by_name[name] = clusters
        for cluster in clusters:
            self.names[zone, cluster] += 1

    def _update_lacking(self, name: str, answer: Answer | None) -> None:
        for cluster in self._lacking_by_name.pop(name, ()):
            self.names_without_gateway[cluster] -= 1
        lacking = tuple(sorted(clusters_without_gateway(answer.candidates))) if answer is not None else ()
        if lacking:
            self._lacking_by_name[name] = self._interned.setdefault(lacking, lacking)
            self.names_without_gateway.update(lacking)

    def update_problems(self, changes: Iterable[tuple[ProblemKey, Sequence[str]]]) -> None:
        """Count the kinds of problems that the name database now holds under the keys that changed."""
        for key, kinds in changes:
            for each in self._stored_problems.pop(key, ()):
                self.problems[each] -= 1
            if kinds:
                cluster = problem_cluster(key)
                found = self._stored_problems[key] = tuple((cluster, kind) for kind in kinds)
                for each in found:
                    self.problems[each] += 1

    def _zone(self, name: str) -> str:
        zone = self._settings.zone_of(name.removeprefix("*."))
        return f"{zone.name}." if zone is not None else _NO_ZONE


_STATUSES: Final = ("synced", "stale", "never synced", "removed")
_CLAIMANTS: Final = ("namespace", "cluster")
_OBJECT: Final = "object without address"
_GATEWAY_STATES: Final = (*(each.value for each in HostStatus if each is not HostStatus.USABLE), _OBJECT)
"""Why a gateway has no address, as a label."""
_OBJECT_COUNT_INTERVAL: Final = 10.0  # seconds between two counts of a cluster's objects: 10,000 take a millisecond
_KIND_OF: Final = itemgetter(0)
"""The kind in a declaration's key."""


class ControllerMetrics:
    """Counters and gauges of the controller. `clock` gives monotonic seconds."""

    def __init__(self, board: Scoreboard, clock: Callable[[], float]) -> None:
        self._board = board
        self._clock = clock
        self._metric_page = MetricPage(board.read_page(CONTROLLER))
        self._clear_gauges()
        self._first_change_at: float | None = None
        self._name_failures = 0
        self._object_counts: dict[str, Counter[ObjectKind]] = {}
        self._counted_at: dict[str, float] = {}

    def record_change(self) -> None:
        """Record a change that needs a commit."""
        if self._first_change_at is None:
            self._first_change_at = self._clock()

    def record_commit(self, rows: int) -> None:
        """Record a commit of `rows` changed rows after which no change is left."""
        began, self._first_change_at = self._first_change_at, None
        if rows:
            self._metric_page.add(metric_pages.COMMITS)
            if began is not None:
                self._metric_page.observe(metric_pages.PROPAGATION, value=self._clock() - began)

    def record_commit_failure(self) -> None:
        """The name database did not take a commit."""
        self._metric_page.add(metric_pages.COMMIT_FAILURES)

    def record_name_failures(self, number: int) -> None:
        """So many times in this process a name could not be worked out."""
        if number > self._name_failures:
            self._metric_page.add(metric_pages.NAME_FAILURES, amount=number - self._name_failures)
            self._name_failures = number

    def record_read_failure(self, cluster: str, kind: ObjectKind) -> None:
        """A list or watch failed."""
        self._metric_page.add(metric_pages.CLUSTER_FAILURES, cluster, kind.value)

    def record_claim(self, cluster: str, *, is_between_clusters: bool) -> None:
        """A cluster began to declare a name of another cluster, or of another namespace."""
        self._metric_page.add(metric_pages.NAMES_CLAIMED, cluster, _CLAIMANTS[is_between_clusters])

    def record_source_end(self, kind: str) -> None:
        """A source ended."""
        self._metric_page.add(metric_pages.SOURCE_ENDS, kind)

    def publish(
        self,
        *,
        summaries: Mapping[str, ClusterSummary],
        contact_ages: Mapping[str, float],
        credential_expiry: Mapping[str, tuple[float, bool]],
        mesh_counts: MeshCounts,
        inventory: Inventory,
        controller_problems: Iterable[Problem],
    ) -> None:
        """Set all gauges and publish the page. `controller_problems` are the problems of no cluster's object.

        `credential_expiry` are the Unix times at which those of clusters end, and whether they are renewed before.
        """
        for name, each in summaries.items():
            for status in _STATUSES:
                self._set_gauge(metric_pages.CLUSTER_STATUS, name, status, value=each.status == status)
            for word in _CLAIMANTS:
                self._metric_page.add(metric_pages.NAMES_CLAIMED, name, word, amount=0)  # an increase needs a beginning
            for healthy, word in ((True, "healthy"), (False, "unhealthy"), (None, "unknown")):
                number = sum(gateway.healthy is healthy for gateway in each.gateways or ())
                self._set_gauge(metric_pages.GATEWAYS, name, word, value=number)
            self._set_gateway_gauges(name, each, mesh_counts.names_without_gateway[name])
        for name, age in contact_ages.items():
            self._set_gauge(metric_pages.CLUSTER_AGE, name, value=max(age, 0))
        for name, (until, renewed) in credential_expiry.items():
            self._set_gauge(metric_pages.CREDENTIAL_EXPIRY, name, "yes" if renewed else "no", value=until)
        problems = mesh_counts.problems + Counter((problem.name, problem.kind.value) for problem in controller_problems)
        for metric, counts in ((metric_pages.NAMES, mesh_counts.names), (metric_pages.PROBLEMS, problems)):
            for (first, second), number in counts.items():
                self._set_gauge(metric, first, second, value=number)
        self._count_objects(inventory)
        for cluster, kinds in self._object_counts.items():
            for kind, number in kinds.items():
                self._set_gauge(metric_pages.OBJECTS, cluster, kind.value, value=number)
        self._write_page()

    def _set_gateway_gauges(self, cluster: str, summary: ClusterSummary, names: int) -> None:
        """Set the gauges of gateways without address; each series exists while the cluster does, so alerts end."""
        known = summary.gateways or ()
        states = Counter(gateway.state for gateway in known)
        states[_OBJECT] = summary.objects_without_address
        for state in _GATEWAY_STATES:
            self._set_gauge(metric_pages.GATEWAYS_WITHOUT_ADDRESS, cluster, state, value=states[state])
        self._set_gauge(metric_pages.GATEWAYS_KNOWN, cluster, value=len(known) + summary.objects_without_address)
        self._set_gauge(metric_pages.NAMES_WITHOUT_GATEWAY, cluster, value=names)

    def _set_gauge(self, metric: metric_pages.MetricDefinition, *labels: str, value: float) -> None:
        self._metric_page.series_values(metric, *labels)[0] = float(value)

    def _count_objects(self, inventory: Inventory) -> None:
        """Count the objects of the cluster whose count is oldest, if that is due: all at once would delay changes."""
        for gone in self._counted_at.keys() - inventory.clusters.keys():
            del self._object_counts[gone], self._counted_at[gone]
        name = min(inventory.clusters, key=lambda each: self._counted_at.get(each, -math.inf), default="")
        now = self._clock()
        if name and now - self._counted_at.get(name, -math.inf) >= _OBJECT_COUNT_INTERVAL:
            self._counted_at[name] = now
            self._object_counts[name] = Counter(map(_KIND_OF, inventory.clusters[name].declarations))

    def _write_page(self) -> None:
        self._board.publish_page(CONTROLLER, self._metric_page.encode())
        self._clear_gauges()

    def _clear_gauges(self) -> None:
        """Clear all gauges: a series that is gone by the next publication must not be shown any more."""
        for metric in metric_pages.CONTROLLER_METRICS:
            if metric.kind is metric_pages.MetricKind.GAUGE:
                self._metric_page.clear(metric)
