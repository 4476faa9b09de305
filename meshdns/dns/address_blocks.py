"""Blocks of IP addresses with a special meaning. Each meaning is defined here, once.

The sets look alike and differ on purpose:

- `LOCAL_CLIENT_PREFIXES`: sources that ``private`` admits. Loopback and link-local clients are on this machine or link.
- `NEVER_SERVED_PREFIXES` and `SINGLE_NETWORK_PREFIXES`: addresses that an answer must not hold, and addresses that mean
  something only inside one network. The latter include class E, which Istio uses for virtual addresses; loopback and
  link-local are of the former.
- `LOCAL_REVERSE_PREFIXES`: addresses whose reverse names are denied here instead of forwarded. RFC 6303 adds
  blocks for documentation, and has only the half of fc00::/7 that is in use.
- `SERVED_REVERSE_PREFIXES`: the part of them in which networks have addresses of their own, and reverse zones for them.
- `REFUSED_ANSWER_PREFIXES`: addresses that a route may refuse in answers of its upstreams, against DNS rebinding: all
  that is reserved, because no public name needs it.
- `is_globally_reachable`: what the IANA registries of special-purpose addresses say; for upstream servers, where any
  block that is not global counts as private.

A *packed* address is 4 or 16 bytes in network order, as the kernel gives it.
"""

from ipaddress import ip_address, ip_network
from typing import Final

LOCAL_CLIENT_PREFIXES: Final = (
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
"""Loopback, private, shared and link-local addresses."""

NEVER_SERVED_PREFIXES: Final = (
    "0.0.0.0/8",  # "this network" (RFC 1122 section 3.2.1.3)
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local
    "224.0.0.0/4",  # multicast
    "255.255.255.255/32",  # limited broadcast (RFC 1122 section 3.2.1.3)
    "::/128",  # unspecified
    "::1/128",  # loopback
    "fe80::/10",  # link-local
    "ff00::/8",  # multicast
)

SINGLE_NETWORK_PREFIXES: Final = (
    "10.0.0.0/8",  # RFC 1918
    "172.16.0.0/12",  # RFC 1918
    "192.168.0.0/16",  # RFC 1918
    "100.64.0.0/10",  # RFC 6598, used for pods by several clouds
    "240.0.0.0/4",  # class E: Istio's and Admiral's VIPs; but for the broadcast address, which is never served
    "fc00::/7",  # RFC 4193
)

LOCAL_REVERSE_PREFIXES: Final = (
    *("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
    *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "255.255.255.255/32"),
    "100.64.0.0/10",  # RFC 7793
    *("::/128", "::1/128", "fd00::/8", "fe80::/10", "2001:db8::/32"),
)
"""RFC 6303 section 4."""

SERVED_REVERSE_PREFIXES: Final = (
    *("10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fd00::/8"),
)
"""Those of `LOCAL_REVERSE_PREFIXES` whose reverse names a name server of a private network may well serve."""

REFUSED_ANSWER_PREFIXES: Final = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    *("::/127", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "64:ff9b:1::/48"),
    *("fc00::/7", "fe80::/9", "ff00::/8"),  # fec0::/10, the second half of fe80::/9, was for sites (RFC 3879)
)
"""RFC 6890 with its updates, RFC 6303, multicast and class E."""

_EMBEDDED_IPV4: Final = (
    ("::/96", 12),  # IPv4-compatible (RFC 4291 section 2.5.5.1)
    ("::ffff:0:0/96", 12),  # IPv4-mapped
    ("64:ff9b::/96", 12),  # NAT64 (RFC 6052)
    ("2002::/16", 2),  # 6to4 (RFC 3056)
)
"""Blocks of IPv6 whose addresses carry one of IPv4, and the byte at which it begins."""

_IPV4_MAPPED: Final = b"\0" * 10 + b"\xff\xff"  # ::ffff:0:0/96, IPv4 over an IPv6 socket
_IPV6_LOOPBACK: Final = ip_address("::1").packed


def unmapped(source: bytes) -> bytes:
    """Return the packed IPv4 address in a packed IPv4-mapped one; any other address as it is."""
    return source[12:] if len(source) == 16 and source.startswith(_IPV4_MAPPED) else source


def is_local_client(source: bytes) -> bool:
    """Return whether a packed address, not IPv4-mapped, is in `LOCAL_CLIENT_PREFIXES`."""
    return source[:2] in _LOCAL_HEADS[len(source)] or source == _IPV6_LOOPBACK


def is_loopback(source: bytes) -> bool:
    """Return whether a packed address, not IPv4-mapped, is a loopback address."""
    return source[0] == 127 if len(source) == 4 else source == _IPV6_LOOPBACK


def is_refused_answer(address: bytes) -> bool:
    """Return whether a packed address is in `REFUSED_ANSWER_PREFIXES`, or carries an IPv4 address that is.

    Bytes of any other length are no address, and count as refused.
    """
    if len(address) not in (4, 16):
        return True
    number = int.from_bytes(address, "big")
    if any(number >> shift == head for head, shift in _REFUSED_ANSWERS[len(address)]):
        return True
    return len(address) == 16 and any(
        number >> shift == head and is_refused_answer(address[at : at + 4]) for head, shift, at in _EMBEDDED_HEADS
    )


def is_globally_reachable(host: str) -> bool:
    """Return whether an address in text is in no block of special purpose."""
    return ip_address(host).is_global


def _heads(size: int) -> frozenset[bytes]:
    """The first two bytes of all local addresses of `size` bytes; not those of ::1, which is compared as a whole."""
    blocks = [network for network in map(ip_network, LOCAL_CLIENT_PREFIXES) if network.prefixlen <= 16]
    return frozenset(
        head.to_bytes(2, "big")
        for block in blocks
        if len(block[0].packed) == size
        for head in range(int.from_bytes(block[0].packed[:2], "big"), int.from_bytes(block[-1].packed[:2], "big") + 1)
    )


def _head(prefix: str) -> tuple[int, int]:
    """The bits of a prefix, and by how many bits an address is longer."""
    network = ip_network(prefix)
    shift = network.max_prefixlen - network.prefixlen
    return int(network[0]) >> shift, shift


_REFUSED_ANSWERS: Final = {
    size: [_head(prefix) for prefix in REFUSED_ANSWER_PREFIXES if len(ip_network(prefix)[0].packed) == size]
    for size in (4, 16)
}
_EMBEDDED_HEADS: Final = [(*_head(prefix), at) for prefix, at in _EMBEDDED_IPV4]
_LOCAL_HEADS: Final = {4: _heads(4), 16: _heads(16)}
