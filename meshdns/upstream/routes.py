"""Routes that the settings describe; files in the form of resolv.conf are read, own addresses left out."""

from collections.abc import Collection
from pathlib import Path

from meshdns.config.model import FallbackSection, ForwardSection, Settings
from meshdns.config.values import split_host_port
from meshdns.dns import names
from meshdns.forwarding import upstreams
from meshdns.forwarding.upstreams import Address, Route, parse_resolv_conf
from meshdns.upstream import tls_context


def build_routes(settings: Settings) -> list[Route]:
    """Return the routes of the settings. Raises ValueError, with a message for people, if a file cannot be read."""
    own = [Address(*split_host_port(text)) for text in settings.listen]
    found = [_route(item.zone, item.upstream, item, own) for item in settings.fallback]
    return [*found, *(_route(item.zone, item.to, item, own) for item in settings.forward)]


def _route(zone: str, items: tuple[str, ...], section: FallbackSection | ForwardSection, own: list[Address]) -> Route:
    if section.ca is not None:
        tls_context.check_ca(section.ca)
    servers = [server for item in items for server in _servers(item, section.ca or "", own)]
    refuse_private = isinstance(section, ForwardSection) and section.private_addresses == "refuse"
    wire_zone = names.to_wire(zone.removesuffix("."))
    return Route(wire_zone, tuple(dict.fromkeys(servers)), section.random_case, refuse_private)


def _servers(item: str, ca: str, own: list[Address]) -> tuple[Address, ...]:
    """Return one server, or those of a file in the form of resolv.conf, without our own addresses."""
    if item.startswith("/"):
        return read_resolv_conf(Path(item), own_addresses=own)
    server = upstreams.parse_upstream(item, ca=ca)
    return () if any(upstreams.is_listening_on(listener, server) for listener in own) else (server,)


def read_resolv_conf(path: Path, *, own_addresses: Collection[Address] = ()) -> tuple[Address, ...]:
    """Return the name servers that a resolv.conf lists, without `own_addresses`; perhaps none.

    Raises ValueError with a message for people if the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ValueError(
            f"{path}: {error.strerror}; name the upstream servers by address under forward, or make the file readable"
        ) from error
    return parse_resolv_conf(text, own_addresses=own_addresses)
