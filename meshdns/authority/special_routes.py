"""The special names that are left to private upstreams.

Rules:
- A name is left to its route only if every upstream of the route is private, link-local or loopback: one public server
  is enough for names to leak, and which server is asked is decided query by query.
- A route without servers, such as one whose resolv.conf could not be read yet, is left nothing.
- Routes change only with settings and with the files that they name. This is decided then, never for a query.
"""

import ipaddress
from collections.abc import Collection, Iterable, Mapping

from meshdns.authority.special import SpecialNameGroup, servable_zones
from meshdns.dns.address_blocks import is_local_client, unmapped
from meshdns.dns.names import ZoneMap


def forwarded_special_zones(
    groups: Iterable[SpecialNameGroup], upstreams: Mapping[bytes, Collection[str]]
) -> frozenset[bytes]:
    """Return the apexes of the special zones of `groups`, set to auto, that are forwarded.

    `upstreams` are the addresses of the servers of each forward zone, by lower-case wire name.
    """
    private = ZoneMap({zone: _are_private(servers) for zone, servers in upstreams.items()})
    return frozenset(zone for group in groups for zone in servable_zones(group) if private.find(zone))


def _are_private(servers: Collection[str]) -> bool:
    """Return whether there are servers and all of them are private, link-local or loopback."""
    return bool(servers) and all(is_local_client(unmapped(ipaddress.ip_address(host).packed)) for host in servers)
