"""PTR names of gateway addresses, in reverse zones that the settings configure (RFC 1035 3.5, RFC 3596 2.5).

Each address has one name, the same on every node: ``<cluster>.gateways.<zone>``, with the first zone of the settings
that has such names, which then has that address. Of several clusters with the gateway the one whose own it is counts,
else the first in order of names.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from meshdns.mesh.addresses import Scope, parse_address, scope_of
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.topology import Gateway, Topology


class Pointer(NamedTuple):
    """The target of a PTR record, and the cluster whose gateways it names."""

    target: str
    cluster: str


def ptr_targets(
    topology: Topology,
    resolved: Mapping[str, tuple[str, ...]],
    gateway_names: Mapping[str, str],
    settings: MeshSettings,
) -> dict[str, Pointer]:
    """The PTR names in configured reverse zones, and what each points to; `gateway_names` are those of clusters."""
    if not any(zone.is_reverse for zone in settings.zones):
        return {}
    targets: dict[str, str] = {}
    for name, cluster in gateway_names.items():
        targets.setdefault(cluster, name)
    found: dict[str, tuple[bool, Pointer]] = {}
    for cluster, target in sorted(targets.items()):
        members = topology.gateways[cluster].members if cluster in topology.gateways else ()
        for gateway in members:
            is_foreign = gateway.owner != cluster
            for name in _reverse_names(gateway, resolved, settings):
                if name not in found or (found[name][0] and not is_foreign):
                    found[name] = (is_foreign, Pointer(target, cluster))
    return {name: pointer for name, (_, pointer) in found.items()}


def _reverse_names(gateway: Gateway, resolved: Mapping[str, tuple[str, ...]], settings: MeshSettings) -> Iterator[str]:
    """The PTR names of a gateway's addresses, as far as they are in a reverse zone here."""
    for text in resolved.get(gateway.address, (gateway.address,)):
        address = parse_address(text)
        if address is None or (text != gateway.address and scope_of(text) is Scope.NEVER_SERVED):
            continue
        zone = settings.zone_of(address.reverse_pointer)
        if zone is not None and zone.is_reverse:
            yield address.reverse_pointer
