"""Who was refused, said once for each prefix: pods with public addresses are clients that ``allowQuery`` forgot."""

import ipaddress
import logging
from typing import Final

MAX_SAID: Final = 32
"""Prefixes that are named in a worker's life; source addresses can be forged, and must not fill the log."""

_MAPPED: Final = b"\0" * 10 + b"\xff\xff"

_log = logging.getLogger("meshdns.worker")


class Refusals:
    """Names the prefixes, /24 of IPv4 and /48 of IPv6."""

    def __init__(self) -> None:
        self._said: set[bytes] = set()

    def note(self, source: bytes) -> None:
        """Somebody at this packed address was refused."""
        plain = source[12:] if len(source) == 16 and source.startswith(_MAPPED) else source
        prefix = plain[:3] if len(plain) == 4 else plain[:6]
        if prefix in self._said or len(self._said) >= MAX_SAID:
            return
        self._said.add(prefix)
        network = ipaddress.ip_network((plain, 8 * len(prefix)), strict=False)
        last = "; no more prefixes are named until the next start" if len(self._said) == MAX_SAID else ""
        _log.warning("refused to answer %s; if its clients are yours, add it to allowQuery%s", network, last)
