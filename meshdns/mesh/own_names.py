"""Names that belong to a zone itself: no declaration of a cluster may claim them, only a static record may.

Rules:
- ``ns.<zone>`` is the name server, ``_*.<zone>`` are diagnostic and service labels of the zone, and
  ``<cluster>.gateways.<zone>`` has the gateway addresses of a cluster that is read: the targets of PTR records.
- A cluster without gateways has its name all the same, without an address.
- A fallthrough zone is another server's: of its names only ``_explain`` and ``_status`` are ours. A fallback zone has
  none, and a reverse zone nothing but PTR names.
- Two clusters with one label: the first in order of names has the name.
"""

from collections.abc import Iterable
from typing import Final

from meshdns.dns import names
from meshdns.mesh.settings import MeshSettings, MeshZone

_SERVER_LABEL: Final = "ns"
_DIAGNOSTIC_LABELS: Final = ("_explain", "_status")


def is_own_name(host: str, zone: MeshZone) -> bool:
    """Return whether a host in `zone` is the zone's own by the settings alone."""
    label, _, parent = host.partition(".")
    if parent != zone.name or zone.fallback:
        return False
    if zone.fallthrough:
        return label in _DIAGNOSTIC_LABELS
    return label == _SERVER_LABEL or label.startswith("_")


def gateway_names(clusters: Iterable[str], settings: MeshSettings) -> dict[str, str]:
    """Return the names of the gateways of all clusters, each with its cluster, zones in the order of the settings."""
    labelled: dict[str, str] = {}
    for cluster in sorted(clusters):
        label = settings.cluster_label(cluster)
        if label:
            labelled.setdefault(label, cluster)
    found: dict[str, str] = {}
    for zone in settings.zones:
        for label, cluster in labelled.items():
            name = f"{label}.gateways.{zone.name}"
            if zone.has_own_names and settings.zone_of(name) is zone and not names.invalid_reason(name):
                found[name] = cluster
    return found
