"""From the operator's settings to what the mesh core and the sources take."""

from ipaddress import ip_network
from pathlib import Path

import msgspec

from meshdns.config import model as config
from meshdns.config.model import Cluster, Settings
from meshdns.config.sources import InCluster, Kubeconfig, Manifests, RemoteSecrets, Source
from meshdns.mesh.settings import AnswerMode, ClusterSettings, Discover, MeshSettings, StaticRecord, Zone
from meshdns.sources.settings import AnySource, InClusterSource, KubeconfigSource, ManifestsSource, RemoteSecretsSource


class ControllerSettings(msgspec.Struct, frozen=True):
    """What the supervisor hands over: the settings as JSON text, where view and snapshot are, the scoreboard."""

    generation: int
    settings: str
    view: str
    state_dir: str
    scoreboard: int


def mesh_settings(settings: Settings) -> MeshSettings:
    """The mesh as the operator describes it."""
    mesh = MeshSettings(
        zones=(*(_zone(zone) for zone in settings.zones), *(_fallback(each) for each in settings.fallback)),
        vantage_cluster=vantage_cluster(settings),
        vantage_network=settings.vantage.network or "",
        clusters={name: _cluster(cluster) for name, cluster in settings.clusters.items()},
        networks={
            name: tuple(ip_network(cidr) for cidr in network.cidrs) for name, network in settings.networks.items()
        },
        default_network=settings.default_network or "",
        system_namespace=settings.system_namespace,
        probed=settings.probe.type != "none",
        forward_zones=tuple(each.zone for each in settings.forward if each.zone != "."),
    )
    records = [
        StaticRecord(record.name, record.type, record.value, record.ttl if record.ttl is not None else zone.ttl)
        for record in settings.records
        if (zone := mesh.zone_of(record.name)) is not None
    ]
    return msgspec.structs.replace(mesh, records=tuple(records))


def _zone(zone: config.Zone) -> Zone:
    return Zone(
        zone.name,
        AnswerMode(zone.answer),
        zone.ttl,
        zone.negative_ttl,
        public_only=zone.export_to == "public",
        order=zone.order,
        cross_levels=zone.failover == "any",
        closest_encloser=zone.wildcards == "dns",
    )


def _fallback(fallback: config.Fallback) -> Zone:
    """A Kubernetes zone that the mesh answers where the upstream denies."""
    return Zone(fallback.zone, fallback=True)


def vantage_cluster(settings: Settings) -> str:
    """The cluster this instance stands in: as set, else that of the in-cluster source, else none."""
    if settings.vantage.cluster:
        return settings.vantage.cluster
    return next((source.cluster for source in settings.sources if isinstance(source, InCluster)), "")


def max_stale(settings: Settings) -> dict[str, float]:
    """Seconds for which the last known names of a cluster are served, where not for ever."""
    return {name: each.max_stale for name, each in settings.clusters.items() if each.max_stale is not None}


def mass_delete_holds(settings: Settings) -> dict[str, float]:
    """Seconds for which what a list suddenly lacks is kept, by cluster."""
    return {name: each.mass_delete_hold for name, each in settings.clusters.items()}


def source_settings(source: Source, *, own: str) -> AnySource:
    """What the source's reader is told; `own` is the cluster this instance stands in."""
    match source:
        case Manifests():
            return ManifestsSource(Path(source.path))
        case InCluster():
            return InClusterSource(source.cluster)
        case Kubeconfig():
            return KubeconfigSource(_paths(source.path), source.contexts)
        case RemoteSecrets():
            contexts = (source.context,) if source.context else ()
            kubeconfig = KubeconfigSource(_paths(source.path), contexts) if source.path else None
            return RemoteSecretsSource(source.namespace or "", kubeconfig, own)


def _paths(path: str | None) -> tuple[Path, ...]:
    return tuple(Path(part) for part in (path or "").split(":") if part)


def _cluster(cluster: Cluster) -> ClusterSettings:
    return ClusterSettings(
        network=cluster.network or "",
        domain=cluster.domain,
        gateways=cluster.gateways,
        zones=cluster.zones,
        namespaces=cluster.namespaces,
        own_namespace_hosts=cluster.hosts == "ownNamespace",
        required=cluster.required,
        config_cluster=cluster.config_cluster or "",
        dns_name=cluster.dns_name or "",
        discover=Discover(cluster.discover),
        readiness=cluster.readiness,
    )
