"""The mesh state: declarations, topology, resolved host names and the health of gateways."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from meshdns.mesh.candidates import Level
from meshdns.mesh.host_states import HostState, host_state
from meshdns.mesh.inventory import ClusterObjects, Inventory
from meshdns.mesh.settings import ClusterSettings, StaticRecord
from meshdns.mesh.topology import Topology

Dependency = tuple[str, ...]
"""What a name rests on: ("gateways", cluster), ("address", text), ("service", cluster, namespace, name) …"""


_DEFAULT_DOMAIN: Final = ClusterSettings().domain


class MeshState:
    """State of the mesh as a whole. It is replaced when it changes; reading changes nothing.

    `resolved_addresses` maps host names to addresses; a name that is not in it has not been resolved yet, and where it
    is in `failing_hosts` its look-ups fail.
    `unhealthy_gateways` holds the gateway addresses and ports that do not answer their probe. `config_clusters` maps a
    cluster to its config cluster, `records` an owner name to its static records. `cluster_levels` says at
    which level each cluster's derived names are. `service_domains` are the domains of all clusters.
    """

    __slots__ = (
        "_governed",
        "cluster_levels",
        "config_clusters",
        "failing_hosts",
        "inventory",
        "records",
        "resolved_addresses",
        "service_domains",
        "topology",
        "unhealthy_gateways",
    )

    def __init__(
        self,
        inventory: Inventory,
        topology: Topology,
        resolved_addresses: Mapping[str, tuple[str, ...]],
        unhealthy_gateways: AbstractSet[tuple[str, int]],
        config_clusters: Mapping[str, str],
        records: Mapping[str, Sequence[StaticRecord]],
        failing_hosts: AbstractSet[str] = frozenset(),
    ) -> None:
        self.inventory = inventory
        self.topology = topology
        self.resolved_addresses = resolved_addresses
        self.unhealthy_gateways = unhealthy_gateways
        self.config_clusters = config_clusters
        self.records = records
        self.failing_hosts = failing_hosts
        self.service_domains = {_DEFAULT_DOMAIN, *(each.settings.domain for each in inventory.clusters.values())}
        self.cluster_levels = {name: self._level(name) for name in inventory.clusters}
        self._governed: dict[str, list[str]] = {}
        for name in sorted(config_clusters):
            self._governed.setdefault(config_clusters[name], []).append(name)

    def find_host(self, host: str) -> HostState:
        """Return the state of a host name of an endpoint or a gateway."""
        return host_state(host, self.resolved_addresses, self.failing_hosts)

    def _level(self, cluster: str) -> Level:
        """The level of derived names of `cluster`: its own, on the own network, or on another one."""
        if cluster == self.topology.vantage:
            return Level.OWN_SERVICE
        network = self.topology.vantage_network
        near = bool(network) and self.topology.networks.get(cluster) == network
        return Level.NEAR_SERVICE if near else Level.FAR_SERVICE

    def is_near(self, cluster: str) -> bool:
        """Whether `cluster` is another one on the own network, whose pods are reached by their addresses."""
        return self.cluster_levels.get(cluster) is Level.NEAR_SERVICE

    def is_own(self, cluster: str) -> bool:
        """Whether the ServiceEntries of `cluster` are the vantage's own: its own, or those of its config cluster."""
        own = self.topology.vantage
        return bool(own) and cluster in (own, self.config_clusters.get(own, own))

    def governed_clusters(self, cluster: str) -> list[str]:
        """The clusters that a ``cluster.local`` endpoint of `cluster` means: itself and those that it governs."""
        return [cluster, *(name for name in self._governed.get(cluster, ()) if name != cluster)]


def find_config_clusters(inventory: Inventory) -> dict[str, str]:
    """The config cluster of each cluster that has another one (a shared control plane).

    As set, else the one name in the system namespace's ``topology.istio.io/controlPlaneClusters``.
    """
    found = {name: config_cluster_of(cluster, inventory) for name, cluster in inventory.clusters.items()}
    return {name: governor for name, governor in found.items() if governor}


def config_cluster_of(cluster: ClusterObjects, inventory: Inventory) -> str:
    """The other cluster that governs `cluster`; empty where none does."""
    system = inventory.settings.system_namespace
    governor = cluster.settings.config_cluster or _announced_config_cluster(cluster, system)
    return governor if governor != cluster.name else ""


def _announced_config_cluster(cluster: ClusterObjects, system_namespace: str) -> str:
    namespace = cluster.namespace(system_namespace)
    planes = namespace.control_planes if namespace is not None else ()
    return planes[0] if len(planes) == 1 and planes[0] != "*" else ""
