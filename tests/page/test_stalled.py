"""A stream of live queries that nobody reads is ended after its time, on a loop whose clock the test moves."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from meshdns.config import Settings
from meshdns.config.translate import mesh_settings
from meshdns.controller.admin.api import read_totals
from meshdns.controller.admin.live import LiveQueries
from meshdns.controller.admin.reports import Reports
from meshdns.controller.admin.server import RunningServer, serve_admin
from meshdns.controller.gauges import MeshCounts
from meshdns.instance.scoreboard import Scoreboard
from meshdns.namedb.writer import Writer
from tests.cli.admin_server import short_folder
from tests.page.test_streams import sampled_query

REQUEST = b"GET /queries HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
PERIOD = 0.2  # seconds between two looks at the rings
STALLED = 30.0  # seconds
EACH = 100  # queries of one period


class MovedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock runs ahead of the real one by what it was moved."""

    moved = 0.0

    def time(self) -> float:
        """Seconds of this loop."""
        return super().time() + self.moved

    async def move(self, seconds: float) -> None:
        """Let time pass, and all that falls due then."""
        self.moved += seconds
        for _ in range(20):  # turns of the loop: timers, what they wake, and the sockets
            await asyncio.sleep(0)


def test_a_reader_that_stands_still_is_cut_off_after_thirty_seconds() -> None:
    """Until then it may come back; afterwards its connection is gone and its place is free."""
    with asyncio.Runner(loop_factory=MovedLoop) as runner, short_folder() as place:
        loop = runner.get_loop()
        assert isinstance(loop, MovedLoop)
        runner.run(_stall(loop, place))


async def _stall(loop: MovedLoop, place: Path) -> None:
    board, writer, path = Scoreboard.create(), Writer(place / "view"), place / "admin.sock"
    live = LiveQueries(board, loop.time)
    running = RunningServer(
        dict, live, {}, MeshCounts(mesh_settings(Settings())), lambda: read_totals(board, loop.time())
    )
    inspection = Reports(Settings(), writer.read)
    serving = asyncio.create_task(
        serve_admin(socket=path, listen=None, reports=inspection, running=running), name="admin"
    )
    try:
        await _until(loop, path.exists)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(REQUEST)
            await _until(loop, lambda: bool(live._subscribers))
            await _fill(loop, board, live)
            await loop.move(STALLED - 15)
            assert live._subscribers
            await loop.move(15)
            assert not live._subscribers
            assert _is_cut_off(client)
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
        writer.close()


async def _until(loop: MovedLoop, condition: Callable[[], bool]) -> None:
    """Give the loop turns until something holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await loop.move(0)


async def _fill(loop: MovedLoop, board: Scoreboard, live: LiveQueries) -> None:
    """Sample queries until some periods' worth of them waits for the reader: its connection takes no more."""
    (view,) = live._subscribers
    deadline = time.monotonic() + 20
    while len(view._pending) < 3 * EACH:
        assert time.monotonic() < deadline
        for _ in range(EACH):
            board.write_sample(0, sampled_query("a.global"))
        await loop.move(PERIOD)


def _is_cut_off(client: socket.socket) -> bool:
    """Whether what was sent ends without the end of the stream."""
    client.settimeout(10)
    received = b""
    with suppress(ConnectionResetError):
        while part := client.recv(1 << 16):
            received += part
    return b"data: " in received and not received.endswith(b"0\r\n\r\n")
