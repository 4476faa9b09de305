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

from collections import OrderedDict
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
_DENIALS: Final = frozenset({Kind.NXDOMAIN, Kind.NODATA})


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One reply and when it came and expires, in seconds of the monotonic clock.

    `size` is what it costs in octets, `denial` whether it says that there is no such name, or no such data.
    """

    reply: Reply
    stored: float
    expires: float
    size: int
    denial: bool


class FailedEntry(msgspec.Struct, frozen=True, gc=False):
    """One failure, when it may be tried again, and how long this one is kept, in seconds."""

    failure: Failure
    until: float
    period: float
    size: int


def _size(entry: FailedEntry) -> int:
    return entry.size


class _Segment:
    """Entries from the one used longest ago to the last, at most `room` octets of them, and how many are denials.

    By hand and not by cachetools, which costs a miss six times as much.
    """

    __slots__ = ("denials", "entries", "octets", "room")

    def __init__(self, room: int) -> None:
        self.entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.room = room
        self.octets = 0
        self.denials = 0

    def put(self, key: bytes, entry: Entry) -> None:
        """Add one that is not there and for which there is room."""
        self.entries[key] = entry
        self.octets += entry.size
        self.denials += entry.denial

    def take(self, key: bytes) -> Entry | None:
        """Remove one."""
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.octets -= entry.size
            self.denials -= entry.denial
        return entry

    def oldest(self) -> tuple[bytes, Entry]:
        """Remove the one used longest ago."""
        key, entry = self.entries.popitem(last=False)
        self.octets -= entry.size
        self.denials -= entry.denial
        return key, entry

    def clear(self) -> None:
        """Remove all."""
        self.entries.clear()
        self.octets = self.denials = 0


class Cache:
    """Answers and failures by key (see `question.key`), at most `budget` octets in all.

    What is evicted is counted in `counters`.
    """

    def __init__(self, budget: int, counters: ForwardCounters) -> None:
        failures = budget // 16
        probation = (budget - failures) // 4
        self._failed: cachetools.LRUCache[bytes, FailedEntry] = cachetools.LRUCache(failures, _size)
        self._probation = _Segment(probation)
        self._protected = _Segment(budget - failures - probation)
        self._counters = counters

    def __len__(self) -> int:
        return len(self._probation.entries) + len(self._protected.entries)

    @property
    def denials(self) -> int:
        """How many of the answers are denials."""
        return self._probation.denials + self._protected.denials

    @property
    def octets(self) -> int:
        """What all entries cost, never more than the budget."""
        return int(self._failed.currsize) + self._probation.octets + self._protected.octets

    def entry(self, key: bytes, now: float) -> Entry | None:
        """The answer that may be told now; being asked for is what earns protection."""
        protected = self._protected.entries
        entry = protected.get(key)
        if entry is not None:
            protected.move_to_end(key)
            return entry if now < entry.expires else None
        entry = self._probation.entries.get(key)
        if entry is None or now >= entry.expires:
            return None
        self._probation.take(key)
        self._protect(key, entry)
        return entry

    def stale(self, key: bytes, now: float) -> Entry | None:
        """The answer that has expired, but is better than none."""
        entry = self._protected.entries.get(key) or self._probation.entries.get(key)
        return entry if entry is not None and entry.expires <= now < entry.expires + MAX_STALE else None

    def failure(self, key: bytes, now: float) -> Failure | None:
        """The failure that is still fresh."""
        failed = self._failed.get(key) if self._failed else None
        return failed.failure if failed is not None and now < failed.until else None

    def keep(self, key: bytes, reply: Reply, now: float) -> None:
        """Keep an answer for its lifetime; it clears the question's failures."""
        if self._failed:
            self._failed.pop(key, None)
        protected = self._protected.take(key)
        self._probation.take(key)
        if reply.ttl == 0:
            return
        wires = len(reply.answer.section.wire) + len(reply.authority.section.wire)
        marks = len(reply.answer.ttls) + len(reply.authority.ttls)
        size = _ENTRY_OVERHEAD + len(key) + wires + marks * _TTL_OVERHEAD
        entry = Entry(reply, now, now + reply.ttl, size, reply.kind in _DENIALS)
        if protected is not None:
            self._protect(key, entry)
        else:
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
        if entry.size > protected.room:
            return
        while protected.octets + entry.size > protected.room:
            self._admit(*protected.oldest())
        protected.put(key, entry)

    def _admit(self, key: bytes, entry: Entry) -> None:
        probation = self._probation
        if entry.size > probation.room:
            return
        while probation.octets + entry.size > probation.room:
            _, evicted = probation.oldest()
            self._counters.evicted_denials += evicted.denial
            self._counters.evicted_answers += not evicted.denial
        probation.put(key, entry)
