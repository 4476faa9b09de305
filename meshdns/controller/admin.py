"""EDGE. The admin socket: what ``meshdns explain`` and ``meshdns get`` ask of a running server.

Rules:
- Read-only: GET alone, JSON, one path for each list and ``/explain?name=&type=``.
- The socket's mode is 0600: who may read the state directory may ask. No Host header is looked at, since no browser
  can reach a Unix socket.
- A socket file that nobody answers on is left over from a server that was killed, and is replaced.
- Looks run one at a time in a thread of their own: 100,000 names must not hold up the event loop that brings changes.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket as sockets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from meshdns.controller.inspection import Inspection
from meshdns.controller.listing import LISTS
from meshdns.dns import names
from meshdns.dns.presentation import type_number
from meshdns.view.environment import ViewError

Contacts = Callable[[], Mapping[str, float]]
"""Seconds since each cluster was heard of."""

_BACKLOG: Final = 16
_ANSWERING: Final = 1.0  # seconds for whoever holds the socket to accept

_log = logging.getLogger("meshdns.controller")


async def serve_admin(*, socket: Path, inspection: Inspection, contacts: Contacts) -> None:
    """Answer on the socket at `socket` until cancelled; a socket that cannot be had is logged, and nothing else lost.

    The view that `inspection` reads may be closed as soon as this has ended.
    """
    try:
        listener = _listen(socket)
    except OSError as error:
        reason = error.strerror or str(error)
        _log.error("admin socket %s: %s; explain and get read the view: set admin.socket to change it", socket, reason)
        return
    looks = ThreadPoolExecutor(1, thread_name_prefix="admin")
    runner = web.AppRunner(_Admin(inspection, contacts, looks).application(), access_log=None, shutdown_timeout=0.5)
    try:
        await runner.setup()
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        await asyncio.get_running_loop().create_future()
    finally:
        _forget(socket)
        await runner.cleanup()
        listener.close()
        looks.shutdown(cancel_futures=True)


class _Admin:
    """The paths of the admin socket."""

    def __init__(self, inspection: Inspection, contacts: Contacts, looks: ThreadPoolExecutor) -> None:
        self._inspection = inspection
        self._contacts = contacts
        self._looks = looks

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/explain", self._explain, allow_head=False)
        application.router.add_get(f"/{{word:{'|'.join(LISTS)}}}", self._list, allow_head=False)
        return application

    async def _explain(self, request: web.Request) -> web.Response:
        name = request.query.get("name", "").lower().removesuffix(".")
        rtype = request.query.get("type", "A").upper()
        fault = names.fault(name.removeprefix("*."))
        if fault:
            return _refused(400, f"name {fault}; ask as /explain?name=frontend.default.global&type=A")
        if type_number(rtype) < 0:
            return _refused(400, f"type {rtype} is unknown; ask for A, AAAA, SRV or TYPE65, for example")
        return await self._look(lambda: self._inspection.explain(name, rtype))

    async def _list(self, request: web.Request) -> web.Response:
        word = request.match_info["word"]
        contacts = self._contacts()
        return await self._look(lambda: self._inspection.listing(word, contacts))

    async def _look(self, look: Callable[[], object]) -> web.Response:
        """The result of a look, taken and encoded in the thread."""
        try:
            loop = asyncio.get_running_loop()
            body = await loop.run_in_executor(self._looks, lambda: msgspec.json.encode(look()))
        except ViewError as error:
            return _refused(503, f"{error}; ask again, or see the log of meshdns serve")
        return web.Response(body=body, content_type="application/json")


def _refused(status: int, reason: str) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode({"error": reason}), content_type="application/json")


def _listen(path: Path) -> sockets.socket:
    """A listening socket at `path` that its owner alone can use; its directory is made where it is missing.

    Raises OSError, also where somebody answers there.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_socket():
        if _answers(path):
            raise OSError(errno.EADDRINUSE, "another server answers there")
        path.unlink()
    listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    before = os.umask(0o177)  # from its first moment on nobody else may connect
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _forget(path: Path) -> None:
    """Remove the socket's file: from here on nobody can connect any more."""
    with contextlib.suppress(OSError):
        path.unlink()


def _answers(path: Path) -> bool:
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWERING)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (TimeoutError, BlockingIOError):
            return True  # somebody holds it and has a full backlog
        return True
