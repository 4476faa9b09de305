"""Scopes of addresses: from where an address by itself can be reached, if from anywhere."""

import enum
import functools
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from meshdns.dns.address_blocks import NEVER_SERVED_PREFIXES, SINGLE_NETWORK_PREFIXES

IpAddress = IPv4Address | IPv6Address


class Scope(enum.Enum):
    """The range in which an address means the same thing."""

    PUBLIC = "public"
    PRIVATE = "private"  # means something only in its own network
    NEVER_SERVED = "never"  # means nothing to anybody else: loopback, link-local, unspecified, multicast


_SCOPES: Final = tuple(
    (prefix.version, int(prefix.netmask), int(prefix.network_address), scope)
    for texts, scope in ((NEVER_SERVED_PREFIXES, Scope.NEVER_SERVED), (SINGLE_NETWORK_PREFIXES, Scope.PRIVATE))
    for prefix in map(ip_network, texts)
)
"""The first that holds an address says its scope; as integers, for every address of a mesh is looked at."""


@functools.lru_cache(maxsize=1 << 16)
def parse_address(text: str) -> IpAddress | None:
    """The address that `text` spells; None where it is none (a host name).

    An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is the IPv4 address in it.
    """
    if ":" not in text and not text[-1:].isdecimal():
        return None  # at once: to have it refused takes longer than to have it read
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


@functools.lru_cache(maxsize=1 << 16)
def scope_of(text: str) -> Scope | None:
    """The scope of the address that `text` spells, None where it is a host name."""
    address = parse_address(text)
    return _scope_of_address(address) if address is not None else None


def is_servable_vip(text: str) -> bool:
    """Whether mode vip serves an address of ``spec.addresses``.

    Beside what is served anywhere these are 127/8 but for 127.0.0.1, and multicast: a sidecar takes them, and Istio's
    documentation once named them.
    """
    address = parse_address(text)
    if address is None or scope_of(text) is not Scope.NEVER_SERVED:
        return address is not None
    return address.is_multicast or (address.is_loopback and text not in _NO_VIPS)


_NO_VIPS: Final = frozenset({"127.0.0.1", "::1"})


def _scope_of_address(address: IpAddress) -> Scope:
    version, value = address.version, int(address)
    for its, mask, base, scope in _SCOPES:
        if its == version and value & mask == base:
            return scope
    return Scope.PUBLIC
