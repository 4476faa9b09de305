"""One worker: listeners around authority, forwarding and the view, with a heart that beats on the scoreboard."""

import asyncio
import hashlib
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from meshdns.authority.authority import Authority
from meshdns.authority.chaos import Chaos
from meshdns.authority.special import SpecialNames
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.question import MARK_SIZE
from meshdns.meters import Ledger
from meshdns.scoreboard import Scoreboard
from meshdns.upstream.forwarder import Forwarder
from meshdns.view.environment import DamagedView, ViewError
from meshdns.view.place import UNREADABLE
from meshdns.view.reader import Look, Reader
from meshdns.worker.access import AccessList
from meshdns.worker.accounts import Accounts
from meshdns.worker.answering import Answerer
from meshdns.worker.datagrams import DatagramSocket
from meshdns.worker.debugging import Debugger
from meshdns.worker.lateness import discard, note_arrivals
from meshdns.worker.local import Local
from meshdns.worker.mmsg import BatchSocket, available
from meshdns.worker.sampling import Sampler
from meshdns.worker.selector import ServingSelector
from meshdns.worker.settings import WorkerSettings
from meshdns.worker.streams import Connections, room_for_connections
from meshdns.worker.tally import Tally

BATCHES_PER_WAKE_UP: Final = 4
"""More would starve timers, TCP and upstream replies under load."""

ACCEPTS: Final = 32
"""Connections accepted per wake-up, some 100 µs each."""
BACKLOG: Final = 512
"""Connections that wait in the kernel; one that finds no room there tries again a second later."""

BEAT: Final = 0.2  # seconds between heartbeats
STALLED: Final = 2.0  # seconds without a beat after which what waits in the socket is too old to answer
SILENT: Final = 10.0  # seconds without the controller's heartbeat after which its answers are stale
_DRAIN: Final = 2.0  # seconds for what was promised when the worker ends; a client gave up by then

_log = logging.getLogger("meshdns.worker")


class Worker:
    """Everything one worker process holds."""

    def __init__(
        self, settings: WorkerSettings, loop: asyncio.AbstractEventLoop, selector: ServingSelector | None = None
    ) -> None:
        self._loop = loop
        self._selector = selector  # of the loop, where it can serve
        self._number = settings.number
        self._board = Scoreboard(settings.scoreboard)
        self._tally = Tally(self._board, settings.number)
        self._accounts = Accounts(Ledger(self._board.published(settings.number)))
        self._sampler = Sampler(self._board, settings.number, draw=_draw, clock=time.time)
        self._account_for(settings)
        self._flushes = self._board.flushes()
        self._reader: Reader | None = None
        self._view = ""
        self._failing = ""
        self._forwarding = ForwardCounters()
        self._retiring: set[asyncio.Task[None]] = set()
        self._forwarder = self._forwarder_for(settings)
        self._answerer = Answerer(
            authority=Authority(settings.zones, nsid=settings.nsid),
            access=AccessList(settings.allow),
            forward=self._forwarder,
            look=self._look,
            fault=self._note,
            clock=time.monotonic,
            local=_local(settings),
            debugger=_debugger(settings),
            accounts=self._accounts,
            sampler=self._sampler,
        )
        self._connections = Connections(self._answerer, loop=loop, most=room_for_connections())
        self._servers: list[asyncio.Server] = []
        self._sockets = [_inherited(fd) for fd in (*settings.udp, settings.private)]
        self._batches = [self._transport(sock) for sock in self._sockets]
        self._listeners = [_inherited(fd) for fd in settings.tcp]
        self._beaten = time.monotonic()
        self._open_view(settings.view)

    @property
    def ready(self) -> bool:
        """Whether the view that is served can answer for the mesh."""
        self._answerer.begin()
        self._answerer.end()
        return self._reader is not None and self._reader.ready

    async def serve(self) -> None:
        """Start answering on every inherited socket."""
        self._loop.set_exception_handler(self._count_panic)
        self._beat()
        for sock, batches in zip(self._sockets, self._batches, strict=True):
            note_arrivals(sock)
            if self._selector is not None:
                self._selector.serve(sock.fileno(), partial(self._serve, batches))
            else:
                self._loop.add_reader(sock, self._wake_up, batches)
        for listener in self._listeners:
            server = await self._loop.create_server(self._connections.protocol, sock=listener, backlog=ACCEPTS)
            listener.listen(BACKLOG)  # asyncio lets the kernel hold no more than it takes itself in one turn
            self._servers.append(server)

    def reconfigure(self, settings: WorkerSettings) -> None:
        """Go on by other settings; sockets stay as they are."""
        if settings.routes != self._routes:  # else the cache and what is under way stay
            self._retire(self._forwarder)
            self._forwarder = self._forwarder_for(settings)
        self._answerer.reconfigure(
            authority=Authority(settings.zones, nsid=settings.nsid),
            access=AccessList(settings.allow),
            forward=self._forwarder,
            local=_local(settings),
            debugger=_debugger(settings),
        )
        self._account_for(settings)
        if settings.view != self._view:
            self._open_view(settings.view)

    def _account_for(self, settings: WorkerSettings) -> None:
        """Tell the zones of these settings apart, sample as they want."""
        zones = [zone.apex for zone in settings.zones]
        self._accounts.configure(zones, (route.zone for route in settings.routes))
        self._sampler.configure(settings.sample, settings.sample_classes)

    def _retire(self, forwarder: Forwarder) -> None:
        """Close a forwarder once everybody who waits for it has heard."""

        async def close() -> None:
            await asyncio.sleep(_DRAIN)
            await forwarder.close()

        task = self._loop.create_task(close(), name="retiring forwarder")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Answer what has come, keep what was promised, let go of the sockets."""
        for server in self._servers:
            server.close()
        for sock, batches in zip(self._sockets, self._batches, strict=True):
            if self._selector is not None:
                self._selector.dismiss(sock.fileno())
            else:
                self._loop.remove_reader(sock)
            self._wake_up(batches)
        self._connections.close()
        ended = self._loop.time() + _DRAIN
        while (self._forwarding.in_flight or len(self._connections)) and self._loop.time() < ended:  # noqa: ASYNC110 — callback code counts
            await asyncio.sleep(BEAT / 4)
        await self._forwarder.close()
        for batches in self._batches:
            batches.flush()
        self._beat_once()
        if self._reader is not None:
            self._reader.close()

    # ------------------------------------------------------------------------------------------ view

    def _open_view(self, path: str) -> None:
        """Answer from the view at `path` from now on, from none where that is empty or cannot be opened."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._view = path
        if path:
            try:
                self._reader = Reader(Path(path))
            except ViewError as error:
                self._note(error)
        self._answerer.forget(None)

    def _look(self, forget: Callable[[list[bytes] | None], None]) -> Look | None:
        if self._reader is None:
            return None
        try:
            look = self._reader.look(forget)
        except ViewError as error:
            self._note(error)
            forget(None)
            return None
        self._failing = ""
        return look

    def _note(self, error: ViewError) -> None:
        """Say once that the view cannot be read, and end where it never can be again."""
        self._answerer.counters.view_faults += 1
        if str(error) != self._failing:
            _log.error("%s; names of the mesh are not answered until it can be read", error)
        self._failing = str(error)
        if isinstance(error, DamagedView):
            self._beat_once()
            sys.exit(UNREADABLE)

    # ------------------------------------------------------------------------------------------ turns

    def _serve(self, batches: BatchSocket | DatagramSocket) -> bool:
        """Answer outside a turn of the loop; whether something was done that the loop has to go on with."""
        try:
            return self._wake_up(batches)
        except Exception as fault:  # noqa: BLE001 — as the loop does with what its handles raise
            self._loop.call_exception_handler({"message": "a batch was not answered", "exception": fault})
            return True

    def _wake_up(self, batches: BatchSocket | DatagramSocket) -> bool:
        """Answer what has come; whether any of it was asked of an upstream."""
        if time.monotonic() - self._beaten > STALLED:
            self._catch_up()
        counters = self._answerer.counters
        forwarded = counters.forwarded
        self._answerer.begin()
        try:
            for _ in range(BATCHES_PER_WAKE_UP):
                if not batches.exchange(self._answerer):
                    break
        finally:
            self._answerer.end()
        return counters.forwarded != forwarded

    def _catch_up(self) -> None:
        """This process stood still: drop what is too old, whose askers have given up, and nothing that is fresh."""
        counters = self._answerer.counters
        for sock in self._sockets:
            dropped = discard(sock, older_than=STALLED, now=time.time())
            counters.queries += dropped
            counters.late += dropped
        self._beat_once()

    def _count_panic(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that nobody foresaw ended a callback: one batch is lost, and the next is answered."""
        self._answerer.counters.panics += 1
        loop.default_exception_handler(context)

    def _beat(self) -> None:
        self._loop.call_later(BEAT, self._beat)
        if time.monotonic() - self._beaten > STALLED:
            self._catch_up()  # timers come first where the wait for sockets was what stood still
        else:
            self._beat_once()

    def _beat_once(self) -> None:
        now = self._beaten = time.monotonic()
        self._board.beat_worker(self._number, now)
        self._tally.publish(
            self._answerer.counters,
            self._forwarding,
            relayed=self._accounts.relayed,
            ready_replies=len(self._answerer.ready),
            connections=len(self._connections),
        )
        self._board.show_cached(self._number, *self._forwarder.cached)
        if self._board.flushes() != self._flushes:
            self._flushes = self._board.flushes()
            self._forwarder.flush()
            self._answerer.forget(None)
        self._tally.publish_accounts(self._accounts, queries=self._answerer.counters.queries)
        self._sampler.beat(live=self._board.watched(now))
        silent = self._board.controller_silence(now) > SILENT
        if self._reader is not None and self._reader.set_silent(silent):
            self._answerer.forget(None)

    def _forwarder_for(self, settings: WorkerSettings) -> Forwarder:
        self._routes = settings.routes
        return Forwarder(
            loop=self._loop,
            routes=settings.routes,
            counters=self._forwarding,
            nsid=settings.nsid,
            mark=_mark(settings),
            timed=self._accounts.upstream,
        )

    def _transport(self, sock: socket.socket) -> BatchSocket | DatagramSocket:
        counters = self._answerer.counters
        return BatchSocket(sock, counters, self._loop.call_soon) if available() else DatagramSocket(sock, counters)


def _local(settings: WorkerSettings) -> Local:
    """What is answered without the mesh and without upstreams."""
    configured = [*(zone.apex for zone in settings.zones), *(route.zone for route in settings.routes)]
    return Local(
        special=SpecialNames(settings.special, configured),
        chaos=Chaos(identity=settings.identity, version=settings.version),
        nsid=settings.nsid,
        secret=settings.cookie_secret,
        previous=settings.previous_cookie_secret,
        limit=settings.rate_limit,
        clock=time.time,
    )


def _debugger(settings: WorkerSettings) -> Debugger:
    zones = (zone.apex for zone in settings.zones)
    return Debugger(Authority(settings.zones), zones, AccessList(settings.debug))


def _mark(settings: WorkerSettings) -> bytes:
    """What tells this instance from others, the same in all its workers: its scoreboard is made once and is its own."""
    origin = f"{os.getppid()} {os.fstat(settings.scoreboard).st_ino} ".encode() + settings.nsid
    return hashlib.blake2b(origin, digest_size=MARK_SIZE).digest()


def _draw() -> float:
    """A number from 0 to 1."""
    return secrets.randbits(30) / (1 << 30)


def _inherited(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock
