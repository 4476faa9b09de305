"""The admin socket of a running server, without the rest of it."""

import asyncio
import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from meshdns.config import Settings
from meshdns.controller.admin import serve_admin
from meshdns.controller.inspection import Inspection
from meshdns.view.environment import Environment
from tests.rig.waiting import eventually


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name (a Unix socket's path has 104 to 108 octets)."""
    with tempfile.TemporaryDirectory(prefix="meshdns-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def admin_socket(settings: Settings, view: Path, contacts: Mapping[str, float] | None = None) -> Iterator[Path]:
    """A thread that serves the admin socket of these settings over a view."""
    path = Path(settings.admin.socket or "")
    environment = Environment(view, writable=False)
    inspection = Inspection(settings, environment.read)
    loop = asyncio.new_event_loop()
    task = loop.create_task(serve_admin(socket=path, inspection=inspection, contacts=lambda: contacts or {}))
    thread = threading.Thread(target=_run, args=(loop, task), name="admin socket")
    thread.start()
    try:
        eventually(lambda: answers(path), what=f"somebody answers on {path}")
        yield path
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        environment.close()


def _run(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[None]") -> None:
    with contextlib.suppress(asyncio.CancelledError), contextlib.closing(loop):
        loop.run_until_complete(task)


def answers(path: Path) -> bool:
    """Whether somebody accepts connections at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
