"""The scoreboard: a small shared memory that every process of an instance can see.

Rules:
- The supervisor makes it and hands its descriptor to the children; it lives as long as the supervisor.
- Each slot has one writer. Integers are 64 bits wide and aligned, so that a reader sees a whole one.
- Counters only grow and are kept over restarts: a worker that begins anew goes on from what its slot holds.
- Times are monotonic seconds times 1000; the monotonic clock is one for all processes of a machine.
- Behind the words every slot has a *page*, which its writer publishes whole: it is written into the half that nobody
  reads and then turned over, so that a writer that dies in the middle leaves the last whole one. Behind the pages is a
  *ring* of sampled queries for each worker. Memory that was never written costs nothing.
"""

import enum
import mmap
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
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
    CONNECTIONS_CUT = 21
    PANICS = 22
    LIMITED = 23
    CUT = 24
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
    FORWARD_OVERFLOW_SUFFIX = 46
    EVICTED_ANSWERS = 47
    EVICTED_DENIALS = 48


_HEARTBEAT: Final = 0
_IN_FLIGHT: Final = 1
_READY_REPLIES: Final = 2
_CONNECTIONS: Final = 3
_TURN: Final = 4  # how often the page was published
_HEAD: Final = 5  # how many samples the ring took
_SKIPPED: Final = 6  # samples that were chosen but over the bound
_CACHED: Final = 7  # entries of the forwarder's cache
_DENIALS: Final = 64  # of these, denials; behind all counters

# Words of slot 0, the controller's.
_FLUSH: Final = 8  # cache flushes asked for
_WATCHED_UNTIL: Final = 9  # until when live queries are watched, in ms

PAGE: Final = 1 << 19
"""Octets of half a page, less 8 for its length: some 5,000 series."""

SAMPLE: Final = 512  # octets of a sample in the ring, less 8 for its number and 2 for its length
RING: Final = 1024  # samples; their reader comes ten times a second
_number = struct.Struct("=QH")


class Scoreboard:
    """The shared words. Slot 0 is the controller's, slot n + 1 that of worker n."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._octets = memoryview(mmap.mmap(descriptor, _size()))
        self._words = self._octets[:_PAGES].cast("Q")

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

    def show(self, worker: int, *, in_flight: int, ready_replies: int, connections: int = 0) -> None:
        """What a worker holds right now."""
        self._words[self._at(worker) + _IN_FLIGHT] = in_flight
        self._words[self._at(worker) + _READY_REPLIES] = ready_replies
        self._words[self._at(worker) + _CONNECTIONS] = connections

    def held(self, worker: int) -> tuple[int, int]:
        """Forwards in flight and ready replies of a worker."""
        at = self._at(worker)
        return int(self._words[at + _IN_FLIGHT]), int(self._words[at + _READY_REPLIES])

    def connections(self, worker: int) -> int:
        """Open TCP connections of a worker."""
        return int(self._words[self._at(worker) + _CONNECTIONS])

    def cached(self, worker: int) -> tuple[int, int]:
        """Entries of a worker's cache of upstream answers, and how many of them are denials."""
        return int(self._words[self._at(worker) + _CACHED]), int(self._words[self._at(worker) + _DENIALS])

    def show_cached(self, worker: int, entries: int, denials: int) -> None:
        """Note how many entries a worker's cache has, and how many of them are denials."""
        self._words[self._at(worker) + _CACHED] = entries
        self._words[self._at(worker) + _DENIALS] = denials

    # ------------------------------------------------------------------------------------------ pages

    def publish(self, process: int, page: bytes) -> bool:
        """Publish a page: of worker `process`, or of the controller (`CONTROLLER`); False where it is too long."""
        if len(page) > PAGE - _WORD:
            return False
        word = self._at(process) + _TURN
        turn = self._words[word] + 1
        at = _PAGES + ((process + 1) * 2 + turn % 2) * PAGE
        self._octets[at : at + _WORD] = len(page).to_bytes(_WORD, "little")
        self._octets[at + _WORD : at + _WORD + len(page)] = page
        self._words[word] = turn
        return True

    def published(self, process: int) -> bytes:
        """The last page that a process published; empty where there is none."""
        word = self._at(process) + _TURN
        while turn := self._words[word]:
            at = _PAGES + ((process + 1) * 2 + turn % 2) * PAGE
            size = int.from_bytes(self._octets[at : at + _WORD], "little")
            page = bytes(self._octets[at + _WORD : at + _WORD + min(size, PAGE - _WORD)])
            if self._words[word] == turn:  # else this half may have been written into while it was read
                return page
        return b""

    # ------------------------------------------------------------------------------------------ sampled queries

    def sample(self, worker: int, sample: bytes) -> None:
        """Put a sampled query into a worker's ring, in place of the oldest."""
        word = self._at(worker) + _HEAD
        number = self._words[word] + 1
        at = _RINGS + (worker * RING + number % RING) * SAMPLE
        kept = sample[: SAMPLE - _number.size]
        self._octets[at : at + _number.size] = _number.pack(0, len(kept))  # 0: being written
        self._octets[at + _number.size : at + _number.size + len(kept)] = kept
        self._octets[at : at + _WORD] = number.to_bytes(_WORD, sys.byteorder)
        self._words[word] = number

    def samples_taken(self, worker: int) -> int:
        """How many samples a worker's ring has taken."""
        return int(self._words[self._at(worker) + _HEAD])

    def samples(self, worker: int, after: int) -> Iterator[bytes]:
        """The samples behind number `after` that are still there. What is overwritten meanwhile is left out."""
        head = self.samples_taken(worker)
        for number in range(max(after, head - RING) + 1, head + 1):
            at = _RINGS + (worker * RING + number % RING) * SAMPLE
            octets = bytes(self._octets[at : at + SAMPLE])
            found, size = _number.unpack_from(octets)
            if found == number == int.from_bytes(self._octets[at : at + _WORD], sys.byteorder):
                yield octets[_number.size : _number.size + size]

    def skip_samples(self, worker: int, amount: int) -> None:
        """Count samples that were chosen, but were too many to be taken."""
        self._words[self._at(worker) + _SKIPPED] += amount

    def samples_skipped(self, worker: int) -> int:
        """Samples that were chosen, but were too many to be taken."""
        return int(self._words[self._at(worker) + _SKIPPED])

    def watch(self, until: float) -> None:
        """Have queries sampled for live views until a moment of the monotonic clock, in seconds."""
        self._words[_WATCHED_UNTIL] = int(until * 1000)

    def watched(self, now: float) -> bool:
        """Whether anybody looks at live queries."""
        return bool(self._words[_WATCHED_UNTIL] > now * 1000)

    # ------------------------------------------------------------------------------------------ orders

    def flush_cache(self) -> None:
        """Have all workers forget what upstreams said."""
        self._words[_FLUSH] += 1

    def flushes(self) -> int:
        """How often that was asked for."""
        return int(self._words[_FLUSH])

    def _at(self, worker: int) -> int:
        return (worker + 1) * _SLOT


CONTROLLER: Final = -1
"""The controller where a process is asked for."""

_PAGES: Final = (MAX_WORKERS + 1) * _SLOT * _WORD
_RINGS: Final = _PAGES + (MAX_WORKERS + 1) * 2 * PAGE


def _size() -> int:
    return _RINGS + MAX_WORKERS * RING * SAMPLE
