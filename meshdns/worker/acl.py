"""Access list of clients by the prefixes of ``allowQuery``; refusals, which are small and few, and a log of them.

A refusal goes to an address that may be forged. Over UDP it is never longer than the query, and each /24 or /56 gets
`REFUSAL_LIMIT` of them, whatever ``rateLimit`` says. Over TCP it says why.
"""

import ipaddress
import logging
import sys
from collections.abc import Sequence
from typing import Final

from meshdns.authority.rrl import RrlSettings
from meshdns.dns.address_blocks import unmapped
from meshdns.dns.codes import EDE_PROHIBITED, REFUSED
from meshdns.dns.edns_options import drop_options
from meshdns.dns.query import OPT_SIZE, Query
from meshdns.dns.response import build_reply, reply_options

_MAX_ADMITTED: Final = 1 << 16


class AccessList:
    """Admits source addresses by prefix and stores those admitted, so that the next check is one set lookup.

    Without prefixes nobody is admitted. `admitted_keys` holds the `source_key` of each; it is bounded, and clearing it
    costs only time.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        networks = [ipaddress.ip_network(prefix) for prefix in prefixes]
        self._rules = {
            4: [(int(n.network_address), int(n.netmask)) for n in networks if n.version == 4],
            16: [(int(n.network_address), int(n.netmask)) for n in networks if n.version == 6],
        }
        self.admitted_keys: set[int | bytes] = set()

    def admits(self, source: bytes) -> bool:
        """Return whether a packed address, as the kernel gives it, may send queries."""
        key = source_key(source)
        if key in self.admitted_keys:
            return True
        plain = unmapped(source)
        address = int.from_bytes(plain, "big")
        if not any(address & mask == base for base, mask in self._rules[len(plain)]):
            return False
        if len(self.admitted_keys) >= _MAX_ADMITTED:
            self.admitted_keys.clear()
        self.admitted_keys.add(key)
        return True


def source_key(source: bytes) -> int | bytes:
    """Return a packed address as `AccessList.admitted_keys` holds it: IPv4 as the word that a transport reads."""
    return int.from_bytes(source, sys.byteorder) if len(source) == 4 else source


REFUSAL_LIMIT: Final = RrlSettings(per_second=10, slip=0)


def build_refusal(query: Query, *, tcp: bool) -> bytes:
    """Return REFUSED with its reason as far as it fits; over UDP in no more bytes than the query has."""
    error = reply_options(query, ede=EDE_PROHIBITED, text=b"see allowQuery") if query.edns else b""
    if not tcp:
        query.reply_cookie = b""
        excess = len(error) - (len(query.data) - query.question_end - OPT_SIZE)
        if error and excess > 0:
            error = drop_options(error, excess)
    return build_reply(query, REFUSED, edns_options=error, tcp=tcp)


MAX_LOGGED_PREFIXES: Final = 32
"""Prefixes that one worker process logs; source addresses can be forged, and must not fill the log."""

_log = logging.getLogger("meshdns.worker")


class RefusalLog:
    """Logs each refused prefix once: /24 of IPv4, /48 of IPv6.

    Pods with public addresses are clients that operators forget in ``allowQuery``.
    """

    def __init__(self) -> None:
        self._logged_prefixes: set[bytes] = set()

    def log_once(self, source: bytes) -> None:
        """Log the prefix of a packed address that was refused, if it is new."""
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
