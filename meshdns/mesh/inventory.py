"""The declarations of every cluster, with the indexes that the rules need.

State with one owner: the `Catalog`. `upsert` and `remove` say what they touched, so that only what depends on it is
recomputed; both are idempotent and independent of the order in which clusters and kinds arrive.
"""

from collections import defaultdict
from collections.abc import Iterator, MutableMapping
from typing import TypeVar

import msgspec

from meshdns.mesh.declarations import (
    AnyDeclaration,
    EndpointSlice,
    IstioGateway,
    Key,
    Kind,
    KubernetesGateway,
    Namespace,
    Node,
    Pod,
    Service,
    ServiceEntry,
    WorkloadEntry,
    key_of,
)
from meshdns.mesh.labels import NETWORK_LABEL
from meshdns.mesh.settings import ClusterSettings, MeshSettings
from meshdns.mesh.visibility import may_be_gateway, service_host, visible_hosts

ServiceKey = tuple[str, str]
"""Namespace and name of a Service."""

_Outer = TypeVar("_Outer")
_Inner = TypeVar("_Inner")
_Item = TypeVar("_Item")

_API_SERVER: ServiceKey = ("default", "kubernetes")


class Touched:
    """What a change may have altered: names declared, Services by cluster, or the gateways and networks."""

    __slots__ = ("hosts", "services", "topology", "workloads")

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.services: set[tuple[str, ServiceKey]] = set()
        self.workloads: set[tuple[str, str]] = set()  # cluster and namespace whose selected workloads changed
        self.topology = False


class Readiness(msgspec.Struct, frozen=True):
    """What the EndpointSlices say of a Service. Unknown (no slices are read) counts as ready."""

    known: bool
    ready: bool
    addresses: tuple[str, ...] = ()  # of ready endpoints; all endpoints where none is ready


class Cluster:
    """The declarations of one cluster."""

    def __init__(self, name: str, settings: ClusterSettings) -> None:
        self.name = name
        self.settings = settings
        self.declarations: dict[Key, AnyDeclaration] = {}
        self.services: dict[ServiceKey, Service] = {}
        self.gateway_services: dict[ServiceKey, Service] = {}
        self.gateways: dict[tuple[str, str], KubernetesGateway] = {}  # those labelled for a network
        self.istio_gateways: dict[tuple[str, str], IstioGateway] = {}
        self.nodes: dict[str, Node] = {}
        self.slices: defaultdict[ServiceKey, dict[str, EndpointSlice]] = defaultdict(dict)
        self.service_hosts: defaultdict[ServiceKey, dict[Key, ServiceEntry]] = defaultdict(dict)
        self.workloads: defaultdict[str, dict[str, WorkloadEntry]] = defaultdict(dict)
        self.pods: defaultdict[str, dict[str, Pod]] = defaultdict(dict)
        self.selecting: defaultdict[str, dict[Key, ServiceEntry]] = defaultdict(dict)

    @property
    def readiness_known(self) -> bool:
        """Whether EndpointSlices are read and there: a folder without them says nothing about readiness."""
        return self.settings.readiness and any(service != _API_SERVER for service in self.slices)

    def readiness(self, service: ServiceKey) -> Readiness:
        """Readiness and endpoint addresses of a Service."""
        if not self.readiness_known:
            return Readiness(known=False, ready=True)
        endpoints = [point for part in self.slices.get(service, {}).values() for point in part.endpoints]
        ready = [point.address for point in endpoints if point.ready]
        addresses = ready or [point.address for point in endpoints]
        return Readiness(known=True, ready=bool(ready), addresses=tuple(filter(None, dict.fromkeys(addresses))))

    @property
    def rests_on_nodes(self) -> bool:
        """Whether some gateway is reached at the addresses of nodes."""
        return any(
            service.type == "NodePort" and service.node_selector is not None
            for service in self.gateway_services.values()
        )

    def namespace(self, name: str) -> Namespace | None:
        """The Namespace object of that name."""
        found = self.declarations.get((Kind.NAMESPACE, "", name))
        return found if isinstance(found, Namespace) else None


class Inventory:
    """All clusters, and the index from host to the ServiceEntries that declare it."""

    def __init__(self, settings: MeshSettings) -> None:
        self.settings = settings
        self.clusters: dict[str, Cluster] = {}
        self.hosts: dict[str, dict[str, dict[Key, ServiceEntry]]] = {}

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name, made when first heard of."""
        found = self.clusters.get(name)
        if found is None:
            found = self.clusters[name] = Cluster(name, self.settings.cluster(name))
        return found

    def upsert(self, cluster: str, declaration: AnyDeclaration, touched: Touched) -> bool:
        """Add or replace one declaration; False where it was known just so."""
        into = self.cluster(cluster)
        key = key_of(declaration)
        before = into.declarations.get(key)
        if before == declaration:
            return False
        known = into.readiness_known
        if before is not None:
            self._unindex(into, key, before, touched)
        into.declarations[key] = declaration
        self._index(into, key, declaration, touched)
        _touch_readiness(into, known, touched)
        return True

    def remove(self, cluster: str, key: Key, touched: Touched) -> bool:
        """Forget one declaration; False where it was not known."""
        into = self.clusters.get(cluster)
        before = into.declarations.pop(key, None) if into is not None else None
        if into is None or before is None:
            return False
        known = into.readiness_known
        self._unindex(into, key, before, touched)
        _touch_readiness(into, known, touched)
        return True

    def remove_cluster(self, cluster: str, touched: Touched) -> None:
        """Forget a cluster and all its declarations."""
        gone = self.clusters.pop(cluster, None)
        if gone is not None:
            for key, declaration in gone.declarations.items():
                self._unindex(gone, key, declaration, touched)
            touched.topology = True

    def entries(self, host: str, cluster: str) -> Iterator[ServiceEntry]:
        """The ServiceEntries of `cluster` for exactly `host`, the oldest first, then by name and namespace."""
        found = self.hosts.get(host, {}).get(cluster)
        if found:
            yield from sorted(found.values(), key=age) if len(found) > 1 else found.values()

    def touch_entry(self, cluster: str, entry: ServiceEntry, touched: Touched) -> None:
        """Note what a ServiceEntry of `cluster` speaks for."""
        touched.hosts.update(visible_hosts(entry, cluster, self.settings))
        domain = self.settings.cluster(cluster).domain
        touched.services.update((cluster, service) for service in _services_of(entry, domain))

    def _index(self, into: Cluster, key: Key, declaration: AnyDeclaration, touched: Touched) -> None:
        match declaration:
            case ServiceEntry():
                for host in visible_hosts(declaration, into.name, self.settings):
                    self.hosts.setdefault(host, {}).setdefault(into.name, {})[key] = declaration
                for service in _services_of(declaration, into.settings.domain):
                    into.service_hosts[service][key] = declaration
                if declaration.selector is not None:
                    into.selecting[declaration.namespace][key] = declaration
            case Service():
                into.services[declaration.namespace, declaration.name] = declaration
                if may_be_gateway(declaration):
                    into.gateway_services[declaration.namespace, declaration.name] = declaration
            case EndpointSlice() if declaration.service:
                into.slices[declaration.namespace, declaration.service][declaration.name] = declaration
            case WorkloadEntry():
                into.workloads[declaration.namespace][declaration.name] = declaration
            case Pod():
                into.pods[declaration.namespace][declaration.name] = declaration
            case KubernetesGateway() if NETWORK_LABEL in dict(declaration.labels):
                into.gateways[declaration.namespace, declaration.name] = declaration
            case IstioGateway():
                into.istio_gateways[declaration.namespace, declaration.name] = declaration
            case Node():
                into.nodes[declaration.name] = declaration
        self._touch(into, declaration, touched)

    def _unindex(self, into: Cluster, key: Key, declaration: AnyDeclaration, touched: Touched) -> None:
        match declaration:
            case ServiceEntry():
                for host in visible_hosts(declaration, into.name, self.settings):
                    self._drop_host(host, into.name, key)
                for service in _services_of(declaration, into.settings.domain):
                    _drop(into.service_hosts, service, key)
                if declaration.selector is not None:
                    _drop(into.selecting, declaration.namespace, key)
            case Service():
                into.services.pop((declaration.namespace, declaration.name), None)
                into.gateway_services.pop((declaration.namespace, declaration.name), None)
            case EndpointSlice() if declaration.service:
                _drop(into.slices, (declaration.namespace, declaration.service), declaration.name)
            case WorkloadEntry():
                _drop(into.workloads, declaration.namespace, declaration.name)
            case Pod():
                _drop(into.pods, declaration.namespace, declaration.name)
            case KubernetesGateway():
                into.gateways.pop((declaration.namespace, declaration.name), None)
            case IstioGateway():
                into.istio_gateways.pop((declaration.namespace, declaration.name), None)
            case Node():
                into.nodes.pop(declaration.name, None)
        self._touch(into, declaration, touched)

    def _touch(self, into: Cluster, declaration: AnyDeclaration, touched: Touched) -> None:
        match declaration:
            case ServiceEntry():
                self.touch_entry(into.name, declaration, touched)
            case Service():
                touched.services.add((into.name, (declaration.namespace, declaration.name)))
                touched.topology = touched.topology or may_be_gateway(declaration)
            case EndpointSlice() if declaration.service:
                touched.services.add((into.name, (declaration.namespace, declaration.service)))
            case WorkloadEntry() | Pod():
                touched.workloads.add((into.name, declaration.namespace))
            case KubernetesGateway() if NETWORK_LABEL in dict(declaration.labels):
                touched.topology = True
            case IstioGateway():
                touched.topology = True  # what gateways pass through is a part of it
            case Node() if into.rests_on_nodes:
                touched.topology = True
            case Namespace() if declaration.name == self.settings.system_namespace:
                touched.topology = True
            case _:
                pass

    def _drop_host(self, host: str, cluster: str, key: Key) -> None:
        clusters = self.hosts.get(host, {})
        _drop(clusters, cluster, key)
        if not clusters:
            self.hosts.pop(host, None)


def _touch_readiness(into: Cluster, known: bool, touched: Touched) -> None:  # noqa: FBT001 — what was known before
    """Note all Services of a cluster where its first slice came or its last one went: that tells of all of them."""
    if into.readiness_known is not known:
        touched.services.update((into.name, service) for service in into.services)


def age(entry: ServiceEntry) -> tuple[str, str, str]:
    """The order among ServiceEntries of one cluster: oldest, then name, then namespace (Istio's rule)."""
    return (entry.created, entry.name, entry.namespace)


def _services_of(entry: ServiceEntry, domain: str) -> Iterator[ServiceKey]:
    for host in entry.hosts:
        service = service_host(host, domain)
        if service is not None:
            yield service


def _drop(index: MutableMapping[_Outer, dict[_Inner, _Item]], outer: _Outer, inner: _Inner) -> None:
    """Remove one item of a two-level index and the outer key with its last item."""
    items = index.get(outer)
    if items is not None:
        items.pop(inner, None)
        if not items:
            del index[outer]
