"""Live queries for many at once: shared work, bounded queues, and nobody who waits for a slow reader."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

from meshdns.controller.admin.live import MAX_PENDING_EVENTS, LiveQueries, QueryFilter, Subscriber, read_filter
from meshdns.dns import names
from meshdns.instance import samples
from meshdns.instance.samples import QuerySample
from meshdns.instance.scoreboard import SAMPLE_RING_SIZE, Scoreboard

PATIENCE = 10.0  # seconds


def sampled_query(name: str, *, rcode: int = 0) -> bytes:
    """Return an encoded sample of a query for a name."""
    return samples.encode(
        QuerySample(
            destinations=samples.FOR_LIVE,
            timestamp=0.0,
            client_address=b"\x7f\0\0\x01",
            client_port=5353,
            tcp=False,
            query_id=1,
            name=names.to_wire(name),
            qtype=1,
            qclass=1,
            flags=0x8400 | rcode,
            query_size=40,
            reply_size=56,
            dnssec_ok=False,
            udp_size=1232,
            plugin="mesh",
            reply_class="success",
            ede_code=-1,
            duration=0.0,
        )
    )


@asynccontextmanager
async def _live(board: Scoreboard) -> AsyncIterator[LiveQueries]:
    live = LiveQueries(board, time.monotonic)
    running = asyncio.create_task(live.run(), name="live queries")
    try:
        yield live
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _first(live: LiveQueries, view: Subscriber) -> bytes:
    """The first events of a name database."""
    async with aclosing(live.subscribe(view, PATIENCE)) as turns:
        return await anext(turns)


async def _sampling(board: Scoreboard, *queries: bytes) -> None:
    """Put queries into a ring as soon as somebody looks."""
    while not board.is_watching_live_queries(time.monotonic()):  # noqa: ASYNC110 — shared memory wakes nobody
        await asyncio.sleep(0)
    for query in queries:
        board.write_sample(0, query)


def test_all_who_want_the_same_share_one_encoding() -> None:
    """A hundred views are served the very octets that were encoded for the first."""

    async def look() -> list[list[bytes]]:
        board, views = Scoreboard.create(), [Subscriber(QueryFilter()) for _ in range(100)]
        live = LiveQueries(board, time.monotonic)

        async def turn(view: Subscriber) -> bytes:
            return await anext(live.subscribe(view, PATIENCE))

        turns = [asyncio.create_task(turn(view), name="turn") for view in views]
        await asyncio.sleep(0)  # each has begun to follow
        live._read_positions = [0] * 256
        board.write_sample(0, sampled_query("a.global"))
        live._distribute()
        waiting = [list(view._pending) for view in views]
        await asyncio.gather(*turns)
        return waiting

    first, *others = asyncio.run(look())
    assert len(first) == 1
    assert all(each[0] is first[0] for each in others)


def test_each_sees_what_its_filter_shows() -> None:
    """Filters by name and RCODE tell views apart."""

    async def look() -> list[bytes]:
        board = Scoreboard.create()
        views = [Subscriber(read_filter({"name": "b.global"})), Subscriber(read_filter({"rcode": "nxdomain"}))]
        async with _live(board) as live:
            looking = [asyncio.create_task(_first(live, view), name="look") for view in views]
            await _sampling(
                board, sampled_query("a.global"), sampled_query("x.b.global"), sampled_query("c.global", rcode=3)
            )
            return await asyncio.gather(*looking)

    below, denied = asyncio.run(look())
    assert below.count(b"data:") == denied.count(b"data:") == 1
    assert b'"x.b.global."' in below
    assert b'"c.global."' in denied


def test_more_than_enough_is_counted_instead_of_sent() -> None:
    """A database that asks for 50 events a second gets 10 of what came in a fifth of one, and is told of the others."""

    async def look() -> tuple[bytes, int]:
        board, view = Scoreboard.create(), Subscriber(read_filter({"rate": "50"}))
        async with _live(board) as live:
            asking = _sampling(board, *[sampled_query("a.global")] * 200)
            seen, _ = await asyncio.gather(_first(live, view), asking)
        return seen, view.missed_count

    seen, missed = asyncio.run(look())
    assert (seen.count(b"data:"), missed) == (10, 190)


def test_a_view_that_is_not_read_keeps_no_more_than_its_bound() -> None:
    """What it cannot take is counted, and others get theirs."""

    async def look() -> tuple[int, int, int]:
        slow, quick = Subscriber(QueryFilter()), Subscriber(QueryFilter())
        took = 0
        for _ in range(5):
            for view in (slow, quick):
                view.offer([b"data: {}\n\n"] * 400, 0)
            took += (await quick.next_batch(PATIENCE)).count(b"data:")
        return (await slow.next_batch(PATIENCE)).count(b"data:"), slow.missed_count, took

    assert asyncio.run(look()) == (MAX_PENDING_EVENTS, 2000 - MAX_PENDING_EVENTS, 2000)


def test_what_the_ring_could_not_hold_is_counted() -> None:
    """Between two looks a ring is overwritten: that is said, too."""

    async def look() -> int:
        board, view = Scoreboard.create(), Subscriber(QueryFilter())
        async with _live(board) as live:
            await asyncio.gather(
                _first(live, view), _sampling(board, *[sampled_query("a.global")] * (SAMPLE_RING_SIZE + 7))
            )
        return view.missed_count

    assert asyncio.run(look()) == 7 + SAMPLE_RING_SIZE - MAX_PENDING_EVENTS
