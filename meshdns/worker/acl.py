"""Who may ask: source addresses as they come from the kernel, against the prefixes of ``allowQuery``.

Who was refused, said once for each prefix: pods with public addresses are clients that ``allowQuery`` forgot.
"""

import ipaddress
import logging
import sys
from collections.abc import Sequence
from typing import Final

from meshdns.dns.address_blocks import unmapped

_MAX_ADMITTED: Final = 1 << 16


class AccessList:
    """Admits sources by prefix and remembers those admitted, so that the next check is one set lookup.

    `admitted_keys` holds what `source_key` makes of an address; it is bounded, and forgetting it costs only time.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        networks = [ipaddress.ip_network(prefix) for prefix in prefixes]
        self._admits_all = not networks
        self._rules = {
            4: [(int(n.network_address), int(n.netmask)) for n in networks if n.version == 4],
            16: [(int(n.network_address), int(n.netmask)) for n in networks if n.version == 6],
        }
        self.admitted_keys: set[int | bytes] = set()

    def admits(self, source: bytes) -> bool:
        """Whether a packed address may ask."""
        known = source_key(source)
        if known in self.admitted_keys:
            return True
        plain = unmapped(source)
        address = int.from_bytes(plain, "big")
        if not self._admits_all and not any(address & mask == base for base, mask in self._rules[len(plain)]):
            return False
        if len(self.admitted_keys) >= _MAX_ADMITTED:
            self.admitted_keys.clear()
        self.admitted_keys.add(known)
        return True


def source_key(source: bytes) -> int | bytes:
    """A packed address as `AccessList.admitted_keys` holds it: of IPv4 the word that a transport reads from memory."""
    return int.from_bytes(source, sys.byteorder) if len(source) == 4 else source


MAX_LOGGED_PREFIXES: Final = 32
"""Prefixes that are named in a worker's life; source addresses can be forged, and must not fill the log."""

_log = logging.getLogger("meshdns.worker")


class RefusalLog:
    """Names the prefixes, /24 of IPv4 and /48 of IPv6."""

    def __init__(self) -> None:
        self._logged_prefixes: set[bytes] = set()

    def log_once(self, source: bytes) -> None:
        """Somebody at this packed address was refused."""
        plain = unmapped(source)
        prefix = plain[:3] if len(plain) == 4 else plain[:6]
        if prefix in self._logged_prefixes or len(self._logged_prefixes) >= MAX_LOGGED_PREFIXES:
            return
        self._logged_prefixes.add(prefix)
        network = ipaddress.ip_network((plain, 8 * len(prefix)), strict=False)
        last = (
            "; no more prefixes are named until the next start"
            if len(self._logged_prefixes) == MAX_LOGGED_PREFIXES
            else ""
        )
        _log.warning("refused to answer %s; if its clients are yours, add it to allowQuery%s", network, last)
