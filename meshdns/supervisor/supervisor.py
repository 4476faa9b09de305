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
from meshdns.config.translate import listen_addresses
from meshdns.config.values import split_host_port
from meshdns.controller.source_settings import ControllerSettings
from meshdns.instance.process import lower_priority
from meshdns.instance.scoreboard import Scoreboard
from meshdns.namedb import location
from meshdns.supervisor import cookie_secrets
from meshdns.supervisor.child import CRASH_STATUSES, Child
from meshdns.supervisor.handover import HandOver, lock_state_dir, reap
from meshdns.supervisor.health_checks import HealthChecker, InstanceReadiness
from meshdns.supervisor.querylog import QueryLog
from meshdns.supervisor.sockets import BindError, Sockets, activated_sockets
from meshdns.supervisor.usage import ProcessUsage
from meshdns.supervisor.web import HttpReply, HttpServer
from meshdns.supervisor.worker_settings import worker_settings

WORKER_HEARTBEAT_TIMEOUT: Final = 5.0  # seconds without a heartbeat after which a worker is killed and replaced
_HEARTBEAT_CHECK_INTERVAL: Final = 0.5  # seconds between checks of the heartbeats
_FIXED_ON_REPLACE: Final = ("listen", "state_dir")
"""Settings that cannot change with SIGUSR2 either: the sockets and the lock are what is handed over."""

_FIXED_ON_RELOAD: Final = (*_FIXED_ON_REPLACE, "workers", "http", "log_level")
"""Settings that a running instance cannot change by rereading them."""

_BLOCKED_DURING_EXEC: Final = frozenset({signal.SIGHUP, signal.SIGUSR2})
"""Signals that are blocked from an exec until the new program handles them; by default they would end it."""

_log = logging.getLogger("meshdns.supervisor")


class Supervisor:
    """One running instance. `reread_settings` reads the settings again or raises `SettingsError`."""

    def __init__(
        self, settings: Settings, *, reread_settings: Callable[[], Settings], on_serving: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._reread_settings = reread_settings
        self._on_serving = on_serving
        self._generation = 1
        self._state_dir = Path(settings.state_dir or ".")
        count = settings.workers or 1
        self._handover = HandOver.receive(os.environ)
        if self._handover is None:
            self._lock = lock_state_dir(self._state_dir)
            self._sockets = Sockets.bind(
                listen_addresses(settings), workers=count, activated=activated_sockets(os.environ)
            )
        else:
            self._lock = self._handover.lock
            self._sockets = Sockets.from_descriptors(self._handover.udp, self._handover.tcp, workers=count)
        self._cookies = cookie_secrets.load_or_create(self._state_dir, now=time.time())
        self._board = Scoreboard.create()
        self._database = location.current_database(self._state_dir)
        self._database_usable = False
        self._database_checked = asyncio.Event()  # whether the last name database can be used
        self._workers = [self._make_worker(number) for number in range(count)]
        self._controller = Child(
            "controller",
            "meshdns.controller",
            initial_config=self._controller_config,
            on_message=self._on_controller_message,
            on_exit=self._on_controller_exit,
            descriptors=(self._board.descriptor,),
            config_ready=self._database_checked,
        )
        self._readiness = InstanceReadiness([worker.name for worker in self._workers])
        self._scrape_executor = ThreadPoolExecutor(1, thread_name_prefix="scrapes", initializer=lower_priority)
        self._http_server = HttpServer(
            {"/health": self._reply_health, "/ready": self._reply_ready, "/metrics": self._reply_metrics}
        )
        self._health = HealthChecker()
        self._reload_failures = 0
        self._started = time.time()
        self._query_log = QueryLog(self._board, count, lambda: self._settings.query_log.format)
        self._has_served = False
        self._retired_workers: list[asyncio.Future[None]] = []
        self._stop_requested = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises `BindError` if the HTTP port cannot be bound."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: self._shut_down(self._settings.lameduck))
        loop.add_signal_handler(signal.SIGINT, self._shut_down, 0.0)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.add_signal_handler(signal.SIGUSR2, self._replace)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED_DURING_EXEC)  # before any child could inherit the mask
        await self._listen_http()
        location.remove_obsolete_databases(self._state_dir)
        async with asyncio.TaskGroup() as group:
            for child in self._workers:
                group.create_task(child.run(), name=child.name)
            group.create_task(self._run_controller(), name="controller")
            self._database_usable = await self._check_database()
            self._board.record_controller_heartbeat(time.monotonic())
            self._database_checked.set()
            watching = group.create_task(self._check_heartbeats(), name="watch")
            logging_queries = group.create_task(self._query_log.run(), name="query log")
            await self._stop_requested.wait()
            watching.cancel()
            await asyncio.gather(*(child.stop() for child in (*self._workers, self._controller)))
            logging_queries.cancel()
        self._http_server.close()
        self._sockets.close()
        os.close(self._lock)

    # ------------------------------------------------------------------------------------------ signals

    def _shut_down(self, lameduck: float) -> None:
        """Report not ready, answer queries for `lameduck` more seconds, then end."""
        self._readiness.mark_ending()
        _log.info("ending in %g s", lameduck)
        asyncio.get_running_loop().call_later(lameduck, self._stop_requested.set)

    def _reload(self) -> None:
        """Reread the settings; the old ones stay in force if the new ones are wrong."""
        try:
            fresh = self._reread_settings()
        except SettingsError as error:
            self._reload_failures += 1
            _log.error("settings generation %d stays in force: %s", self._generation, error)
            return
        fixed = [key for key in _FIXED_ON_RELOAD if getattr(fresh, key) != getattr(self._settings, key)]
        if fixed:
            _log.warning("a change of %s takes effect with a restart", ", ".join(fixed))
            fresh = fresh.model_copy(update={key: getattr(self._settings, key) for key in fixed})
        self._settings = fresh
        self._generation += 1
        _log.info("settings generation %d in force", self._generation)
        self._readiness.expect_settings(self._generation)
        self._reconfigure_workers()
        self._controller.restart()

    def _replace(self) -> None:
        """Exec the installed program in place of this one; the workers go on until its own serve."""
        try:
            fresh = self._reread_settings()
        except SettingsError as error:
            _log.error("not replaced: %s", error)
            return
        moved = [key for key in _FIXED_ON_REPLACE if getattr(fresh, key) != getattr(self._settings, key)]
        if moved:
            _log.error("not replaced: a change of %s takes a restart", ", ".join(moved))
            return
        if not self._has_served or not all(worker.done() for worker in self._retired_workers):
            _log.error("not replaced: the last start is not over yet; try again in some seconds")
            return
        self._hand_over()

    def _hand_over(self) -> None:
        HandOver(
            lock=self._lock,
            udp=tuple(sock.fileno() for sock in self._sockets.udp),
            tcp=tuple(sock.fileno() for sock in self._sockets.tcp),
            worker_stdins=tuple(line for worker in self._workers for line in worker.stdin_descriptors()),
            worker_pids=tuple(worker.pid for worker in self._workers if worker.pid),
            controller_pid=self._controller.pid,
        ).publish(os.environ)
        signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED_DURING_EXEC)
        try:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 — the very program that runs
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED_DURING_EXEC)
            HandOver.receive(os.environ)
            _log.error("not replaced: %s: %s", sys.executable, error.strerror)

    # ------------------------------------------------------------------------------------------ children

    async def _run_controller(self) -> None:
        """Start the controller once its predecessor is gone: the name database has one writer."""
        if self._handover is not None and self._handover.controller_pid:
            await reap(self._handover.controller_pid)
        await self._controller.run()

    def _make_worker(self, number: int) -> Child:
        name = f"worker {number}"
        descriptors = [sock.fileno() for sock in (*self._sockets.udp, *self._sockets.tcp)]
        return Child(
            name,
            "meshdns.worker",
            initial_config=lambda: self._worker_config(number),
            on_message=lambda message: self._on_worker_message(name, message),
            on_exit=self._on_worker_exit,
            descriptors=(*descriptors, self._sockets.private[number].fileno(), self._board.descriptor),
            config_ready=self._database_checked,
        )

    def _worker_config(self, number: int) -> bytes:
        self._board.record_worker_heartbeat(number, time.monotonic())  # it starts now
        return msgspec.json.encode(
            worker_settings(
                self._settings,
                self._sockets,
                number=number,
                scoreboard=self._board.descriptor,
                namedb=str(self._database) if self._database_usable else "",
                generation=self._generation,
                cookies=self._cookies,
            )
        )

    def _controller_config(self) -> bytes:
        return msgspec.json.encode(
            ControllerSettings(
                generation=self._generation,
                settings=self._settings.model_dump_json(),
                namedb=str(self._database),
                state_dir=str(self._state_dir),
                scoreboard=self._board.descriptor,
            )
        )

    def _reconfigure_workers(self) -> None:
        for number, worker in enumerate(self._workers):
            worker.send(self._worker_config(number))

    def _on_worker_message(self, name: str, message: dict[str, Any]) -> None:
        self._readiness.on_worker_serving(
            name,
            database_ready=bool(message.get("ready")),
            generation=int(message.get("serving", 0)),
            outdated_zones=message.get("outdated", ()),
        )
        if self._readiness.is_serving and not self._has_served:
            self._has_served = True
            self._on_serving()
            self._retire_old_workers()

    def _retire_old_workers(self) -> None:
        """End the workers of a predecessor."""
        if self._handover is not None:
            self._handover.stop_old_workers()
            self._retired_workers = [
                asyncio.create_task(reap(process), name=f"worker {process} of the predecessor")
                for process in self._handover.worker_pids
            ]

    def _on_controller_message(self, message: dict[str, Any]) -> None:
        if "reload" in message:
            self._reload()
        if "view" in message and not self._database_usable:
            self._database_usable = True
            self._reconfigure_workers()
        if "ready" in message:
            self._readiness.on_controller_report(
                ready=bool(message["ready"]), not_ready_reason=str(message.get("waits", ""))
            )

    def _on_worker_exit(self, code: int) -> None:
        """Quarantine the name database after a worker crashed on a damaged page; forwarding goes on meanwhile."""
        if self._database_usable and (code in CRASH_STATUSES or code == location.EXIT_DATABASE_DAMAGED):
            self._quarantine_database(f"{self._database}: a worker died of it")
            self._controller.restart()

    def _on_controller_exit(self, code: int) -> None:
        """Do as for a worker; the controller also exits so if it cannot open the name database."""
        if code == location.EXIT_DATABASE_DAMAGED or (self._database_usable and code in CRASH_STATUSES):
            self._quarantine_database(f"{self._database}: the controller died of it")

    def _quarantine_database(self, reason: str) -> None:
        _log.error(
            "%s; the name database is set aside, names of the mesh are answered again once it is rebuilt", reason
        )
        location.quarantine(self._database)
        self._database = location.current_database(self._state_dir)
        self._database_usable = False
        self._reconfigure_workers()

    async def _check_database(self) -> bool:
        """Return whether there is a name database that can be served at once; a damaged one is quarantined."""
        if not location.is_present(self._database):
            return False
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "meshdns.namedb.verify", str(self._database), stderr=asyncio.subprocess.PIPE
        )
        _, output = await process.communicate()
        if process.returncode == 0:
            return True
        reason = (
            output.decode(errors="replace").strip().rpartition("\n")[2] or f"its check ended with {process.returncode}"
        )
        self._quarantine_database(reason)
        return False

    async def _check_heartbeats(self) -> None:
        """Replace workers without heartbeat, and the cookie secret when its time is over."""
        while True:
            await asyncio.sleep(_HEARTBEAT_CHECK_INTERVAL)
            if self._cookies.is_due(time.time()):
                self._cookies = cookie_secrets.load_or_create(self._state_dir, now=time.time())
                self._reconfigure_workers()
            now = time.monotonic()
            for number, worker in enumerate(self._workers):
                if worker.pid and self._board.worker_heartbeat_age(number, now) > WORKER_HEARTBEAT_TIMEOUT:
                    _log.error("%s has been silent for %g s; killed", worker.name, WORKER_HEARTBEAT_TIMEOUT)
                    self._board.record_worker_heartbeat(number, now)
                    worker.kill()

    # ------------------------------------------------------------------------------------------ HTTP

    async def _listen_http(self) -> None:
        host, port = split_host_port(self._settings.http.listen)
        try:
            await self._http_server.listen(host, port)
        except OSError as error:
            message = f"http {host} port {port}: {error.strerror}; choose another address with http.listen"
            raise BindError(message) from None

    async def _reply_health(self, _accept: str) -> HttpReply:
        """Check each worker by a DNS query."""
        if silent := await self._health.unresponsive_workers(
            [self._sockets.private_port(n) for n in range(len(self._workers))]
        ):
            reason = f"no answer from {', '.join(self._workers[number].name for number in silent)}\n"
            return HttpReply(HTTPStatus.SERVICE_UNAVAILABLE, reason.encode())
        return HttpReply(HTTPStatus.OK, b"OK\n")

    async def _reply_ready(self, _accept: str) -> HttpReply:
        if self._readiness.is_ready:
            return HttpReply(HTTPStatus.OK, b"OK\n")
        return HttpReply(
            HTTPStatus.SERVICE_UNAVAILABLE, "".join(f"{r}\n" for r in self._readiness.not_ready_reasons()).encode()
        )

    async def _reply_metrics(self, accept: str) -> HttpReply:
        from meshdns.supervisor import exposition  # noqa: PLC0415 — not needed before the first scrape

        children = (*self._workers, self._controller)
        about = exposition.SupervisorStatus(
            settings=self._settings,
            child_restarts=[(child.name, child.restart_count) for child in children],
            generation=self._generation,
            is_ready=self._readiness.is_ready,
            reload_failures=self._reload_failures,
            usage=ProcessUsage.measure((child.pid for child in children if child.pid), start_time=self._started),
            query_log_counts=self._query_log.line_counts,
            health_page=self._health.metrics.encode(),
        )
        instance = exposition.InstanceCollector(self._board, len(self._workers), now=time.monotonic(), status=about)
        expose = partial(exposition.encode_metrics, instance, accept)
        body, content_type = await asyncio.get_running_loop().run_in_executor(self._scrape_executor, expose)
        return HttpReply(HTTPStatus.OK, body, content_type)
