"""The zones and the mesh of the settings as the core takes them: authority, mesh and explanations.

Nothing else translates them. Sources are in `controller.source_settings`, upstream servers in `upstream.routes`, what a
worker gets beside its zones in `supervisor.worker_settings`.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from ipaddress import ip_network

import msgspec

from meshdns.authority.zone import ServedZone
from meshdns.config.model import ClusterSection, FallbackSection, Settings, ZoneSection
from meshdns.config.sections import InClusterSection
from meshdns.config.values import split_host_port
from meshdns.config.zone_hashes import forward_zones, records_by_zone, route, settings_hashes, zone_among
from meshdns.dns import names
from meshdns.dns.codes import TYPE_NUMBERS
from meshdns.mesh.explain.model import ExplainedZone, ForwardZone
from meshdns.mesh.settings import (
    AnswerMode,
    ClusterSettings,
    DiscoveryMode,
    MeshSettings,
    MeshZone,
    StaticRecord,
    is_reverse_zone,
)


def listen_addresses(settings: Settings) -> list[tuple[str, int]]:
    """The addresses to listen on, wildcards among them."""
    return [split_host_port(text) for text in settings.listen]


def nameserver_addresses(settings: Settings) -> tuple[str, ...]:
    """The addresses to listen on but for wildcards, which are no address of a server: what ``ns.<zone>`` stands for."""
    addresses = [ipaddress.ip_address(host) for host, _ in listen_addresses(settings)]
    return tuple(dict.fromkeys(str(address) for address in addresses if not address.is_unspecified))


def served_zones(settings: Settings) -> Iterator[ServedZone]:
    """The zones as the authority needs them, fallback zones behind the others."""
    servers = nameserver_addresses(settings)
    mesh = mesh_settings(settings)
    records = records_by_zone(mesh)
    known = forward_zones(settings)
    for zone in settings.zones:
        yield ServedZone(
            names.to_wire(zone.name),
            zone.ttl,
            zone.negative_ttl,
            zone.fallthrough,
            closest_encloser=zone.wildcards == "dns",
            server=_server_of(zone, settings),
            servers=servers,
            hashes=mesh.hashes.zones[zone.name],
            route=route(zone.name, known),
            records=_record_types(records.get(zone.name, ())),
        )
    for fallback in settings.fallback:
        yield ServedZone(
            names.to_wire(fallback.zone),
            fallback=True,
            has_no_upstream=not fallback.upstream,
            hashes=mesh.hashes.zones[fallback.zone],
        )


def nameserver_name(zone: ZoneSection, settings: Settings) -> str:
    """The target of a zone's NS record: ``ns.<zone>``, but in a reverse zone that of the first zone with such a name.

    Where there is no other zone, the reverse zone has the name, for its NS record would lead nowhere.
    """
    own = (each.name for each in settings.zones if _mesh_zone(each).has_own_names)
    return f"ns.{next(own, zone.name) if is_reverse_zone(zone.name) else zone.name}"


def _server_of(zone: ZoneSection, settings: Settings) -> bytes:
    """The server as the authority takes it: empty for the zone's own name."""
    name = nameserver_name(zone, settings)
    return b"" if name == f"ns.{zone.name}" else names.to_wire(name)


def _record_types(records: Iterable[StaticRecord]) -> tuple[tuple[bytes, int], ...]:
    """The owner names of static records with their types, each once."""
    return tuple(dict.fromkeys((names.to_wire(record.name), TYPE_NUMBERS[record.type]) for record in records))


def explained_zones(settings: Settings) -> Iterator[ExplainedZone]:
    """The zones as explanations show them, fallback zones behind the others."""
    for zone in settings.zones:
        yield ExplainedZone(
            zone.name,
            zone.answer,
            zone.ttl,
            zone.negative_ttl,
            zone.fallthrough,
            zone.wildcards == "dns",
            zone.order,
        )
    for fallback in settings.fallback:
        yield ExplainedZone(fallback.zone, fallback=True, upstream=fallback.upstream)


def explained_forward_zones(settings: Settings) -> Iterator[ForwardZone]:
    """The zones that are forwarded, as explanations show them."""
    for forward in settings.forward:
        yield ForwardZone(forward.zone, forward.to)


def mesh_settings(settings: Settings) -> MeshSettings:
    """The mesh as the operator describes it."""
    mesh = MeshSettings(
        zones=(*(_mesh_zone(zone) for zone in settings.zones), *(_fallback_zone(each) for each in settings.fallback)),
        vantage_cluster=vantage_cluster(settings),
        vantage_network=settings.vantage.network or "",
        clusters={name: _cluster_settings(cluster) for name, cluster in settings.clusters.items()},
        networks={
            name: tuple(ip_network(cidr) for cidr in network.cidrs) for name, network in settings.networks.items()
        },
        default_network=settings.default_network or "",
        system_namespace=settings.system_namespace,
        probes_gateways=settings.probe.type != "none",
        forward_zones=tuple(each.zone for each in settings.forward if each.zone != "."),
    )
    ttls = {zone.name: zone.ttl for zone in mesh.zones}
    records = [
        StaticRecord(record.name, record.type, record.value, record.ttl if record.ttl is not None else ttls[zone])
        for record in settings.records
        if (zone := zone_among(record.name, ttls)) is not None
    ]
    mesh = msgspec.structs.replace(mesh, records=tuple(records))
    return msgspec.structs.replace(mesh, hashes=settings_hashes(settings, mesh))


def _mesh_zone(zone: ZoneSection) -> MeshZone:
    return MeshZone(
        zone.name,
        AnswerMode(zone.answer),
        zone.ttl,
        zone.negative_ttl,
        public_only=zone.export_to == "public",
        order=zone.order,
        cross_levels=zone.failover == "any",
        closest_encloser=zone.wildcards == "dns",
        fallthrough=zone.fallthrough,
    )


def _fallback_zone(fallback: FallbackSection) -> MeshZone:
    """A Kubernetes zone that the mesh answers where the upstream denies."""
    return MeshZone(fallback.zone, fallback=True)


def vantage_cluster(settings: Settings) -> str:
    """The cluster this instance stands in: as set, else that of the in-cluster source, else none."""
    if settings.vantage.cluster:
        return settings.vantage.cluster
    return next((source.cluster for source in settings.sources if isinstance(source, InClusterSection)), "")


def _cluster_settings(cluster: ClusterSection) -> ClusterSettings:
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
        discover=DiscoveryMode(cluster.discover),
        readiness=cluster.readiness,
    )
