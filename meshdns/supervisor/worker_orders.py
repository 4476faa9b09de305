"""From the operator's settings to what a worker is handed."""

import ipaddress
import platform
from collections.abc import Iterator
from typing import Final

from meshdns.authority.authority import ServedZone
from meshdns.config.model import Settings
from meshdns.dns import names
from meshdns.supervisor.sockets import Sockets
from meshdns.upstream.configured import routes, split_address
from meshdns.worker.settings import WorkerSettings

PRIVATE: Final = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
"""The askers that ``private`` admits: loopback, private, shared and link-local addresses."""


def socket_addresses(settings: Settings) -> list[tuple[str, int]]:
    """The addresses to listen on, wildcards among them."""
    return [split_address(text) for text in settings.listen]


def server_addresses(settings: Settings) -> tuple[str, ...]:
    """The addresses to listen on but for wildcards, which are nobody's address: what ``ns.<zone>`` stands for."""
    addresses = [ipaddress.ip_address(host) for host, _ in socket_addresses(settings)]
    return tuple(dict.fromkeys(str(address) for address in addresses if not address.is_unspecified))


def worker_settings(
    settings: Settings, sockets: Sockets, *, number: int, scoreboard: int, view: str, generation: int
) -> WorkerSettings:
    """Everything a worker needs, in one value."""
    return WorkerSettings(
        generation=generation,
        number=number,
        scoreboard=scoreboard,
        private=sockets.private[number].fileno(),
        udp=tuple(sock.fileno() for sock in sockets.udp),
        tcp=tuple(sock.fileno() for sock in sockets.tcp),
        zones=tuple(served_zones(settings)),
        routes=tuple(routes(settings)),
        allow=_prefixes(settings),
        nsid=platform.node().encode()[:64],
        view=view,
        log_level=settings.log_level,
    )


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


def _prefixes(settings: Settings) -> tuple[str, ...]:
    if "any" in settings.allow_query:
        return ()
    named = [prefix for item in settings.allow_query for prefix in (PRIVATE if item == "private" else (item,))]
    return tuple(dict.fromkeys(str(ipaddress.ip_network(prefix, strict=False)) for prefix in named))
