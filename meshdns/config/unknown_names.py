"""Names of clusters and networks in the settings that no source and no object brings.

Rules:
- A cluster exists if a source names it. A network exists if the settings list it, a cluster or an endpoint is on it, or
  a gateway leads into it.
- Nothing is said of clusters before all sources have named theirs, nor of networks before all objects were read: the
  caller knows when.
"""

import difflib
from collections.abc import Collection, Iterator
from typing import NamedTuple

from meshdns.config.document import KeyPath, dotted_path
from meshdns.mesh.inventory import Inventory
from meshdns.mesh.objects.declarations import ServiceEntry, WorkloadEntry
from meshdns.mesh.objects.foreign import listed, shown
from meshdns.mesh.objects.problems import SETTINGS_CAUSE, Problem, ProblemKind
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.topology import Topology


class UnknownName(NamedTuple):
    """A name of the settings that nothing brings: its key, and the problem."""

    path: KeyPath
    problem: Problem


def unknown_clusters(settings: MeshSettings, clusters: Collection[str]) -> Iterator[UnknownName]:
    """Return the names of clusters in the settings that are not among `clusters`, which are those of all sources."""
    for path, name in named_clusters(settings):
        if name not in clusters:
            nearest = _nearest(name, clusters) or "correct the name, or add the source that brings it;"
            known = f"the clusters are {listed(sorted(clusters))}" if clusters else "there is no cluster"
            yield _unknown(path, f"no source brings a cluster {shown(name)}", f"{nearest} {known}")


def unknown_networks(inventory: Inventory, topology: Topology, clusters: Collection[str]) -> Iterator[UnknownName]:
    """Return the network of the vantage if nothing is on it; all objects of the `clusters` must have been read."""
    settings = inventory.settings
    network = settings.vantage_network
    known = {topology.networks[name] for name in clusters if name in topology.networks}
    known |= {*settings.networks, *topology.network_gateways, settings.default_network}
    known |= {each.network for each in settings.clusters.values()}
    if network and network not in known and not _has_endpoint_on(network, inventory):
        nearest = _nearest(network, known)
        advice = f"{nearest} Else list it under networks" if nearest else "correct the name, or list it under networks"
        reason = f"nothing is on a network {shown(network)}, and no gateway leads there"
        yield _unknown(("vantage", "network"), reason, advice)


def named_clusters(settings: MeshSettings) -> Iterator[tuple[KeyPath, str]]:
    """Return the clusters that the settings name, each with its key."""
    if settings.vantage_cluster:
        yield ("vantage", "cluster"), settings.vantage_cluster
    for name, cluster in settings.clusters.items():
        yield ("clusters", name), name
        if cluster.config_cluster:
            yield ("clusters", name, "configCluster"), cluster.config_cluster
    for index, zone in enumerate(settings.zones):
        for at, name in enumerate(zone.order):
            yield ("zones", index, "order", at), name


def _unknown(path: KeyPath, reason: str, advice: str) -> UnknownName:
    problem = Problem(
        ProblemKind.NOT_FOUND, "Settings", "", str(path[0]), dotted_path(path), reason, advice, cause=SETTINGS_CAUSE
    )
    return UnknownName(path, problem)


def _nearest(name: str, known: Collection[str]) -> str:
    """Return the question whether a known name was meant; empty if none is like it."""
    folded = {each.lower(): each for each in sorted(known) if each}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.7)
    return f"did you mean {shown(folded[close[0]])}?" if close else ""


def _has_endpoint_on(network: str, inventory: Inventory) -> bool:
    declared = (each for cluster in inventory.clusters.values() for each in cluster.declarations.values())
    for declaration in declared:
        match declaration:
            case ServiceEntry():
                if any(endpoint.network == network for endpoint in declaration.endpoints):
                    return True
            case WorkloadEntry() if declaration.endpoint.network == network:
                return True
    return False
