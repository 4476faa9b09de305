"""The routes that the settings describe, with files in the form of resolv.conf read and own addresses left out."""

from pathlib import Path

from meshdns.config.model import Fallback, Forward, Settings
from meshdns.config.values import host_port
from meshdns.dns import names
from meshdns.forwarding import addresses
from meshdns.forwarding.addresses import Address
from meshdns.forwarding.routes import Route
from meshdns.upstream import resolvconf, trust


def routes(settings: Settings) -> list[Route]:
    """Where names go. Raises ValueError, with a message for people, where a file cannot be read."""
    own = [Address(*host_port(text)) for text in settings.listen]
    found = [_route(item.zone, item.upstream, item, own) for item in settings.fallback]
    return [*found, *(_route(item.zone, item.to, item, own) for item in settings.forward)]


def _route(zone: str, items: tuple[str, ...], way: Fallback | Forward, own: list[Address]) -> Route:
    if way.ca is not None:
        trust.check(way.ca)
    servers = [server for item in items for server in _servers(item, way.ca or "", own)]
    return Route(names.wire(zone.removesuffix(".")), tuple(dict.fromkeys(servers)), way.random_case)


def _servers(item: str, ca: str, own: list[Address]) -> tuple[Address, ...]:
    """One server that is not ourselves, or those of a file in the form of resolv.conf."""
    if item.startswith("/"):
        return resolvconf.read(Path(item), own=own)
    server = addresses.upstream(item, ca=ca)
    return () if any(addresses.reaches(listener, server) for listener in own) else (server,)
