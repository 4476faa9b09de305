"""What upstreams said, kept for as long as it may be told again. The only door to cachetools.

Rules:
- Whole replies by question and route: nothing in a reply ever answers another question (RFC 2181 5.4.1, RFC 5452 6).
- The bound is bytes. New entries are on *probation*; one that is asked for again is *protected*, and what falls out of
  protection goes back to probation. A flood of random names only ever turns over the probation.
- An entry outlives its lifetime until it is evicted: a popular name that is fetched again stays protected, and is told
  *stale* while its upstreams fail (RFC 8767). A refresh is then tried every `RECHECK` seconds and not more often.
- TTL 0 is not kept, nor what it replaces (RFC 1035 3.2.1). Ages are counted on a monotonic clock, so a TTL told never
  rises.
- Failures are kept apart, so that they evict no answers: 1 s, doubled each time in a row (RFC 9520 3.2). The RFC allows
  5 minutes; 32 s is enough to spare the upstream, and a name is back soon after an outage ends.
"""

from typing import Final

import cachetools
import msgspec

from meshdns.dns.reply import Kind, Reply
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.policy import Failure

FIRST_FAILURE: Final = 1.0  # seconds, the least that RFC 9520 3.2 asks for
LONGEST_FAILURE: Final = 32.0  # seconds
RECHECK: Final = 30.0  # seconds, the least between attempts to refresh what is told stale (RFC 8767 section 5)
MAX_STALE: Final = 86_400.0
"""Seconds past its lifetime that an answer may be told: a day outlasts most outages, and the addresses of last week
are more likely somebody else's by now. RFC 8767 section 5 suggests one to three days."""

_ENTRY_OVERHEAD: Final = 1100  # octets of the objects around an entry's bytes, as tests/forwarding measures them
_TTL_OVERHEAD: Final = 150  # octets of one noted TTL


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One reply and when it came and expires, in seconds of the monotonic clock. `size` is what it costs in octets."""

    reply: Reply
    stored: float
    expires: float
    size: int

    @property
    def denial(self) -> bool:
        """Whether it says that there is no such name, or no such data."""
        return self.reply.kind in (Kind.NXDOMAIN, Kind.NODATA)


class FailedEntry(msgspec.Struct, frozen=True, gc=False):
    """One failure, when it may be tried again, and how long this one is kept, in seconds."""

    failure: Failure
    until: float
    period: float
    size: int


def _size(entry: Entry | FailedEntry) -> int:
    return entry.size


class _Segment(cachetools.LRUCache[bytes, Entry]):
    """Entries, and how many of them are denials. What is there is removed before it is replaced."""

    def __init__(self, octets: int) -> None:
        super().__init__(octets, _size)
        self.denials = 0

    def __setitem__(self, key: bytes, entry: Entry) -> None:
        super().__setitem__(key, entry)
        self.denials += entry.denial

    def __delitem__(self, key: bytes) -> None:
        self.denials -= self[key].denial
        super().__delitem__(key)

    def clear(self) -> None:
        super().clear()
        self.denials = 0


class _Probation(_Segment):
    """Counts what falls out for want of room."""

    def __init__(self, octets: int, counters: ForwardCounters) -> None:
        super().__init__(octets)
        self._counters = counters

    def popitem(self) -> tuple[bytes, Entry]:
        key, entry = super().popitem()
        self._counters.evicted_denials += entry.denial
        self._counters.evicted_answers += not entry.denial
        return key, entry


class Cache:
    """Answers and failures by key (see `question.key`), at most `budget` octets in all.

    What is evicted is counted in `counters`.
    """

    def __init__(self, budget: int, counters: ForwardCounters) -> None:
        failures = budget // 16
        probation = (budget - failures) // 4
        self._failed: cachetools.LRUCache[bytes, FailedEntry] = cachetools.LRUCache(failures, _size)
        self._probation = _Probation(probation, counters)
        self._protected = _Segment(budget - failures - probation)

    def __len__(self) -> int:
        return len(self._probation) + len(self._protected)

    @property
    def denials(self) -> int:
        """How many of the answers are denials."""
        return self._probation.denials + self._protected.denials

    @property
    def octets(self) -> int:
        """What all entries cost, never more than the budget."""
        return int(self._failed.currsize + self._probation.currsize + self._protected.currsize)

    def entry(self, key: bytes, now: float) -> Entry | None:
        """The answer that may be told now; being asked for is what earns protection."""
        entry = self._protected.get(key)
        if entry is None:
            entry = self._probation.get(key)
            if entry is None:
                return None
            if now < entry.expires:
                del self._probation[key]
                self._protect(key, entry)
        return entry if now < entry.expires else None

    def stale(self, key: bytes, now: float) -> Entry | None:
        """The answer that has expired, but is better than none."""
        entry = self._protected.get(key) or self._probation.get(key)
        return entry if entry is not None and entry.expires <= now < entry.expires + MAX_STALE else None

    def failure(self, key: bytes, now: float) -> Failure | None:
        """The failure that is still fresh."""
        failed = self._failed.get(key)
        return failed.failure if failed is not None and now < failed.until else None

    def keep(self, key: bytes, reply: Reply, now: float) -> None:
        """Keep an answer for its lifetime; it clears the question's failures."""
        self._failed.pop(key, None)
        if reply.ttl == 0:
            self._protected.pop(key, None)
            self._probation.pop(key, None)
            return
        wires = len(reply.answer.section.wire) + len(reply.authority.section.wire)
        marks = len(reply.answer.ttls) + len(reply.authority.ttls)
        size = _ENTRY_OVERHEAD + len(key) + wires + marks * _TTL_OVERHEAD
        entry = Entry(reply, now, now + reply.ttl, size)
        if key in self._protected:
            del self._protected[key]
            self._protect(key, entry)
        else:
            self._probation.pop(key, None)
            self._admit(key, entry)

    def fail(self, key: bytes, failure: Failure, now: float) -> None:
        """Keep a failure; twice as long as the one before, if that ended less than `LONGEST_FAILURE` ago.

        Where a stale answer stands in, it is kept for `RECHECK` at least.
        """
        before = self._failed.get(key)
        period = FIRST_FAILURE
        if before is not None and now - before.until < LONGEST_FAILURE:
            period = min(before.period * 2, LONGEST_FAILURE)
        if self.stale(key, now) is not None:
            period = max(period, RECHECK)
        size = _ENTRY_OVERHEAD + len(key)
        if size <= self._failed.maxsize:
            self._failed[key] = FailedEntry(failure, now + period, period, size)

    def clear(self) -> None:
        """Forget everything."""
        self._failed.clear()
        self._probation.clear()
        self._protected.clear()

    def _protect(self, key: bytes, entry: Entry) -> None:
        protected = self._protected
        if entry.size > protected.maxsize:
            return
        while protected.currsize + entry.size > protected.maxsize:
            self._admit(*protected.popitem())
        protected[key] = entry

    def _admit(self, key: bytes, entry: Entry) -> None:
        if entry.size <= self._probation.maxsize:
            self._probation[key] = entry
