"""Connections that cannot be accepted because descriptors or memory are used up.

asyncio reports each accept that fails, dozens at once, and pauses accepting for a second. The failures are counted, and
logged once for each burst. The connection that is idle for longest is closed, so that the next client gets in.
"""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Final

from meshdns.upstream.local_errors import is_local_error
from meshdns.worker.scoreboard_counters import WorkerCounters

BURST_GAP: Final = 60.0  # seconds without a failure that end a burst
_PAUSE: Final = 0.5  # seconds; less than asyncio pauses, so each of its attempts closes one connection

_log = logging.getLogger("meshdns.worker")


class AcceptFailures:
    """Takes such failures from the loop's exception handler. `clock` gives seconds of a monotonic clock."""

    def __init__(self, counters: WorkerCounters, evict_idlest: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._counters = counters
        self._evict_idlest = evict_idlest
        self._clock = clock
        self._last = -math.inf

    def handle(self, context: Mapping[str, object]) -> bool:
        """Handle a context of the loop's exception handler; return whether it is a failed accept."""
        error = context.get("exception")
        if "socket" not in context or not (isinstance(error, OSError) and is_local_error(error)):
            return False
        self._counters.accepts_failed += 1
        now = self._clock()
        if now - self._last > BURST_GAP:
            _log.warning("no TCP connection can be accepted: %s; raise the limit of open files", error.strerror)
        if now - self._last > _PAUSE:
            self._evict_idlest()
        self._last = now
        return True
