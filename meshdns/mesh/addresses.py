"""What an address says by itself: where it can be reached from, if anywhere."""

import enum
import functools
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address


class Scope(enum.Enum):
    """How far an address means the same thing."""

    PUBLIC = "public"
    PRIVATE = "private"  # means something only in its own network
    NEVER = "never"  # means nothing to anybody else: loopback, link-local, unspecified, multicast


_PRIVATE: Final = tuple(
    ip_network(prefix)
    for prefix in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",  # RFC 1918
        "192.168.0.0/16",  # RFC 1918
        "100.64.0.0/10",  # RFC 6598, used for pods by several clouds
        "240.0.0.0/4",  # class E: Istio's and Admiral's VIPs
        "fc00::/7",  # RFC 4193
    )
)


@functools.lru_cache(maxsize=1 << 16)
def parsed(text: str) -> Address | None:
    """The address that `text` spells; None where it is none (a host name)."""
    try:
        return ip_address(text)
    except ValueError:
        return None


@functools.lru_cache(maxsize=1 << 16)
def scope(text: str) -> Scope | None:
    """The scope of the address that `text` spells, None where it is a host name.

    An IPv4-mapped IPv6 address has that of the IPv4 address in it.
    """
    address = parsed(text)
    return _scope(address) if address is not None else None


def _scope(address: Address) -> Scope:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast:
        return Scope.NEVER
    if isinstance(address, IPv4Address) and (int(address) == 0xFFFFFFFF or int(address) >> 24 == 0):
        return Scope.NEVER  # limited broadcast and "this network" (RFC 1122 3.2.1.3)
    if any(address.version == prefix.version and address in prefix for prefix in _PRIVATE):
        return Scope.PRIVATE
    return Scope.PUBLIC
