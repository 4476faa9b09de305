"""What people are shown of each cluster: made where something it tells may have changed, written where it has."""

import logging
from collections.abc import Callable, Mapping

from meshdns.controller.description import ClusterDescription
from meshdns.controller.publishing import Publisher
from meshdns.controller.states import ClusterStates

_log = logging.getLogger("meshdns.controller")


class Descriptions:
    """The descriptions of all clusters; `wall` is the clock for people, in seconds since 1970."""

    def __init__(self, publisher: Publisher, states: ClusterStates, wall: Callable[[], float]) -> None:
        self._publisher = publisher
        self._states = states
        self._wall = wall
        self._known: dict[str, ClusterDescription] = {}

    @property
    def known(self) -> Mapping[str, ClusterDescription]:
        """By cluster, what the view holds or will hold with the next commit."""
        return self._known

    def look(self, now: float) -> bool:
        """Put what changed into the next commit; whether anything did."""
        changed = False
        for name, state in self._states.clusters.items():
            before = self._known.get(name)
            status = state.status(now)
            description = ClusterDescription(
                source=state.source,
                status=status,
                since=before.since if before is not None and before.status == status else self._wall(),
                network=self._publisher.catalog.topology.networks.get(name, ""),
                reason=state.reason,
                gateways=self._publisher.gateways(name),
                passage=self._publisher.passage(name),
            )
            if before != description:
                changed = True
                self._known[name] = description
                self._publisher.describe(name, description)
                if before is not None and before.status != description.status:
                    _log.info("cluster %s is %s", name, description.status)
        return changed

    def forget(self, cluster: str) -> None:
        """The cluster is gone."""
        self._known.pop(cluster, None)
