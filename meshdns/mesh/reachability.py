"""The endpoint table and the Service rules: what a declaration of cluster C means from vantage L (docs/semantics.md).

An endpoint means what it means in the cluster that declares it. Each function below is one part of the table, its rows
in the table's order, and the first row that fits decides. All of them are pure functions of a `MeshState`; what they
read in it is recorded in `dependencies`, so that a change recomputes only the names that rest on it.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from meshdns.dns.names import is_subdomain
from meshdns.mesh.addresses import IpAddress, Scope, parse_address, scope_of
from meshdns.mesh.answer import Answer, AnswerKind
from meshdns.mesh.candidates import Candidate, EndpointRule, Level, Reach
from meshdns.mesh.declared_endpoint import DeclaredEndpoint
from meshdns.mesh.endpoint_list import MAX_ENDPOINTS, judged_ports, workload_endpoint
from meshdns.mesh.host_states import HostState
from meshdns.mesh.inventory import ServiceKey
from meshdns.mesh.mesh_state import Dependency, MeshState
from meshdns.mesh.objects.declarations import Endpoint, ObjectKind, Service, WorkloadEntry
from meshdns.mesh.objects.references import GATEWAYS, WHOLE_OBJECT, ref_of
from meshdns.mesh.passthrough import passes_tls
from meshdns.mesh.topology import Gateway, GatewaySet
from meshdns.mesh.visibility import parse_service_host

_NAMED_PODS = (Level.OWN_SERVICE, Level.NEAR_SERVICE)
"""The levels at which pods of headless Services have names."""

NameLookup = Callable[[str], Answer | None]
"""The answer of another name in our zones; None where it has none or the chain of names is too long."""


class Reachability:
    """The rules for one name, seen from the vantage; records what they read.

    Without a name they say what an endpoint means for any host of its declaration, and `needs_name` whether that cannot
    be said; ``passes_tls`` of a candidate is then true where it depends on the name.
    """

    def __init__(self, name: str | None, state: MeshState, dependencies: set[Dependency], lookup: NameLookup) -> None:
        """`name` is the one that is looked at."""
        self.needs_name = False
        self._name = name
        self._passing: dict[str, bool | None] = {}  # by owner of the gateways
        self._pods: dict[str, frozenset[str]] = {}  # by mesh name, the addresses of pods in its answer
        self._state = state
        self._inventory = state.inventory
        self._topology = state.topology
        self._dependencies = dependencies
        self._lookup = lookup

    # ------------------------------------------------------------------------------------------ endpoints

    def candidates_for_host(self, candidates: Iterable[Candidate], host: str) -> Iterator[Candidate]:
        """What was judged without a name, for the name and the host of the declaration that speaks for it."""
        for each in candidates:
            passes = self._passes_by_owner(each.via_cluster) if each.passes_tls else each.passes_tls
            yield msgspec.structs.replace(each, host=host, passes_tls=passes)

    def endpoint_candidates(self, declared: DeclaredEndpoint) -> Iterator[Candidate]:
        """The rows of the endpoint table, in order: each endpoint yields a candidate, with an address or without."""
        address = declared.endpoint.address
        if address.startswith("unix:"):
            yield declared.unaddressed_candidate(EndpointRule.UNIX)
            return
        gateways = self._matching_gateways(declared)
        if gateways:
            yield from self._gateway_endpoint(declared, gateways)
            return
        network = (
            "" if declared.single_network and address else declared.endpoint.network
        )  # without an address, only gateways are left
        if network and network != self._topology.vantage_network:
            yield from self._other_network(declared, network)
            return
        if network:
            yield from self._own_network(declared)
            return
        service = parse_service_host(address, self._inventory.ensure_cluster(declared.cluster).settings.domain)
        if service is not None:
            yield from self._service_endpoint(declared, service)
            return
        known = parse_address(address)
        if known is None:
            yield from self._host_name(declared, address)
        else:
            yield from self._by_scope(declared, known)

    def _matching_gateways(self, declared: DeclaredEndpoint) -> tuple[Gateway, ...]:
        """The gateways that an endpoint's address or host name belongs to (compared before resolution).

        MESH_EXTERNAL is never replaced by gateways. An endpoint without ports of its own has those of its ServiceEntry.
        """
        if not declared.gateway_allowed:
            return ()
        text = declared.endpoint.address
        self._dependencies.add(("address", text))
        gateways = self._topology.gateways_by_address.get(text, ())
        if not gateways or parse_address(text) is None or not self._is_private(text):
            return gateways
        ports = {port for _, port in declared.endpoint.ports} or {port.target or port.number for port in declared.ports}
        network = self._topology.networks.get(declared.cluster)
        return tuple(g for g in gateways if g.port in ports or self._topology.networks.get(g.owner) == network)

    def _gateway_endpoint(self, declared: DeclaredEndpoint, gateways: tuple[Gateway, ...]) -> Iterator[Candidate]:
        vantage = self._topology.vantage
        if all(gateway.owner == vantage for gateway in gateways):
            yield from self._hairpin(declared, gateways[0])
        elif self._state.is_own(declared.cluster):
            yield from self._via_gateway(declared, gateways[0], EndpointRule.REMOTE_GATEWAY_AS_WRITTEN)
        else:
            for owner in sorted({gateway.owner for gateway in gateways if gateway.owner != vantage}):
                yield from self._via_cluster(declared, owner, EndpointRule.REMOTE_GATEWAYS)

    def _hairpin(self, declared: DeclaredEndpoint, gateway: Gateway) -> Iterator[Candidate]:
        """The own gateway: L's own Service that the host names, if it has ready endpoints, else the address."""
        vantage = self._inventory.clusters[self._topology.vantage]
        if self._name is None:
            self.needs_name = True  # the Service that the host names
            return
        if declared.service is not None:
            self._dependencies.add(("service", vantage.name, *declared.service))
            service = vantage.services.get(declared.service)
            readiness = vantage.readiness(declared.service)
            if service is not None and readiness.ready:
                if readiness.workloads:
                    yield from self._selected_workloads(
                        msgspec.structs.replace(declared, cluster=vantage.name), service, readiness.workloads
                    )
                else:
                    yield from self._own_service(declared, service, EndpointRule.HAIRPIN, ready=True)
                return
        yield from self._via_gateway(declared, gateway, EndpointRule.OWN_GATEWAY, Reach.OWN)

    def _other_network(self, declared: DeclaredEndpoint, network: str) -> Iterator[Candidate]:
        self._dependencies.add(("network", network))
        gateways = self._topology.gateways_of_network(network)
        if declared.gateway_allowed and (gateways.members or gateways.pending):
            yield from self._via_gateways(declared, gateways, EndpointRule.NETWORK_GATEWAYS, f"network {network}")
            return
        text = declared.endpoint.address
        if scope_of(text) is Scope.PUBLIC and not self._is_private(text):
            yield declared.direct_candidate(text, EndpointRule.NETWORK_PUBLIC, Reach.DIRECT)
        else:
            yield declared.unaddressed_candidate(EndpointRule.NETWORK_UNREACHABLE)

    def _own_network(self, declared: DeclaredEndpoint) -> Iterator[Candidate]:
        text = declared.endpoint.address
        if not text:
            yield declared.unaddressed_candidate(EndpointRule.NETWORK_UNREACHABLE)
        elif parse_address(text) is None:
            yield from self._host_name(declared, text, on_own_network=True)
        elif scope_of(text) is Scope.NEVER_SERVED:
            yield declared.unaddressed_candidate(EndpointRule.NEVER_SERVED)
        else:
            yield declared.direct_candidate(text, EndpointRule.NETWORK_OWN, self._direct_reach(declared))

    def _host_name(self, declared: DeclaredEndpoint, host: str, *, on_own_network: bool = False) -> Iterator[Candidate]:
        """Another host name: flattened; what it resolves to is judged by the rows for addresses.

        On the own network (`on_own_network`) every address means what it says.
        """
        if self._inventory.settings.zone_of(host) is not None:
            yield from self._mesh_name(declared, host)
            return
        if foreign := self._foreign_domain(host):
            own = self._inventory.ensure_cluster(declared.cluster).settings.domain
            lack = f"an endpoint is of domain {foreign}, cluster {declared.cluster} is of {own}"
            yield declared.unaddressed_candidate(EndpointRule.FOREIGN_DOMAIN, lack)
            return
        found = self._resolved_for(declared, host)
        if not found.addresses:
            yield declared.unresolved_candidate(EndpointRule.HOST_NAME, host, found)
        for address in found.addresses:
            known = parse_address(address)
            if on_own_network:
                yield declared.direct_candidate(address, EndpointRule.NETWORK_OWN, self._direct_reach(declared))
            elif known is not None:
                endpoint = msgspec.structs.replace(declared.endpoint, address=address)
                yield from self._by_scope(msgspec.structs.replace(declared, endpoint=endpoint), known)

    def _foreign_domain(self, host: str) -> str:
        """The domain of other clusters that a Service's host is under; a forward zone that takes it is asked instead.

        The hosts of the declaring cluster's own domain are judged before this.
        """
        domains = (domain for domain in self._state.service_domains if parse_service_host(host, domain) is not None)
        domain = next(domains, "")
        forwarded = domain and any(is_subdomain(host, zone) for zone in self._inventory.settings.forward_zones)
        return "" if forwarded else domain

    def _mesh_name(self, declared: DeclaredEndpoint, host: str) -> Iterator[Candidate]:
        """A name in our zones: its answer, which lives no longer here than there and is awaited where it is there."""
        if self._name is None:
            self.needs_name = True  # which ends circles of names
            return
        self._dependencies.add(("name", host))
        answer = self._lookup(host)
        addresses = (*answer.ipv4, *answer.ipv6) if answer is not None else ()
        pods = self._pods.get(host)
        if pods is None:
            pods = self._pods[host] = frozenset(
                candidate.address for candidate in (answer.candidates if answer is not None else ()) if candidate.is_pod
            )
        for address in addresses:
            yield declared.direct_candidate(address, EndpointRule.HOST_NAME, Reach.DIRECT, pod=address in pods)
        if not addresses:
            pending = answer is not None and answer.outcome is AnswerKind.PENDING
            lack = f"{host} has no address yet" if pending else f"{host} has no address"
            yield declared.unaddressed_candidate(EndpointRule.HOST_NAME, lack, pending=pending)

    def _by_scope(self, declared: DeclaredEndpoint, address: IpAddress) -> Iterator[Candidate]:
        """The last rows: what an address says by itself."""
        text = declared.endpoint.address
        if scope_of(text) is Scope.NEVER_SERVED:
            yield declared.unaddressed_candidate(EndpointRule.NEVER_SERVED)
        elif not self._is_private(text):
            yield declared.direct_candidate(text, EndpointRule.PUBLIC, Reach.DIRECT)
        elif self._is_directly_reachable(declared, address):
            yield declared.direct_candidate(text, EndpointRule.PRIVATE_DIRECT, self._direct_reach(declared))
        elif declared.gateway_allowed:
            yield from self._via_cluster(declared, declared.cluster, EndpointRule.PRIVATE_GATEWAY)
        else:
            yield declared.unaddressed_candidate(EndpointRule.PRIVATE_UNREACHABLE)

    def _is_private(self, text: str) -> bool:
        return scope_of(text) is Scope.PRIVATE or self._topology.is_in_any_network(parse_address(text))

    def _is_directly_reachable(self, declared: DeclaredEndpoint, address: IpAddress) -> bool:
        topology = self._topology
        return (
            declared.single_network
            or declared.cluster == topology.vantage
            or topology.is_in_network(address, topology.vantage_network)
            or self._state.is_near(declared.cluster)
        )

    def _direct_reach(self, declared: DeclaredEndpoint) -> Reach:
        return Reach.OWN if declared.cluster == self._topology.vantage else Reach.DIRECT

    # ------------------------------------------------------------------------------------------ Services

    def service_candidates(
        self, level: Level, cluster: str, key: ServiceKey, *, single_network: bool = False
    ) -> Iterator[Candidate]:
        """What cluster's Service `key` is from here (levels 3, 5 and 6)."""
        service = self._inventory.clusters[cluster].services[key]
        declared = DeclaredEndpoint(
            level,
            cluster,
            ref_of(service),
            WHOLE_OBJECT,
            key,
            Endpoint(""),
            single_network=single_network,
            ports=service.ports,
        )
        yield from self._service(declared, service)

    def _service_endpoint(self, declared: DeclaredEndpoint, key: ServiceKey) -> Iterator[Candidate]:
        """A ``cluster.local`` endpoint: that Service in the declaring cluster, and in all that it governs."""
        unknown = True
        for name in self._state.governed_clusters(declared.cluster):
            self._dependencies.add(("service", name, *key))
            cluster = self._inventory.clusters.get(name)
            service = cluster.services.get(key) if cluster is not None else None
            if service is not None:
                unknown = False
                yield from self._service(msgspec.structs.replace(declared, cluster=name), service)
        if not unknown:
            return
        if declared.cluster == self._topology.vantage or not declared.gateway_allowed:
            lack = f"no Service {key[0]}/{key[1]} in cluster {declared.cluster}"
            yield declared.unaddressed_candidate(EndpointRule.SERVICE, lack)
        else:
            # the Service is not known (not read, or not there yet): its cluster's gateways know where it runs
            yield from self._via_cluster(declared, declared.cluster, EndpointRule.SERVICE)

    def _service(self, declared: DeclaredEndpoint, service: Service) -> Iterator[Candidate]:
        cluster = self._inventory.clusters[declared.cluster]
        key = (service.namespace, service.name)
        readiness = cluster.readiness(key)
        if not readiness.ready:
            yield declared.unaddressed_candidate(EndpointRule.NOT_READY)
        is_own = declared.cluster == self._topology.vantage
        if readiness.workloads and (is_own or self._state.is_near(declared.cluster) or declared.single_network):
            yield from self._selected_workloads(declared, service, readiness.workloads)
        elif is_own:
            yield from self._own_service(declared, service, EndpointRule.CLUSTER_IP, ready=readiness.ready)
        elif readiness.known and (
            self._state.is_near(declared.cluster) or (declared.single_network and readiness.addresses)
        ):
            if not readiness.addresses:
                yield declared.unaddressed_candidate(EndpointRule.PODS, "the Service has no endpoint address")
            yield from self._pod_candidates(declared, service, EndpointRule.PODS, Reach.DIRECT)
        else:
            yield from self._far_service(declared, service, ready=readiness.ready)

    def _selected_workloads(
        self, declared: DeclaredEndpoint, service: Service, workloads: tuple[WorkloadEntry, ...]
    ) -> Iterator[Candidate]:
        """The WorkloadEntries that serve a Service, each as an endpoint of its cluster."""
        ports = judged_ports(service.ports, len(workloads))
        domain = self._inventory.ensure_cluster(declared.cluster).settings.domain
        for workload in workloads[:MAX_ENDPOINTS]:
            field, endpoint, ready = workload_endpoint(workload)
            selected = msgspec.structs.replace(
                declared, field=field, service=None, endpoint=endpoint, gateway_allowed=True, ports=ports, ready=ready
            )
            if parse_service_host(endpoint.address, domain) is None:
                yield from self.endpoint_candidates(selected)
            else:  # which may select this workload
                yield selected.unaddressed_candidate(EndpointRule.SERVICE, "a WorkloadEntry that names a Service")

    def _own_service(
        self, declared: DeclaredEndpoint, service: Service, rule: EndpointRule, *, ready: bool
    ) -> Iterator[Candidate]:
        """The own cluster's Service: its ClusterIPs, or its endpoints where it is headless."""
        if service.headless:
            pods = list(self._pod_candidates(declared, service, rule, Reach.OWN, cluster=self._topology.vantage))
            yield from pods
            if not pods:
                yield declared.unaddressed_candidate(EndpointRule.NOT_READY, "the headless Service has no endpoints")
            return
        for address in service.cluster_ips:
            yield declared.service_candidate(address, rule, Reach.OWN, service.ports, ready=ready)
        if not service.cluster_ips:
            external = service.type == "ExternalName"
            lack = (
                "a Service of type ExternalName" if external else "the Service has no clusterIP: it was never applied"
            )
            yield declared.unaddressed_candidate(rule, lack, ready=ready)

    def _far_service(self, declared: DeclaredEndpoint, service: Service, *, ready: bool) -> Iterator[Candidate]:
        gateways = self._gateways(declared.cluster)
        external = (*service.ingress, *service.external_ips)
        if declared.gateway_allowed and (gateways.members or gateways.pending or not external):
            yield from self._via_cluster(declared, declared.cluster, EndpointRule.CLUSTER_GATEWAYS, ready=ready)
            return
        if not external:
            lack = "MESH_EXTERNAL is not carried by gateways, and the Service has no load balancer"
            yield declared.unaddressed_candidate(EndpointRule.LOAD_BALANCER, lack, ready=ready)
        for address in self._flatten(declared, external):
            if isinstance(address, Candidate):
                yield address
            else:
                yield declared.service_candidate(
                    address, EndpointRule.LOAD_BALANCER, Reach.DIRECT, service.ports, ready=ready
                )

    def _flatten(self, declared: DeclaredEndpoint, texts: Iterable[str]) -> Iterator[str | Candidate]:
        """Addresses and host names as addresses; a candidate without one for a name that has none."""
        for text in texts:
            if parse_address(text) is not None:
                yield text
                continue
            found = self._resolved_for(declared, text)
            yield from found.addresses
            if not found.addresses:
                yield declared.unresolved_candidate(EndpointRule.LOAD_BALANCER, text, found)

    def _pod_candidates(
        self, declared: DeclaredEndpoint, service: Service, rule: EndpointRule, reach: Reach, *, cluster: str = ""
    ) -> Iterator[Candidate]:
        """The endpoints of a Service, each at the ports of its slices; by label where its pods have names."""
        objects = self._inventory.clusters[cluster or declared.cluster]
        key = (service.namespace, service.name)
        readiness, pods = objects.readiness(key), objects.pods_of(key)
        named = service.headless and declared.origin.kind is ObjectKind.SERVICE and declared.level in _NAMED_PODS
        for address in readiness.addresses:
            label, ports = pods.at(address)
            numbers = judged_ports(ports, len(readiness.addresses))
            yield declared.pod_candidate(
                address, rule, reach, numbers, ready=readiness.ready, label=label if named else ""
            )

    # ------------------------------------------------------------------------------------------ gateways

    def gateway_name_candidates(self, cluster: str) -> Iterator[Candidate]:
        """The gateways of a cluster, for the zone's own name of them."""
        declared = DeclaredEndpoint(Level.ZONE, cluster, GATEWAYS, WHOLE_OBJECT, None, Endpoint(""))
        gateways = self._gateways(cluster)
        if gateways.members or gateways.pending:
            yield from self._via_cluster(declared, cluster, EndpointRule.GATEWAY_NAME)
        else:
            yield declared.unaddressed_candidate(EndpointRule.NO_GATEWAY)

    def _gateways(self, cluster: str) -> GatewaySet:
        self._dependencies.add(("gateways", cluster))
        return self._topology.gateways.get(cluster, GatewaySet())

    def _via_cluster(
        self, declared: DeclaredEndpoint, cluster: str, rule: EndpointRule, *, ready: bool = True
    ) -> Iterator[Candidate]:
        """The gateways of a cluster."""
        gateways = self._gateways(cluster)
        yield from self._via_gateways(declared, gateways, rule, f"cluster {cluster}", via_cluster=cluster, ready=ready)

    def _via_gateways(
        self,
        declared: DeclaredEndpoint,
        gateways: GatewaySet,
        rule: EndpointRule,
        place: str,
        *,
        via_cluster: str = "",
        ready: bool = True,
    ) -> Iterator[Candidate]:
        """The gateways that lead to a `place`, a cluster or network in words; one without address is a candidate, too.

        An object that has no address yet is awaited where no gateway has one.
        """
        reached = False
        for gateway in gateways.members:
            for candidate in self._via_gateway(declared, gateway, rule, ready=ready):
                reached = reached or bool(candidate.address)
                yield candidate
        if not gateways.members or (gateways.pending and not reached):
            lack = gateways.lack(place)
            yield declared.unaddressed_candidate(
                rule, lack, pending=gateways.pending, ready=ready, via_cluster=via_cluster
            )

    def _via_gateway(
        self,
        declared: DeclaredEndpoint,
        gateway: Gateway,
        rule: EndpointRule,
        reach: Reach = Reach.GATEWAY,
        *,
        ready: bool = True,
    ) -> Iterator[Candidate]:
        """A gateway by its addresses; a host name is flattened."""
        texts: tuple[str, ...] = (gateway.address,)
        if parse_address(gateway.address) is None:
            found = self._resolved(gateway.address)
            texts = found.addresses
            if not texts:
                yield declared.unresolved_candidate(rule, gateway.address, found, gateway, ready=ready)
        passes = self._passes_tls(gateway) if texts and declared.level is not Level.ZONE else None
        for text in texts:
            self._dependencies.add(("health", text))
            healthy = (text, gateway.port) not in self._state.unhealthy_gateways
            yield declared.gateway_candidate(text, rule, reach, gateway, ready=ready, healthy=healthy, passes=passes)

    def _passes_tls(self, gateway: Gateway) -> bool | None:
        """Whether a gateway is known to pass the name's TLS through; of one that leads elsewhere nothing is known."""
        if gateway.network:
            return None
        self._dependencies.add(("passthrough", gateway.owner))
        return self._passes_by_owner(gateway.owner)

    def _passes_by_owner(self, owner: str) -> bool | None:
        if self._name is None:
            return True
        if owner not in self._passing:
            self._passing[owner] = passes_tls(self._topology.passthrough.get(owner), self._inventory, owner, self._name)
        return self._passing[owner]

    def _resolved_for(self, declared: DeclaredEndpoint, host: str) -> HostState:
        """What a host name of a declaration resolves to; the declaration's namespace is one that asks for it."""
        self._dependencies.add(("asker", host, declared.cluster, declared.origin.namespace))
        return self._resolved(host)

    def _resolved(self, host: str) -> HostState:
        """What a host name resolves to."""
        self._dependencies.add(("resolved", host))
        return self._state.find_host(host)
