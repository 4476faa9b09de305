"""Segmented LRU cache of upstream replies and failures. The only door to cachetools.

Rules:
- Whole replies by question and route: nothing in a reply ever answers another question (RFC 2181 5.4.1, RFC 5452 6).
- The bound is in bytes. New entries are on *probation*; one that is hit again is *protected*, and entries that drop out
  of protection go back to probation. A flood of random names only ever turns over the probation segment.
- An entry is cached beyond its lifetime until it is evicted: a popular name that is fetched again stays protected, and
  is answered *stale* while its upstreams fail (RFC 8767). A refresh is then tried every `STALE_REFRESH_INTERVAL`
  seconds and not more often.
- A reply with TTL 0 is not cached, nor is the entry that it replaces (RFC 1035 3.2.1). Ages are counted on a monotonic
  clock, so that a TTL sent never rises.
- Failures are cached apart, so that they evict no answers: 1 s, doubled each time in a row (RFC 9520 3.2). The RFC
  allows 5 minutes; 32 s is enough to spare the upstream, and a name is back soon after an outage ends.
"""

from collections import OrderedDict
from typing import Final

import cachetools
import msgspec

from meshdns.dns.reply import Reply, ReplyKind
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.policy import Failure

MIN_FAILURE_TTL: Final = 1.0  # seconds, the least that RFC 9520 3.2 asks for
MAX_FAILURE_TTL: Final = 32.0  # seconds
STALE_REFRESH_INTERVAL: Final = (
    30.0  # seconds, the least between attempts to refresh a stale answer (RFC 8767 section 5)
)
MAX_STALE: Final = 86_400.0
"""Seconds past its lifetime that an answer may be sent: a day outlasts most outages, and the addresses of last week
are more likely in other hands by now. RFC 8767 section 5 suggests one to three days."""

_ENTRY_OVERHEAD: Final = 1100  # bytes of the objects around an entry's bytes, as tests/forwarding measures them
_TTL_OVERHEAD: Final = 150  # bytes of one noted TTL
_DENIALS: Final = frozenset({ReplyKind.NXDOMAIN, ReplyKind.NODATA})


class CacheEntry(msgspec.Struct, frozen=True, gc=False):
    """One reply with the times of its receipt and expiry, in seconds of the monotonic clock.

    `size` is what it costs in bytes, `is_denial` whether it says that there is no such name, or no such data.
    """

    reply: Reply
    stored_at: float
    expires_at: float
    size: int
    is_denial: bool


class FailureEntry(msgspec.Struct, frozen=True, gc=False):
    """One failure, when its question may be retried, and how long this one is cached, in seconds."""

    failure: Failure
    retry_at: float
    period: float
    size: int


def _size(entry: FailureEntry) -> int:
    return entry.size


class _Segment:
    """Entries from the least recently used to the last, at most `max_bytes` bytes of them, and how many are denials.

    Not made with cachetools, with which a miss costs six times as much.
    """

    __slots__ = ("bytes_used", "denials", "entries", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.entries: OrderedDict[bytes, CacheEntry] = OrderedDict()
        self.max_bytes = max_bytes
        self.bytes_used = 0
        self.denials = 0

    def add(self, key: bytes, entry: CacheEntry) -> None:
        """Add an entry that is not there yet and for which there is room."""
        self.entries[key] = entry
        self.bytes_used += entry.size
        self.denials += entry.is_denial

    def remove(self, key: bytes) -> CacheEntry | None:
        """Remove and return an entry, or None if it is not there."""
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.bytes_used -= entry.size
            self.denials -= entry.is_denial
        return entry

    def pop_oldest(self) -> tuple[bytes, CacheEntry]:
        """Remove and return the least recently used entry with its key."""
        key, entry = self.entries.popitem(last=False)
        self.bytes_used -= entry.size
        self.denials -= entry.is_denial
        return key, entry

    def clear(self) -> None:
        """Remove all entries."""
        self.entries.clear()
        self.bytes_used = self.denials = 0


class Cache:
    """Answers and failures by key (see `question.cache_key`), at most `max_bytes` bytes in all.

    Evictions are counted in `counters`.
    """

    def __init__(self, max_bytes: int, counters: ForwardCounters) -> None:
        failures = max_bytes // 16
        probation = (max_bytes - failures) // 4
        self._failures: cachetools.LRUCache[bytes, FailureEntry] = cachetools.LRUCache(failures, _size)
        self._probation = _Segment(probation)
        self._protected = _Segment(max_bytes - failures - probation)
        self._counters = counters

    def __len__(self) -> int:
        return len(self._probation.entries) + len(self._protected.entries)

    @property
    def denials(self) -> int:
        """How many of the answers are denials."""
        return self._probation.denials + self._protected.denials

    @property
    def bytes_used(self) -> int:
        """Bytes that all entries cost, never more than the budget."""
        return int(self._failures.currsize) + self._probation.bytes_used + self._protected.bytes_used

    def get(self, key: bytes, now: float) -> CacheEntry | None:
        """Return the answer if it has not expired, else None; a hit makes the entry protected."""
        protected = self._protected.entries
        entry = protected.get(key)
        if entry is not None:
            protected.move_to_end(key)
            return entry if now < entry.expires_at else None
        entry = self._probation.entries.get(key)
        if entry is None or now >= entry.expires_at:
            return None
        self._probation.remove(key)
        self._protect(key, entry)
        return entry

    def get_stale(self, key: bytes, now: float) -> CacheEntry | None:
        """Return the answer if it has expired less than `MAX_STALE` ago, else None."""
        entry = self._protected.entries.get(key) or self._probation.entries.get(key)
        return entry if entry is not None and entry.expires_at <= now < entry.expires_at + MAX_STALE else None

    def get_failure(self, key: bytes, now: float) -> Failure | None:
        """Return the failure if its question may not be retried yet, else None."""
        failed = self._failures.get(key) if self._failures else None
        return failed.failure if failed is not None and now < failed.retry_at else None

    def store(self, key: bytes, reply: Reply, now: float) -> None:
        """Cache an answer for its lifetime; it clears the question's failures."""
        if self._failures:
            self._failures.pop(key, None)
        protected = self._protected.remove(key)
        self._probation.remove(key)
        if reply.ttl == 0:
            return
        wires = len(reply.answer.section.wire) + len(reply.authority.section.wire)
        marks = len(reply.answer.ttls) + len(reply.authority.ttls)
        size = _ENTRY_OVERHEAD + len(key) + wires + marks * _TTL_OVERHEAD
        entry = CacheEntry(reply, now, now + reply.ttl, size, reply.kind in _DENIALS)
        if protected is not None:
            self._protect(key, entry)
        else:
            self._admit(key, entry)

    def store_failure(self, key: bytes, failure: Failure, now: float) -> None:
        """Cache a failure; twice as long as the one before, if that ended less than `MAX_FAILURE_TTL` ago.

        If there is a stale answer, the failure is cached for `STALE_REFRESH_INTERVAL` at least.
        """
        before = self._failures.get(key)
        period = MIN_FAILURE_TTL
        if before is not None and now - before.retry_at < MAX_FAILURE_TTL:
            period = min(before.period * 2, MAX_FAILURE_TTL)
        if self.get_stale(key, now) is not None:
            period = max(period, STALE_REFRESH_INTERVAL)
        size = _ENTRY_OVERHEAD + len(key)
        if size <= self._failures.maxsize:
            self._failures[key] = FailureEntry(failure, now + period, period, size)

    def clear(self) -> None:
        """Drop all answers and failures."""
        self._failures.clear()
        self._probation.clear()
        self._protected.clear()

    def _protect(self, key: bytes, entry: CacheEntry) -> None:
        protected = self._protected
        if entry.size > protected.max_bytes:
            return
        while protected.bytes_used + entry.size > protected.max_bytes:
            self._admit(*protected.pop_oldest())
        protected.add(key, entry)

    def _admit(self, key: bytes, entry: CacheEntry) -> None:
        probation = self._probation
        if entry.size > probation.max_bytes:
            return
        while probation.bytes_used + entry.size > probation.max_bytes:
            _, evicted = probation.pop_oldest()
            self._counters.evicted_denials += evicted.is_denial
            self._counters.evicted_answers += not evicted.is_denial
        probation.add(key, entry)
