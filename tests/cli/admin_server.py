"""The admin socket of a running server, without the rest of it."""

import asyncio
import contextlib
import queue
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from meshdns.config import Settings
from meshdns.config.translate import mesh_settings
from meshdns.controller.admin.api import read_totals
from meshdns.controller.admin.live import LiveQueries
from meshdns.controller.admin.reports import Reports
from meshdns.controller.admin.server import Command, RunningServer, serve_admin
from meshdns.controller.gauges import MeshCounts
from meshdns.instance.scoreboard import Scoreboard
from meshdns.namedb.database import NameDatabase
from meshdns.namedb.tables import read_tables
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
    orders: Mapping[str, Command] | None = None,
    census: MeshCounts | None = None,
) -> Iterator[Path]:
    """A thread that serves the admin socket of these settings over a database; `census` is empty if none is given."""
    path = Path(settings.admin.socket or "")
    environment = NameDatabase(view, writable=False)
    inspection = Reports(settings, partial(read_tables, environment))
    started: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = queue.SimpleQueue()

    async def serve() -> None:
        board = Scoreboard.create()
        live = LiveQueries(board, time.monotonic)
        running = RunningServer(
            contact_ages=lambda: contacts or {},
            live_queries=live,
            commands=orders or {},
            mesh_counts=census or MeshCounts(mesh_settings(settings)),
            read_totals=lambda: read_totals(board, time.monotonic()),
        )
        serving = serve_admin(socket=path, listen=settings.admin.listen, reports=inspection, running=running)
        task = asyncio.create_task(serving, name="admin")
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
