"""Live queries: what the workers' rings hold, for as many as want to look at it.

Rules:
- One look at the rings five times a second serves all who look, and workers sample for them only while there are any.
- A query is decoded once and encoded once, however many look; those with the same filter share the work of filtering.
- Nobody is waited for: whoever reads too slowly loses events, and is told how many.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from meshdns import sampled
from meshdns.sampled import Sampled
from meshdns.scoreboard import MAX_WORKERS, RING, Scoreboard

_PERIOD: Final = 0.2  # seconds
_LEASE: Final = 2.0  # seconds for which workers sample on after the last look
MAX_WAITING: Final = 1000  # events that wait for one who looks
MAX_VIEWS: Final = 200
RECENT: Final = 1000


class Event:
    """One query as it is shown; `line` is its server-sent event."""

    __slots__ = ("_line", "name", "shown")

    def __init__(self, query: Sampled) -> None:
        self.shown: dict[str, Any] = sampled.as_json(query)
        self.name: str = self.shown["name"].lower()
        self._line = b""

    @property
    def line(self) -> bytes:
        """Encoded when the first one wants it."""
        self._line = self._line or b"data: " + msgspec.json.encode(self.shown) + b"\n\n"
        return self._line


class Filter(msgspec.Struct, frozen=True):
    """What to show. `name` is a suffix of whole labels, `client` an address or the beginning of one; empty is all.

    `rate` is how many a second are enough, 0 for all that come.
    """

    name: str = ""
    rcode: str = ""
    client: str = ""
    type: str = ""
    rate: int = 0

    def shows(self, event: Event) -> bool:
        """Whether a query is one of those."""
        shown = event.shown
        return (
            (not self.rcode or shown["rcode"] == self.rcode)
            and (not self.type or shown["type"] == self.type)
            and (not self.client or shown["client"].startswith(self.client))
            and (not self.name or _below(event.name, self.name))
        )

    def enough(self, events: list[Event]) -> list[Event]:
        """Of what came in one period no more than is wanted."""
        return events[: max(round(self.rate * _PERIOD), 1)] if self.rate else events


def read_filter(query: Mapping[str, str]) -> Filter:
    """The filter from the words of a request."""
    name = query.get("name", "").lower().removesuffix(".")
    rate = query.get("rate", "")
    return Filter(
        name=f"{name}." if name else "",
        rcode=query.get("rcode", "").upper(),
        client=query.get("client", ""),
        type=query.get("type", "").upper(),
        rate=int(rate) if rate.isascii() and rate.isdigit() and len(rate) < 6 else 0,
    )


class View:
    """One who looks."""

    def __init__(self, wanted: Filter) -> None:
        self.wanted = wanted
        self.missed = 0
        self._waiting: deque[bytes] = deque()
        self._come = asyncio.Event()

    def offer(self, lines: Sequence[bytes], left_out: int) -> None:
        """Show events, as far as there is room; `left_out` were wanted, but are more than enough."""
        room = MAX_WAITING - len(self._waiting)
        self._waiting.extend(lines[:room])
        self.missed += left_out + max(len(lines) - room, 0)
        self._come.set()

    async def take(self, patience: float) -> bytes:
        """The events that have come, one after the other; nothing after `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await self._come.wait()
        except TimeoutError:
            return b""
        taken = b"".join(self._waiting)
        self._waiting.clear()
        self._come.clear()
        return taken


class LiveQueries:
    """The rings of all workers. `clock` gives monotonic seconds."""

    def __init__(self, board: Scoreboard, clock: Callable[[], float]) -> None:
        self._board = board
        self._clock = clock
        self._views: set[View] = set()
        self._wanted = asyncio.Event()
        self._read: list[int] = []

    async def run(self) -> None:
        """Read the rings while anybody looks, until cancelled."""
        while True:
            await self._wanted.wait()
            self._read = [self._board.samples_taken(worker) for worker in range(MAX_WORKERS)]
            while self._views:
                self._board.watch(self._clock() + _LEASE)
                await asyncio.sleep(_PERIOD)
                self._distribute()
            self._wanted.clear()

    async def follow(self, view: View, patience: float) -> AsyncGenerator[bytes, None]:
        """What comes for a view, in turns of at most `patience` seconds."""
        self._views.add(view)
        self._wanted.set()
        try:
            while True:
                yield await view.take(patience)
        finally:
            self._views.discard(view)

    @property
    def full(self) -> bool:
        """Whether nobody more can look."""
        return len(self._views) >= MAX_VIEWS

    def recent(self, wanted: Filter) -> list[dict[str, Any]]:
        """The last queries that the rings hold, oldest first."""
        rings = (query for worker in range(MAX_WORKERS) for query in self._since(worker, 0))
        events = (Event(query) for query in sorted(rings, key=lambda query: query.when))
        return [event.shown for event in events if wanted.shows(event)][-RECENT:]

    def _distribute(self) -> None:
        events, lost = self._come()
        if not events and not lost:
            return
        alike: dict[Filter, list[View]] = defaultdict(list)
        for view in self._views:
            alike[view.wanted].append(view)
        for wanted, views in alike.items():
            _show(wanted, views, events, lost)

    def _come(self) -> tuple[list[Event], int]:
        """What has come since the last look, and how many were overwritten meanwhile."""
        events: list[Event] = []
        lost = 0
        for worker, before in enumerate(self._read):
            taken = self._board.samples_taken(worker)
            if taken != before:
                self._read[worker] = taken
                lost += max(taken - before - RING, 0)
                events += map(Event, self._since(worker, before))
        return events, lost

    def _since(self, worker: int, before: int) -> list[Sampled]:
        decoded = (sampled.decode(octets) for octets in self._board.samples(worker, before))
        return [query for query in decoded if query is not None]


def _show(wanted: Filter, views: Iterable[View], events: Iterable[Event], lost: int) -> None:
    """Show events to all views of one filter."""
    found = [event for event in events if wanted.shows(event)]
    kept = wanted.enough(found)
    lines, left_out = [event.line for event in kept], lost + len(found) - len(kept)
    if lines or left_out:
        for view in views:
            view.offer(lines, left_out)


def _below(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith("." + suffix)
