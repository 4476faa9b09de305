"""Hashes of the settings that the names of each zone are computed for.

Rules:
- What can make a name of the mesh exist is in the hash of its zone: vantage, networks, clusters, sources, the zone, and
  what lies inside it. Whatever is in doubt is in it.
- What cannot is not: a change of a TTL, a probe, the log or a limit must not keep names from being denied.
- Static records have a hash of their own, which their values and TTLs are in: it holds up the denial of their names
  alone, and readiness until they are served.
"""

import hashlib
from collections.abc import Container, Sequence
from typing import Final

import msgspec

from meshdns.config.model import Settings
from meshdns.dns.names import parents
from meshdns.mesh.settings import MeshSettings, MeshZone, StaticRecord
from meshdns.mesh.zone_hashes import SettingsHashes, ZoneHashes

_DIGEST_SIZE: Final = 8  # bytes: hashes of the last settings are compared, nobody gains by equal ones
_ROOT: Final = "."


def settings_hashes(settings: Settings, mesh: MeshSettings) -> SettingsHashes:
    """Return the hashes of all zones; `mesh` is the mesh of the settings."""
    fallthrough = {zone.name for zone in settings.zones if zone.fallthrough}
    fallback = {each.zone for each in settings.fallback if each.upstream}
    sources = _digest([source.model_dump(mode="json") for source in settings.sources])
    shared = _shared(mesh)
    records = records_by_zone(mesh)
    inner = _inner_zones(mesh)
    rest = _digest([shared, sources])
    known = forward_zones(settings)
    zones = {name: ZoneHashes(upstream=name) for name in known if name != _ROOT}
    for zone in mesh.zones:
        zones[zone.name] = ZoneHashes(
            names=_digest([_zone(zone), sorted(inner.get(zone.name, ())), rest]),
            records=_digest(sorted(map(_record, records.get(zone.name, ())))),
            upstream=zone.name if zone.name in fallback else route(zone.name, known) * (zone.name in fallthrough),
        )
    return SettingsHashes(zones, sources)


def forward_zones(settings: Settings) -> dict[str, None]:
    """Return the names of the forward zones, ``.`` for the root's, in their order."""
    return dict.fromkeys(each.zone for each in settings.forward)


def route(zone: str, forward_zones: Container[str]) -> str:
    """Return the longest forward zone that a zone is in, ``.`` for the root's; empty if there is none."""
    return zone_among(zone, forward_zones) or (_ROOT if _ROOT in forward_zones else "")


def zone_among(name: str, zones: Container[str]) -> str | None:
    """Return the longest of many zones that a name is in; the root is none of them."""
    return next((each for each in (name, *parents(name)) if each in zones), None)


def records_by_zone(mesh: MeshSettings) -> dict[str, list[StaticRecord]]:
    """Return the static records by the name of their zone."""
    zones = {zone.name for zone in mesh.zones}
    found: dict[str, list[StaticRecord]] = {}
    for record in mesh.records:
        zone = zone_among(record.name, zones)
        if zone is not None:
            found.setdefault(zone, []).append(record)
    return found


def _inner_zones(mesh: MeshSettings) -> dict[str, set[str]]:
    """Return by zone the zones and forward zones inside it."""
    found: dict[str, set[str]] = {}
    for name in (*(zone.name for zone in mesh.zones), *mesh.forward_zones):
        for parent in parents(name):
            found.setdefault(parent, set()).add(name)
    return found


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
