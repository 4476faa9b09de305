"""The zones of the settings as the authority needs them, for workers, tools and explanations alike."""

import ipaddress
from collections.abc import Iterator

from meshdns.authority.apex import ServedZone
from meshdns.config.model import Settings
from meshdns.config.values import host_port
from meshdns.dns import names


def socket_addresses(settings: Settings) -> list[tuple[str, int]]:
    """The addresses to listen on, wildcards among them."""
    return [host_port(text) for text in settings.listen]


def server_addresses(settings: Settings) -> tuple[str, ...]:
    """The addresses to listen on but for wildcards, which are nobody's address: what ``ns.<zone>`` stands for."""
    addresses = [ipaddress.ip_address(host) for host, _ in socket_addresses(settings)]
    return tuple(dict.fromkeys(str(address) for address in addresses if not address.is_unspecified))


def served_zones(settings: Settings) -> Iterator[ServedZone]:
    """The zones as the authority needs them, fallback zones behind the others."""
    servers = server_addresses(settings)
    for zone in settings.zones:
        yield ServedZone(
            names.wire(zone.name),
            zone.ttl,
            zone.negative_ttl,
            zone.fallthrough,
            closest_encloser=zone.wildcards == "dns",
            servers=servers,
        )
    for fallback in settings.fallback:
        yield ServedZone(names.wire(fallback.zone), fallback=True, alone=not fallback.upstream)
