"""The names that an answer's SRV records may name: those of its clusters by port, and those of its pods.

Under a wildcard and in a fallback zone no further names are made up, and what is declared itself is not the pod's.
"""

from meshdns.dns import names
from meshdns.mesh.answer import SelectionPolicy
from meshdns.mesh.mesh_state import Dependency, MeshState
from meshdns.mesh.settings import MeshZone


class MadeNames:
    """The names below one name; records what they depend on."""

    def __init__(self, name: str, zone: MeshZone, state: MeshState, dependencies: set[Dependency]) -> None:
        self._name = name
        self._zone = zone
        self._state = state
        self._settings = state.inventory.settings
        self._dependencies = dependencies

    def selection_policy(self) -> SelectionPolicy:
        """Return the policy by which the name's answer is chosen."""
        zone = self._zone
        return SelectionPolicy(
            zone.ttl,
            zone.order,
            zone.cross_levels,
            makes_parts=not self._name.startswith("*."),
            can_name_cluster=self.can_name_cluster,
            can_name_pod=self.can_name_pod,
        )

    def can_name_cluster(self, cluster: str) -> bool:
        """Whether ``p<port>.<cluster>.<name>`` follows from the answer.

        The wildcards that cover it are those of its ancestors. A change of one has the name computed again
        (`NameTable`), so no dependency is recorded.
        """
        label = self._settings.cluster_label(cluster)
        if not label or self._name.startswith("*.") or self._zone.fallback:
            return False
        parent = f"{label}.{self._name}"
        above = (parent, self._name, *(() if self._zone.closest_encloser else names.parents(self._name)))
        return self._settings.zone_of(parent) is self._zone and not any(
            self._is_declared(f"*.{each}") for each in above
        )

    def can_name_pod(self, label: str) -> bool:
        """Whether ``<label>.<name>`` has the addresses of that pod and no others."""
        if self._zone.fallback:
            return False
        name = f"{label}.{self._name}"
        self._dependencies.add(("name", name))
        return self._settings.zone_of(name) is self._zone and not self._is_declared(name)

    def _is_declared(self, name: str) -> bool:
        known = name in self._state.inventory.entries_by_host or name in self._state.records
        return known and self._settings.zone_of(name) is self._zone
