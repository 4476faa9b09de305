"""The endpoint table and the Service rules: what a declaration of cluster C means from vantage L (DESIGN section 3).

An endpoint means what it means in the cluster that declares it. Each function below is one part of the table, its rows
in the table's order, the first that fits decides. All of them are pure functions of a world; what they read in it is
noted in `reads`, so that a change recomputes only what rests on it.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from meshdns.mesh.addresses import Address, Scope, parsed, scope
from meshdns.mesh.answer import Answer, Outcome
from meshdns.mesh.candidates import Candidate, Level, Reach, Rule
from meshdns.mesh.claims import Claim
from meshdns.mesh.declarations import Endpoint, Port, Service
from meshdns.mesh.inventory import ServiceKey
from meshdns.mesh.passthrough import passes
from meshdns.mesh.topology import Gateway, Gateways
from meshdns.mesh.visibility import service_host
from meshdns.mesh.world import Read, World

Lookup = Callable[[str], Answer | None]
"""The answer of another name in our zones; None where it has none or the chain of names is too long."""


class Sight:
    """One look at the mesh from the vantage; records what it read."""

    def __init__(self, name: str, world: World, reads: set[Read], lookup: Lookup) -> None:
        """`name` is the one that is looked at."""
        self._name = name
        self._world = world
        self._inventory = world.inventory
        self._topology = world.topology
        self._reads = reads
        self._lookup = lookup

    # ------------------------------------------------------------------------------------------ endpoints

    def endpoint(self, claim: Claim) -> Iterator[Candidate]:
        """The rows of the endpoint table, in order."""
        address = claim.endpoint.address
        if address.startswith("unix:"):
            yield claim.nothing(Rule.UNIX)
            return
        gateways = self._known_gateways(claim)
        if gateways:
            yield from self._gateway_endpoint(claim, gateways)
            return
        network = "" if claim.flat and address else claim.endpoint.network  # without an address, only gateways are left
        if network and network != self._topology.vantage_network:
            yield from self._other_network(claim, network)
            return
        if network:
            yield from self._own_network(claim)
            return
        service = service_host(address, self._inventory.cluster(claim.cluster).settings.domain)
        if service is not None:
            yield from self._service_endpoint(claim, service)
            return
        known = parsed(address)
        if known is None:
            yield from self._host_name(claim, address)
        else:
            yield from self._address(claim, known)

    def _known_gateways(self, claim: Claim) -> tuple[Gateway, ...]:
        """The gateways that an endpoint's address or host name belongs to (compared before resolution).

        MESH_EXTERNAL is never replaced by gateways. An endpoint without ports of its own has those of its ServiceEntry.
        """
        if not claim.carried:
            return ()
        text = claim.endpoint.address
        self._reads.add(("address", text))
        gateways = self._topology.owners.get(text, ())
        if not gateways or parsed(text) is None or not self._private(text):
            return gateways
        ports = {port for _, port in claim.endpoint.ports} or {port.target or port.number for port in claim.ports}
        network = self._topology.networks.get(claim.cluster)
        return tuple(g for g in gateways if g.port in ports or self._topology.networks.get(g.owner) == network)

    def _gateway_endpoint(self, claim: Claim, gateways: tuple[Gateway, ...]) -> Iterator[Candidate]:
        vantage = self._topology.vantage
        if all(gateway.owner == vantage for gateway in gateways):
            yield from self._hairpin(claim, gateways[0])
        elif self._world.is_own(claim.cluster):
            yield from self._gateway(claim, gateways[0], Rule.GATEWAY_HERE)
        else:
            for owner in sorted({gateway.owner for gateway in gateways if gateway.owner != vantage}):
                yield from self._through(claim, self._gateways(owner), Rule.GATEWAY_OF)

    def _hairpin(self, claim: Claim, gateway: Gateway) -> Iterator[Candidate]:
        """The own gateway: L's own Service that the host names, if it has ready endpoints, else the address."""
        vantage = self._inventory.clusters[self._topology.vantage]
        if claim.service is not None:
            self._reads.add(("service", vantage.name, *claim.service))
            service = vantage.services.get(claim.service)
            if service is not None and vantage.readiness(claim.service).ready:
                yield from self._at_home(claim, service, Rule.HAIRPIN, ready=True)
                return
        yield from self._gateway(claim, gateway, Rule.OWN_GATEWAY, Reach.OWN)

    def _other_network(self, claim: Claim, network: str) -> Iterator[Candidate]:
        self._reads.add(("network", network))
        gateways = self._topology.gateways_of_network(network)
        if claim.carried and (gateways.found or gateways.pending):
            yield from self._through(claim, gateways, Rule.NETWORK_GATEWAYS)
            return
        text = claim.endpoint.address
        if scope(text) is Scope.PUBLIC and not self._private(text):
            yield claim.direct(text, Rule.NETWORK_PUBLIC, Reach.DIRECT)
        else:
            yield claim.nothing(Rule.NETWORK_NOTHING)

    def _own_network(self, claim: Claim) -> Iterator[Candidate]:
        text = claim.endpoint.address
        if not text:
            yield claim.nothing(Rule.NETWORK_NOTHING)
        elif parsed(text) is None:
            yield from self._host_name(claim, text, here=True)
        elif scope(text) is Scope.NEVER:
            yield claim.nothing(Rule.NEVER)
        else:
            yield claim.direct(text, Rule.NETWORK_OWN, self._directly(claim))

    def _host_name(self, claim: Claim, host: str, *, here: bool = False) -> Iterator[Candidate]:
        """Another host name: flattened; what it resolves to is judged by the rows for addresses.

        On the own network (`here`) every address means what it says.
        """
        if self._inventory.settings.zone_of(host) is not None:
            yield from self._own_name(claim, host)
            return
        resolved = self._resolved(host)
        if resolved is None:
            yield claim.nothing(Rule.HOST_NAME, pending=True)
            return
        for address in resolved:
            known = parsed(address)
            if here:
                yield claim.direct(address, Rule.NETWORK_OWN, self._directly(claim))
            elif known is not None:
                endpoint = msgspec.structs.replace(claim.endpoint, address=address)
                yield from self._address(msgspec.structs.replace(claim, endpoint=endpoint), known)

    def _own_name(self, claim: Claim, host: str) -> Iterator[Candidate]:
        """A name in our zones: its answer, which lives no longer here than there and is awaited where it is there."""
        self._reads.add(("name", host))
        answer = self._lookup(host)
        addresses = (*answer.ipv4, *answer.ipv6) if answer is not None else ()
        pods = {candidate.address for candidate in answer.considered if candidate.pod} if answer is not None else set()
        for address in addresses:
            yield claim.direct(address, Rule.HOST_NAME, Reach.DIRECT, pod=address in pods)
        if not addresses:
            yield claim.nothing(Rule.HOST_NAME, pending=answer is not None and answer.outcome is Outcome.PENDING)

    def _address(self, claim: Claim, address: Address) -> Iterator[Candidate]:
        """The last rows: what an address says by itself."""
        text = claim.endpoint.address
        if scope(text) is Scope.NEVER:
            yield claim.nothing(Rule.NEVER)
        elif not self._private(text):
            yield claim.direct(text, Rule.PUBLIC, Reach.DIRECT)
        elif self._reached(claim, address):
            yield claim.direct(text, Rule.PRIVATE_DIRECT, self._directly(claim))
        elif claim.carried:
            yield from self._through(claim, self._gateways(claim.cluster), Rule.PRIVATE_GATEWAY)
        else:
            yield claim.nothing(Rule.PRIVATE_NOTHING)

    def _private(self, text: str) -> bool:
        return scope(text) is Scope.PRIVATE or self._topology.in_any_network(parsed(text))

    def _reached(self, claim: Claim, address: Address) -> bool:
        topology = self._topology
        return (
            claim.flat
            or claim.cluster == topology.vantage
            or topology.in_network(address, topology.vantage_network)
            or self._world.near(claim.cluster)
        )

    def _directly(self, claim: Claim) -> Reach:
        return Reach.OWN if claim.cluster == self._topology.vantage else Reach.DIRECT

    # ------------------------------------------------------------------------------------------ Services

    def service(self, level: Level, cluster: str, key: ServiceKey, *, flat: bool = False) -> Iterator[Candidate]:
        """What cluster's Service `key` is from here (levels 3, 5 and 6)."""
        service = self._inventory.clusters[cluster].services[key]
        origin = f"Service {key[0]}/{key[1]}"
        claim = Claim(level, cluster, origin, "", key, Endpoint(""), flat=flat, ports=service.ports)
        yield from self._service(claim, service)

    def _service_endpoint(self, claim: Claim, key: ServiceKey) -> Iterator[Candidate]:
        """A ``cluster.local`` endpoint: that Service in the declaring cluster, and in all that it governs."""
        unknown = True
        for name in self._world.governed(claim.cluster):
            self._reads.add(("service", name, *key))
            cluster = self._inventory.clusters.get(name)
            service = cluster.services.get(key) if cluster is not None else None
            if service is not None:
                unknown = False
                yield from self._service(msgspec.structs.replace(claim, cluster=name), service)
        if not unknown:
            return
        if claim.cluster == self._topology.vantage or not claim.carried:
            yield claim.nothing(Rule.SERVICE)
        else:
            # the Service is not known (not read, or not there yet): its cluster's gateways know where it runs
            yield from self._through(claim, self._gateways(claim.cluster), Rule.SERVICE)

    def _service(self, claim: Claim, service: Service) -> Iterator[Candidate]:
        cluster = self._inventory.clusters[claim.cluster]
        key = (service.namespace, service.name)
        readiness = cluster.readiness(key)
        if not readiness.ready:
            yield claim.nothing(Rule.NOT_READY)
        if claim.cluster == self._topology.vantage:
            yield from self._at_home(claim, service, Rule.CLUSTER_IP, ready=readiness.ready)
        elif readiness.known and (self._world.near(claim.cluster) or (claim.flat and readiness.addresses)):
            ports = self._pod_ports(claim.cluster, key)
            for address in readiness.addresses:
                yield claim.at_pod(address, Rule.PODS, Reach.DIRECT, ports, ready=readiness.ready)
        else:
            yield from self._far_service(claim, service, ready=readiness.ready)

    def _at_home(self, claim: Claim, service: Service, rule: Rule, *, ready: bool) -> Iterator[Candidate]:
        """The own cluster's Service: its ClusterIPs, or its endpoints where it is headless."""
        key = (service.namespace, service.name)
        if service.headless:
            ports = self._pod_ports(self._topology.vantage, key)
            for address in self._inventory.clusters[self._topology.vantage].readiness(key).addresses:
                yield claim.at_pod(address, rule, Reach.OWN, ports, ready=ready)
        for address in service.cluster_ips:
            yield claim.at_service(address, rule, Reach.OWN, service.ports, ready=ready)

    def _far_service(self, claim: Claim, service: Service, *, ready: bool) -> Iterator[Candidate]:
        gateways = self._gateways(claim.cluster)
        if claim.carried and (gateways.found or gateways.pending):
            yield from self._through(claim, gateways, Rule.CLUSTER_GATEWAYS, ready=ready)
            return
        for address in self._spelled_out(claim, (*service.ingress, *service.external_ips)):
            if isinstance(address, Candidate):
                yield address
            else:
                yield claim.at_service(address, Rule.LOAD_BALANCER, Reach.DIRECT, service.ports, ready=ready)

    def _spelled_out(self, claim: Claim, texts: Iterable[str]) -> Iterator[str | Candidate]:
        """Addresses and host names as addresses; a candidate without one where a name is not resolved yet."""
        for text in texts:
            if parsed(text) is not None:
                yield text
            elif (addresses := self._resolved(text)) is None:
                yield claim.nothing(Rule.LOAD_BALANCER, pending=True)
            else:
                yield from addresses

    def _pod_ports(self, cluster: str, key: ServiceKey) -> tuple[Port, ...]:
        slices = self._inventory.clusters[cluster].slices.get(key, {})
        return tuple(dict.fromkeys(port for name in sorted(slices) for port in slices[name].ports))

    # ------------------------------------------------------------------------------------------ gateways

    def _gateways(self, cluster: str) -> Gateways:
        self._reads.add(("gateways", cluster))
        return self._topology.gateways.get(cluster, Gateways())

    def _through(self, claim: Claim, gateways: Gateways, rule: Rule, *, ready: bool = True) -> Iterator[Candidate]:
        if not gateways.found:
            yield claim.nothing(rule, pending=gateways.pending)
        for gateway in gateways.found:
            yield from self._gateway(claim, gateway, rule, ready=ready)

    def _gateway(
        self, claim: Claim, gateway: Gateway, rule: Rule, reach: Reach = Reach.GATEWAY, *, ready: bool = True
    ) -> Iterator[Candidate]:
        """A gateway by its addresses; a host name is flattened."""
        texts = (gateway.address,) if parsed(gateway.address) is not None else self._resolved(gateway.address)
        if texts is None:
            yield claim.nothing(rule, pending=True)
        passes = self._passes(gateway) if texts else None
        for text in texts or ():
            self._reads.add(("health", text))
            healthy = (text, gateway.port) not in self._world.unhealthy
            yield claim.through(text, rule, reach, gateway, ready=ready, healthy=healthy, passes=passes)

    def _passes(self, gateway: Gateway) -> bool | None:
        """Whether a gateway is known to pass the name's TLS through; of one that leads elsewhere nothing is known."""
        if gateway.network:
            return None
        self._reads.add(("passage", gateway.owner))
        return passes(self._topology.passages.get(gateway.owner), self._inventory, gateway.owner, self._name)

    def _resolved(self, host: str) -> tuple[str, ...] | None:
        """What a host name resolves to; None where that is not known yet. Never loopback or the like."""
        self._reads.add(("resolved", host))
        addresses = self._world.resolved.get(host)
        if addresses is None:
            return None
        return tuple(address for address in addresses if scope(address) not in (None, Scope.NEVER))
