"""Judge of heartbeats: which processes are silent, by a judge that may itself stand still.

Rules:
- Silence counts from the last heartbeat, and no earlier than the judge's first look at the process.
- A late wake-up of the judge is no verdict. Whatever held it up (a frozen control group, a paused machine, a debugger)
  may have held up the processes, too: silence counts anew from that wake-up.
"""

from collections.abc import Mapping
from typing import Final

LATE: Final = 2.0
"""Seconds between two looks from which on the second is late: several times as long as a loaded machine delays one."""


class HeartbeatJudge:
    """Judges processes by their last heartbeats. Times are seconds of the monotonic clock."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._looked_at: float | None = None
        self._awake_since = 0.0
        self._known_since: dict[int, float] = {}  # by process

    def silent(self, heartbeats: Mapping[int, float], now: float) -> list[int]:
        """Return which of the present processes are silent, by the times of their last heartbeats."""
        if self._looked_at is None or now - self._looked_at > LATE:
            self._awake_since = now
        self._looked_at = now
        self._known_since = {process: self._known_since.get(process, now) for process in heartbeats}
        return [
            process
            for process, heartbeat in heartbeats.items()
            if now - max(heartbeat, self._awake_since, self._known_since[process]) > self._timeout
        ]
