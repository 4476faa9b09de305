"""Live queries for many at once: shared work, bounded queues, and nobody who waits for a slow reader."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

from meshdns import sampled
from meshdns.controller.livequeries import MAX_WAITING, Filter, LiveQueries, View, read_filter
from meshdns.dns import names
from meshdns.sampled import Sampled
from meshdns.scoreboard import RING, Scoreboard

PATIENCE = 10.0  # seconds


def _query(name: str, *, rcode: int = 0) -> bytes:
    return sampled.encode(
        Sampled(
            marks=sampled.FOR_LIVE,
            when=0.0,
            source=b"\x7f\0\0\x01",
            port=5353,
            tcp=False,
            ident=1,
            name=names.wire(name),
            qtype=1,
            qclass=1,
            flags=0x8400 | rcode,
            asked=40,
            replied=56,
            do=False,
            size=1232,
            plugin="mesh",
            kind="success",
            error=-1,
            seconds=0.0,
        )
    )


@asynccontextmanager
async def _live(board: Scoreboard) -> AsyncIterator[LiveQueries]:
    live = LiveQueries(board, time.monotonic)
    running = asyncio.ensure_future(live.run())
    try:
        yield live
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _first(live: LiveQueries, view: View) -> bytes:
    """The first events of a view."""
    async with aclosing(live.follow(view, PATIENCE)) as turns:
        return await anext(turns)


async def _sampling(board: Scoreboard, *queries: bytes) -> None:
    """Put queries into a ring as soon as somebody looks."""
    while not board.watched(time.monotonic()):  # noqa: ASYNC110 — shared memory wakes nobody
        await asyncio.sleep(0)
    for query in queries:
        board.sample(0, query)


def test_all_who_want_the_same_share_one_encoding() -> None:
    """A hundred views are served the very octets that were encoded for the first."""

    async def look() -> list[list[bytes]]:
        board, views = Scoreboard.create(), [View(Filter()) for _ in range(100)]
        live = LiveQueries(board, time.monotonic)
        turns = [asyncio.ensure_future(anext(live.follow(view, PATIENCE))) for view in views]
        await asyncio.sleep(0)  # each has begun to follow
        live._read = [0] * 256
        board.sample(0, _query("a.global"))
        live._distribute()
        waiting = [list(view._waiting) for view in views]
        await asyncio.gather(*turns)
        return waiting

    first, *others = asyncio.run(look())
    assert len(first) == 1
    assert all(each[0] is first[0] for each in others)


def test_each_sees_what_its_filter_shows() -> None:
    """Filters by name and RCODE tell views apart."""

    async def look() -> list[bytes]:
        board = Scoreboard.create()
        views = [View(read_filter({"name": "b.global"})), View(read_filter({"rcode": "nxdomain"}))]
        async with _live(board) as live:
            looking = [asyncio.ensure_future(_first(live, view)) for view in views]
            await _sampling(board, _query("a.global"), _query("x.b.global"), _query("c.global", rcode=3))
            return await asyncio.gather(*looking)

    below, denied = asyncio.run(look())
    assert below.count(b"data:") == denied.count(b"data:") == 1
    assert b'"x.b.global."' in below
    assert b'"c.global."' in denied


def test_more_than_enough_is_counted_instead_of_sent() -> None:
    """A view that asks for 50 events a second gets 10 of what came in a fifth of one, and is told of the others."""

    async def look() -> tuple[bytes, int]:
        board, view = Scoreboard.create(), View(read_filter({"rate": "50"}))
        async with _live(board) as live:
            asking = _sampling(board, *[_query("a.global")] * 200)
            seen, _ = await asyncio.gather(_first(live, view), asking)
        return seen, view.missed

    seen, missed = asyncio.run(look())
    assert (seen.count(b"data:"), missed) == (10, 190)


def test_a_view_that_is_not_read_keeps_no_more_than_its_bound() -> None:
    """What it cannot take is counted, and others get theirs."""

    async def look() -> tuple[int, int, int]:
        slow, quick = View(Filter()), View(Filter())
        took = 0
        for _ in range(5):
            for view in (slow, quick):
                view.offer([b"data: {}\n\n"] * 400, 0)
            took += (await quick.take(PATIENCE)).count(b"data:")
        return (await slow.take(PATIENCE)).count(b"data:"), slow.missed, took

    assert asyncio.run(look()) == (MAX_WAITING, 2000 - MAX_WAITING, 2000)


def test_what_the_ring_could_not_hold_is_counted() -> None:
    """Between two looks a ring is overwritten: that is said, too."""

    async def look() -> int:
        board, view = Scoreboard.create(), View(Filter())
        async with _live(board) as live:
            await asyncio.gather(_first(live, view), _sampling(board, *[_query("a.global")] * (RING + 7)))
        return view.missed

    assert asyncio.run(look()) == 7 + RING - MAX_WAITING
