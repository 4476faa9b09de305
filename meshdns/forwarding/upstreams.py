"""Addresses of upstream servers, as settings and resolv.conf write them, and the routes by zone."""

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from meshdns.dns.names import ZoneMap
from meshdns.dns.own_names import OwnNames
from meshdns.dns.reply import ReplyRules

DNS_PORT: Final = 53
TLS_PORT: Final = 853  # RFC 7858 section 3.1
TLS_SCHEME: Final = "tls://"

_ADVICE: Final = "write 10.0.0.53, 10.0.0.53:5353, 2001:db8::1 or [2001:db8::1]:53"


class UpstreamTls(msgspec.Struct, frozen=True):
    """Authentication of a server over TLS (RFC 8310): its certificate must hold `name`, or its address if empty.

    `ca` is the path of the trusted certificates; empty for the system's.
    """

    name: str = ""
    ca: str = ""


class Address(msgspec.Struct, frozen=True):
    """An IP address in canonical text, IPv6 perhaps with ``%zone`` (RFC 4007 section 11), and a port, 1 to 65535.

    With `tls` it is queried over TLS alone (RFC 7858), else over UDP and TCP.
    """

    host: str
    port: int = DNS_PORT
    tls: UpstreamTls | None = None

    def __str__(self) -> str:
        server = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        if self.tls is None:
            return server
        return f"{TLS_SCHEME}{server}#{self.tls.name}" if self.tls.name else f"{TLS_SCHEME}{server}"


def parse_upstream(text: str, *, ca: str = "") -> Address:
    """Read a server: an address as `parse_address` takes it, or ``tls://``, an address and optionally ``#name``."""
    if not text.startswith(TLS_SCHEME):
        return parse_address(text)
    server, _, name = text.removeprefix(TLS_SCHEME).partition("#")
    return msgspec.structs.replace(parse_address(server, port=TLS_PORT), tls=UpstreamTls(name, ca))


def parse_address(text: str, *, port: int = DNS_PORT) -> Address:
    """Read one address, with `port` if it has none; raises ValueError with a message for people."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} opens a bracket that no ']' or ']:port' closes; {_ADVICE}")
        return Address(_host(host, text), _port(rest[1:], text) if rest else port)
    if text.count(":") == 1:
        host, _, number = text.partition(":")
        return Address(_host(host, text), _port(number, text))
    return Address(_host(text, text), port)


def parse_resolv_conf(text: str, *, own_addresses: Collection[Address] = ()) -> tuple[Address, ...]:
    """The ``nameserver`` lines of a resolv.conf in order, each once; lines that no resolver understands are skipped.

    `own_addresses` are the addresses meshdns listens on: they are left out, because forwarding to oneself is a loop.
    """
    found: dict[Address, None] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].partition(";")[0].split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = Address(_host(words[1], words[1]))
        except ValueError:
            continue
        if not any(is_listening_on(listener, address) for listener in own_addresses):
            found[address] = None
    return tuple(found)


def is_listening_on(listener: Address, address: Address) -> bool:
    """Return whether a datagram to `address` would arrive at `listener`; a wildcard includes loopback addresses."""
    if listener.port != address.port:
        return False
    if listener.host == address.host:
        return True
    return ipaddress.ip_address(listener.host).is_unspecified and ipaddress.ip_address(address.host).is_loopback


def _host(host: str, text: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address with optional port; {_ADVICE}") from None
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"{text!r} is no address of one server; {_ADVICE}")
    return str(address)


def _port(port: str, text: str) -> int:
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65_535):
        raise ValueError(f"{text!r} has no port from 1 to 65535 behind its colon; {_ADVICE}")
    return int(port)


class Route(msgspec.Struct, frozen=True):
    """One ``forward`` entry of the settings: a zone as lower-case wire name, its upstreams in order of preference.

    `random_case` says that names are sent in letters of random case, `refuse_private` that an answer with a private
    address becomes one without records (see `meshdns.dns.rebinding`).
    """

    zone: bytes
    upstreams: tuple[Address, ...]
    random_case: bool = False
    refuse_private: bool = False


def reply_rules(route: Route, own_zones: Mapping[bytes, bool]) -> ReplyRules:
    """Return the rules for replies of a route's upstreams.

    `own_zones` are the zones whose names they may not set; True marks a fallback zone, for whose names its own
    upstreams are asked first. In all other own zones an upstream speaks for the queried name alone, if at all.
    """
    zones = {zone: not (is_fallback and zone == route.zone) for zone, is_fallback in own_zones.items()}
    return ReplyRules(OwnNames(zones), route.refuse_private)


def route_indexes(routes: Sequence[Route]) -> ZoneMap[int]:
    """Return the index of the route by zone; a name belongs to its longest zone. The first route for a zone counts."""
    return ZoneMap({routes[index].zone: index for index in reversed(range(len(routes)))})
