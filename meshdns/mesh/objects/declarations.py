"""Declarations: slim values of the Kubernetes objects that names rest on.

Only what an answer or its explanation needs is kept; a raw ServiceEntry costs 8.8 kB in memory, a slim one about 1 kB.
Every declaration is identified inside its cluster by ``(kind, namespace, name)`` and carries its own problems, so that
replacing a declaration replaces its problems too.

Host names are kept lower-case and without a trailing dot (RFC 4343: DNS names compare without case). Addresses are kept
as text in canonical form (RFC 5952 for IPv6).
"""

import enum

import msgspec

from meshdns.mesh.objects.problems import Problem, ProblemKind


class ObjectKind(enum.Enum):
    """The kinds of object that are read from a cluster."""

    SERVICE_ENTRY = "ServiceEntry"
    WORKLOAD_ENTRY = "WorkloadEntry"
    SERVICE = "Service"
    ENDPOINT_SLICE = "EndpointSlice"
    NAMESPACE = "Namespace"
    GATEWAY = "Gateway"  # of the Gateway API
    ISTIO_GATEWAY = "IstioGateway"  # networking.istio.io calls it Gateway too
    NODE = "Node"
    POD = "Pod"


class Resolution(enum.Enum):
    """``spec.resolution`` of a ServiceEntry (istio/api networking/v1alpha3/service_entry.proto)."""

    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    DYNAMIC_DNS = "DYNAMIC_DNS"


class Port(msgspec.Struct, frozen=True, gc=False):
    """A named port; ``target`` is the port at the endpoint where it differs (0 = the same)."""

    name: str
    number: int
    protocol: str = "TCP"
    target: int = 0
    node_port: int = 0


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """One endpoint of a ServiceEntry, or the address part of a WorkloadEntry.

    ``address`` is an IP address, a host name, ``unix://…`` or empty (then ``network`` says which gateways are meant).
    ``ports`` maps a Service port's name to the port at this endpoint.
    """

    address: str
    ports: tuple[tuple[str, int], ...] = ()
    network: str = ""


ItemPlace = tuple[int, str]
"""Index of an item in its list as it was written, and its ``file:line``."""


class Declaration(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", gc=False):
    """Base of all declarations.

    ``where`` is ``file:line`` of the object for manifests and empty for objects from an API server.
    """

    namespace: str
    name: str
    created: str = ""  # metadata.creationTimestamp: RFC 3339 in UTC, one-second steps, so text order is time order
    where: str = ""
    problems: tuple[Problem, ...] = ()


def _is_over_bound(declaration: Declaration, field: str) -> bool:
    return any(each.kind is ProblemKind.OVER_BOUND and each.field == field for each in declaration.problems)


class ServiceEntry(Declaration, frozen=True, kw_only=True, tag="ServiceEntry"):
    """An Istio ServiceEntry.

    ``addresses`` are the VIPs of ``spec.addresses`` (single addresses; ``/32`` and ``/128`` count as single) and
    ``status_addresses`` those of ``status.addresses`` as ``(host, address)``; both mean something only inside their
    cluster.
    ``unread_endpoints`` counts what stands in ``spec.endpoints``, or in its stead, and cannot be read: an entry with
    such endpoints has endpoints, none of which can be used.
    ``host_places`` and ``endpoint_places`` say where each of ``hosts`` and ``endpoints`` was written; they are empty
    where that is known without them: no item of the list was dropped, and there is no file.
    """

    hosts: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    status_addresses: tuple[tuple[str, str], ...] = msgspec.field(default=(), name="allocated")
    ports: tuple[Port, ...] = ()
    internal: bool = False  # spec.location: MESH_INTERNAL; Istio's default is MESH_EXTERNAL
    resolution: Resolution = Resolution.NONE
    endpoints: tuple[Endpoint, ...] = ()
    selector: tuple[tuple[str, str], ...] | None = None
    export_to: tuple[str, ...] = ()
    network: str = ""
    answer: str = ""  # meshdns.io/answer
    ttl: int = -1  # meshdns.io/ttl, seconds; -1 = the zone's
    host_places: tuple[ItemPlace, ...] = ()
    endpoint_places: tuple[ItemPlace, ...] = ()
    unread_endpoints: int = 0
    hidden: bool = False  # meshdns.io/export says false, or cannot be read

    @property
    def has_unread_endpoints(self) -> bool:
        """Whether it has endpoints that are not read: it is an entry with endpoints whatever became of these.

        Version 0.1 did not count them; what it stored shows only that there were more than are read.
        """
        return self.unread_endpoints > 0 or _is_over_bound(self, "spec.endpoints")

    def host_field(self, at: int) -> tuple[str, str]:
        """The field of ``hosts[at]`` in the object as it was written, and its ``file:line``."""
        index, where = self.host_places[at] if self.host_places else (at, self.where)
        return f"spec.hosts[{index}]", where

    def endpoint_field(self, at: int) -> tuple[str, str]:
        """The field of ``endpoints[at]`` in the object as it was written, and its ``file:line``."""
        index, where = self.endpoint_places[at] if self.endpoint_places else (at, self.where)
        return f"spec.endpoints[{index}]", where


class WorkloadEntry(Declaration, frozen=True, kw_only=True, tag="WorkloadEntry"):
    """An Istio WorkloadEntry: a VM or another workload that is not a pod.

    ``ready`` is false while its health is checked and its condition ``Healthy`` is not true.
    """

    endpoint: Endpoint
    labels: tuple[tuple[str, str], ...] = ()
    ready: bool = True


class Service(Declaration, frozen=True, kw_only=True, tag="Service"):
    """A Kubernetes Service.

    ``cluster_ips`` is empty for a headless Service. ``ingress`` holds ``status.loadBalancer.ingress`` as addresses and
    host names in their order. ``labels`` keeps only the labels that name a gateway or an export; the latter is ``true``
    or ``false`` whatever was written as label or annotation, and ``false`` too where what decides cannot be read.
    """

    type: str = "ClusterIP"  # ClusterIP, NodePort, LoadBalancer or ExternalName
    cluster_ips: tuple[str, ...] = ()
    headless: bool = False
    ports: tuple[Port, ...] = ()
    ingress: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    export_to: tuple[str, ...] = ()
    node_selector: tuple[tuple[str, str], ...] | None = None  # annotation traffic.istio.io/nodeSelector
    publish_not_ready: bool = False
    selector: tuple[tuple[str, str], ...] = ()  # selects WorkloadEntries too; pods are known by EndpointSlices

    @property
    def node_port_selector(self) -> tuple[tuple[str, str], ...] | None:
        """The labels of nodes at whose addresses a gateway is reached; None unless annotated and of type NodePort."""
        return self.node_selector if self.type == "NodePort" else None


class SliceEndpoint(msgspec.Struct, frozen=True, gc=False):
    """One endpoint of an EndpointSlice. Only the first address counts (Kubernetes: the others are not used)."""

    address: str
    ready: bool
    hostname: str = ""


class EndpointSlice(Declaration, frozen=True, kw_only=True, tag="EndpointSlice"):
    """A discovery.k8s.io/v1 EndpointSlice. ``service`` is the label ``kubernetes.io/service-name``.

    ``nameless`` are the addresses of endpoints whose host name cannot be read: no other name takes its place.
    """

    service: str
    endpoints: tuple[SliceEndpoint, ...] = ()
    ports: tuple[Port, ...] = ()
    nameless: tuple[str, ...] = ()


def without_addresses(endpoint_slice: EndpointSlice) -> EndpointSlice:
    """The slice as it is kept of a cluster on another network: one bit, and no address that means nothing from here."""
    ready = any(point.ready for point in endpoint_slice.endpoints)
    endpoints = (SliceEndpoint("", ready),) if endpoint_slice.endpoints else ()
    return msgspec.structs.replace(endpoint_slice, endpoints=endpoints, ports=(), nameless=())


class Namespace(Declaration, frozen=True, kw_only=True, tag="Namespace"):
    """A Namespace: ``uid`` identifies a cluster (that of ``kube-system``), ``network`` is its Istio network label."""

    uid: str = ""
    network: str = ""
    control_planes: tuple[str, ...] = ()  # topology.istio.io/controlPlaneClusters


class GatewayListener(msgspec.Struct, frozen=True, gc=False):
    """One listener of a Gateway API Gateway. `hostname` is empty for every host.

    ``tls`` is ``tls.mode`` (Terminate, Passthrough), or AUTO_PASSTHROUGH where Istio's listener option says so.
    """

    port: int
    protocol: str
    hostname: str = ""
    tls: str = ""


class KubernetesGateway(Declaration, frozen=True, kw_only=True, tag="Gateway"):
    """A Gateway of the Gateway API (gateway.networking.k8s.io).

    ``spec_addresses`` are ``spec.addresses`` and ``status_addresses`` ``status.addresses``: IP addresses and host names
    in their order. ``labels`` keeps only those that name a network and its gateway port.
    """

    gateway_class: str = ""
    spec_addresses: tuple[str, ...] = msgspec.field(default=(), name="requested")
    status_addresses: tuple[str, ...] = msgspec.field(default=(), name="assigned")
    listeners: tuple[GatewayListener, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


class GatewayServer(msgspec.Struct, frozen=True, gc=False):
    """One server of an Istio Gateway. ``hosts`` are written ``host`` or ``namespace/host``; ``tls`` is ``tls.mode``."""

    port: int
    hosts: tuple[str, ...] = ()
    tls: str = ""


class IstioGateway(Declaration, frozen=True, kw_only=True, tag="IstioGateway"):
    """An Istio Gateway (networking.istio.io): what the gateway pods that `selector` means accept and pass on."""

    selector: tuple[tuple[str, str], ...] = ()
    servers: tuple[GatewayServer, ...] = ()

    @property
    def has_unread_hosts(self) -> bool:
        """Whether it has more hosts than are read: of one that is not among them nothing is known."""
        return _is_over_bound(self, "spec.servers")


class Node(Declaration, frozen=True, kw_only=True, tag="Node"):
    """A Node. ``addresses`` are those of type ExternalIP; nothing that a heartbeat changes is kept."""

    addresses: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


class Pod(Declaration, frozen=True, kw_only=True, tag="Pod"):
    """A Pod, as an endpoint of ServiceEntries whose workloadSelector selects it. ``addresses`` are its ``podIPs``."""

    addresses: tuple[str, ...] = ()
    ready: bool = False
    hostname: str = ""
    network: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class UnreadableObject(Declaration, frozen=True, kw_only=True, tag="Unreadable"):
    """An object of a known kind from which nothing could be taken; it serves nothing and says why."""

    object_kind: ObjectKind = msgspec.field(name="of")


AnyDeclaration = (
    ServiceEntry
    | WorkloadEntry
    | Service
    | EndpointSlice
    | Namespace
    | KubernetesGateway
    | IstioGateway
    | Node
    | Pod
    | UnreadableObject
)

_KINDS: dict[type[Declaration], ObjectKind] = {
    ServiceEntry: ObjectKind.SERVICE_ENTRY,
    WorkloadEntry: ObjectKind.WORKLOAD_ENTRY,
    Service: ObjectKind.SERVICE,
    EndpointSlice: ObjectKind.ENDPOINT_SLICE,
    Namespace: ObjectKind.NAMESPACE,
    KubernetesGateway: ObjectKind.GATEWAY,
    IstioGateway: ObjectKind.ISTIO_GATEWAY,
    Node: ObjectKind.NODE,
    Pod: ObjectKind.POD,
}

ObjectKey = tuple[ObjectKind, str, str]
"""Identity of a declaration inside its cluster: kind, namespace, name."""


def kind_of(declaration: AnyDeclaration) -> ObjectKind:
    """The kind of object a declaration was read from."""
    if isinstance(declaration, UnreadableObject):
        return declaration.object_kind
    return _KINDS[type(declaration)]


def key_of(declaration: AnyDeclaration) -> ObjectKey:
    """The identity of a declaration inside its cluster."""
    return (kind_of(declaration), declaration.namespace, declaration.name)
