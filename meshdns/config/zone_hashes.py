"""Hashes of the settings that the names of each zone are computed for.

Rules:
- What can make a name of the mesh exist is in the hash of its zone: vantage, networks, clusters, sources, the zone, and
  what lies inside it. Whatever is in doubt is in it.
- What cannot is not: a change of a TTL, a probe, the log or a limit must not keep names from being denied.
- Static records have a hash of their own, which their values and TTLs are in: it holds up the denial of their names
  alone, and readiness until they are served.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from meshdns.config.model import Settings
from meshdns.dns.names import is_subdomain
from meshdns.mesh.settings import MeshSettings, MeshZone, StaticRecord
from meshdns.mesh.zone_hashes import SettingsHashes, ZoneHashes

_DIGEST_SIZE: Final = 8  # bytes: hashes of the last settings are compared, nobody gains by equal ones
_ROOT: Final = "."


def settings_hashes(settings: Settings, mesh: MeshSettings) -> SettingsHashes:
    """Return the hashes of all zones; `mesh` is the mesh of the settings."""
    forward_zones = [each.zone for each in settings.forward if each.zone != _ROOT]
    fallthrough = {zone.name for zone in settings.zones if zone.fallthrough}
    fallback = {each.zone for each in settings.fallback if each.upstream}
    sources = _digest([source.model_dump(mode="json") for source in settings.sources])
    shared = _shared(mesh)
    records = records_by_zone(mesh)
    zones = {name: ZoneHashes(upstream=name) for name in forward_zones}
    for zone in mesh.zones:
        inside = sorted(name for name in _zone_names(mesh) if name != zone.name and is_subdomain(name, zone.name))
        zones[zone.name] = ZoneHashes(
            names=_digest([_zone(zone), inside, shared, sources]),
            records=_digest(sorted(map(_record, records.get(zone.name, ())))),
            upstream=zone.name if zone.name in fallback else route(settings, zone.name) * (zone.name in fallthrough),
        )
    return SettingsHashes(zones, sources)


def route(settings: Settings, zone: str) -> str:
    """Return the longest forward zone that a zone is in, ``.`` for the root's; empty if there is none."""
    enclosing = [each.zone for each in settings.forward if each.zone == _ROOT or is_subdomain(zone, each.zone)]
    return max(enclosing, key=lambda name: 0 if name == _ROOT else len(name), default="")


def records_by_zone(mesh: MeshSettings) -> dict[str, list[StaticRecord]]:
    """Return the static records by the name of their zone."""
    found: dict[str, list[StaticRecord]] = {}
    for record in mesh.records:
        zone = mesh.zone_of(record.name)
        if zone is not None:
            found.setdefault(zone.name, []).append(record)
    return found


def _zone_names(mesh: MeshSettings) -> Iterator[str]:
    yield from (zone.name for zone in mesh.zones)
    yield from mesh.forward_zones


def _shared(mesh: MeshSettings) -> MeshSettings:
    """Return what the names of all zones rest on; a cluster with default settings is as good as none."""
    default = mesh.cluster("")  # no cluster has this name
    return msgspec.structs.replace(
        mesh,
        zones=(),
        records=(),
        forward_zones=(),
        probes_gateways=True,
        clusters={name: cluster for name, cluster in mesh.clusters.items() if cluster != default},
    )


def _zone(zone: MeshZone) -> MeshZone:
    """Return a zone without what makes no name exist."""
    return msgspec.structs.replace(zone, ttl=0, negative_ttl=0)


def _record(record: StaticRecord) -> tuple[str, str, str, int]:
    return record.name, record.type, record.value, record.ttl


def _digest(value: Sequence[object]) -> str:
    encoded = msgspec.json.encode(value, enc_hook=str, order="deterministic")
    return hashlib.blake2b(encoded, digest_size=_DIGEST_SIZE).hexdigest()
