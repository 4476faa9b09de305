"""The endpoint table and the Service rules: what a declaration of cluster C means from vantage L (DESIGN section 3).

An endpoint means what it means in the cluster that declares it. Each function below is one part of the table, its rows
in the table's order, the first that fits decides. All of them are pure functions of an inventory and a topology; what
they read besides their arguments is noted in `reads`, so that a change recomputes only what rests on it.
"""

from collections.abc import Iterable, Iterator

import msgspec

from meshdns.mesh.addresses import Address, Scope, parsed, scope
from meshdns.mesh.candidates import Candidate, Level, Reach, Rule
from meshdns.mesh.declarations import Endpoint, Service
from meshdns.mesh.inventory import Inventory, ServiceKey
from meshdns.mesh.topology import Gateway, Gateways, Topology
from meshdns.mesh.visibility import service_host

Read = tuple[str, ...]
"""What a name rests on: ("gateways", cluster), ("address", text), ("service", cluster, namespace, name) …"""


class Claim(msgspec.Struct, frozen=True):
    """An endpoint in its declaration: who says it, about which host, and how it may be carried."""

    level: Level
    cluster: str
    origin: str
    field: str
    host: str
    service: ServiceKey | None  # the Service that the host names, <svc>.<ns>.<zone>
    endpoint: Endpoint
    carried: bool = True  # MESH_INTERNAL: gateways can carry it
    flat: bool = False  # answer mode endpoints: all networks are one
    ttl: int = -1


class Sight:
    """One look at the mesh from the vantage; records what it read."""

    def __init__(self, inventory: Inventory, topology: Topology, reads: set[Read]) -> None:
        self._inventory = inventory
        self._topology = topology
        self._reads = reads

    # ------------------------------------------------------------------------------------------ endpoints

    def endpoint(self, claim: Claim) -> Iterator[Candidate]:
        """The rows of the endpoint table, in order."""
        address = claim.endpoint.address
        if address.startswith("unix:"):
            yield _nothing(claim, Rule.UNIX)
            return
        gateways = self._known_gateways(claim)
        if gateways:
            yield from self._gateway_endpoint(claim, gateways)
            return
        network = "" if claim.flat else claim.endpoint.network
        if network and network != self._topology.vantage_network:
            yield from self._other_network(claim, network)
            return
        if network:
            yield from self._own_network(claim)
            return
        service = service_host(address, self._inventory.cluster(claim.cluster).settings.domain)
        if service is not None:
            self._reads.add(("service", claim.cluster, *service))
            yield from self._service_endpoint(claim, service)
            return
        parsed_address = parsed(address)
        if parsed_address is None:
            yield self._unresolved(claim, address, Rule.HOST_NAME)
            return
        yield from self._address(claim, parsed_address)

    def _known_gateways(self, claim: Claim) -> tuple[Gateway, ...]:
        """The gateways that an endpoint's address or host name belongs to (compared before resolution)."""
        text = claim.endpoint.address
        self._reads.add(("address", text))
        gateways = self._topology.owners.get(text, ())
        address = parsed(text)
        if not gateways or address is None or not self._private(address):
            return gateways
        ports = {port for _, port in claim.endpoint.ports}
        network = self._topology.networks.get(claim.cluster)
        return tuple(g for g in gateways if g.port in ports or self._topology.networks.get(g.owner) == network)

    def _gateway_endpoint(self, claim: Claim, gateways: tuple[Gateway, ...]) -> Iterator[Candidate]:
        vantage = self._topology.vantage
        if all(gateway.owner == vantage for gateway in gateways):
            yield from self._hairpin(claim, gateways)
            return
        if claim.cluster == vantage:
            yield self._itself(claim, Rule.GATEWAY_HERE, Reach.GATEWAY, gateways[0])
            return
        for owner in sorted({gateway.owner for gateway in gateways if gateway.owner != vantage}):
            yield from self._through(claim, self._gateways(owner), Rule.GATEWAY_OF)

    def _hairpin(self, claim: Claim, gateways: tuple[Gateway, ...]) -> Iterator[Candidate]:
        """The own gateway: L's own Service that the host names, if it has ready endpoints, else the address."""
        vantage = self._inventory.clusters[self._topology.vantage]
        if claim.service is not None:
            self._reads.add(("service", vantage.name, *claim.service))
            service = vantage.services.get(claim.service)
            if service is not None and vantage.readiness(claim.service).ready:
                for address in self._own_addresses(service):
                    yield _address(claim, address, Rule.HAIRPIN, Reach.OWN, pod=service.headless)
                return
        yield self._itself(claim, Rule.OWN_GATEWAY, Reach.OWN, gateways[0])

    def _itself(self, claim: Claim, rule: Rule, reach: Reach, gateway: Gateway) -> Candidate:
        """A gateway's address as the endpoint spells it; a host name is still to be resolved."""
        if parsed(claim.endpoint.address) is not None:
            return _address(claim, claim.endpoint.address, rule, reach, gateway)
        return self._unresolved(claim, claim.endpoint.address, rule)

    def _unresolved(self, claim: Claim, host: str, rule: Rule) -> Candidate:
        self._reads.add(("resolved", host))
        return _nothing(claim, rule, pending=True)

    def _other_network(self, claim: Claim, network: str) -> Iterator[Candidate]:
        self._reads.add(("network", network))
        gateways = self._topology.gateways_of_network(network)
        if claim.carried and (gateways.found or gateways.pending):
            yield from self._through(claim, gateways, Rule.NETWORK_GATEWAYS)
            return
        address = parsed(claim.endpoint.address)
        if address is not None and scope(address) is Scope.PUBLIC and not self._private(address):
            yield _address(claim, claim.endpoint.address, Rule.NETWORK_PUBLIC, Reach.DIRECT)
        else:
            yield _nothing(claim, Rule.NETWORK_NOTHING)

    def _own_network(self, claim: Claim) -> Iterator[Candidate]:
        address = parsed(claim.endpoint.address)
        if not claim.endpoint.address:
            yield _nothing(claim, Rule.NETWORK_NOTHING)
        elif address is None:
            yield self._unresolved(claim, claim.endpoint.address, Rule.HOST_NAME)
        elif scope(address) is Scope.NEVER:
            yield _nothing(claim, Rule.NEVER)
        else:
            yield _address(claim, claim.endpoint.address, Rule.NETWORK_OWN, self._directly(claim))

    def _address(self, claim: Claim, address: Address) -> Iterator[Candidate]:
        """The last rows: what an address says by itself."""
        where = scope(address)
        if where is Scope.NEVER:
            yield _nothing(claim, Rule.NEVER)
        elif not self._private(address):
            yield _address(claim, claim.endpoint.address, Rule.PUBLIC, Reach.DIRECT)
        elif self._reached(claim, address):
            yield _address(claim, claim.endpoint.address, Rule.PRIVATE_DIRECT, self._directly(claim))
        elif claim.carried:
            yield from self._through(claim, self._gateways(claim.cluster), Rule.PRIVATE_GATEWAY)
        else:
            yield _nothing(claim, Rule.PRIVATE_NOTHING)

    def _private(self, address: Address) -> bool:
        return scope(address) is Scope.PRIVATE or self._topology.in_any_network(address)

    def _reached(self, claim: Claim, address: Address) -> bool:
        topology = self._topology
        network = topology.vantage_network
        return (
            claim.flat
            or claim.cluster == topology.vantage
            or topology.in_network(address, network)
            or (bool(network) and topology.networks.get(claim.cluster) == network)
        )

    def _directly(self, claim: Claim) -> Reach:
        return Reach.OWN if claim.cluster == self._topology.vantage else Reach.DIRECT

    # ------------------------------------------------------------------------------------------ Services

    def service(self, level: Level, cluster: str, key: ServiceKey, *, flat: bool = False) -> Iterator[Candidate]:
        """What cluster's Service `key` is from here (levels 3, 5 and 6)."""
        endpoint = Endpoint(f"{key[1]}.{key[0]}.svc")
        origin = f"Service {key[0]}/{key[1]}"
        yield from self._service(Claim(level, cluster, origin, "", "", key, endpoint, flat=flat), key)

    def level_of(self, cluster: str) -> Level:
        """The level of a derived name of `cluster`: its own, on the own network, or on another one."""
        if cluster == self._topology.vantage:
            return Level.OWN_SERVICE
        return Level.NEAR_SERVICE if self._near(cluster) else Level.FAR_SERVICE

    def _service_endpoint(self, claim: Claim, service: ServiceKey) -> Iterator[Candidate]:
        """A ``cluster.local`` endpoint: what that Service of the declaring cluster is from here."""
        cluster = self._inventory.cluster(claim.cluster)
        if service in cluster.services:
            yield from self._service(claim, service)
        elif claim.cluster == self._topology.vantage or not claim.carried:
            yield _nothing(claim, Rule.SERVICE)
        else:
            # the Service is not known (not read, or not there yet): its cluster's gateways know where it runs
            yield from self._through(claim, self._gateways(claim.cluster), Rule.SERVICE)

    def _service(self, claim: Claim, key: ServiceKey) -> Iterator[Candidate]:
        cluster = self._inventory.clusters[claim.cluster]
        service = cluster.services[key]
        readiness = cluster.readiness(key)
        if not readiness.ready:
            yield _nothing(claim, Rule.NOT_READY)
        if claim.cluster == self._topology.vantage:
            addresses = readiness.addresses if service.headless else service.cluster_ips
            yield from self._all(
                claim, addresses, Rule.CLUSTER_IP, Reach.OWN, ready=readiness.ready, pod=service.headless
            )
        elif (claim.flat or self._near(claim.cluster)) and readiness.known:
            yield from self._all(claim, readiness.addresses, Rule.PODS, Reach.DIRECT, ready=readiness.ready, pod=True)
        else:
            yield from self._far_service(claim, service, ready=readiness.ready)

    def _far_service(self, claim: Claim, service: Service, *, ready: bool) -> Iterator[Candidate]:
        gateways = self._gateways(claim.cluster)
        if claim.carried and (gateways.found or gateways.pending):
            yield from self._through(claim, gateways, Rule.CLUSTER_GATEWAYS, ready=ready)
        else:
            addresses = (*service.ingress, *service.external_ips)
            yield from self._all(claim, addresses, Rule.LOAD_BALANCER, Reach.DIRECT, ready=ready)

    def _near(self, cluster: str) -> bool:
        network = self._topology.vantage_network
        return bool(network) and self._topology.networks.get(cluster) == network

    def _own_addresses(self, service: Service) -> Iterable[str]:
        if not service.headless:
            return service.cluster_ips
        vantage = self._inventory.clusters[self._topology.vantage]
        return vantage.readiness((service.namespace, service.name)).addresses

    # ------------------------------------------------------------------------------------------ gateways

    def _gateways(self, cluster: str) -> Gateways:
        self._reads.add(("gateways", cluster))
        return self._topology.gateways.get(cluster, Gateways())

    def _through(self, claim: Claim, gateways: Gateways, rule: Rule, *, ready: bool = True) -> Iterator[Candidate]:
        if not gateways.found:
            yield _nothing(claim, rule, pending=gateways.pending)
        for gateway in gateways.found:
            if parsed(gateway.address) is None:
                yield self._unresolved(claim, gateway.address, rule)
            else:
                yield _address(claim, gateway.address, rule, Reach.GATEWAY, gateway, ready=ready)

    def _all(
        self,
        claim: Claim,
        addresses: Iterable[str],
        rule: Rule,
        reach: Reach,
        *,
        ready: bool,
        pod: bool = False,
    ) -> Iterator[Candidate]:
        for address in addresses:
            known = parsed(address)
            if known is None:
                yield self._unresolved(claim, address, rule)
            elif scope(known) is not Scope.NEVER:
                yield _address(claim, address, rule, reach, ready=ready, pod=pod)


def _address(
    claim: Claim,
    address: str,
    rule: Rule,
    reach: Reach,
    gateway: Gateway | None = None,
    *,
    ready: bool = True,
    pod: bool = False,
) -> Candidate:
    return Candidate(
        level=claim.level,
        cluster=claim.cluster,
        origin=claim.origin,
        field=claim.field,
        rule=rule,
        address=address,
        reach=reach,
        via=gateway.owner if gateway is not None else "",
        port=gateway.port if gateway is not None else 0,
        ready=ready,
        pod=pod,
        ttl=claim.ttl,
    )


def _nothing(claim: Claim, rule: Rule, *, pending: bool = False) -> Candidate:
    return Candidate(
        level=claim.level, cluster=claim.cluster, origin=claim.origin, field=claim.field, rule=rule, pending=pending
    )
