"""Routes that the settings describe, from the values of the files that they name; own addresses are left out.

Nothing here reads a file, and nothing raises: the settings hold only what `meshdns.forwarding.upstreams` accepted, and
files that have no value yet give no servers.
"""

from meshdns.config.model import FallbackSection, ForwardSection, Settings
from meshdns.config.named_files import FileForm, FileTexts
from meshdns.config.values import is_path
from meshdns.dns import names
from meshdns.forwarding import upstreams
from meshdns.forwarding.upstreams import TLS_SCHEME, Address, Route, parse_resolv_conf
from meshdns.upstream.file_forms import own_addresses


def build_routes(settings: Settings, files: FileTexts) -> list[Route]:
    """Return the routes of the settings; a route without servers answers with a failure."""
    own = own_addresses(settings)
    found = [_route(item.zone, item.upstream, item, own, files) for item in settings.fallback]
    return [*found, *(_route(item.zone, item.to, item, own, files) for item in settings.forward)]


def _route(
    zone: str, items: tuple[str, ...], section: FallbackSection | ForwardSection, own: list[Address], files: FileTexts
) -> Route:
    trusted = "" if section.ca is None else files.get(FileForm.AUTHORITIES, {}).get(section.ca)
    servers = [server for item in items for server in _servers(item, trusted, own, files)]
    refuse_private = isinstance(section, ForwardSection) and section.private_addresses == "refuse"
    wire_zone = names.to_wire(zone.removesuffix("."))
    return Route(wire_zone, tuple(dict.fromkeys(servers)), section.random_case, refuse_private)


def _servers(item: str, trusted: str | None, own: list[Address], files: FileTexts) -> tuple[Address, ...]:
    """Return one server, or those of a file, without our own addresses.

    `trusted` is None if the authorities are not known: then no server over TLS could be told from an impostor.
    """
    if is_path(item):
        return parse_resolv_conf(files.get(FileForm.RESOLV_CONF, {}).get(item, ""), own_addresses=own)
    if trusted is None and item.startswith(TLS_SCHEME):
        return ()
    server = upstreams.parse_upstream(item, ca=trusted or "")
    return () if any(upstreams.is_listening_on(listener, server) for listener in own) else (server,)
