"""Addresses of upstream servers, as settings and resolv.conf write them, and the routes by zone.

`parse_upstream` is the one judge of what can be asked: the settings keep its canonical text, and routes are built by
reading that text again. It refuses what no query can be sent to: unspecified, multicast and broadcast addresses, port
0, and link-local IPv6 addresses without a zone (RFC 4007 section 11).
"""

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from meshdns.dns import names
from meshdns.dns.names import ZoneMap
from meshdns.dns.own_names import OwnNames
from meshdns.dns.reply import ReplyRules
from meshdns.mesh.objects.foreign import shown

DNS_PORT: Final = 53
TLS_PORT: Final = 853  # RFC 7858 section 3.1
TLS_SCHEME: Final = "tls://"

MAX_NAMESERVERS: Final = 32
"""Servers of one resolv.conf that are asked; its own maximum is 3."""

_MAX_PORT: Final = 65_535
_ADVICE: Final = "write an address and perhaps a port: 10.0.0.53, [fd00::53]:5353"
_TLS_ADVICE: Final = "write an address and the name in its certificate: tls://9.9.9.9#dns.quad9.net"
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")
_BRACKETED: Final = re.compile(r"\[([^][]+)\](?::([0-9]{1,5}))?", re.ASCII)
_WITH_PORT: Final = re.compile(r"([^:]+):([0-9]{1,5})", re.ASCII)
_INTERFACE: Final = re.compile(r"[\w.-]{1,15}", re.ASCII)  # IFNAMSIZ of Linux, its closing NUL left out


class UpstreamTls(msgspec.Struct, frozen=True):
    """Authentication of a server over TLS (RFC 8310): its certificate must hold `name`, or its address if empty.

    `ca` are the trusted certificates in PEM form; empty for the system's.
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
    """Read a server: an address as `parse_address` takes it, or ``tls://``, an address and optionally ``#name``.

    Raises ValueError with a message for people. `str` of the result is read as the same server.
    """
    if not text.startswith(TLS_SCHEME):
        return parse_address(text)
    server, mark, name = text.removeprefix(TLS_SCHEME).partition("#")
    try:
        address = parse_address(server, port=TLS_PORT)
    except UnaskableAddressError:
        raise
    except ValueError:
        raise ValueError(f"{shown(text)} is no server that is asked over TLS; {_TLS_ADVICE}") from None
    if mark and not name:
        raise ValueError(f"{shown(text)} is no server that is asked over TLS; {_TLS_ADVICE}")
    host = name.lower().removesuffix(".")
    if mark and (fault := names.invalid_reason(host)):
        raise ValueError(f"{shown(name)} {fault}; {_TLS_ADVICE}")
    return msgspec.structs.replace(address, tls=UpstreamTls(host, ca))


def parse_address(text: str, *, port: int = DNS_PORT) -> Address:
    """Read one address, with `port` if it has none; raises ValueError with a message for people."""
    match = _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text)
    host, number = match.groups() if match else (text, None)
    if number is not None and not 0 < int(number) <= _MAX_PORT:
        raise ValueError(f"{shown(text)} has no port from 1 to 65535 behind its colon; {_ADVICE}")
    return Address(_host(host, text), port if number is None else int(number))


class UnaskableAddressError(ValueError):
    """The text is an address, and no query can be sent to it."""


def parse_resolv_conf(text: str, *, own_addresses: Collection[Address] = ()) -> tuple[Address, ...]:
    """The ``nameserver`` lines of a resolv.conf in order, each once; lines that no resolver understands are skipped.

    `own_addresses` are the addresses meshdns listens on: they are left out, because forwarding to oneself is a loop.
    Servers behind the first `MAX_NAMESERVERS` are skipped, as resolv.conf(5) does with those behind its own maximum.
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
        if len(found) == MAX_NAMESERVERS:
            break
    return tuple(found)


def is_listening_on(listener: Address, address: Address) -> bool:
    """Return whether a datagram to `address` would arrive at `listener`; a wildcard includes loopback addresses."""
    if listener.port != address.port:
        return False
    if listener.host == address.host:
        return True
    return ipaddress.ip_address(listener.host).is_unspecified and ipaddress.ip_address(address.host).is_loopback


def _host(host: str, text: str) -> str:
    """Return the canonical text of a host that can be asked."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{shown(text)} is no server; {_ADVICE}") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None and not _INTERFACE.fullmatch(address.scope_id):
            raise ValueError(f"{shown(text)} names no network interface behind its %; {_ADVICE}")
        address = address.ipv4_mapped or address  # the kernel sends to the IPv4 address
    if address.is_unspecified:
        advice = (
            "write 127.0.0.1 for a server on this machine" if address.version == 4 else "write ::1 for this machine"
        )
        raise UnaskableAddressError(f"{shown(text)} is the address of no server; {advice}")
    if address.is_multicast or address == _BROADCAST:
        raise UnaskableAddressError(f"{shown(text)} is the address of many machines; {_ADVICE}")
    if isinstance(address, ipaddress.IPv6Address) and address.is_link_local and address.scope_id is None:
        message = f"{shown(text)} is link-local and names no interface; write it behind a %: {address}%eth0"
        raise UnaskableAddressError(message)
    return str(address)


class Route(msgspec.Struct, frozen=True):
    """One ``forward`` entry of the settings: a zone as lower-case wire name, its upstreams in order of preference.

    `random_case` says that names are sent in letters of random case, `refuse_private` that an answer with a private
    address becomes one without records (see `meshdns.dns.rebinding`).
    """

    zone: bytes
    upstreams: tuple[Address, ...]
    random_case: bool = False
    refuse_private: bool = False


def reply_rules(route: Route, own_zones: Mapping[bytes, bool | None]) -> ReplyRules:
    """Return the rules for replies of a route's upstreams.

    `own_zones` are the zones whose names they may not set; True marks a fallback zone, for whose names its own
    upstreams are asked first, and None a forward zone inside one of them, which any upstream may speak for. In all
    other own zones an upstream speaks for the queried name alone, if at all.
    """
    zones = {
        zone: is_fallback is not None and not (is_fallback and zone == route.zone)
        for zone, is_fallback in own_zones.items()
    }
    return ReplyRules(OwnNames(zones), route.refuse_private)


def route_indexes(routes: Sequence[Route]) -> ZoneMap[int]:
    """Return the index of the route by zone; a name belongs to its longest zone. The first route for a zone counts."""
    return ZoneMap({routes[index].zone: index for index in reversed(range(len(routes)))})
