"""Inventory: the declarations of every cluster, with the indexes that the rules need.

State with one owner: the `NameTable`. `upsert` and `remove` note what they touched, so that only what depends on it is
recomputed; both are idempotent and independent of the order in which clusters and kinds arrive.
"""

from collections import defaultdict
from collections.abc import Iterator, MutableMapping
from typing import TypeVar

import msgspec

from meshdns.mesh.objects.declarations import (
    AnyDeclaration,
    EndpointSlice,
    IstioGateway,
    KubernetesGateway,
    Namespace,
    Node,
    ObjectKey,
    ObjectKind,
    Pod,
    Service,
    ServiceEntry,
    WorkloadEntry,
    key_of,
)
from meshdns.mesh.service_pods import ServicePods
from meshdns.mesh.settings import ClusterSettings, MeshSettings
from meshdns.mesh.visibility import is_gateway, parse_service_host, served_hosts

ServiceKey = tuple[str, str]
"""Namespace and name of a Service."""

_Outer = TypeVar("_Outer")
_Inner = TypeVar("_Inner")
_Item = TypeVar("_Item")

_API_SERVER: ServiceKey = ("default", "kubernetes")


class InvalidationSet:
    """Set of what a change may have altered: names declared, Services by cluster, or the gateways and networks."""

    __slots__ = ("hosts", "services", "topology_changed", "workloads")

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.services: set[tuple[str, ServiceKey]] = set()
        self.workloads: set[tuple[str, str]] = set()  # cluster and namespace whose selected workloads changed
        self.topology_changed = False

    def merge(self, other: "InvalidationSet") -> None:
        """Add what another change may have altered."""
        self.hosts |= other.hosts
        self.services |= other.services
        self.workloads |= other.workloads
        self.topology_changed = self.topology_changed or other.topology_changed


Label = tuple[str, str]
"""Key and value."""


class ServiceReadiness(msgspec.Struct, frozen=True):
    """Readiness of a Service by its EndpointSlices. Unknown (no slices are read) counts as ready.

    `workloads` are the WorkloadEntries that the Service selects, if no pod of it is known to be ready: they serve it,
    and nothing is behind its ClusterIP. istiod has a Service select them as it selects pods
    (PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES, true by default).
    """

    known: bool
    ready: bool
    addresses: tuple[str, ...] = ()  # of ready endpoints; all endpoints where none is ready
    workloads: tuple[WorkloadEntry, ...] = ()


class ClusterObjects:
    """The declarations of one cluster."""

    def __init__(self, name: str, settings: ClusterSettings) -> None:
        self.name = name
        self.settings = settings
        self.declarations: dict[ObjectKey, AnyDeclaration] = {}
        self.services: dict[ServiceKey, Service] = {}
        self.gateway_services: dict[ServiceKey, Service] = {}
        self.gateways: dict[tuple[str, str], KubernetesGateway] = {}  # those labelled for a network
        self.istio_gateways: dict[tuple[str, str], IstioGateway] = {}
        self.nodes: dict[str, Node] = {}
        self.endpoint_slices: defaultdict[ServiceKey, dict[str, EndpointSlice]] = defaultdict(dict)
        self.entries_by_service: defaultdict[ServiceKey, dict[ObjectKey, ServiceEntry]] = defaultdict(dict)
        self.workload_entries: defaultdict[str, dict[str, WorkloadEntry]] = defaultdict(dict)
        self.pods: defaultdict[str, dict[str, Pod]] = defaultdict(dict)
        self.selecting_entries: defaultdict[str, dict[ObjectKey, ServiceEntry]] = defaultdict(dict)
        self._selecting_services: defaultdict[tuple[str, Label], dict[str, Service]] = defaultdict(dict)
        self._labelled_workloads: defaultdict[tuple[str, Label], dict[str, WorkloadEntry]] = defaultdict(dict)
        self._readiness: dict[ServiceKey, ServiceReadiness] = {}
        self._pods: dict[ServiceKey, ServicePods] = {}

    @property
    def is_readiness_known(self) -> bool:
        """Whether EndpointSlices are read and there: a folder without them says nothing about readiness."""
        return self.settings.readiness and any(service != _API_SERVER for service in self.endpoint_slices)

    def readiness(self, service: ServiceKey) -> ServiceReadiness:
        """Readiness and endpoint addresses of a Service."""
        if not self.is_readiness_known:
            workloads = self._selected_workloads(service)
            ready = not workloads or any(workload.ready for workload in workloads)
            return ServiceReadiness(known=False, ready=ready, workloads=workloads)
        known = self._readiness.get(service)
        if known is None:
            known = self._readiness[service] = self._readiness_by_slices(service)
        return known

    def _readiness_by_slices(self, service: ServiceKey) -> ServiceReadiness:
        endpoints = [point for part in self.endpoint_slices.get(service, {}).values() for point in part.endpoints]
        ready = [point.address for point in endpoints if point.ready]
        if not ready and (workloads := self._selected_workloads(service)):
            return ServiceReadiness(known=True, ready=any(each.ready for each in workloads), workloads=workloads)
        addresses = ready or [point.address for point in endpoints]
        return ServiceReadiness(known=True, ready=bool(ready), addresses=tuple(filter(None, dict.fromkeys(addresses))))

    def _selected_workloads(self, service: ServiceKey) -> tuple[WorkloadEntry, ...]:
        """The WorkloadEntries of its namespace that a Service selects, in the order of their names."""
        known = self.services.get(service) if self._labelled_workloads else None
        if known is None or not known.selector:
            return ()
        wanted = set(known.selector)
        found = self._labelled_workloads.get((service[0], known.selector[0]), {})
        return tuple(found[name] for name in sorted(found) if wanted.issubset(found[name].labels))

    def services_selecting(self, workload: WorkloadEntry) -> Iterator[ServiceKey]:
        """The Services that select a WorkloadEntry."""
        labels = set(workload.labels)
        for label in workload.labels:
            for name, service in self._selecting_services.get((workload.namespace, label), {}).items():
                if labels.issuperset(service.selector):
                    yield workload.namespace, name

    def index_selection(self, declaration: Service | WorkloadEntry) -> None:
        """Note by which labels a Service selects, or which labels a WorkloadEntry has.

        A Service is noted under the first pair of its selector, of which each selected object has it.
        """
        if isinstance(declaration, WorkloadEntry):
            for label in declaration.labels:
                self._labelled_workloads[declaration.namespace, label][declaration.name] = declaration
        elif declaration.selector:
            self._selecting_services[declaration.namespace, declaration.selector[0]][declaration.name] = declaration

    def unindex_selection(self, declaration: Service | WorkloadEntry) -> None:
        """Forget what `index_selection` noted."""
        if isinstance(declaration, WorkloadEntry):
            for label in declaration.labels:
                _remove_item(self._labelled_workloads, (declaration.namespace, label), declaration.name)
        elif declaration.selector:
            _remove_item(self._selecting_services, (declaration.namespace, declaration.selector[0]), declaration.name)

    def pods_of(self, service: ServiceKey) -> ServicePods:
        """The pods of a Service."""
        found = self._pods.get(service)
        if found is None:
            slices = self.endpoint_slices.get(service, {})
            found = self._pods[service] = ServicePods(slices[name] for name in sorted(slices))
        return found

    def forget_endpoints(self, service: ServiceKey) -> None:
        """The EndpointSlices of a Service have changed."""
        self._readiness.pop(service, None)
        self._pods.pop(service, None)

    @property
    def uses_node_addresses(self) -> bool:
        """Whether some gateway is reached at the addresses of nodes."""
        return any(service.node_port_selector is not None for service in self.gateway_services.values())

    def namespace(self, name: str) -> Namespace | None:
        """The Namespace object of that name."""
        found = self.declarations.get((ObjectKind.NAMESPACE, "", name))
        return found if isinstance(found, Namespace) else None


class Inventory:
    """All clusters, and the index from host to the ServiceEntries that declare it."""

    def __init__(self, settings: MeshSettings) -> None:
        self.settings = settings
        self.clusters: dict[str, ClusterObjects] = {}
        self.entries_by_host: dict[str, dict[str, dict[ObjectKey, ServiceEntry]]] = {}
        self.clusters_by_service: dict[ServiceKey, tuple[str, ...]] = {}
        """The clusters that have a Service, or a ServiceEntry for its svc host, in order of names."""

    def ensure_cluster(self, name: str) -> ClusterObjects:
        """Return the cluster of that name; it is made at the first call."""
        found = self.clusters.get(name)
        if found is None:
            found = self.clusters[name] = ClusterObjects(name, self.settings.cluster(name))
        return found

    def declares(self, cluster: str, declaration: AnyDeclaration) -> bool:
        """Whether a cluster has just this declaration."""
        known = self.clusters.get(cluster)
        return known is not None and known.declarations.get(key_of(declaration)) == declaration

    def upsert(self, cluster: str, declaration: AnyDeclaration, invalidated: InvalidationSet) -> bool:
        """Add or replace one declaration; False where it was known just so."""
        into = self.ensure_cluster(cluster)
        key = key_of(declaration)
        before = into.declarations.get(key)
        if before == declaration:
            return False
        known = into.is_readiness_known
        if before is not None:
            self._unindex(into, key, before, invalidated)
        into.declarations[key] = declaration
        self._index(into, key, declaration, invalidated)
        _invalidate_readiness(into, known, invalidated)
        return True

    def remove(self, cluster: str, key: ObjectKey, invalidated: InvalidationSet) -> bool:
        """Forget one declaration; False where it was not known."""
        into = self.clusters.get(cluster)
        before = into.declarations.pop(key, None) if into is not None else None
        if into is None or before is None:
            return False
        known = into.is_readiness_known
        self._unindex(into, key, before, invalidated)
        _invalidate_readiness(into, known, invalidated)
        return True

    def remove_cluster(self, cluster: str, invalidated: InvalidationSet) -> None:
        """Forget a cluster and all its declarations."""
        gone = self.clusters.pop(cluster, None)
        if gone is not None:
            for key, declaration in gone.declarations.items():
                self._unindex(gone, key, declaration, invalidated)
            invalidated.topology_changed = True

    def entries(self, host: str, cluster: str) -> Iterator[ServiceEntry]:
        """The ServiceEntries of `cluster` for exactly `host`, the oldest first, then by name and namespace."""
        found = self.entries_by_host.get(host, {}).get(cluster)
        if found:
            yield from sorted(found.values(), key=creation_order) if len(found) > 1 else found.values()

    def invalidate_cluster(self, cluster: str, invalidated: InvalidationSet) -> None:
        """Add every name that a cluster declares to `invalidated`."""
        known = self.clusters.get(cluster)
        for declaration in known.declarations.values() if known is not None else ():
            if isinstance(declaration, ServiceEntry):
                self.invalidate_entry(cluster, declaration, invalidated)
            elif isinstance(declaration, Service):
                invalidated.services.add((cluster, (declaration.namespace, declaration.name)))

    def invalidate_entry(self, cluster: str, entry: ServiceEntry, invalidated: InvalidationSet) -> None:
        """Add what a ServiceEntry of `cluster` declares to `invalidated`."""
        invalidated.hosts.update(served_hosts(entry, cluster, self.settings))
        domain = self.settings.cluster(cluster).domain
        invalidated.services.update((cluster, service) for service in _services_of(entry, domain))

    def _index(
        self, cluster: ClusterObjects, key: ObjectKey, declaration: AnyDeclaration, invalidated: InvalidationSet
    ) -> None:
        match declaration:
            case ServiceEntry():
                for host in served_hosts(declaration, cluster.name, self.settings):
                    self.entries_by_host.setdefault(host, {}).setdefault(cluster.name, {})[key] = declaration
                for service in _services_of(declaration, cluster.settings.domain):
                    cluster.entries_by_service[service][key] = declaration
                    self._note_service(cluster, service)
                if declaration.selector is not None:
                    cluster.selecting_entries[declaration.namespace][key] = declaration
            case Service():
                cluster.services[declaration.namespace, declaration.name] = declaration
                cluster.index_selection(declaration)
                cluster.forget_endpoints((declaration.namespace, declaration.name))
                self._note_service(cluster, (declaration.namespace, declaration.name))
                if is_gateway(declaration):
                    cluster.gateway_services[declaration.namespace, declaration.name] = declaration
            case EndpointSlice() if declaration.service:
                cluster.endpoint_slices[declaration.namespace, declaration.service][declaration.name] = declaration
                cluster.forget_endpoints((declaration.namespace, declaration.service))
            case WorkloadEntry():
                cluster.workload_entries[declaration.namespace][declaration.name] = declaration
                cluster.index_selection(declaration)
            case Pod():
                cluster.pods[declaration.namespace][declaration.name] = declaration
            case KubernetesGateway() if is_gateway(declaration):
                cluster.gateways[declaration.namespace, declaration.name] = declaration
            case IstioGateway():
                cluster.istio_gateways[declaration.namespace, declaration.name] = declaration
            case Node():
                cluster.nodes[declaration.name] = declaration
        self._invalidate(cluster, declaration, invalidated)

    def _unindex(
        self, cluster: ClusterObjects, key: ObjectKey, declaration: AnyDeclaration, invalidated: InvalidationSet
    ) -> None:
        match declaration:
            case ServiceEntry():
                for host in served_hosts(declaration, cluster.name, self.settings):
                    self._remove_host(host, cluster.name, key)
                for service in _services_of(declaration, cluster.settings.domain):
                    _remove_item(cluster.entries_by_service, service, key)
                    self._note_service(cluster, service)
                if declaration.selector is not None:
                    _remove_item(cluster.selecting_entries, declaration.namespace, key)
            case Service():
                cluster.services.pop((declaration.namespace, declaration.name), None)
                cluster.unindex_selection(declaration)
                cluster.gateway_services.pop((declaration.namespace, declaration.name), None)
                self._note_service(cluster, (declaration.namespace, declaration.name))
            case EndpointSlice() if declaration.service:
                _remove_item(cluster.endpoint_slices, (declaration.namespace, declaration.service), declaration.name)
                cluster.forget_endpoints((declaration.namespace, declaration.service))
            case WorkloadEntry():
                _remove_item(cluster.workload_entries, declaration.namespace, declaration.name)
                cluster.unindex_selection(declaration)
            case Pod():
                _remove_item(cluster.pods, declaration.namespace, declaration.name)
            case KubernetesGateway():
                cluster.gateways.pop((declaration.namespace, declaration.name), None)
            case IstioGateway():
                cluster.istio_gateways.pop((declaration.namespace, declaration.name), None)
            case Node():
                cluster.nodes.pop(declaration.name, None)
        self._invalidate(cluster, declaration, invalidated)

    def _invalidate(self, cluster: ClusterObjects, declaration: AnyDeclaration, invalidated: InvalidationSet) -> None:
        match declaration:
            case ServiceEntry():
                self.invalidate_entry(cluster.name, declaration, invalidated)
            case Service():
                invalidated.services.add((cluster.name, (declaration.namespace, declaration.name)))
                invalidated.topology_changed = invalidated.topology_changed or is_gateway(declaration)
            case EndpointSlice() if declaration.service:
                invalidated.services.add((cluster.name, (declaration.namespace, declaration.service)))
            case WorkloadEntry():
                invalidated.workloads.add((cluster.name, declaration.namespace))
                for service in cluster.services_selecting(declaration):
                    cluster.forget_endpoints(service)
                    invalidated.services.add((cluster.name, service))
            case Pod():
                invalidated.workloads.add((cluster.name, declaration.namespace))
            case KubernetesGateway() if is_gateway(declaration):
                invalidated.topology_changed = True
            case IstioGateway():
                invalidated.topology_changed = True  # what gateways pass through is a part of it
            case Node() if cluster.uses_node_addresses:
                invalidated.topology_changed = True
            case Namespace() if declaration.name == self.settings.system_namespace:
                invalidated.topology_changed = True
            case _:
                pass

    def _note_service(self, cluster: ClusterObjects, service: ServiceKey) -> None:
        """Keep `clusters_by_service` after a change in one cluster."""
        before = self.clusters_by_service.get(service, ())
        declares = service in cluster.services or service in cluster.entries_by_service
        if declares is (cluster.name in before):
            return
        after = sorted({*before, cluster.name}) if declares else [name for name in before if name != cluster.name]
        if after:
            self.clusters_by_service[service] = tuple(after)
        else:
            del self.clusters_by_service[service]

    def _remove_host(self, host: str, cluster: str, key: ObjectKey) -> None:
        clusters = self.entries_by_host.get(host, {})
        _remove_item(clusters, cluster, key)
        if not clusters:
            self.entries_by_host.pop(host, None)


def _invalidate_readiness(cluster: ClusterObjects, was_known: bool, invalidated: InvalidationSet) -> None:  # noqa: FBT001 — what was known before
    """Note all Services of a cluster where its first slice came or its last one went: that tells of all of them."""
    if cluster.is_readiness_known is not was_known:
        invalidated.services.update((cluster.name, service) for service in cluster.services)


def creation_order(entry: ServiceEntry) -> tuple[str, str, str]:
    """The order among ServiceEntries of one cluster: oldest, then name, then namespace (Istio's rule)."""
    return (entry.created, entry.name, entry.namespace)


def _services_of(entry: ServiceEntry, domain: str) -> Iterator[ServiceKey]:
    for host in entry.hosts:
        service = parse_service_host(host, domain)
        if service is not None:
            yield service


def _remove_item(index: MutableMapping[_Outer, dict[_Inner, _Item]], outer: _Outer, inner: _Inner) -> None:
    """Remove one item of a two-level index and the outer key with its last item."""
    items = index.get(outer)
    if items is not None:
        items.pop(inner, None)
        if not items:
            del index[outer]
