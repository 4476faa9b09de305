"""Networks, gateways and the vantage: where things are, as seen from where this instance stands.

A topology is a value computed from an inventory; the catalog computes the next one when something it rests on changed
and compares the two.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from meshdns.mesh.addresses import Address, parsed
from meshdns.mesh.gateways import (
    GATEWAY_PORTS,
    GatewayObject,
    awaited,
    conventional,
    fault,
    labelled,
    misplaced,
    network_of,
    objects_of,
    origin_of,
    places,
    stands_for_another,
    stray,
)
from meshdns.mesh.inventory import Cluster, Inventory
from meshdns.mesh.passthrough import Passage, passage
from meshdns.mesh.problems import Problem
from meshdns.mesh.settings import MeshSettings

EAST_WEST: Final = "eastwestgateway"
INGRESS: Final = "ingressgateway"


class Gateway(msgspec.Struct, frozen=True):
    """One address (or host name) of a gateway, and the port to dial: the gateway port, or a node port.

    `owner` is the cluster whose object holds it (or that a Gateway of class istio-remote stands for), `origin` that
    object. `network` is set where it leads into a network that no cluster is on; then it is no gateway of `owner`.
    """

    address: str
    port: int
    owner: str
    origin: str
    network: str = ""


class Gateways(msgspec.Struct, frozen=True):
    """The gateways of one cluster. `pending` says that a gateway object exists that has no address yet."""

    found: tuple[Gateway, ...] = ()
    pending: bool = False


class Topology(msgspec.Struct, frozen=True):
    """Everything that names rest on besides their own declarations."""

    vantage: str
    vantage_network: str
    networks: dict[str, str]  # cluster → network
    gateways: dict[str, Gateways]  # cluster → its gateways
    leading: dict[str, Gateways]  # network → the gateways that lead into it
    passages: dict[str, Passage | None]  # cluster → what its gateways pass through; None where that is not known
    owners: dict[str, tuple[Gateway, ...]]  # gateway address or host name → the gateways that have it
    prefixes: dict[str, tuple[tuple[int, int, int], ...]]  # network → (version, network as integer, mask)

    def gateways_of_network(self, network: str) -> Gateways:
        """All gateways that lead into a network."""
        return self.leading.get(network, Gateways())

    def gateways_at(self, cluster: str) -> tuple[Gateway, ...]:
        """The gateways of a cluster, and those that it holds for networks without clusters."""
        elsewhere = (each for gateways in self.leading.values() for each in gateways.found)
        its = self.gateways.get(cluster, Gateways()).found
        return (*its, *(each for each in elsewhere if each.network and each.owner == cluster))

    def in_network(self, address: Address, network: str) -> bool:
        """Whether the settings say that `address` belongs to `network`."""
        return any(
            address.version == version and int(address) & mask == base
            for version, base, mask in self.prefixes.get(network, ())
        )

    def in_any_network(self, address: Address | None) -> bool:
        """Whether the settings name `address` as one of some network, which makes it private; no host name is."""
        if address is None or not self.prefixes:
            return False
        return any(self.in_network(address, network) for network in self.prefixes)

    def changed_gateways(self, other: "Topology") -> set[str]:
        """The clusters whose gateways differ between two topologies."""
        return _different(self.gateways, other.gateways)

    def changed_leading(self, other: "Topology") -> set[str]:
        """The networks into which other gateways lead."""
        return _different(self.leading, other.leading)

    def changed_passages(self, other: "Topology") -> set[str]:
        """The clusters whose gateways pass other hosts through."""
        return _different(self.passages, other.passages)

    def changed_owners(self, other: "Topology") -> set[str]:
        """The addresses and host names that became, ceased to be, or moved as gateways."""
        return _different(self.owners, other.owners)


def _different(one: Mapping[str, object], other: Mapping[str, object]) -> set[str]:
    """The keys whose values differ, or that only one has."""
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def survey(inventory: Inventory) -> Topology:
    """The topology that follows from an inventory and its settings."""
    settings = inventory.settings
    networks = {name: _network(cluster, settings) for name, cluster in inventory.clusters.items()}
    gateways = {name: _gateways(cluster, networks, inventory) for name, cluster in inventory.clusters.items()}
    owners: dict[str, list[Gateway]] = {}
    for each in gateways.values():
        for gateway in each.found:
            owners.setdefault(gateway.address, []).append(gateway)
    vantage = settings.vantage_cluster
    return Topology(
        vantage=vantage,
        vantage_network=settings.vantage_network or networks.get(vantage, ""),
        networks=networks,
        gateways=gateways,
        leading=_leading(inventory, networks, gateways),
        passages={name: passage(cluster) for name, cluster in inventory.clusters.items()},
        owners={address: tuple(sorted(set(found), key=_order)) for address, found in owners.items()},
        prefixes={
            name: tuple((p.version, int(p.network_address), int(p.netmask)) for p in prefixes)
            for name, prefixes in settings.networks.items()
        },
    )


def _network(cluster: Cluster, settings: MeshSettings) -> str:
    """A cluster's network: its setting, its system namespace's label, the default, else one of its own."""
    namespace = cluster.namespace(settings.system_namespace)
    label = namespace.network if namespace is not None else ""
    return cluster.settings.network or label or settings.default_network or f"only {cluster.name}"


def _gateways(cluster: Cluster, networks: dict[str, str], inventory: Inventory) -> Gateways:
    """The first kind of gateway that yields an address (DESIGN section 3, gateways of a cluster)."""
    if cluster.settings.gateways is not None:
        return Gateways(tuple(_explicit(text, cluster.name) for text in cluster.settings.gateways))
    network = networks[cluster.name]
    others = [each for name, each in sorted(inventory.clusters.items()) if each is not cluster]
    same = [each for each in others if networks[each.name] == network]
    pending = False
    for objects in (
        [(cluster, each) for each in labelled(cluster, network)],
        [(other, each) for other in same for each in labelled(other, network)],
        [(other, each) for other in others for each in labelled(other, network) if stands_for_another(each)],
        [(cluster, each) for each in conventional(cluster, EAST_WEST)],
        [(cluster, each) for each in conventional(cluster, INGRESS)],
    ):
        found = _distinct(gateway for holder, each in objects for gateway in _reached(each, holder, cluster.name))
        if found:
            return Gateways(found)
        pending = pending or any(awaited(each) for _, each in objects)
    return Gateways(pending=pending)


def _leading(
    inventory: Inventory, networks: Mapping[str, str], gateways: Mapping[str, Gateways]
) -> dict[str, Gateways]:
    """The gateways that lead into each network: those of its clusters, else every object labelled with it.

    A network without clusters, of VMs alone, is known only by the gateways that lead into it; they stand in clusters of
    other networks, or are written there (class istio-remote) for gateways elsewhere.
    """
    leading: dict[str, Gateways] = {}
    for name in sorted(networks):
        before, its = leading.get(networks[name], Gateways()), gateways[name]
        found = tuple(dict.fromkeys((*before.found, *its.found)))
        leading[networks[name]] = Gateways(found, pending=before.pending or its.pending)
    outside: dict[str, list[tuple[Cluster, GatewayObject]]] = {}
    for _, cluster in sorted(inventory.clusters.items()):
        for each in objects_of(cluster):
            if network_of(each) and network_of(each) not in leading:
                outside.setdefault(network_of(each), []).append((cluster, each))
    for network, objects in outside.items():
        places_of = ((each, holder.name, place) for holder, each in objects for place in places(each, holder))
        found = _distinct(Gateway(*place, owner, origin_of(each), network) for each, owner, place in places_of)
        leading[network] = Gateways(found, pending=not found and any(awaited(each) for _, each in objects))
    return leading


def _explicit(text: str, owner: str) -> Gateway:
    """A gateway as the settings write it: ``address``, ``address:port``, ``[address]:port`` or the same with a name."""
    host, colon, port = text.rpartition(":")
    origin = f"clusters.{owner}.gateways"
    if parsed(text) is not None or not colon:
        return Gateway(text, GATEWAY_PORTS[0], owner, origin)
    return Gateway(host.removeprefix("[").removesuffix("]"), int(port), owner, origin)


def _reached(found: GatewayObject, holder: Cluster, cluster: str) -> Iterator[Gateway]:
    """The gateways of `cluster` that an object of `holder` is; one that stands for another belongs to `cluster`."""
    owner = cluster if stands_for_another(found) else holder.name
    for address, port in places(found, holder):
        yield Gateway(address, port, owner, origin_of(found))


def _distinct(gateways: Iterable[Gateway]) -> tuple[Gateway, ...]:
    """Each place once, in order: Istio makes a Service for a Gateway, and both hold the same addresses."""
    first: dict[tuple[str, int, str], Gateway] = {}
    for gateway in sorted(set(gateways), key=_order):
        first.setdefault((gateway.address, gateway.port, gateway.owner), gateway)
    return tuple(first.values())


def topology_problems(inventory: Inventory, topology: Topology) -> Iterator[tuple[str, Problem]]:
    """What is wrong with gateway objects, each with its cluster; those that the settings overrule are not looked at.

    The fallbacks are judged as long as nothing before them yielded an address.
    """
    for name, cluster in inventory.clusters.items():
        if cluster.settings.gateways is None:
            for problem in _problems(cluster, topology):
                yield name, problem


def _problems(cluster: Cluster, topology: Topology) -> Iterator[Problem]:
    network = topology.networks.get(cluster.name, "")
    taken = set(topology.networks.values())
    outside = [each for each in objects_of(cluster) if network_of(each) and network_of(each) not in taken]
    meant = {name for name in topology.leading if name in topology.prefixes or name == topology.vantage_network}
    for each in objects_of(cluster):
        if network_of(each) in taken:
            problem = misplaced(each, cluster, network)
        else:
            problem = stray(each, cluster) if network_of(each) not in meant else None
        if problem:
            yield problem
    for each in (*_judged(cluster, network, topology.gateways.get(cluster.name, Gateways()).found), *outside):
        if problem := fault(each, cluster):
            yield problem


def _judged(cluster: Cluster, network: str, found: tuple[Gateway, ...]) -> Iterator[GatewayObject]:
    """The objects that had a say in what was `found`, each once."""
    yield from labelled(cluster, network)
    used = {gateway.origin for gateway in found if gateway.owner == cluster.name}
    fallbacks = [
        [each for each in conventional(cluster, label) if network_of(each) != network] for label in (EAST_WEST, INGRESS)
    ]
    while fallbacks and (not found or used.intersection(origin_of(each) for kind in fallbacks for each in kind)):
        yield from fallbacks.pop(0)


def _order(gateway: Gateway) -> tuple[bool, int, str, str, int, str]:
    """Addresses in numeric order, host names after them, so that the result does not depend on arrival."""
    address = parsed(gateway.address)
    return (
        address is None,
        int(address) if address else 0,
        gateway.address,
        gateway.owner,
        gateway.port,
        gateway.origin,
    )
