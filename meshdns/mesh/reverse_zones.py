"""PTR names of gateway addresses, in reverse zones that the settings configure (RFC 1035 3.5, RFC 3596 2.5).

Each address has one name, the same on every node: ``<cluster>.gateways.<zone>``, with the first zone of the settings
that is no reverse zone and the first cluster, in order of names, that owns a gateway with that address.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from meshdns.dns import names
from meshdns.mesh.addresses import parse_address
from meshdns.mesh.settings import MeshSettings, MeshZone
from meshdns.mesh.topology import Topology

_REVERSE: Final = ("in-addr.arpa", "ip6.arpa")


def is_reverse_zone(zone: MeshZone) -> bool:
    """Whether a zone holds PTR names."""
    return any(names.is_subdomain(zone.name, suffix) for suffix in _REVERSE)


def ptr_targets(topology: Topology, resolved: Mapping[str, tuple[str, ...]], settings: MeshSettings) -> dict[str, str]:
    """The PTR names in configured reverse zones, and what each points to."""
    if not any(is_reverse_zone(zone) for zone in settings.zones):
        return {}
    forward = next((zone.name for zone in settings.zones if not is_reverse_zone(zone) and not zone.fallback), "")
    found: dict[str, str] = {}
    for address, owner in sorted(_addresses(topology, resolved), key=lambda pair: pair[1]):
        pointer = parse_address(address)
        zone = settings.zone_of(pointer.reverse_pointer) if pointer is not None else None
        if pointer is not None and zone is not None and forward:
            found.setdefault(pointer.reverse_pointer, f"{owner.lower()}.gateways.{forward}")
    return found


def _addresses(topology: Topology, resolved: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    for gateways in topology.gateways.values():
        for gateway in gateways.members:
            for address in resolved.get(gateway.address, (gateway.address,)):
                yield address, gateway.owner
