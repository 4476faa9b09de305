"""The admin socket of a running server, without the rest of it."""

import asyncio
import contextlib
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from meshdns.config import Settings
from meshdns.controller.admin import Running, serve_admin
from meshdns.controller.census import Census
from meshdns.controller.inspection import Inspection
from meshdns.controller.livequeries import LiveQueries
from meshdns.controller.settings import mesh_settings
from meshdns.controller.totals import read_totals
from meshdns.scoreboard import Scoreboard
from meshdns.view.environment import Environment
from tests.rig.waiting import eventually


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name (a Unix socket's path has 104 to 108 octets)."""
    with tempfile.TemporaryDirectory(prefix="meshdns-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def admin_socket(
    settings: Settings,
    view: Path,
    contacts: Mapping[str, float] | None = None,
    *,
    orders: Mapping[str, Callable[[], None]] | None = None,
) -> Iterator[Path]:
    """A thread that serves the admin socket of these settings over a view."""
    path = Path(settings.admin.socket or "")
    environment = Environment(view, writable=False)
    inspection = Inspection(settings, environment.read)
    started: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = queue.SimpleQueue()

    async def serve() -> None:
        board = Scoreboard.create()
        live = LiveQueries(board, time.monotonic)
        running = Running(
            contacts=lambda: contacts or {},
            live=live,
            orders=orders or {},
            census=Census(mesh_settings(settings)),
            totals=lambda: read_totals(board, time.monotonic()),
        )
        serving = serve_admin(socket=path, listen=settings.admin.listen, inspection=inspection, running=running)
        task = asyncio.ensure_future(serving)
        started.put((asyncio.get_running_loop(), task))
        with contextlib.suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="admin socket")
    thread.start()
    loop, task = started.get()
    try:
        eventually(lambda: _answers(path), what=f"somebody answers on {path}")
        yield path
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        environment.close()


def asked(path: Path, target: str, method: str = "GET") -> tuple[int, Any]:
    """Status and JSON of one request over the socket; a refusal of the path itself has no JSON."""

    async def ask() -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
            session.request(method, f"http://meshdns{target}") as response,
        ):
            return response.status, await response.json() if response.content_type == "application/json" else None

    return asyncio.run(ask())


def _answers(path: Path) -> bool:
    try:
        return asked(path, "/zone")[0] == 200
    except aiohttp.ClientConnectionError:
        return False
