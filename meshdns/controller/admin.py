"""EDGE. The admin socket: what ``meshdns explain``, ``get``, ``tail`` and others ask of a running server.

Rules:
- GET, JSON, one path for each list, ``/explain?name=&type=``, ``/queries`` (live ones as server-sent events),
  ``/overview`` and ``/totals`` for all who look within a second at once; ``/`` is the page that shows them.
- Two orders, POST on the Unix socket alone: ``/reload`` and ``/cache/flush``. Nothing else can be changed.
- The socket's mode is 0660: who owns it, or is in its group, may ask and order. No browser can reach a Unix socket; one
  can be made to ask a loopback port in a stranger's name (DNS rebinding), so there the Host header must name loopback,
  and what a browser asks for because another site's page said so is refused.
- A socket file that nobody answers on is left over from a server that was killed, and is replaced.
- Looks run one at a time in a thread of their own: 100,000 names must not hold up the event loop that brings changes.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket as sockets
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from meshdns.config.values import host_port
from meshdns.controller.census import Census
from meshdns.controller.inspection import Inspection
from meshdns.controller.listing import LISTS, Listing
from meshdns.controller.livequeries import LiveQueries, View, read_filter
from meshdns.controller.overview import counts
from meshdns.controller.page import FOLDER, Page
from meshdns.controller.searching import read_selection
from meshdns.controller.totals import Totals
from meshdns.dns import names
from meshdns.dns.presentation import type_number
from meshdns.view.environment import ViewError

Contacts = Callable[[], Mapping[str, float]]
"""Seconds since each cluster was heard of."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""What answers a request."""

_BACKLOG: Final = 16
_HEARTBEAT: Final = 10.0  # seconds after which a silent stream says that it lives
_STALLED: Final = 30.0  # seconds for which a stream may stand because nobody reads it
_KEPT: Final = 1.0  # seconds for which one look serves all who ask the same
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_ANSWERING: Final = 1.0  # seconds for whoever holds the socket to accept

_log = logging.getLogger("meshdns.controller")


class Running(NamedTuple):
    """What only a running server can tell or do: when clusters were heard of, live queries, orders by their path.

    `census` has its numbers of names and problems, `totals` those of its answers.
    """

    contacts: Contacts
    live: LiveQueries
    orders: Mapping[str, Callable[[], None]]
    census: Census
    totals: Callable[[], Totals]


async def serve_admin(*, socket: Path, listen: str | None, inspection: Inspection, running: Running) -> None:
    """Answer on the socket at `socket` until cancelled; a socket that cannot be had is logged, and nothing else lost.

    `listen` is a loopback address and port to answer on as well. The view that `inspection` reads may be closed as
    soon as this has ended.
    """
    try:
        listener = _listen(socket)
    except OSError as error:
        reason = error.strerror or str(error)
        _log.error("admin socket %s: %s; explain and get read the view: set admin.socket to change it", socket, reason)
        return
    looks = ThreadPoolExecutor(1, thread_name_prefix="admin")
    runner = web.AppRunner(_Admin(inspection, running, looks).application(), access_log=None, shutdown_timeout=0.5)
    try:
        await runner.setup()
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        await _listen_on(listen, runner)
        await running.live.run()
    finally:
        _forget(socket)
        await runner.cleanup()
        listener.close()
        looks.shutdown(cancel_futures=True)


class _Admin:
    """The paths of the admin socket."""

    def __init__(self, inspection: Inspection, running: Running, looks: ThreadPoolExecutor) -> None:
        self._inspection = inspection
        self._running = running
        self._looks = looks
        self._page = Page()
        self._kept: dict[str, tuple[float, asyncio.Future[bytes]]] = {}

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_guard])
        application.router.add_get("/queries", self._queries, allow_head=False)
        for path in self._running.orders:
            application.router.add_post(path, self._order)
        application.router.add_get("/explain", self._explain, allow_head=False)
        application.router.add_get("/overview", self._overview, allow_head=False)
        application.router.add_get("/totals", self._totals, allow_head=False)
        application.router.add_get("/", self._file, allow_head=False)
        application.router.add_get(f"{FOLDER}{{version}}/{{name}}", self._file, allow_head=False)
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
        contacts, wanted = self._running.contacts(), read_selection(request.query)
        if word == "names" and wanted is not None:
            return await self._look(lambda: self._inspection.search(wanted))
        if word == "problems" and wanted is not None:
            return await self._look(lambda: self._inspection.worst_problems(wanted.limit))
        return await self._look(lambda: self._inspection.listing(word, contacts))

    async def _queries(self, request: web.Request) -> web.StreamResponse:
        """The last sampled queries; live ones for whoever accepts events."""
        live, wanted = self._running.live, read_filter(request.query)
        if "text/event-stream" not in request.headers.get("Accept", ""):
            listing = Listing(kind="QueryList", items=tuple(live.recent(wanted)))
            return web.Response(body=msgspec.json.encode(listing), content_type="application/json")
        if live.full:
            return _refused(503, "too many look at live queries; close one, and try again")
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        view = View(wanted)
        try:
            async with contextlib.aclosing(live.follow(view, _HEARTBEAT)) as turns:
                async for lines in turns:
                    missed, view.missed = view.missed, 0
                    told = lines + (b'event: missed\ndata: {"missed":%d}\n\n' % missed if missed else b"")
                    async with asyncio.timeout(_STALLED):
                        await response.write(told or b": nothing\n\n")
        except ConnectionError:
            pass  # whoever looked has gone
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _overview(self, _request: web.Request) -> web.Response:
        contacts, counted = self._running.contacts(), counts(self._running.census)
        return await self._shared("overview", lambda: self._inspection.overview(contacts, counted))

    async def _totals(self, _request: web.Request) -> web.Response:
        return await self._shared("totals", self._running.totals)

    async def _file(self, request: web.Request) -> web.Response:
        """A file of the page."""
        file = self._page.files.get(request.path)
        if file is None:
            return _refused(404, "no such file in this version of the page; load it again")
        return web.Response(body=file.body, headers={"Content-Type": file.type, "Cache-Control": file.keep})

    async def _order(self, request: web.Request) -> web.Response:
        """Do what the path says."""
        self._running.orders[request.path]()
        return web.Response(body=b'{"done":true}', content_type="application/json")

    async def _shared(self, what: str, look: Callable[[], object]) -> web.Response:
        """As `_look`, one for all who ask within a moment."""
        now = asyncio.get_running_loop().time()
        until, taken = self._kept.get(what, (0.0, None))
        if taken is None or now >= until:
            taken = self._taken(look)
            self._kept[what] = (now + _KEPT, taken)
        return await _sent(asyncio.shield(taken))  # whoever goes away takes it from nobody

    async def _look(self, look: Callable[[], object]) -> web.Response:
        """The result of a look, taken and encoded in the thread."""
        return await _sent(self._taken(look))

    def _taken(self, look: Callable[[], object]) -> "asyncio.Future[bytes]":
        return asyncio.get_running_loop().run_in_executor(self._looks, lambda: msgspec.json.encode(look()))


async def _sent(taken: Awaitable[bytes]) -> web.Response:
    try:
        body = await taken
    except ViewError as error:
        return _refused(503, f"{error}; ask again, or see the log of meshdns serve")
    return web.Response(body=body, content_type="application/json")


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep strangers' web pages out, and let no page of ours load or run anything from elsewhere."""
    transport = request.transport
    local = transport is not None and isinstance(transport.get_extra_info("sockname"), str | bytes)
    if not local and _host(request) not in _LOOPBACK:
        return _refused(403, "ask for localhost or 127.0.0.1: this server answers under no other name")
    if not local and request.method != "GET":
        return _refused(403, "orders are taken on the Unix socket alone: use the meshdns command")
    if not local and _foreign(request):
        return _refused(403, "another site's page asked for this: open http://localhost in the browser instead")
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.headers.update(_HEADERS)
        raise
    if not response.prepared:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
    return response


def _foreign(request: web.Request) -> bool:
    """Whether a browser asks for another site's page, but for a link that is followed (W3C Fetch Metadata)."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site not in ("none", "same-origin") and request.headers.get("Sec-Fetch-Mode") != "navigate"


def _host(request: web.Request) -> str:
    """The host that the request is for, without port."""
    host = request.headers.get("Host", "")
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


async def _listen_on(listen: str | None, runner: web.AppRunner) -> None:
    if listen:
        host, port = host_port(listen)
        try:
            await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        except OSError as error:
            _log.error("admin %s: %s; choose another address with admin.listen", listen, error.strerror)


def _refused(status: int, reason: str) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode({"error": reason}), content_type="application/json")


def _listen(path: Path) -> sockets.socket:
    """A listening socket at `path` that its owner and group can use; its directory is made where it is missing.

    Raises OSError, also where somebody answers there.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_socket():
        if _answers(path):
            raise OSError(errno.EADDRINUSE, "another server answers there")
        path.unlink()
    listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    before = os.umask(0o117)  # from its first moment on nobody else may connect
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
