"""The supervisor: binds the sockets, hands checked settings to its children, keeps them running, ends them in order.

Signals: SIGTERM ends after the lameduck time, SIGINT at once, SIGHUP rereads the settings, SIGUSR2 replaces this
program by what is installed now without losing a query.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec

from meshdns.config import Settings, SettingsError
from meshdns.config.values import host_port
from meshdns.controller.settings import ControllerSettings
from meshdns.controller.zones import socket_addresses
from meshdns.scheduling import give_way
from meshdns.scoreboard import Scoreboard
from meshdns.supervisor import cookie_secrets
from meshdns.supervisor.activation import handed
from meshdns.supervisor.children import CRASHES, Child
from meshdns.supervisor.health import Health
from meshdns.supervisor.instance import HandOver, lock, reap
from meshdns.supervisor.querylog import QueryLog
from meshdns.supervisor.readiness import Readiness
from meshdns.supervisor.sockets import BindError, Sockets
from meshdns.supervisor.usage import Usage
from meshdns.supervisor.web import Page, Web
from meshdns.supervisor.worker_orders import worker_settings
from meshdns.view import place

SILENT_WORKER: Final = 5.0  # seconds without a heartbeat after which a worker is killed and replaced
_WATCH: Final = 0.5  # seconds between looks at the heartbeats
_HANDED_OVER: Final = ("listen", "state_dir")
"""Settings that cannot change with SIGUSR2 either: the sockets and the lock are what is handed over."""

_FIXED: Final = (*_HANDED_OVER, "workers", "http", "log_level")
"""Settings that a running instance cannot change by rereading them."""

_DEFERRED: Final = frozenset({signal.SIGHUP, signal.SIGUSR2})
"""Signals that wait from an exec until the new program hears them; by default they would end it."""

_log = logging.getLogger("meshdns.supervisor")


class Supervisor:
    """One running instance. `reread` gives the settings anew or raises `SettingsError`."""

    def __init__(self, settings: Settings, *, reread: Callable[[], Settings], serving: Callable[[], None]) -> None:
        self._settings = settings
        self._reread = reread
        self._serving = serving
        self._generation = 1
        self._state_dir = Path(settings.state_dir or ".")
        count = settings.workers or 1
        self._inherited = HandOver.take(os.environ)
        if self._inherited is None:
            self._lock = lock(self._state_dir)
            self._sockets = Sockets.bind(socket_addresses(settings), workers=count, handed=handed(os.environ))
        else:
            self._lock = self._inherited.lock
            self._sockets = Sockets.adopt(self._inherited.udp, self._inherited.tcp, workers=count)
        self._cookies = cookie_secrets.load(self._state_dir, now=time.time())
        self._board = Scoreboard.create()
        self._view = place.current_view(self._state_dir)
        self._view_usable = False
        self._judged = asyncio.Event()  # whether the last view can be used
        self._workers = [self._worker(number) for number in range(count)]
        self._controller = Child(
            "controller",
            "meshdns.controller.process",
            greeting=self._controller_line,
            heard=self._heard_controller,
            ended=self._controller_ended,
            descriptors=(self._board.descriptor,),
            gate=self._judged,
        )
        self._readiness = Readiness([worker.name for worker in self._workers])
        self._scrapes = ThreadPoolExecutor(1, thread_name_prefix="scrapes", initializer=give_way)
        self._web = Web({"/health": self._health_page, "/ready": self._ready_page, "/metrics": self._metrics_page})
        self._health = Health()
        self._reload_failures = 0
        self._started = time.time()
        self._query_log = QueryLog(self._board, count, lambda: self._settings.query_log.format)
        self._served = False
        self._relieved: list[asyncio.Future[None]] = []
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises `BindError` where the HTTP port cannot be had."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: self._end(self._settings.lameduck))
        loop.add_signal_handler(signal.SIGINT, self._end, 0.0)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.add_signal_handler(signal.SIGUSR2, self._replace)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _DEFERRED)  # before any child could inherit the mask
        await self._listen_http()
        place.sweep(self._state_dir)
        async with asyncio.TaskGroup() as group:
            for child in self._workers:
                group.create_task(child.run(), name=child.name)
            group.create_task(self._run_controller(), name="controller")
            self._view_usable = await self._verified()
            self._board.beat_controller(time.monotonic())
            self._judged.set()
            watching = group.create_task(self._watch(), name="watch")
            logging_queries = group.create_task(self._query_log.run(), name="query log")
            await self._ending.wait()
            watching.cancel()
            await asyncio.gather(*(child.stop() for child in (*self._workers, self._controller)))
            logging_queries.cancel()
        self._web.close()
        self._sockets.close()
        os.close(self._lock)

    # ------------------------------------------------------------------------------------------ signals

    def _end(self, lameduck: float) -> None:
        """Say that no new queries are wanted, answer those that come all the same for a while, then end."""
        self._readiness.end()
        _log.info("ending in %g s", lameduck)
        asyncio.get_running_loop().call_later(lameduck, self._ending.set)

    def _reload(self) -> None:
        """Reread the settings; the old ones stay in force where the new ones are wrong."""
        try:
            fresh = self._reread()
        except SettingsError as error:
            self._reload_failures += 1
            _log.error("settings generation %d stays in force: %s", self._generation, error)
            return
        fixed = [key for key in _FIXED if getattr(fresh, key) != getattr(self._settings, key)]
        if fixed:
            _log.warning("a change of %s takes effect with a restart", ", ".join(fixed))
            fresh = fresh.model_copy(update={key: getattr(self._settings, key) for key in fixed})
        self._settings = fresh
        self._generation += 1
        _log.info("settings generation %d in force", self._generation)
        self._tell_workers()
        self._controller.renew()

    def _replace(self) -> None:
        """Exec the installed program in place of this one; the workers go on until its own serve."""
        try:
            fresh = self._reread()
        except SettingsError as error:
            _log.error("not replaced: %s", error)
            return
        moved = [key for key in _HANDED_OVER if getattr(fresh, key) != getattr(self._settings, key)]
        if moved:
            _log.error("not replaced: a change of %s takes a restart", ", ".join(moved))
            return
        if not self._served or not all(worker.done() for worker in self._relieved):
            _log.error("not replaced: the last start is not over yet; try again in some seconds")
            return
        self._hand_over()

    def _hand_over(self) -> None:
        HandOver(
            lock=self._lock,
            udp=tuple(sock.fileno() for sock in self._sockets.udp),
            tcp=tuple(sock.fileno() for sock in self._sockets.tcp),
            lifelines=tuple(line for worker in self._workers for line in worker.lifelines()),
            workers=tuple(worker.pid for worker in self._workers if worker.pid),
            controller=self._controller.pid,
        ).publish(os.environ)
        signal.pthread_sigmask(signal.SIG_BLOCK, _DEFERRED)
        try:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 — the very program that runs
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _DEFERRED)
            HandOver.take(os.environ)
            _log.error("not replaced: %s: %s", sys.executable, error.strerror)

    # ------------------------------------------------------------------------------------------ children

    async def _run_controller(self) -> None:
        """Start the controller once its predecessor is gone: the view has one writer."""
        if self._inherited is not None and self._inherited.controller:
            await reap(self._inherited.controller)
        await self._controller.run()

    def _worker(self, number: int) -> Child:
        name = f"worker {number}"
        descriptors = [sock.fileno() for sock in (*self._sockets.udp, *self._sockets.tcp)]
        return Child(
            name,
            "meshdns.worker.process",
            greeting=lambda: self._worker_line(number),
            heard=lambda said: self._heard_worker(name, said),
            ended=self._worker_ended,
            descriptors=(*descriptors, self._sockets.private[number].fileno(), self._board.descriptor),
            gate=self._judged,
        )

    def _worker_line(self, number: int) -> bytes:
        self._board.beat_worker(number, time.monotonic())  # it begins to live now
        return msgspec.json.encode(
            worker_settings(
                self._settings,
                self._sockets,
                number=number,
                scoreboard=self._board.descriptor,
                view=str(self._view) if self._view_usable else "",
                generation=self._generation,
                cookies=self._cookies,
            )
        )

    def _controller_line(self) -> bytes:
        return msgspec.json.encode(
            ControllerSettings(
                generation=self._generation,
                settings=self._settings.model_dump_json(),
                view=str(self._view),
                state_dir=str(self._state_dir),
                scoreboard=self._board.descriptor,
            )
        )

    def _tell_workers(self) -> None:
        for number, worker in enumerate(self._workers):
            worker.say(self._worker_line(number))

    def _heard_worker(self, name: str, said: dict[str, Any]) -> None:
        self._readiness.worker_serves(name, ready=bool(said.get("ready")))
        if self._readiness.serving and not self._served:
            self._served = True
            self._serving()
            self._relieve()

    def _relieve(self) -> None:
        """End the workers of a predecessor."""
        if self._inherited is not None:
            self._inherited.release()
            self._relieved = [asyncio.ensure_future(reap(process)) for process in self._inherited.workers]

    def _heard_controller(self, said: dict[str, Any]) -> None:
        if "reload" in said:
            self._reload()
        if "view" in said and not self._view_usable:
            self._view_usable = True
            self._tell_workers()
        if "ready" in said:
            self._readiness.controller_says(ready=bool(said["ready"]), waits=str(said.get("waits", "")))

    def _worker_ended(self, code: int) -> None:
        """A child that died of a damaged page takes its view with it; forwarding goes on while it is rebuilt."""
        if self._view_usable and (code in CRASHES or code == place.UNREADABLE):
            self._set_view_aside(f"{self._view}: a worker died of it")
            self._controller.renew()

    def _controller_ended(self, code: int) -> None:
        """As for a worker; the controller also says so of a view that it could not even open."""
        if code == place.UNREADABLE or (self._view_usable and code in CRASHES):
            self._set_view_aside(f"{self._view}: the controller died of it")

    def _set_view_aside(self, reason: str) -> None:
        _log.error("%s; the view is set aside, names of the mesh are answered again once it is rebuilt", reason)
        place.set_aside(self._view)
        self._view = place.current_view(self._state_dir)
        self._view_usable = False
        self._tell_workers()

    async def _verified(self) -> bool:
        """Whether there is a view that can be served at once; one that is damaged is set aside."""
        if not place.exists(self._view):
            return False
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "meshdns.view.verify", str(self._view), stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        if process.returncode == 0:
            return True
        reason = (
            said.decode(errors="replace").strip().rpartition("\n")[2] or f"its check ended with {process.returncode}"
        )
        self._set_view_aside(reason)
        return False

    async def _watch(self) -> None:
        """Replace workers whose heart stopped, and the cookie secret when its time is over."""
        while True:
            await asyncio.sleep(_WATCH)
            if self._cookies.due(time.time()):
                self._cookies = cookie_secrets.load(self._state_dir, now=time.time())
                self._tell_workers()
            now = time.monotonic()
            for number, worker in enumerate(self._workers):
                if worker.pid and self._board.worker_silence(number, now) > SILENT_WORKER:
                    _log.error("%s has been silent for %g s; killed", worker.name, SILENT_WORKER)
                    self._board.beat_worker(number, now)
                    worker.kill()

    # ------------------------------------------------------------------------------------------ HTTP

    async def _listen_http(self) -> None:
        host, port = host_port(self._settings.http.listen)
        try:
            await self._web.listen(host, port)
        except OSError as error:
            message = f"http {host} port {port}: {error.strerror}; choose another address with http.listen"
            raise BindError(message) from None

    async def _health_page(self, _accept: str) -> Page:
        """Asks each worker through DNS."""
        if silent := await self._health.silent([self._sockets.private_port(n) for n in range(len(self._workers))]):
            said = f"no answer from {', '.join(self._workers[number].name for number in silent)}\n"
            return Page(HTTPStatus.SERVICE_UNAVAILABLE, said.encode())
        return Page(HTTPStatus.OK, b"OK\n")

    async def _ready_page(self, _accept: str) -> Page:
        if self._readiness.ready:
            return Page(HTTPStatus.OK, b"OK\n")
        return Page(HTTPStatus.SERVICE_UNAVAILABLE, "".join(f"{r}\n" for r in self._readiness.reasons()).encode())

    async def _metrics_page(self, accept: str) -> Page:
        from meshdns.supervisor import metrics  # noqa: PLC0415 — nobody waits for it before the first scrape

        children = (*self._workers, self._controller)
        about = metrics.About(
            settings=self._settings,
            restarts=[(child.name, child.restarts) for child in children],
            generation=self._generation,
            ready=self._readiness.ready,
            reload_failures=self._reload_failures,
            usage=Usage.of((child.pid for child in children if child.pid), started=self._started),
            logged=self._query_log.written,
            health=self._health.ledger.encode(),
        )
        instance = metrics.Instance(self._board, len(self._workers), now=time.monotonic(), about=about)
        expose = partial(metrics.exposition, instance, accept)
        body, content_type = await asyncio.get_running_loop().run_in_executor(self._scrapes, expose)
        return Page(HTTPStatus.OK, body, content_type)
