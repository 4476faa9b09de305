"""The scoreboard: a small shared memory of all processes of an instance.

Rules:
- The supervisor makes it and passes its descriptor to the children; it exists as long as the supervisor.
- Each slot has one writer. Integers are 64 bits wide and aligned, so that a reader sees a whole one.
- Counters only grow and are kept over restarts: a restarted worker goes on from the counts in its slot.
- Times are monotonic seconds times 1000; the monotonic clock is one for all processes of a machine.
- Behind the words every slot has a *page*, which its writer publishes whole: it is written into the half that is not
  read and then turned over, so that a writer that crashes in the middle leaves the last whole one. Behind the pages is
  a *ring* of samples (sampled queries) for each worker. Memory that was never written costs nothing.
"""

import mmap
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from typing import Final

_WORD: Final = 8
_SLOT_WORDS: Final = 128  # words per process
MAX_WORKERS: Final = 256

_HEARTBEAT: Final = 0
_IN_FLIGHT: Final = 1
_CACHED_REPLIES: Final = 2
_CONNECTIONS: Final = 3
_PAGE_VERSION: Final = 4  # how often the page was published
_SAMPLES_WRITTEN: Final = 5  # how many samples the ring took
_SAMPLES_SKIPPED: Final = 6  # samples that were chosen but over the bound
_FORWARD_CACHE_ENTRIES: Final = 7  # entries of the forwarder's cache
_FIRST_COUNTER: Final = 8
MAX_COUNTERS: Final = 56  # counters of a worker
_FORWARD_CACHE_DENIALS: Final = _FIRST_COUNTER + MAX_COUNTERS  # entries of the forwarder's cache that are denials

# Words of slot 0, the controller's.
_CACHE_FLUSHES: Final = 8  # requested cache flushes
_WATCHED_UNTIL: Final = 9  # until when live queries are watched, in ms
_COMMIT_FAILED: Final = 10  # whether the last commit failed

PAGE_SIZE: Final = 1 << 19
"""Bytes of half a page, less 8 for its length: some 5,000 series."""

SAMPLE_SIZE: Final = 512  # bytes of a sample in the ring, less 8 for its number and 2 for its length
SAMPLE_RING_SIZE: Final = 1024  # samples; the reader reads ten times a second
_sample_header = struct.Struct("=QH")


class Scoreboard:
    """The shared words. Slot 0 is the controller's, slot n + 1 that of worker n."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = memoryview(mmap.mmap(descriptor, _size()))
        self._words = self._memory[:_PAGES_OFFSET].cast("Q")

    @classmethod
    def create(cls) -> "Scoreboard":
        """Make a new scoreboard, all zero."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("meshdns-scoreboard")
        else:
            descriptor, path = tempfile.mkstemp(prefix="meshdns-scoreboard-")
            os.unlink(path)  # noqa: PTH108 — only the descriptor remains
        os.ftruncate(descriptor, _size())
        return cls(descriptor)

    # ------------------------------------------------------------------------------------------ heartbeats

    def record_controller_heartbeat(self, now: float) -> None:
        """Record a heartbeat of the controller."""
        self._words[_HEARTBEAT] = int(now * 1000)

    def controller_heartbeat_age(self, now: float) -> float:
        """Return the seconds since the controller's last heartbeat."""
        return now - self._words[_HEARTBEAT] / 1000

    def record_commit(self, *, failed: bool) -> None:
        """Record whether the controller's last commit failed, so that the name database lacks changes."""
        self._words[_COMMIT_FAILED] = failed

    def has_commit_failed(self) -> bool:
        """Return whether the controller's last commit failed."""
        return bool(self._words[_COMMIT_FAILED])

    def record_worker_heartbeat(self, worker: int, now: float) -> None:
        """Record a heartbeat of a worker."""
        self._words[self._slot_offset(worker) + _HEARTBEAT] = int(now * 1000)

    def worker_heartbeat_age(self, worker: int, now: float) -> float:
        """Return the seconds since a worker's last heartbeat."""
        return now - self._words[self._slot_offset(worker) + _HEARTBEAT] / 1000

    # ------------------------------------------------------------------------------------------ counters

    def add_to_counter(self, worker: int, place: int, amount: int) -> None:
        """Add to the counter at `place` (0 to `MAX_COUNTERS` - 1) of a worker."""
        self._words[self._slot_offset(worker) + _FIRST_COUNTER + place] += amount

    def read_counter(self, worker: int, place: int) -> int:
        """Return the sum of a worker's counter since the instance started, restarts included."""
        return int(self._words[self._slot_offset(worker) + _FIRST_COUNTER + place])

    def set_gauges(self, worker: int, *, in_flight: int, cached_replies: int, connections: int = 0) -> None:
        """Set the gauges of a worker."""
        self._words[self._slot_offset(worker) + _IN_FLIGHT] = in_flight
        self._words[self._slot_offset(worker) + _CACHED_REPLIES] = cached_replies
        self._words[self._slot_offset(worker) + _CONNECTIONS] = connections

    def forwards_and_cached_replies(self, worker: int) -> tuple[int, int]:
        """Return the forwards in flight and the cached replies of a worker."""
        at = self._slot_offset(worker)
        return int(self._words[at + _IN_FLIGHT]), int(self._words[at + _CACHED_REPLIES])

    def open_connections(self, worker: int) -> int:
        """Return the open TCP connections of a worker."""
        return int(self._words[self._slot_offset(worker) + _CONNECTIONS])

    def forward_cache_sizes(self, worker: int) -> tuple[int, int]:
        """Return the entries of a worker's cache of upstream answers, and how many of them are denials."""
        return int(self._words[self._slot_offset(worker) + _FORWARD_CACHE_ENTRIES]), int(
            self._words[self._slot_offset(worker) + _FORWARD_CACHE_DENIALS]
        )

    def set_forward_cache_sizes(self, worker: int, entries: int, denials: int) -> None:
        """Set how many entries a worker's cache has, and how many of them are denials."""
        self._words[self._slot_offset(worker) + _FORWARD_CACHE_ENTRIES] = entries
        self._words[self._slot_offset(worker) + _FORWARD_CACHE_DENIALS] = denials

    # ------------------------------------------------------------------------------------------ pages

    def publish_page(self, process: int, page: bytes) -> bool:
        """Publish a page: of worker `process`, or of the controller (`CONTROLLER`); False if it is too long."""
        if len(page) > PAGE_SIZE - _WORD:
            return False
        word = self._slot_offset(process) + _PAGE_VERSION
        turn = self._words[word] + 1
        at = _PAGES_OFFSET + ((process + 1) * 2 + turn % 2) * PAGE_SIZE
        self._memory[at : at + _WORD] = len(page).to_bytes(_WORD, "little")
        self._memory[at + _WORD : at + _WORD + len(page)] = page
        self._words[word] = turn
        return True

    def read_page(self, process: int) -> bytes:
        """Return the last page that a process published; empty if there is none."""
        word = self._slot_offset(process) + _PAGE_VERSION
        while turn := self._words[word]:
            at = _PAGES_OFFSET + ((process + 1) * 2 + turn % 2) * PAGE_SIZE
            size = int.from_bytes(self._memory[at : at + _WORD], "little")
            page = bytes(self._memory[at + _WORD : at + _WORD + min(size, PAGE_SIZE - _WORD)])
            if self._words[word] == turn:  # else this half may have been written into while it was read
                return page
        return b""

    # ------------------------------------------------------------------------------------------ sampled queries

    def write_sample(self, worker: int, sample: bytes) -> None:
        """Put a sampled query into a worker's ring, in place of the oldest."""
        word = self._slot_offset(worker) + _SAMPLES_WRITTEN
        number = self._words[word] + 1
        at = _RINGS_OFFSET + (worker * SAMPLE_RING_SIZE + number % SAMPLE_RING_SIZE) * SAMPLE_SIZE
        fitting = sample[: SAMPLE_SIZE - _sample_header.size]
        self._memory[at : at + _sample_header.size] = _sample_header.pack(0, len(fitting))  # 0: being written
        self._memory[at + _sample_header.size : at + _sample_header.size + len(fitting)] = fitting
        self._memory[at : at + _WORD] = number.to_bytes(_WORD, sys.byteorder)
        self._words[word] = number

    def samples_written(self, worker: int) -> int:
        """Return how many samples were written to a worker's ring."""
        return int(self._words[self._slot_offset(worker) + _SAMPLES_WRITTEN])

    def read_samples(self, worker: int, after: int) -> Iterator[bytes]:
        """Yield the samples behind number `after` that are still there. Those overwritten meanwhile are left out."""
        head = self.samples_written(worker)
        for number in range(max(after, head - SAMPLE_RING_SIZE) + 1, head + 1):
            at = _RINGS_OFFSET + (worker * SAMPLE_RING_SIZE + number % SAMPLE_RING_SIZE) * SAMPLE_SIZE
            entry = bytes(self._memory[at : at + SAMPLE_SIZE])
            found, size = _sample_header.unpack_from(entry)
            if found == number == int.from_bytes(self._memory[at : at + _WORD], sys.byteorder):
                yield entry[_sample_header.size : _sample_header.size + size]

    def add_skipped_samples(self, worker: int, amount: int) -> None:
        """Count samples that were skipped because there were too many."""
        self._words[self._slot_offset(worker) + _SAMPLES_SKIPPED] += amount

    def samples_skipped(self, worker: int) -> int:
        """Return how many samples of a worker were skipped because there were too many."""
        return int(self._words[self._slot_offset(worker) + _SAMPLES_SKIPPED])

    def watch_live_queries(self, until: float) -> None:
        """Request samples for live queries until a time of the monotonic clock, in seconds."""
        self._words[_WATCHED_UNTIL] = int(until * 1000)

    def is_watching_live_queries(self, now: float) -> bool:
        """Return whether samples for live queries are requested."""
        return bool(self._words[_WATCHED_UNTIL] > now * 1000)

    # ------------------------------------------------------------------------------------------ requests

    def request_cache_flush(self) -> None:
        """Request all workers to flush their cached upstream answers."""
        self._words[_CACHE_FLUSHES] += 1

    def cache_flush_requests(self) -> int:
        """Return how often a flush was requested."""
        return int(self._words[_CACHE_FLUSHES])

    def _slot_offset(self, worker: int) -> int:
        return (worker + 1) * _SLOT_WORDS


CONTROLLER: Final = -1
"""The number of the controller, where a method takes a process."""

_PAGES_OFFSET: Final = (MAX_WORKERS + 1) * _SLOT_WORDS * _WORD
_RINGS_OFFSET: Final = _PAGES_OFFSET + (MAX_WORKERS + 1) * 2 * PAGE_SIZE


def _size() -> int:
    return _RINGS_OFFSET + MAX_WORKERS * SAMPLE_RING_SIZE * SAMPLE_SIZE
