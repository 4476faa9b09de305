"""What an address says by itself: where it can be reached from, if anywhere."""

import enum
import functools
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

IpAddress = IPv4Address | IPv6Address


class Scope(enum.Enum):
    """How far an address means the same thing."""

    PUBLIC = "public"
    PRIVATE = "private"  # means something only in its own network
    NEVER_SERVED = "never"  # means nothing to anybody else: loopback, link-local, unspecified, multicast


_PREFIXES: Final = (
    ("0.0.0.0/8", Scope.NEVER_SERVED),  # "this network" (RFC 1122 section 3.2.1.3)
    ("127.0.0.0/8", Scope.NEVER_SERVED),  # loopback
    ("169.254.0.0/16", Scope.NEVER_SERVED),  # link-local
    ("224.0.0.0/4", Scope.NEVER_SERVED),  # multicast
    ("255.255.255.255/32", Scope.NEVER_SERVED),  # limited broadcast (RFC 1122 section 3.2.1.3)
    ("10.0.0.0/8", Scope.PRIVATE),  # RFC 1918
    ("172.16.0.0/12", Scope.PRIVATE),  # RFC 1918
    ("192.168.0.0/16", Scope.PRIVATE),  # RFC 1918
    ("100.64.0.0/10", Scope.PRIVATE),  # RFC 6598, used for pods by several clouds
    ("240.0.0.0/4", Scope.PRIVATE),  # class E: Istio's and Admiral's VIPs
    ("::/128", Scope.NEVER_SERVED),  # unspecified
    ("::1/128", Scope.NEVER_SERVED),  # loopback
    ("fe80::/10", Scope.NEVER_SERVED),  # link-local
    ("ff00::/8", Scope.NEVER_SERVED),  # multicast
    ("fc00::/7", Scope.PRIVATE),  # RFC 4193
)
_SCOPES: Final = tuple(
    (prefix.version, int(prefix.netmask), int(prefix.network_address), scope)
    for prefix, scope in ((ip_network(text), scope) for text, scope in _PREFIXES)
)
"""The first that holds an address says its scope; as integers, for every address of a mesh is looked at."""


@functools.lru_cache(maxsize=1 << 16)
def parse_address(text: str) -> IpAddress | None:
    """The address that `text` spells; None where it is none (a host name)."""
    if ":" not in text and not text[-1:].isdecimal():
        return None  # at once: to have it refused takes longer than to have it read
    try:
        return ip_address(text)
    except ValueError:
        return None


@functools.lru_cache(maxsize=1 << 16)
def scope_of(text: str) -> Scope | None:
    """The scope of the address that `text` spells, None where it is a host name.

    An IPv4-mapped IPv6 address has that of the IPv4 address in it.
    """
    address = parse_address(text)
    return _scope_of_address(address) if address is not None else None


def _scope_of_address(address: IpAddress) -> Scope:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    version, value = address.version, int(address)
    for its, mask, base, scope in _SCOPES:
        if its == version and value & mask == base:
            return scope
    return Scope.PUBLIC
