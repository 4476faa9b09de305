"""Who may ask: source addresses as they come from the kernel, against the prefixes of ``allowQuery``."""

import ipaddress
import sys
from collections.abc import Sequence
from typing import Final

_MAX_REMEMBERED: Final = 1 << 16
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"  # ::ffff:0:0/96, IPv4 over an IPv6 socket


class AccessList:
    """Admits sources by prefix and remembers those admitted, so that the next check is one set lookup.

    `admitted` holds what `key` makes of an address; it is bounded, and forgetting it costs only time.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        networks = [ipaddress.ip_network(prefix) for prefix in prefixes]
        self._open = not networks
        self._rules = {
            4: [(int(n.network_address), int(n.netmask)) for n in networks if n.version == 4],
            16: [(int(n.network_address), int(n.netmask)) for n in networks if n.version == 6],
        }
        self.admitted: set[int | bytes] = set()

    def admits(self, source: bytes) -> bool:
        """Whether a packed address may ask."""
        known = key(source)
        if known in self.admitted:
            return True
        plain = source[12:] if len(source) == 16 and source.startswith(_MAPPED) else source
        address = int.from_bytes(plain, "big")
        if not self._open and not any(address & mask == base for base, mask in self._rules[len(plain)]):
            return False
        if len(self.admitted) >= _MAX_REMEMBERED:
            self.admitted.clear()
        self.admitted.add(known)
        return True


def key(source: bytes) -> int | bytes:
    """A packed address as `AccessList.admitted` holds it: of IPv4 the word that a transport reads from memory."""
    return int.from_bytes(source, sys.byteorder) if len(source) == 4 else source
