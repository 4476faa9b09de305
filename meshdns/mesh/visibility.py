"""Visibility: the hosts of ServiceEntries, and the Services, that may speak for a name at all.

A ServiceEntry is otherwise a way to hijack DNS (``*``, ``*.com``, ``login.example.com``): only names in a configured
zone are ever answered from the mesh, only by clusters and namespaces that may speak for them, and, since a DNS server
answers a whole cluster, only where they are exported to all.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from meshdns.dns.names import longest_zone
from meshdns.mesh.objects.declarations import KubernetesGateway, Service, ServiceEntry
from meshdns.mesh.objects.labels import EXPORT_LABEL, EXPORT_TO_ANNOTATION, MANAGED_LABEL, NETWORK_LABEL
from meshdns.mesh.objects.problems import SETTINGS_CAUSE, Problem, ProblemKind
from meshdns.mesh.own_names import is_own_name
from meshdns.mesh.settings import ClusterSettings, DiscoveryMode, MeshSettings, MeshZone

_WAYPOINT_CLASSES: Final = frozenset({"istio-waypoint", "istio-agentgateway-waypoint"})
_WAYPOINT_CONTROLLERS: Final = frozenset({"istio.io-mesh-controller", "istio.io-agentgateway-waypoint-controller"})


def served_hosts(entry: ServiceEntry, cluster: str, settings: MeshSettings) -> Iterator[str]:
    """The hosts of `entry` that are served."""
    own = settings.cluster(cluster)
    for host in entry.hosts:
        zone = settings.zone_of(host)
        if zone is not None and not _unserved_reason(entry, host, zone, own):
            yield host


def host_problems(entry: ServiceEntry, cluster: str, settings: MeshSettings) -> Iterator[Problem]:
    """Why hosts of `entry` are not served, or are a danger to others."""
    own = settings.cluster(cluster)
    for at, host in enumerate(entry.hosts):
        zone = settings.zone_of(host)
        service = parse_service_host(host, own.domain) if zone is None else None
        if zone is not None:
            refused = _unserved_reason(entry, host, zone, own) or _whole_zone_warning(host, zone)
        else:
            refused = _hidden_host(host, settings)
            if service is not None:
                hidden = (each for each in settings.zones if can_give_derived_name(entry, service, own, settings, each))
                refused = refused or _hidden_name(service, hidden, settings)
            elif refused is None:
                reason = f"{host} is in no configured zone"
                refused = (ProblemKind.OUTSIDE_ZONES, reason, "add the zone to serve it from the mesh")
        if refused is not None:
            kind, reason, advice = refused
            field, where = entry.host_field(at)
            cause = SETTINGS_CAUSE if kind in (ProblemKind.OUTSIDE_ZONES, ProblemKind.HIDDEN) else ""
            yield Problem(kind, "ServiceEntry", entry.namespace, entry.name, field, reason, advice, where, cause)


def service_problems(service: Service, cluster: str, settings: MeshSettings) -> Iterator[Problem]:
    """Why a Service lacks derived names: its annotation does not export it to all, or they lie in another zone."""
    own = settings.cluster(cluster)
    deriving = (zone for zone in settings.zones if has_derived_names(service, own, settings, zone))
    hidden = _hidden_name((service.namespace, service.name), deriving, settings)
    if hidden is not None:
        kind, reason, advice = hidden
        identity = ("Service", service.namespace, service.name, "metadata.name")
        yield Problem(kind, *identity, reason, advice, service.where, SETTINGS_CAUSE)
    if any(unexported_names(service, cluster, settings)):
        field = f"metadata.annotations.{EXPORT_TO_ANNOTATION}"
        reason = "is not exported to all, so it has no derived names"
        advice = 'add "*" to it, or set exportTo: ignore'
        kind = ProblemKind.NOT_PUBLIC
        yield Problem(kind, "Service", service.namespace, service.name, field, reason, advice, service.where)


def unexported_names(service: Service, cluster: str, settings: MeshSettings) -> Iterator[str]:
    """The derived names that a Service has not, because its annotation does not export it to all."""
    own = settings.cluster(cluster)
    for zone in settings.zones:
        if not _is_exported_to_all(service, zone) and _is_discoverable(service, own, settings, zone):
            yield f"{service.name}.{service.namespace}.{zone.services_domain}"


def parse_service_host(host: str, domain: str) -> tuple[str, str] | None:
    """``(namespace, service)`` of a host ``<service>.<namespace>.svc.<cluster domain>``, else None."""
    suffix = ".svc." + domain
    if not host.endswith(suffix):
        return None
    service, _, namespace = host.removesuffix(suffix).partition(".")
    return (namespace, service) if namespace and "." not in namespace and service != "*" else None


def parse_derived_service(name: str, zone: str) -> tuple[str, str] | None:
    """``(namespace, service)`` that a name ``<service>.<namespace>.<zone>`` stands for, else None."""
    inner = name.removesuffix("." + zone) if name != zone else ""
    service, _, namespace = inner.partition(".")
    return (namespace, service) if namespace and "." not in namespace and service != "*" else None


def parse_derived_pod(name: str, zone: str) -> tuple[tuple[str, str], str] | None:
    """Service and host name that ``<hostname>.<service>.<namespace>.<zone>`` stands for, else None."""
    labels = name.removesuffix("." + zone).split(".") if name != zone else []
    return ((labels[2], labels[1]), labels[0]) if len(labels) == 3 and "*" not in labels else None


def has_gateway_label(service: Service) -> bool:
    """Whether the labels of a Service say that it is a gateway of its cluster."""
    labels = dict(service.labels)
    return NETWORK_LABEL in labels or labels.get("istio") in ("eastwestgateway", "ingressgateway")


def is_gateway(declaration: Service | KubernetesGateway) -> bool:
    """Whether an object is, or should be, a gateway of its cluster.

    A waypoint is none: it serves the mesh inside its cluster. Its Service has the label of the network that it is on,
    which Istio's controller writes; one that is reachable from outside counts, as it does for Istio.
    """
    labels = dict(declaration.labels)
    if isinstance(declaration, KubernetesGateway):
        return NETWORK_LABEL in labels and declaration.gateway_class not in _WAYPOINT_CLASSES
    is_waypoint = labels.get(MANAGED_LABEL) in _WAYPOINT_CONTROLLERS and declaration.type == "ClusterIP"
    return has_gateway_label(declaration) and not is_waypoint


def has_derived_names(
    service: Service, cluster_settings: ClusterSettings, settings: MeshSettings, zone: MeshZone
) -> bool:
    """Whether a Service gets derived names in `zone` (its readiness is another matter)."""
    return _is_exported_to_all(service, zone) and _is_discoverable(service, cluster_settings, settings, zone)


def _is_exported_to_all(service: Service, zone: MeshZone) -> bool:
    """Whether the annotation of a Service lets its names be served to everybody."""
    return not zone.public_only or not service.export_to or "*" in service.export_to


def _is_discoverable(
    service: Service, cluster_settings: ClusterSettings, settings: MeshSettings, zone: MeshZone
) -> bool:
    """Whether a Service would get derived names in `zone` if it were exported to all."""
    if service.type == "ExternalName" or has_gateway_label(service):
        return False
    if not _can_have_derived_names((service.namespace, service.name), cluster_settings, settings, zone):
        return False
    label = dict(service.labels).get(EXPORT_LABEL)
    return label != "false" and (cluster_settings.discover is not DiscoveryMode.LABELLED or label == "true")


def can_give_derived_name(
    entry: ServiceEntry,
    service: tuple[str, str],
    cluster_settings: ClusterSettings,
    settings: MeshSettings,
    zone: MeshZone,
) -> bool:
    """Whether a ServiceEntry for the svc host of `service` (namespace, name) gives it a derived name in `zone`."""
    if cluster_settings.discover is not DiscoveryMode.ALL or not _can_have_derived_names(
        service, cluster_settings, settings, zone
    ):
        return False
    if cluster_settings.own_namespace_hosts and service[0] != entry.namespace:
        return False
    public = not zone.public_only or not entry.export_to or "*" in entry.export_to
    return public and not entry.hidden and _is_allowed_namespace(entry.namespace, cluster_settings)


def _can_have_derived_names(
    service: tuple[str, str], cluster_settings: ClusterSettings, settings: MeshSettings, zone: MeshZone
) -> bool:
    """Whether the names of a Service (namespace, name) are derived in `zone` at all."""
    if (
        zone.is_reverse
        or cluster_settings.discover is DiscoveryMode.NONE
        or (cluster_settings.zones is not None and zone.name not in cluster_settings.zones)
    ):
        return False
    namespace, _ = service
    if namespace == settings.system_namespace or namespace.startswith("kube-") or service == ("default", "kubernetes"):
        return False
    return _is_allowed_namespace(namespace, cluster_settings)


def _unserved_reason(
    entry: ServiceEntry, host: str, zone: MeshZone, cluster_settings: ClusterSettings
) -> tuple[ProblemKind, str, str] | None:
    if zone.is_reverse:
        reason = f"{host} is in a reverse zone, which holds nothing but PTR records of gateways and of the settings"
        return (ProblemKind.RESERVED_NAME, reason, "declare a host in another zone")
    if is_own_name(host, zone):
        reason = f"{host} belongs to the zone itself"
        return (ProblemKind.RESERVED_NAME, reason, "declare another host; only a static record may have this name")
    if zone.fallback and parse_service_host(host, zone.name) is None:
        return (ProblemKind.OUTSIDE_ZONES, f"{host} names no Service", "only Services are answered in a fallback zone")
    if entry.hidden:
        return (ProblemKind.NOT_PUBLIC, f"{host} is hidden by {EXPORT_LABEL}", f'set {EXPORT_LABEL}: "true"')
    if zone.public_only and entry.export_to and "*" not in entry.export_to:
        return (
            ProblemKind.NOT_PUBLIC,
            f"{host} is not exported to all",
            'add "*" to exportTo, or set exportTo: ignore',
        )
    if cluster_settings.zones is not None and zone.name not in cluster_settings.zones:
        return (ProblemKind.NOT_PUBLIC, f"the cluster may not speak for {zone.name}", "allow it in clusters.zones")
    if not _is_allowed_namespace(entry.namespace, cluster_settings):
        return (ProblemKind.NOT_PUBLIC, f"namespace {entry.namespace} may not speak", "allow it in clusters.namespaces")
    if cluster_settings.own_namespace_hosts and _is_foreign_host(host, zone.name, entry.namespace):
        return (ProblemKind.NOT_PUBLIC, f"{host} belongs to another namespace", "declare it in its own namespace")
    return None


def _hidden_host(host: str, settings: MeshSettings) -> tuple[ProblemKind, str, str] | None:
    """A host of a zone that a forward zone inside it takes."""
    outer = longest_zone(host, settings.zones)
    inner = settings.inner_forward_zone_of(host, outer) if outer is not None else ""
    if not inner:
        return None
    reason = f"{host} lies in the forward zone {inner}, whose servers answer for it"
    return (ProblemKind.HIDDEN, reason, "declare another host, or remove the forward zone")


def _hidden_name(
    service: tuple[str, str], zones: Iterable[MeshZone], settings: MeshSettings
) -> tuple[ProblemKind, str, str] | None:
    """A derived name of a Service (namespace, name) in one of `zones` that lies in a zone or forward zone inside it."""
    for zone in zones:
        name = f"{service[1]}.{service[0]}.{zone.services_domain}"
        inner = settings.zone_of(name)
        if inner is not zone:
            forward = f"the forward zone {settings.inner_forward_zone_of(name, zone)}"
            reason = f"would have {name}, which lies in {f'the zone {inner.name}' if inner is not None else forward}"
            return (ProblemKind.HIDDEN, reason, "rename the Service or its namespace, or the zone inside")
    return None


def _whole_zone_warning(host: str, zone: MeshZone) -> tuple[ProblemKind, str, str] | None:
    """A wildcard over a whole zone is served, and warned of: it covers any name that a search list completes."""
    if host != f"*.{zone.name}":
        return None
    reason = f"{host} covers the whole zone: with the search domain {zone.name} it captures api.example.com.{zone.name}"
    return (ProblemKind.SHADOWED, reason, "declare narrower hosts, or keep the zone out of search lists")


def _is_allowed_namespace(namespace: str, cluster_settings: ClusterSettings) -> bool:
    return "*" in cluster_settings.namespaces or namespace in cluster_settings.namespaces


def _is_foreign_host(host: str, zone: str, namespace: str) -> bool:
    """Whether `host` is ``<svc>.<other namespace>.<zone>`` (or a wildcard that covers such names)."""
    inner = host.removesuffix(zone).removesuffix(".").split(".")
    return inner[-1] != namespace and (len(inner) > 1 or inner[0] == "*")
