"""Clocks: which one measures what.

- Ages of data are measured by `boot_time`, which goes on while the machine is suspended: TTLs of cached answers, last
  contacts with clusters, look-ups of host names, credentials.
- Heartbeats, timeouts and intervals are measured by `time.monotonic`, which stands still with the machine: whoever was
  suspended is not late.
- A time that outlives the process is kept as a `Moment`.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

SUSPENDED: Final = 1.0  # seconds by which the clocks part that are a suspension


def _boot_clock() -> Callable[[], float]:
    """Return the clock that counts suspended time, or the monotonic clock if the system has none (macOS)."""
    clock_id = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if clock_id is None else partial(time.clock_gettime, clock_id)


boot_time: Final = _boot_clock()
"""Return the seconds since the machine was started, suspended time included; never falls."""


class SuspensionWatch:
    """Notices that the machine was suspended. `boot` and `running` are clocks with and without suspended time."""

    def __init__(self, *, boot: Callable[[], float] = boot_time, running: Callable[[], float] = time.monotonic) -> None:
        self._boot = boot
        self._running = running
        self._offset = boot() - running()

    def was_suspended(self) -> bool:
        """Return whether the machine was suspended since the last call."""
        offset = self._boot() - self._running()
        before, self._offset = self._offset, offset
        return offset - before > SUSPENDED


class Moment(msgspec.Struct, frozen=True):
    """A moment that outlives a process: on the clock of one boot of the machine, and on the wall clock."""

    boot_id: str
    boot_time: float
    wall_time: float

    def age(self, now: "Moment") -> float:
        """Return the seconds since, at least 0; within one boot whatever became of the wall clock."""
        same_boot = bool(self.boot_id) and self.boot_id == now.boot_id
        return max(now.boot_time - self.boot_time if same_boot else now.wall_time - self.wall_time, 0.0)


def boot_id() -> str:
    """Return an id of this boot of the machine; empty if the system has none (macOS)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def current_moment() -> Moment:
    """Return the present moment."""
    return Moment(boot_id(), boot_time(), time.time())
