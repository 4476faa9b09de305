"""The scoreboard: a small shared memory that every process of an instance can see.

Rules:
- The supervisor makes it and hands its descriptor to the children; it lives as long as the supervisor.
- Each slot has one writer. Integers are 64 bits wide and aligned, so that a reader sees a whole one.
- Counters only grow and are kept over restarts: a worker that begins anew goes on from what its slot holds.
- Times are monotonic seconds times 1000; the monotonic clock is one for all processes of a machine.
"""

import enum
import mmap
import os
import tempfile
from typing import Final

_WORD: Final = 8
_SLOT: Final = 128  # words per process
MAX_WORKERS: Final = 256


class Count(enum.IntEnum):
    """What a worker counts, by its place in the slot. Places 0 to 7 are not counters."""

    QUERIES = 8
    READY = 9
    ANSWERED = 10
    FORWARDED = 11
    REFUSED = 12
    DROPPED = 13
    TCP = 14
    PORTLESS = 15
    UNSENT = 16
    LATE = 17
    COMMITS = 18
    CONNECTIONS_REFUSED = 19
    VIEW_FAULTS = 20
    FORWARD_HITS = 32
    FORWARD_MISSES = 33
    FORWARD_SENDS = 34
    FORWARD_RETRIES = 35
    FORWARD_TIMEOUTS = 36
    FORWARD_MISMATCHES = 37
    FORWARD_MALFORMED = 38
    FORWARD_SERVFAIL = 39
    FORWARD_OVERFLOW = 40
    FORWARD_COALESCED = 41
    FORWARD_LATE = 42
    FORWARD_STALE = 43
    FORWARD_OVERFLOW_CLIENT = 44
    FORWARD_LOOPS = 45


_HEARTBEAT: Final = 0
_IN_FLIGHT: Final = 1
_READY_REPLIES: Final = 2


class Scoreboard:
    """The shared words. Slot 0 is the controller's, slot n + 1 that of worker n."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._words = memoryview(mmap.mmap(descriptor, _size())).cast("Q")

    @classmethod
    def create(cls) -> "Scoreboard":
        """A new scoreboard, all zero."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("meshdns-scoreboard")
        else:
            descriptor, path = tempfile.mkstemp(prefix="meshdns-scoreboard-")
            os.unlink(path)  # noqa: PTH108 — the descriptor is all there is to be
        os.ftruncate(descriptor, _size())
        return cls(descriptor)

    # ------------------------------------------------------------------------------------------ heartbeats

    def beat_controller(self, now: float) -> None:
        """The controller is alive."""
        self._words[_HEARTBEAT] = int(now * 1000)

    def controller_silence(self, now: float) -> float:
        """Seconds since the controller was alive."""
        return now - self._words[_HEARTBEAT] / 1000

    def beat_worker(self, worker: int, now: float) -> None:
        """A worker is alive."""
        self._words[self._at(worker) + _HEARTBEAT] = int(now * 1000)

    def worker_silence(self, worker: int, now: float) -> float:
        """Seconds since a worker was alive."""
        return now - self._words[self._at(worker) + _HEARTBEAT] / 1000

    # ------------------------------------------------------------------------------------------ counters

    def add(self, worker: int, count: Count, amount: int) -> None:
        """Count, as worker `worker`."""
        self._words[self._at(worker) + count] += amount

    def read(self, worker: int, count: Count) -> int:
        """What a worker has counted so far, over all its lives."""
        return int(self._words[self._at(worker) + count])

    def show(self, worker: int, *, in_flight: int, ready_replies: int) -> None:
        """What a worker holds right now."""
        self._words[self._at(worker) + _IN_FLIGHT] = in_flight
        self._words[self._at(worker) + _READY_REPLIES] = ready_replies

    def held(self, worker: int) -> tuple[int, int]:
        """Forwards in flight and ready replies of a worker."""
        at = self._at(worker)
        return int(self._words[at + _IN_FLIGHT]), int(self._words[at + _READY_REPLIES])

    def _at(self, worker: int) -> int:
        return (worker + 1) * _SLOT


def _size() -> int:
    return (MAX_WORKERS + 1) * _SLOT * _WORD
