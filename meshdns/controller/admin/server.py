"""The admin socket: what ``meshdns explain``, ``get``, ``tail`` and others ask of a running server.

Rules:
- GET, JSON, one path for each list, ``/explain?name=&type=``, ``/queries`` (live ones as server-sent events),
  ``/overview`` and ``/totals`` for all who look within a second at once; ``/`` is the page that shows them.
- Two orders, POST on the Unix socket alone: ``/reload`` and ``/cache/flush``. Nothing else can be changed. The reply to
  ``/reload`` comes when the settings are in force, or says why they are not (409).
- The socket's mode is 0660: who owns it, or is in its group, may ask and order. No browser can reach a Unix socket; one
  can be made to ask a loopback port in a stranger's name (DNS rebinding), so there the Host header must name loopback,
  and what a browser asks for because another site's page said so is refused.
- A socket file that nobody answers on is left over from a server that was killed, and is replaced.
- Connections are limited, of the socket and of the port apart: the oldest one without a request gives way to a new one.
- Reports run one at a time in a thread of their own: 100,000 names must not hold up the event loop that brings changes.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket as sockets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from meshdns.config.values import split_host_port
from meshdns.controller.admin.api import LISTS, Listing, Totals
from meshdns.controller.admin.connections import LimitedConnections
from meshdns.controller.admin.live import LiveQueries, Subscriber, read_filter
from meshdns.controller.admin.reports import Reports, overview_counts
from meshdns.controller.admin.search import read_selection
from meshdns.controller.admin.static_files import URL_PREFIX, AdminPage
from meshdns.controller.gauges import MeshCounts
from meshdns.controller.supervisor_link import CommandRefusedError
from meshdns.dns import names
from meshdns.dns.presentation import type_number
from meshdns.instance.connections import ACCEPT_QUEUE, BACKLOG, ConnectionTable
from meshdns.namedb.database import NameDatabaseError

ContactAges = Callable[[], Mapping[str, float]]
"""Seconds since each cluster was heard of."""

RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""What answers a request."""

_IDLE_TIMEOUT: Final = 75.0  # seconds for which a connection without a request is kept
_KEEPALIVE_INTERVAL: Final = 10.0  # seconds after which a silent stream says that it lives
_WRITE_TIMEOUT: Final = 30.0  # seconds for which a stream may stand because its client does not read
_SHARE_PERIOD: Final = 1.0  # seconds for which one look serves all who ask the same
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_CONNECT_TIMEOUT: Final = 1.0  # seconds for the holder of the socket to accept

_log = logging.getLogger("meshdns.controller")


Command = Callable[[], Awaitable[Mapping[str, Any]] | None]
"""Carries out a command. What is awaited of it are keys of the reply, or it raises `CommandRefusedError`."""


class RunningServer(NamedTuple):
    """Access to the running server: times of contact, live queries, and commands by their path.

    `mesh_counts` has its numbers of names and problems, `read_totals` those of its answers.
    """

    contact_ages: ContactAges
    live_queries: LiveQueries
    commands: Mapping[str, Command]
    mesh_counts: MeshCounts
    read_totals: Callable[[], Totals]


async def serve_admin(*, socket: Path, listen: str | None, reports: Reports, running: RunningServer) -> None:
    """Answer on the socket at `socket` until cancelled; a socket that cannot be had is logged, and nothing else lost.

    `listen` is a loopback address and port to answer on as well. The name database that `reports` reads may be closed
    as soon as this has ended.
    """
    try:
        listener = _open_listener(socket)
    except OSError as error:
        reason = error.strerror or str(error)
        _log.error(
            "admin socket %s: %s; explain and get read the name database: set admin.socket to change it", socket, reason
        )
        return
    executor = ThreadPoolExecutor(1, thread_name_prefix="admin")
    tables: list[ConnectionTable[asyncio.BaseTransport]] = []
    application = _AdminServer(reports, running, executor).application(tables)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5, keepalive_timeout=_IDLE_TIMEOUT)
    servers: list[asyncio.Server] = []
    try:
        await runner.setup()
        servers.append(
            await asyncio.get_running_loop().create_unix_server(
                _limited(runner, tables), sock=listener, backlog=BACKLOG
            )
        )
        listener.listen(ACCEPT_QUEUE)
        servers += await _listen_on_tcp(listen, _limited(runner, tables))
        await running.live_queries.run()
    finally:
        _remove_socket_file(socket)
        for server in servers:
            server.close()
        await runner.cleanup()
        listener.close()
        executor.shutdown(cancel_futures=True)


class _AdminServer:
    """The paths of the admin socket."""

    def __init__(self, reports: Reports, running: RunningServer, executor: ThreadPoolExecutor) -> None:
        self._reports = reports
        self._running = running
        self._executor = executor
        self._page = AdminPage()
        self._shared_reads: dict[str, tuple[float, asyncio.Future[bytes]]] = {}

    def application(self, tables: Sequence[ConnectionTable[asyncio.BaseTransport]]) -> web.Application:
        """The paths; `tables` have the connections, which keep their places while they are answered."""
        application = web.Application(middlewares=[_keep_place(tables), _reject_foreign_requests])
        application.router.add_get("/queries", self._queries, allow_head=False)
        for path in self._running.commands:
            application.router.add_post(path, self._command)
        application.router.add_get("/explain", self._explain, allow_head=False)
        application.router.add_get("/overview", self._overview, allow_head=False)
        application.router.add_get("/totals", self._totals, allow_head=False)
        application.router.add_get("/", self._file, allow_head=False)
        application.router.add_get(f"{URL_PREFIX}{{version}}/{{name}}", self._file, allow_head=False)
        application.router.add_get(f"/{{word:{'|'.join(LISTS)}}}", self._list, allow_head=False)
        return application

    async def _explain(self, request: web.Request) -> web.Response:
        name = request.query.get("name", "").lower().removesuffix(".")
        rtype = request.query.get("type", "A").upper()
        fault = names.invalid_reason(name.removeprefix("*."))
        if fault:
            return _error_response(400, f"name {fault}; ask as /explain?name=frontend.default.global&type=A")
        if type_number(rtype) < 0:
            return _error_response(400, f"type {rtype} is unknown; ask for A, AAAA, SRV or TYPE65, for example")
        return await self._respond(lambda: self._reports.explain(name, rtype))

    async def _list(self, request: web.Request) -> web.Response:
        word = request.match_info["word"]
        contacts, selection = self._running.contact_ages(), read_selection(request.query)
        if word == "names" and selection is not None:
            return await self._respond(lambda: self._reports.search(selection))
        if word == "problems" and selection is not None:
            return await self._respond(lambda: self._reports.worst_problems(selection.limit))
        return await self._respond(lambda: self._reports.listing(word, contacts))

    async def _queries(self, request: web.Request) -> web.StreamResponse:
        """The last sampled queries; live ones for a client that accepts events."""
        live, query_filter = self._running.live_queries, read_filter(request.query)
        if "text/event-stream" not in request.headers.get("Accept", ""):
            listing = Listing(kind="QueryList", items=tuple(live.recent_queries(query_filter)))
            return web.Response(body=msgspec.json.encode(listing), content_type="application/json")
        if live.is_full:
            return _error_response(503, "too many look at live queries; close one, and try again")
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        subscriber = Subscriber(query_filter)
        try:
            async with contextlib.aclosing(live.subscribe(subscriber, _KEEPALIVE_INTERVAL)) as turns:
                async for lines in turns:
                    missed, subscriber.missed_count = subscriber.missed_count, 0
                    body = lines + (b'event: missed\ndata: {"missed":%d}\n\n' % missed if missed else b"")
                    async with asyncio.timeout(_WRITE_TIMEOUT):
                        await response.write(body or b": nothing\n\n")
        except ConnectionError:
            pass  # the client has gone
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _overview(self, _request: web.Request) -> web.Response:
        contacts, counted = self._running.contact_ages(), overview_counts(self._running.mesh_counts)
        return await self._respond_shared("overview", lambda: self._reports.overview(contacts, counted))

    async def _totals(self, _request: web.Request) -> web.Response:
        return await self._respond_shared("totals", self._running.read_totals)

    async def _file(self, request: web.Request) -> web.Response:
        """A file of the page."""
        file = self._page.files.get(request.path)
        if file is None:
            return _error_response(404, "no such file in this version of the page; load it again")
        return web.Response(
            body=file.body, headers={"Content-Type": file.content_type, "Cache-Control": file.cache_control}
        )

    async def _command(self, request: web.Request) -> web.Response:
        """Do what the path says."""
        try:
            result = self._running.commands[request.path]()
            keys = {} if result is None else await result
        except CommandRefusedError as refusal:
            return _error_response(refusal.status, str(refusal))
        return web.Response(body=msgspec.json.encode({"done": True, **keys}), content_type="application/json")

    async def _respond_shared(self, key: str, read: Callable[[], object]) -> web.Response:
        """As `_respond`, one for all who ask within a moment."""
        now = asyncio.get_running_loop().time()
        until, taken = self._shared_reads.get(key, (0.0, None))
        if taken is None or now >= until:
            taken = self._submit(read)
            self._shared_reads[key] = (now + _SHARE_PERIOD, taken)
        return await _json_response(asyncio.shield(taken))  # a client that goes away cancels it for no other

    async def _respond(self, read: Callable[[], object]) -> web.Response:
        """Respond with a report, made and encoded in the thread."""
        return await _json_response(self._submit(read))

    def _submit(self, read: Callable[[], object]) -> "asyncio.Future[bytes]":
        return asyncio.get_running_loop().run_in_executor(self._executor, lambda: msgspec.json.encode(read()))


async def _json_response(encoded: Awaitable[bytes]) -> web.Response:
    try:
        body = await encoded
    except NameDatabaseError as error:
        return _error_response(503, f"{error}; ask again, or see the log of meshdns serve")
    return web.Response(body=body, content_type="application/json")


@web.middleware
async def _reject_foreign_requests(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
    """Keep strangers' web pages out, and let no page of ours load or run anything from elsewhere."""
    transport = request.transport
    local = transport is not None and isinstance(transport.get_extra_info("sockname"), str | bytes)
    if not local and _requested_host(request) not in _LOOPBACK:
        return _error_response(403, "ask for localhost or 127.0.0.1: this server answers under no other name")
    if not local and request.method != "GET":
        return _error_response(403, "orders are taken on the Unix socket alone: use the meshdns command")
    if not local and _is_cross_site(request):
        return _error_response(403, "another site's page asked for this: open http://localhost in the browser instead")
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.headers.update(_HEADERS)
        raise
    if not response.prepared:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
    return response


def _is_cross_site(request: web.Request) -> bool:
    """Whether a browser asks for another site's page, but for a link that is followed (W3C Fetch Metadata)."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site not in ("none", "same-origin") and request.headers.get("Sec-Fetch-Mode") != "navigate"


def _requested_host(request: web.Request) -> str:
    """The host that the request is for, without port."""
    host = request.headers.get("Host", "")
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def _keep_place(tables: Sequence[ConnectionTable[asyncio.BaseTransport]]) -> Middleware:
    """Note in the tables which connections are being answered."""

    @web.middleware
    async def keep_place(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            return await handler(request)
        for table in tables:
            table.set_idle(transport, idle=False)
        try:
            return await handler(request)
        finally:
            for table in tables:
                table.set_idle(transport, idle=True)

    return keep_place


def _limited(
    runner: web.AppRunner, tables: list[ConnectionTable[asyncio.BaseTransport]]
) -> Callable[[], asyncio.Protocol]:
    """Make the connections of a listener, which are limited by a table of its own."""
    connections = LimitedConnections(cast("Callable[[], asyncio.Protocol]", runner.server))  # there after its setup
    tables.append(connections.table)
    return connections


async def _listen_on_tcp(listen: str | None, connections: Callable[[], asyncio.Protocol]) -> list[asyncio.Server]:
    if not listen:
        return []
    host, port = split_host_port(listen)
    try:
        listener = sockets.create_server((host, port), family=sockets.AF_INET6 if ":" in host else sockets.AF_INET)
        server = await asyncio.get_running_loop().create_server(connections, sock=listener, backlog=BACKLOG)
        listener.listen(ACCEPT_QUEUE)
    except OSError as error:
        _log.error("admin %s: %s; choose another address with admin.listen", listen, error.strerror)
        return []
    return [server]


def _error_response(status: int, reason: str) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode({"error": reason}), content_type="application/json")


def _open_listener(path: Path) -> sockets.socket:
    """A listening socket at `path` that its owner and group can use; its directory is made where it is missing.

    Raises OSError, also if a server answers there.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_socket():
        if _accepts_connections(path):
            raise OSError(errno.EADDRINUSE, "another server answers there")
        path.unlink()
    listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    before = os.umask(0o117)  # no other user may connect, from its first moment on
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _remove_socket_file(path: Path) -> None:
    """Remove the socket's file: from here on no client can connect any more."""
    with contextlib.suppress(OSError):
        path.unlink()


def _accepts_connections(path: Path) -> bool:
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_TIMEOUT)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (TimeoutError, BlockingIOError):
            return True  # a server holds it and has a full backlog
        return True
