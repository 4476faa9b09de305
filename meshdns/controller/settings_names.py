"""Clusters and networks that the settings name and nothing brings, as problems of a running server.

Rules:
- A misspelt cluster is a problem once every source has named its clusters, a network once all of these were read. One
  that a source cannot name yet is none: the source itself is a problem then.
- They are looked for again when the clusters or the declarations changed, and logged when they begin and end.
"""

import logging

from meshdns.config.unknown_names import UnknownName, unknown_clusters, unknown_networks
from meshdns.controller.cluster_state import ClusterTracker
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.problems import Problem

_log = logging.getLogger("meshdns.controller")


class UnknownNames:
    """The problems of names in the settings; `update` looks for them."""

    def __init__(self) -> None:
        self.problems: tuple[Problem, ...] = ()
        self._seen: tuple[frozenset[str] | None, bool, int] | None = None

    def update(self, tracker: ClusterTracker, name_table: NameTable, change_count: int) -> None:
        """Look again if something changed; `change_count` counts changes of declarations."""
        clusters = tracker.named_clusters()
        all_read = clusters is not None and all(tracker.clusters[name].is_fully_listed for name in clusters)
        seen = (clusters, all_read, change_count if all_read else 0)
        if seen == self._seen:
            return
        self._seen = seen
        found: list[UnknownName] = []
        if clusters is not None:
            inventory = name_table.inventory
            found += unknown_clusters(inventory.settings, clusters)
            if all_read:
                found += unknown_networks(inventory, name_table.topology, clusters)
        before, self.problems = self.problems, tuple(each.problem for each in found)
        for each in self.problems:
            if each not in before:
                _log.warning("%s: %s; %s", each.field, each.reason, each.next_step)
        ended = {each.field for each in before} - {each.field for each in self.problems}
        for field in sorted(ended):
            _log.info("%s: it is known now", field)
