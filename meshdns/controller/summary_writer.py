"""Writer of the summaries of clusters: computed after each event, written where they changed."""

import logging
from collections.abc import Callable, Mapping

from meshdns.controller.cluster_state import ClusterTracker
from meshdns.controller.cluster_summary import ClusterSummary
from meshdns.controller.publisher import Publisher

_log = logging.getLogger("meshdns.controller")


class SummaryWriter:
    """The summaries of all clusters; `wall_clock` is the clock for people, in seconds since 1970."""

    def __init__(self, publisher: Publisher, tracker: ClusterTracker, wall_clock: Callable[[], float]) -> None:
        self._publisher = publisher
        self._tracker = tracker
        self._wall_clock = wall_clock
        self._summaries: dict[str, ClusterSummary] = {}

    @property
    def summaries(self) -> Mapping[str, ClusterSummary]:
        """By cluster, what the name database holds or will hold with the next commit."""
        return self._summaries

    def write_changes(self, now: float) -> bool:
        """Put changed summaries into the next commit; return whether any changed."""
        changed = False
        for name, state in self._tracker.clusters.items():
            before = self._summaries.get(name)
            status = state.status(now)
            summary = ClusterSummary(
                source=state.source,
                status=status,
                since=before.since if before is not None and before.status == status else self._wall_clock(),
                network=self._publisher.name_table.topology.networks.get(name, ""),
                reason=state.reason,
                gateways=self._publisher.gateway_summaries(name),
                passthrough=self._publisher.passthrough(name),
                objects_without_address=self._publisher.objects_without_address(name),
            )
            if before != summary:
                changed = True
                self._summaries[name] = summary
                self._publisher.set_summary(name, summary)
                if before is not None and before.status != summary.status:
                    _log.info("cluster %s is %s", name, summary.status)
        return changed

    def forget_cluster(self, cluster: str) -> None:
        """The cluster is gone."""
        self._summaries.pop(cluster, None)
