"""Declared endpoints: an endpoint in its declaration, and the candidates that can be made of it."""

from collections.abc import Iterable

import msgspec

from meshdns.mesh.candidates import Candidate, EndpointRule, Level, NamedPort, Reach
from meshdns.mesh.host_states import HostState
from meshdns.mesh.inventory import ServiceKey
from meshdns.mesh.objects.declarations import Endpoint, ObjectKind, Port
from meshdns.mesh.objects.references import FieldRef, ObjectRef
from meshdns.mesh.topology import Gateway


class DeclaredEndpoint(msgspec.Struct, frozen=True, gc=False):
    """An endpoint in its declaration: the object, the Service it is about, and whether gateways may carry it.

    None of its candidates is ready unless it is `ready` itself.
    """

    level: Level
    cluster: str
    origin: ObjectRef
    field: FieldRef
    service: ServiceKey | None  # the Service that the host names, <svc>.<ns>.<zone>
    endpoint: Endpoint
    gateway_allowed: bool = True  # MESH_INTERNAL: gateways can carry it
    single_network: bool = False  # answer mode endpoints: all networks are one
    ttl: int = -1
    ports: tuple[Port, ...] = ()
    host: str = ""  # of the declaration's hosts the one that speaks for the name
    ready: bool = True

    def unaddressed_candidate(
        self,
        rule: EndpointRule,
        lack: str = "",
        *,
        pending: bool = False,
        ready: bool = True,
        via_cluster: str = "",
    ) -> Candidate:
        """No address, and why: `lack` where the rule does not say it; `via_cluster`'s gateways would carry it."""
        return Candidate(
            self.level,
            self.cluster,
            self.origin,
            self.field,
            rule,
            via_cluster=via_cluster,
            ready=ready and self.ready,
            pending=pending,
            host=self.host,
            lack=lack,
        )

    def unresolved_candidate(
        self, rule: EndpointRule, host: str, state: HostState, gateway: Gateway | None = None, *, ready: bool = True
    ) -> Candidate:
        """No address, since the host name, that of the `gateway` where there is one, has none."""
        return Candidate(
            self.level,
            self.cluster,
            self.origin,
            self.field,
            rule,
            via_cluster=gateway.owner if gateway is not None else "",
            port=gateway.port if gateway is not None else 0,
            ready=ready and self.ready,
            pending=state.status.is_pending,
            host=self.host,
            gateway=gateway.address if gateway is not None else "",
            lack=state.lack,
            dead_host=host if state.status.is_dead else "",
        )

    def direct_candidate(
        self, address: str, rule: EndpointRule, reach: Reach, *, ready: bool = True, pod: bool = False
    ) -> Candidate:
        """An address that is dialled as the declaration says: at the endpoint's own ports. A selected pod is one."""
        selected = self.field.selected
        is_pod = pod or (selected is not None and selected.kind is ObjectKind.POD)
        return self._candidate(address, rule, reach, ready=ready, pod=is_pod, ports=self._endpoint_ports())

    def service_candidate(
        self, address: str, rule: EndpointRule, reach: Reach, ports: Iterable[Port], *, ready: bool
    ) -> Candidate:
        """An address that is dialled at a Service's own ports: a ClusterIP or its load balancer."""
        return self._candidate(address, rule, reach, ready=ready, ports=self._service_ports(ports))

    def pod_candidate(
        self, address: str, rule: EndpointRule, reach: Reach, ports: Iterable[Port], *, ready: bool, label: str = ""
    ) -> Candidate:
        """An endpoint of a Service, dialled at the ports of its EndpointSlice; `label` is that of its own name."""
        numbers = self._service_ports(ports)
        return self._candidate(address, rule, reach, ready=ready, pod=True, ports=numbers, label=label)

    def gateway_candidate(
        self,
        address: str,
        rule: EndpointRule,
        reach: Reach,
        gateway: Gateway,
        *,
        ready: bool = True,
        healthy: bool = True,
        passes: bool | None = None,
    ) -> Candidate:
        """An address of a gateway: every TCP port of the service is at the gateway's, and no UDP passes."""
        return Candidate(
            level=self.level,
            cluster=self.cluster,
            origin=self.origin,
            field=self.field,
            rule=rule,
            address=address,
            reach=reach,
            via_cluster=gateway.owner,
            port=gateway.port,
            ready=ready and self.ready,
            healthy=healthy,
            ttl=self.ttl,
            ports=tuple(
                NamedPort(port.name, "tcp", gateway.port) for port in self.ports if transport_protocol(port) == "tcp"
            ),
            host=self.host,
            gateway=gateway.address,
            passes_tls=passes,
        )

    def _candidate(
        self,
        address: str,
        rule: EndpointRule,
        reach: Reach,
        *,
        ready: bool,
        pod: bool = False,
        ports: tuple[NamedPort, ...],
        label: str = "",
    ) -> Candidate:
        return Candidate(
            level=self.level,
            cluster=self.cluster,
            origin=self.origin,
            field=self.field,
            rule=rule,
            address=address,
            reach=reach,
            ready=ready and self.ready,
            is_pod=pod,
            ttl=self.ttl,
            ports=ports,
            host=self.host,
            pod_label=label,
        )

    def _service_ports(self, ports: Iterable[Port]) -> tuple[NamedPort, ...]:
        """The ports of a Service; one that is written at the endpoint that names the Service is the true port."""
        numbers = tuple(NamedPort(port.name, transport_protocol(port), port.number) for port in ports)
        if not self.endpoint.ports:
            return numbers
        protocols = {port.name: transport_protocol(port) for port in self.ports}
        written = {name: NamedPort(name, protocols.get(name, "tcp"), number) for name, number in self.endpoint.ports}
        return (*(port for port in numbers if port.name not in written), *written.values())

    def _endpoint_ports(self) -> tuple[NamedPort, ...]:
        """The port at this endpoint: its own, else targetPort, else number (service_entry.proto, WorkloadEntry)."""
        own = dict(self.endpoint.ports)
        return tuple(
            NamedPort(port.name, transport_protocol(port), own.get(port.name) or port.target or port.number)
            for port in self.ports
        )


def transport_protocol(port: Port) -> str:
    """The transport of a port: Istio's protocols (HTTP, GRPC, TLS …) all run over TCP."""
    return port.protocol.lower() if port.protocol in ("UDP", "SCTP") else "tcp"
