"""One worker: listeners around authority, forwarding and the name database, with heartbeats on the scoreboard."""

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
from meshdns.authority.denial import outdated_zones
from meshdns.authority.special import ChaosNames, SpecialNames
from meshdns.authority.special_routes import forwarded_special_zones
from meshdns.authority.zone import own_zones
from meshdns.forwarding.client_reply import Alias
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.question import INSTANCE_ID_SIZE
from meshdns.forwarding.waiting import Waiter
from meshdns.instance.clocks import boot_time
from meshdns.instance.heartbeats import HeartbeatJudge
from meshdns.instance.metric_pages import MetricPage
from meshdns.instance.pipe import WorkerMessage
from meshdns.instance.scoreboard import CONTROLLER, Scoreboard
from meshdns.namedb.database import DamagedDatabaseError, NameDatabaseError
from meshdns.namedb.location import EXIT_DATABASE_DAMAGED
from meshdns.namedb.reader import ALL_NAMES, ChangedNames, Reader, ReadTransaction
from meshdns.upstream.forwarder import Forwarder
from meshdns.worker.accept_failures import AcceptFailures
from meshdns.worker.acl import AccessList
from meshdns.worker.diagnostic_names import DiagnosticNames
from meshdns.worker.local_answers import LocalAnswers
from meshdns.worker.reply_metrics import ReplyMetrics
from meshdns.worker.responder import Responder
from meshdns.worker.sampling import Sampler
from meshdns.worker.scoreboard_counters import CounterPublisher
from meshdns.worker.selector import ServingSelector
from meshdns.worker.settings import WorkerSettings, admitted_prefixes
from meshdns.worker.stale_datagrams import drop_stale, enable_receive_timestamps
from meshdns.worker.tcp_server import TcpConnections, connection_limit
from meshdns.worker.udp_batch import BatchSocket, is_available
from meshdns.worker.udp_portable import DatagramSocket

BATCHES_PER_WAKE_UP: Final = 4
"""More would starve timers, TCP and upstream replies under load."""

ACCEPTS_PER_WAKE_UP: Final = 32
"""Connections accepted per wake-up, some 100 µs each."""
BACKLOG: Final = 512
"""Connections that wait in the kernel; a client that finds no room there retries a second later."""

HEARTBEAT_INTERVAL: Final = 0.2  # seconds between heartbeats
STALL_THRESHOLD: Final = 2.0  # seconds without a heartbeat after which waiting datagrams are too old to answer
CONTROLLER_TIMEOUT: Final = 10.0  # seconds without the controller's heartbeat after which its answers are stale
_DRAIN_TIMEOUT: Final = 2.0  # seconds to drain at shutdown; clients have timed out by then

_MAX_REPORTED_ZONES: Final = 50  # in a message; a reason names fewer

_log = logging.getLogger("meshdns.worker")


class Worker:
    """All objects of one worker process. `send` sends a message to the supervisor."""

    def __init__(
        self,
        settings: WorkerSettings,
        loop: asyncio.AbstractEventLoop,
        selector: ServingSelector | None = None,
        *,
        send: Callable[[WorkerMessage], None],
    ) -> None:
        self._loop = loop
        self._send = send
        self._generation = settings.generation
        self._zones = settings.zones
        self._outdated_zones: tuple[str, ...] = ()  # as the supervisor knows them
        self._selector = selector  # of the loop, where it can serve
        self._number = settings.number
        self._board = Scoreboard(settings.scoreboard)
        self._counter_publisher = CounterPublisher(self._board, settings.number)
        self._metrics = ReplyMetrics(MetricPage(self._board.read_page(settings.number)))
        self._sampler = Sampler(self._board, settings.number, random=_random, clock=time.time)
        self._configure_metrics(settings)
        self._flushes = self._board.cache_flush_requests()
        self._reader: Reader | None = None
        self._namedb_path = ""
        self._logged_error = ""
        self._forward_counters = ForwardCounters()
        self._closing_forwarders: set[asyncio.Task[None]] = set()
        self._forwarder = self._make_forwarder(settings)
        self._responder = Responder(
            authority=Authority(settings.zones, _forward_zones(settings), nsid=settings.nsid),
            access_list=AccessList(admitted_prefixes(settings.allow)),
            forwarder=self._forwarder,
            begin_read=self._begin_read,
            on_database_error=self._on_database_error,
            clock=boot_time,
            local_answers=_local_answers(settings),
            diagnostic_names=_diagnostic_names(settings),
            metrics=self._metrics,
            sampler=self._sampler,
        )
        self._connections = TcpConnections(self._responder, loop=loop, max_connections=connection_limit())
        self._accept_failures = AcceptFailures(self._responder.counters, self._connections.evict_idlest, time.monotonic)
        self._servers: list[asyncio.Server] = []
        self._udp_sockets = [_inherited_socket(fd) for fd in (*settings.udp, settings.private)]
        self._udp_transports = [self._udp_transport(sock) for sock in self._udp_sockets]
        self._tcp_listeners = [_inherited_socket(fd) for fd in settings.tcp]
        self._awake_at = boot_time()  # the last heartbeat, on the clock that goes on in suspend
        self._controller_judge = HeartbeatJudge(CONTROLLER_TIMEOUT)
        self._open_namedb(settings.namedb)

    def report(self) -> None:
        """Tell the supervisor which settings are served, and whether the name database can answer for the mesh."""
        self._responder.begin_read()
        self._responder.end_read()
        self._send_report(self._find_outdated_zones())

    def _find_outdated_zones(self) -> tuple[str, ...]:
        return outdated_zones(self._zones, self._reader.state) if self._reader is not None else ()

    def _send_report(self, outdated: tuple[str, ...]) -> None:
        self._outdated_zones = outdated
        ready = self._reader is not None and self._reader.is_ready
        self._send(WorkerMessage(self._generation, ready, outdated[:_MAX_REPORTED_ZONES]))

    def _report_progress(self) -> None:
        """Report again if names of other zones were computed for the settings in force."""
        outdated = self._find_outdated_zones()
        if outdated != self._outdated_zones:
            self._send_report(outdated)

    async def serve(self) -> None:
        """Start answering on every inherited socket."""
        self._loop.set_exception_handler(self._count_panic)
        self._heartbeat()
        for sock, batches in zip(self._udp_sockets, self._udp_transports, strict=True):
            enable_receive_timestamps(sock)
            if self._selector is not None:
                self._selector.serve(sock.fileno(), partial(self._wake_up_outside_loop, batches))
            else:
                self._loop.add_reader(sock, self._wake_up, batches)
        for listener in self._tcp_listeners:
            server = await self._loop.create_server(
                self._connections.make_protocol, sock=listener, backlog=ACCEPTS_PER_WAKE_UP
            )
            listener.listen(BACKLOG)  # asyncio lets the kernel hold no more than it takes itself in one turn
            self._servers.append(server)

    def reconfigure(self, settings: WorkerSettings) -> None:
        """Apply other settings; sockets stay as they are."""
        self._generation = settings.generation
        self._zones = settings.zones
        if (settings.routes, _own_zones(settings)) != self._forwarded:  # else the cache and the open exchanges stay
            self._close_after_drain(self._forwarder)
            self._forwarder = self._make_forwarder(settings)
        self._responder.reconfigure(
            authority=Authority(settings.zones, _forward_zones(settings), nsid=settings.nsid),
            access_list=AccessList(admitted_prefixes(settings.allow)),
            forwarder=self._forwarder,
            local_answers=_local_answers(settings),
            diagnostic_names=_diagnostic_names(settings),
        )
        self._configure_metrics(settings)
        if settings.namedb != self._namedb_path:
            self._open_namedb(settings.namedb)

    def _configure_metrics(self, settings: WorkerSettings) -> None:
        """Configure the zones of the metrics, and the sampling."""
        zones = [zone.apex for zone in settings.zones]
        self._metrics.configure(zones, (route.zone for route in settings.routes))
        self._sampler.configure(settings.sample, settings.sample_classes)

    def _close_after_drain(self, forwarder: Forwarder) -> None:
        """Close an old forwarder once its pending clients can have been answered."""

        async def close() -> None:
            await asyncio.sleep(_DRAIN_TIMEOUT)
            await forwarder.close()

        task = self._loop.create_task(close(), name="retiring forwarder")
        self._closing_forwarders.add(task)
        task.add_done_callback(self._closing_forwarders.discard)

    async def close(self) -> None:
        """Answer the received queries, wait for pending replies, close the sockets."""
        for server in self._servers:
            server.close()
        for sock, batches in zip(self._udp_sockets, self._udp_transports, strict=True):
            if self._selector is not None:
                self._selector.stop_serving(sock.fileno())
            else:
                self._loop.remove_reader(sock)
            self._wake_up(batches)
        self._connections.close()
        ended = self._loop.time() + _DRAIN_TIMEOUT
        while (self._forward_counters.in_flight or len(self._connections)) and self._loop.time() < ended:  # noqa: ASYNC110 — callback code counts
            await asyncio.sleep(HEARTBEAT_INTERVAL / 4)
        await self._forwarder.close()
        for batches in self._udp_transports:
            batches.flush()
        self._write_heartbeat()
        if self._reader is not None:
            self._reader.close()

    # ------------------------------------------------------------------------------------------ name database

    def _open_namedb(self, path: str) -> None:
        """Answer from the name database at `path` from now on, from none if `path` is empty or cannot be opened."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._namedb_path = path
        if path:
            try:
                self._reader = Reader(Path(path))
            except NameDatabaseError as error:
                self._on_database_error(error)
        self._responder.invalidate_all()

    def _begin_read(self) -> tuple[ReadTransaction | None, ChangedNames | None]:
        """Begin a read transaction, with the names changed since the last one; None and all names if it fails."""
        if self._reader is None:
            return None, None
        try:
            begun = self._reader.begin()
        except NameDatabaseError as error:
            self._on_database_error(error)
            return None, ALL_NAMES
        self._logged_error = ""
        if self._outdated_zones and begun[1] is not None:
            self._report_progress()
        return begun

    def _on_database_error(self, error: NameDatabaseError) -> None:
        """Log once that the name database cannot be read, and exit if it is damaged."""
        self._responder.counters.namedb_errors += 1
        if str(error) != self._logged_error:
            _log.error("%s; names of the mesh are not answered until it can be read", error)
        self._logged_error = str(error)
        if isinstance(error, DamagedDatabaseError):
            self._write_heartbeat()
            sys.exit(EXIT_DATABASE_DAMAGED)

    # ------------------------------------------------------------------------------------------ turns

    def _wake_up_outside_loop(self, transport: BatchSocket | DatagramSocket) -> bool:
        """Answer outside a turn of the loop; return whether the loop has something to go on with."""
        try:
            return self._wake_up(transport)
        except Exception as fault:  # noqa: BLE001 — as the loop does with what its handles raise
            self._loop.call_exception_handler({"message": "a batch was not answered", "exception": fault})
            return True

    def _wake_up(self, transport: BatchSocket | DatagramSocket) -> bool:
        """Answer the received queries; return whether any was forwarded."""
        if boot_time() - self._awake_at > STALL_THRESHOLD:
            self._drop_stale()
        counters = self._responder.counters
        forwarded = counters.forwarded
        self._responder.begin_read()
        try:
            for _ in range(BATCHES_PER_WAKE_UP):
                if not transport.serve_batch(self._responder):
                    break
        finally:
            self._responder.end_read()
        return counters.forwarded != forwarded

    def _drop_stale(self) -> None:
        """Drop the stale datagrams after a stall of this process: their clients have timed out."""
        counters = self._responder.counters
        for sock in self._udp_sockets:
            dropped = drop_stale(sock, older_than=STALL_THRESHOLD, now=time.time())
            counters.queries += dropped
            counters.expired_in_socket += dropped
        self._write_heartbeat()

    def _count_panic(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Count an unexpected exception in a callback: one batch is lost, and the next is answered."""
        if self._accept_failures.handle(context):
            return
        self._responder.counters.panics += 1
        loop.default_exception_handler(context)

    def _heartbeat(self) -> None:
        self._loop.call_later(HEARTBEAT_INTERVAL, self._heartbeat)
        if boot_time() - self._awake_at > STALL_THRESHOLD:
            self._drop_stale()  # timers come first if the wait for sockets was stalled
        else:
            self._write_heartbeat()

    def _write_heartbeat(self) -> None:
        self._awake_at = boot_time()
        now = time.monotonic()
        self._board.record_worker_heartbeat(self._number, now)
        self._counter_publisher.publish(
            self._responder.counters,
            self._forward_counters,
            cached_upstream_hits=self._metrics.cached_upstream_hits,
            cached_replies=len(self._responder.cached_replies),
            connections=len(self._connections),
        )
        self._board.set_forward_cache_sizes(self._number, *self._forwarder.cache_counts)
        if self._board.cache_flush_requests() != self._flushes:
            self._flushes = self._board.cache_flush_requests()
            self._forwarder.flush()
            self._responder.invalidate_all()
        self._counter_publisher.publish_metrics(self._metrics, queries=self._responder.counters.queries)
        self._sampler.on_heartbeat(live=self._board.is_watching_live_queries(now))
        heartbeat = now - self._board.controller_heartbeat_age(now)
        silent = bool(self._controller_judge.silent({CONTROLLER: heartbeat}, now))
        unwritable = self._board.has_commit_failed()
        if self._reader is not None and self._reader.set_controller_state(silent=silent, unwritable=unwritable):
            self._responder.invalidate_all()
        if self._outdated_zones:  # else nothing is waited for, and the next query notices a commit
            self._responder.begin_read()
            self._responder.end_read()

    def _make_forwarder(self, settings: WorkerSettings) -> Forwarder:
        self._forwarded = settings.routes, _own_zones(settings)
        return Forwarder(
            loop=self._loop,
            clock=boot_time,
            routes=settings.routes,
            counters=self._forward_counters,
            nsid=settings.nsid,
            instance_id=_instance_id(settings),
            own_zones=_own_zones(settings),
            on_alias=self._complete_alias,
            on_reply_time=self._metrics.observe_upstream,
        )

    def _complete_alias(self, waiter: Waiter, alias: Alias) -> None:
        self._responder.complete_alias(waiter, alias)  # made after the forwarder

    def _udp_transport(self, sock: socket.socket) -> BatchSocket | DatagramSocket:
        counters = self._responder.counters
        return BatchSocket(sock, counters, self._loop.call_soon) if is_available() else DatagramSocket(sock, counters)


def _local_answers(settings: WorkerSettings) -> LocalAnswers:
    """Return the local answers of these settings."""
    return LocalAnswers(
        special=_special_names(settings),
        chaos=ChaosNames(identity=settings.identity, version=settings.version),
        nsid=settings.nsid,
        secret=settings.cookie_secret,
        previous_secret=settings.previous_cookie_secret,
        rate_limit=settings.rate_limit,
        clock=time.time,
    )


def _forward_zones(settings: WorkerSettings) -> tuple[bytes, ...]:
    return tuple(route.zone for route in settings.routes)


def _own_zones(settings: WorkerSettings) -> dict[bytes, bool | None]:
    """Return the zones whose names no upstream may set, for the rules of replies."""
    special = _special_names(settings).zones
    return {**dict.fromkeys(special, False), **own_zones(settings.zones, _forward_zones(settings))}


def _special_names(settings: WorkerSettings) -> SpecialNames:
    configured = [*(zone.apex for zone in settings.zones), *(route.zone for route in settings.routes)]
    return SpecialNames(settings.special, configured, _forwarded_special_zones(settings))


def _forwarded_special_zones(settings: WorkerSettings) -> frozenset[bytes]:
    """Return the special zones that are left to upstreams; of two routes for one zone the first counts."""
    upstreams = {route.zone: [server.host for server in route.upstreams] for route in reversed(settings.routes)}
    return forwarded_special_zones(settings.special_auto, upstreams)


def _diagnostic_names(settings: WorkerSettings) -> DiagnosticNames:
    zones = (zone.apex for zone in settings.zones)
    access_list = AccessList(admitted_prefixes(settings.debug))
    authority = Authority(settings.zones, _forward_zones(settings))
    return DiagnosticNames(authority, zones, access_list, _forwarded_special_zones(settings))


def _instance_id(settings: WorkerSettings) -> bytes:
    """Return an id of this instance, the same in all its workers, because the scoreboard is made once for it."""
    origin = f"{os.getppid()} {os.fstat(settings.scoreboard).st_ino} ".encode() + settings.nsid
    return hashlib.blake2b(origin, digest_size=INSTANCE_ID_SIZE).digest()


def _random() -> float:
    """Return a random number from 0 to 1."""
    return secrets.randbits(30) / (1 << 30)


def _inherited_socket(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock
