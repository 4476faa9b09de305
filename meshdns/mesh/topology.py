"""Networks, gateways and the vantage: where things are, as seen from where this instance stands.

A topology is a value computed from an inventory; the catalog computes the next one when something it rests on changed
and compares the two.
"""

from collections.abc import Iterator

import msgspec

from meshdns.mesh.addresses import Address, parsed
from meshdns.mesh.declarations import Service
from meshdns.mesh.inventory import Cluster, Inventory
from meshdns.mesh.labels import GATEWAY_PORT_LABEL, NETWORK_LABEL
from meshdns.mesh.settings import MeshSettings

GATEWAY_PORTS = (15443, 15008)  # mesh TLS passthrough, then HBONE


class Gateway(msgspec.Struct, frozen=True):
    """One address (or host name) of a gateway. `owner` is the cluster whose object holds it, `origin` that object."""

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
    same = [c for n, c in sorted(inventory.clusters.items()) if networks[n] == network and c is not cluster]
    pending = False
    for services in (
        [(cluster, s) for s in _labelled(cluster, network)],
        [(other, s) for other in same for s in _labelled(other, network)],
        [(cluster, s) for s in _conventional(cluster, "eastwestgateway")],
        [(cluster, s) for s in _conventional(cluster, "ingressgateway")],
    ):
        found = [gateway for owner, service in services for gateway in _addresses(service, owner.name)]
        if found:
            return Gateways(tuple(sorted(set(found), key=_order)))
        pending = pending or any(service.type == "LoadBalancer" for _, service in services)
    return Gateways(pending=pending)


def _explicit(text: str, owner: str) -> Gateway:
    return Gateway(text, GATEWAY_PORTS[0], owner, f"clusters.{owner}.gateways")


def _labelled(cluster: Cluster, network: str) -> Iterator[Service]:
    for service in cluster.gateway_services.values():
        if dict(service.labels).get(NETWORK_LABEL) == network and gateway_port(service):
            yield service


def _conventional(cluster: Cluster, label: str) -> Iterator[Service]:
    for service in cluster.gateway_services.values():
        if dict(service.labels).get("istio") == label and gateway_port(service):
            yield service


def gateway_port(service: Service) -> int:
    """The gateway port that a Service offers (label ``networking.istio.io/gatewayPort``, 15443, 15008), else 0."""
    offered = {port.number for port in service.ports}
    label = dict(service.labels).get(GATEWAY_PORT_LABEL, "")
    wanted = (int(label),) if label.isascii() and label.isdigit() and len(label) <= 5 else GATEWAY_PORTS
    return next((port for port in wanted if port in offered), 0)


def _addresses(service: Service, owner: str) -> Iterator[Gateway]:
    """Load-balancer addresses and host names, then external IPs (as Istio extracts them)."""
    origin = f"Service {service.namespace}/{service.name}"
    port = gateway_port(service)
    for address in (*service.ingress, *service.external_ips):
        yield Gateway(address, port, owner, origin)


def _order(gateway: Gateway) -> tuple[bool, int, str, str]:
    """Addresses in numeric order, host names after them, so that the result does not depend on arrival."""
    address = parsed(gateway.address)
    return (address is None, int(address) if address else 0, gateway.address, gateway.owner)
