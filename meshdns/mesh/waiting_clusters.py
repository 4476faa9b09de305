"""Clusters whose names wait: what they touch is noted, and judged once when the wait ends."""

from collections.abc import Container
from collections.abc import Set as AbstractSet

from meshdns.mesh.inventory import InvalidationSet, Inventory


class WaitingClusters:
    """The clusters that wait, and what each of them has touched meanwhile."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._touched: dict[str, InvalidationSet] = {}

    def __contains__(self, cluster: str) -> bool:
        return cluster in self._touched

    def replace(self, clusters: AbstractSet[str], invalidated: InvalidationSet) -> None:
        """Have `clusters` wait and no others; what the others have touched is added to `invalidated`."""
        for name in self._touched.keys() - clusters:
            invalidated.merge(self._touched.pop(name))
            invalidated.topology_changed = True  # the zones have names of the gateways of each cluster that is read
        for name in sorted(clusters - self._touched.keys()):
            touched = self._touched[name] = InvalidationSet()
            self._inventory.invalidate_cluster(name, touched)

    def read_clusters(self, known: Container[str]) -> list[str]:
        """Return the clusters that do not wait, and those that do and are `known` by names of theirs already."""
        return [each for each in self._inventory.clusters if each not in self._touched or each in known]

    def target(self, cluster: str, invalidated: InvalidationSet) -> InvalidationSet:
        """Return where that which `cluster` touches is noted: `invalidated`, unless it waits."""
        return self._touched.get(cluster, invalidated)
