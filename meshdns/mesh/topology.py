"""Networks, gateways and the vantage: where things are, as seen from where this instance stands.

A topology is a value computed from an inventory; the catalog computes the next one when something it rests on changed
and compares the two.
"""

from collections.abc import Iterable, Iterator
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
)
from meshdns.mesh.inventory import Cluster, Inventory
from meshdns.mesh.problems import Problem
from meshdns.mesh.settings import MeshSettings

EAST_WEST: Final = "eastwestgateway"
INGRESS: Final = "ingressgateway"


class Gateway(msgspec.Struct, frozen=True):
    """One address (or host name) of a gateway, and the port to dial: the gateway port, or a node port.

    `owner` is the cluster whose object holds it (or that a Gateway of class istio-remote stands for), `origin` that
    object.
    """

    address: str
    port: int
    owner: str
    origin: str


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
    owners: dict[str, tuple[Gateway, ...]]  # gateway address or host name → the gateways that have it
    prefixes: dict[str, tuple[tuple[int, int, int], ...]]  # network → (version, network as integer, mask)

    def gateways_of_network(self, network: str) -> Gateways:
        """All gateways of the clusters of a network."""
        members = [self.gateways[name] for name in sorted(self.networks) if self.networks[name] == network]
        found = tuple(dict.fromkeys(gateway for each in members for gateway in each.found))
        return Gateways(found, pending=any(each.pending for each in members))

    def in_network(self, address: Address, network: str) -> bool:
        """Whether the settings say that `address` belongs to `network`."""
        return any(
            address.version == version and int(address) & mask == base
            for version, base, mask in self.prefixes.get(network, ())
        )

    def in_any_network(self, address: Address) -> bool:
        """Whether the settings name `address` as one of some network, which makes it private."""
        return any(self.in_network(address, network) for network in self.prefixes)

    def changed_gateways(self, other: "Topology") -> set[str]:
        """The clusters whose gateways differ between two topologies."""
        names = self.gateways.keys() | other.gateways.keys()
        return {name for name in names if self.gateways.get(name) != other.gateways.get(name)}

    def changed_owners(self, other: "Topology") -> set[str]:
        """The addresses and host names that became, ceased to be, or moved as gateways."""
        names = self.owners.keys() | other.owners.keys()
        return {name for name in names if self.owners.get(name) != other.owners.get(name)}


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
    for each in objects_of(cluster):
        if problem := misplaced(each, cluster, network):
            yield problem
    for each in _judged(cluster, network, topology.gateways.get(cluster.name, Gateways()).found):
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
