"""Live queries: the samples in the workers' rings, for any number of subscribers.

Rules:
- One read of the rings five times a second serves all subscribers. Workers sample only while there are any.
- A query is decoded once and encoded once, however many subscribers there are; those with the same filter share the
  work of filtering.
- No subscriber is waited for: one that reads too slowly loses events, and is told how many.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from meshdns.instance import samples
from meshdns.instance.samples import QuerySample
from meshdns.instance.scoreboard import MAX_WORKERS, SAMPLE_RING_SIZE, Scoreboard

_POLL_INTERVAL: Final = 0.2  # seconds
_SAMPLING_LEASE: Final = 2.0  # seconds for which workers sample on after the last look
MAX_PENDING_EVENTS: Final = 1000  # events that wait for one who looks
MAX_SUBSCRIBERS: Final = 200
MAX_RECENT: Final = 1000


class QueryEvent:
    """One query as it is shown; `line` is its server-sent event."""

    __slots__ = ("_line", "fields", "name")

    def __init__(self, query: QuerySample) -> None:
        self.fields: dict[str, Any] = samples.as_json(query)
        self.name: str = self.fields["name"].lower()
        self._line = b""

    @property
    def line(self) -> bytes:
        """Encoded at the first use."""
        self._line = self._line or b"data: " + msgspec.json.encode(self.fields) + b"\n\n"
        return self._line


class QueryFilter(msgspec.Struct, frozen=True):
    """Filter of queries. `name` is a suffix of whole labels, `client` an address or the beginning of one; empty is all.

    `rate` is how many a second are enough, 0 for all that come.
    """

    name: str = ""
    rcode: str = ""
    client: str = ""
    type: str = ""
    rate: int = 0

    def matches(self, event: QueryEvent) -> bool:
        """Whether a query is one of those."""
        shown = event.fields
        return (
            (not self.rcode or shown["rcode"] == self.rcode)
            and (not self.type or shown["type"] == self.type)
            and (not self.client or shown["client"].startswith(self.client))
            and (not self.name or _is_within(event.name, self.name))
        )

    def limit_rate(self, events: list[QueryEvent]) -> list[QueryEvent]:
        """Return the queries of one period, at most as many as the rate allows."""
        return events[: max(round(self.rate * _POLL_INTERVAL), 1)] if self.rate else events


def read_filter(query: Mapping[str, str]) -> QueryFilter:
    """The filter from the words of a request."""
    name = query.get("name", "").lower().removesuffix(".")
    rate = query.get("rate", "")
    return QueryFilter(
        name=f"{name}." if name else "",
        rcode=query.get("rcode", "").upper(),
        client=query.get("client", ""),
        type=query.get("type", "").upper(),
        rate=int(rate) if rate.isascii() and rate.isdigit() and len(rate) < 6 else 0,
    )


class Subscriber:
    """A client of live queries."""

    def __init__(self, query_filter: QueryFilter) -> None:
        self.query_filter = query_filter
        self.missed_count = 0
        self._pending: deque[bytes] = deque()
        self._has_pending = asyncio.Event()

    def offer(self, lines: Sequence[bytes], left_out: int) -> None:
        """Queue events as far as there is room; `left_out` matched the filter, but exceed its rate."""
        room = MAX_PENDING_EVENTS - len(self._pending)
        self._pending.extend(lines[:room])
        self.missed_count += left_out + max(len(lines) - room, 0)
        self._has_pending.set()

    async def next_batch(self, max_wait: float) -> bytes:
        """Return the events that have come, one after the other; empty after `max_wait` seconds."""
        try:
            async with asyncio.timeout(max_wait):
                await self._has_pending.wait()
        except TimeoutError:
            return b""
        taken = b"".join(self._pending)
        self._pending.clear()
        self._has_pending.clear()
        return taken


class LiveQueries:
    """The rings of all workers. `clock` gives monotonic seconds."""

    def __init__(self, board: Scoreboard, clock: Callable[[], float]) -> None:
        self._board = board
        self._clock = clock
        self._subscribers: set[Subscriber] = set()
        self._has_subscribers = asyncio.Event()
        self._read_positions: list[int] = []

    async def run(self) -> None:
        """Read the rings while there are subscribers, until cancelled."""
        while True:
            await self._has_subscribers.wait()
            self._read_positions = [self._board.samples_written(worker) for worker in range(MAX_WORKERS)]
            while self._subscribers:
                self._board.watch_live_queries(self._clock() + _SAMPLING_LEASE)
                await asyncio.sleep(_POLL_INTERVAL)
                self._distribute()
            self._has_subscribers.clear()

    async def subscribe(self, subscriber: Subscriber, max_wait: float) -> AsyncGenerator[bytes, None]:
        """Yield what comes for a subscriber, in turns of at most `max_wait` seconds."""
        self._subscribers.add(subscriber)
        self._has_subscribers.set()
        try:
            while True:
                yield await subscriber.next_batch(max_wait)
        finally:
            self._subscribers.discard(subscriber)

    @property
    def is_full(self) -> bool:
        """Whether no further subscriber is taken."""
        return len(self._subscribers) >= MAX_SUBSCRIBERS

    def recent_queries(self, query_filter: QueryFilter) -> list[dict[str, Any]]:
        """The last queries that the rings hold, oldest first."""
        rings = (query for worker in range(MAX_WORKERS) for query in self._samples_since(worker, 0))
        events = (QueryEvent(query) for query in sorted(rings, key=lambda query: query.timestamp))
        return [event.fields for event in events if query_filter.matches(event)][-MAX_RECENT:]

    def _distribute(self) -> None:
        events, lost = self._read_new()
        if not events and not lost:
            return
        by_filter: dict[QueryFilter, list[Subscriber]] = defaultdict(list)
        for subscriber in self._subscribers:
            by_filter[subscriber.query_filter].append(subscriber)
        for query_filter, subscribers in by_filter.items():
            _deliver(query_filter, subscribers, events, lost)

    def _read_new(self) -> tuple[list[QueryEvent], int]:
        """Return the queries since the last read, and how many were overwritten meanwhile."""
        events: list[QueryEvent] = []
        lost = 0
        for worker, before in enumerate(self._read_positions):
            taken = self._board.samples_written(worker)
            if taken != before:
                self._read_positions[worker] = taken
                lost += max(taken - before - SAMPLE_RING_SIZE, 0)
                events += map(QueryEvent, self._samples_since(worker, before))
        return events, lost

    def _samples_since(self, worker: int, before: int) -> list[QuerySample]:
        decoded = (samples.decode(encoded) for encoded in self._board.read_samples(worker, before))
        return [query for query in decoded if query is not None]


def _deliver(
    query_filter: QueryFilter, subscribers: Iterable[Subscriber], events: Iterable[QueryEvent], lost: int
) -> None:
    """Hand events to all subscribers of one filter."""
    found = [event for event in events if query_filter.matches(event)]
    kept = query_filter.limit_rate(found)
    lines, left_out = [event.line for event in kept], lost + len(found) - len(kept)
    if lines or left_out:
        for subscriber in subscribers:
            subscriber.offer(lines, left_out)


def _is_within(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith("." + suffix)
