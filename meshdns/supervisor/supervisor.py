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
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec

from meshdns.config import Settings, SettingsError, SettingsReader
from meshdns.config.translate import listen_addresses
from meshdns.config.values import split_host_port
from meshdns.controller.source_settings import ControllerSettings
from meshdns.controller.supervisor_link import FilesMessage, ReloadOutcome
from meshdns.instance.heartbeats import HeartbeatJudge
from meshdns.instance.metric_pages import MetricPage
from meshdns.instance.pipe import ControllerMessage, WorkerMessage
from meshdns.instance.process import lower_priority
from meshdns.instance.scoreboard import Scoreboard
from meshdns.namedb import location
from meshdns.supervisor import cookie_secrets
from meshdns.supervisor.child import CRASH_STATUSES, LOST_STATUS, Child
from meshdns.supervisor.guard import Guard
from meshdns.supervisor.handover import HandOver, lock_state_dir, reap
from meshdns.supervisor.health_checks import HealthChecker, InstanceReadiness
from meshdns.supervisor.querylog import QueryLog
from meshdns.supervisor.reloading import Instance, Outcome, Reloader
from meshdns.supervisor.settings_files import SettingsFiles, States
from meshdns.supervisor.sockets import BindError, Sockets, activated_sockets
from meshdns.supervisor.usage import ProcessUsage
from meshdns.supervisor.web import HttpPath, HttpReply, HttpResource, HttpServer
from meshdns.supervisor.worker_settings import worker_settings
from meshdns.worker.settings import encode as encode_worker_settings

WORKER_HEARTBEAT_TIMEOUT: Final = 5.0  # seconds without a heartbeat after which a worker is killed and replaced
_HEARTBEAT_CHECK_INTERVAL: Final = 0.5  # seconds between checks of the heartbeats
_VERIFY_TIMEOUT: Final = 60.0  # seconds to check the name database; names are forwarded only after it
_COOKIE_CHECK_INTERVAL: Final = 1.0  # seconds between checks of the age of the cookie secret
_FIXED_ON_REPLACE: Final = ("listen", "state_dir")
"""Settings that cannot change with SIGUSR2 either: the sockets and the lock are what is handed over."""

_FIXED_ON_RELOAD: Final = (*_FIXED_ON_REPLACE, "workers", "http", "log_level")
"""Settings that a running instance cannot change by rereading them."""

_BLOCKED_DURING_EXEC: Final = frozenset({signal.SIGHUP, signal.SIGUSR2})
"""Signals that are blocked from an exec until the new program handles them; by default they would end it."""

_REPLY_TIMEOUT: Final = 1.0  # seconds for the controller to reply to who ordered a reload, before it is restarted

_log = logging.getLogger("meshdns.supervisor")


class Supervisor:
    """One running instance. `reader` reads the settings again."""

    def __init__(self, settings: Settings, *, reader: SettingsReader, on_serving: Callable[[], None]) -> None:
        self._settings = settings
        self._files = SettingsFiles(settings, on_change=self._on_files_changed)
        self._reloader = Reloader(
            reader,
            self._files,
            Instance(
                settings=lambda: self._settings,
                generation=lambda: self._generation,
                put_in_force=self._put_in_force,
                report=self._report_reload,
            ),
            fixed=_FIXED_ON_RELOAD,
        )
        self._replied_orders: dict[int, asyncio.Event] = {}
        self._replacing: asyncio.Task[None] | None = None
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
        self._metrics = MetricPage()
        self._guard = Guard(self._metrics)
        self._database = location.current_database(self._state_dir)
        self._database_usable = False
        self._database_checked = asyncio.Event()  # whether the last name database can be used
        self._workers = [self._make_worker(number) for number in range(count)]
        self._controller = Child(
            "controller",
            "meshdns.controller",
            guard=self._guard,
            make_config=self._controller_config,
            decode=partial(msgspec.json.decode, type=ControllerMessage),
            on_message=self._on_controller_message,
            on_exit=self._on_controller_exit,
            descriptors=(self._board.descriptor,),
            config_ready=self._database_checked,
        )
        self._readiness = InstanceReadiness([worker.name for worker in self._workers])
        self._scrape_executor = ThreadPoolExecutor(1, thread_name_prefix="scrapes", initializer=lower_priority)
        self._http_servers = self._make_http_servers()
        self._health = HealthChecker(self._metrics)
        self._started = time.time()
        self._query_log = QueryLog(self._board, count, lambda: self._settings.query_log.format)
        self._has_served = False
        self._retired_workers: list[asyncio.Future[None]] = []
        self._stop_requested = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises `BindError` if the HTTP port cannot be bound."""
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it is inherited as ignored, exit statuses are lost
        loop.add_signal_handler(signal.SIGTERM, lambda: self._shut_down(self._settings.lameduck))
        loop.add_signal_handler(signal.SIGINT, self._shut_down, 0.0)
        loop.add_signal_handler(signal.SIGHUP, self._reloader.request)
        loop.add_signal_handler(signal.SIGUSR2, self._guard.call, "replacement", self._replace)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED_DURING_EXEC)  # before any child could inherit the mask
        await self._listen_http()
        self._guard.call("clean-up", partial(location.remove_obsolete_databases, self._state_dir))
        async with asyncio.TaskGroup() as group:
            self._tasks = group
            for child in self._workers:
                self._start(child.name, child.run)
            self._start("controller", self._run_controller)
            await self._read_files_at_start()
            self._database_usable = await self._check_database_at_start()
            self._board.record_controller_heartbeat(time.monotonic())
            self._database_checked.set()
            until_stopped = [
                self._start("watch", self._check_heartbeats),
                self._start("cookies", self._renew_cookies),
                self._start("settings files", self._files.run),
                self._start("reload", self._reloader.run),
            ]
            logging_queries = self._start("query log", self._query_log.run)
            await self._stop_requested.wait()
            for task in until_stopped:
                task.cancel()
            await asyncio.gather(
                *(child.stop() for child in (*self._workers, self._controller)), return_exceptions=True
            )
            logging_queries.cancel()
        for server, _ in self._http_servers:
            server.close()
        self._sockets.close()
        os.close(self._lock)

    def _start(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start a task that no exception ends."""
        return self._tasks.create_task(self._guard.keep_running(name, run), name=name)

    # ------------------------------------------------------------------------------------------ signals

    def _shut_down(self, lameduck: float) -> None:
        """Report not ready, answer queries for `lameduck` more seconds, then end."""
        self._readiness.mark_ending()
        _log.info("ending in %g s", lameduck)
        asyncio.get_running_loop().call_later(lameduck, self._stop_requested.set)

    def _put_in_force(self, fresh: Settings, states: States) -> int:
        """Put settings in force; returns their generation. Whatever raises leaves the old ones."""
        before = (self._settings, self._files.states, self._generation)
        self._settings, self._generation = fresh, self._generation + 1
        self._files.adopt(fresh, states)
        try:
            for child in (*self._workers, self._controller):
                child.make_line()
        except Exception:
            self._settings, files, self._generation = before
            self._files.adopt(self._settings, files)
            raise
        self._readiness.expect_settings(self._generation)
        self._reconfigure_workers()
        self._files.log_problems()
        return self._generation

    async def _report_reload(self, outcome: Outcome, orders: tuple[int, ...]) -> None:
        """Tell the outcome to the controller, for who ordered it, and restart it with the new settings after that."""
        replied = {order: asyncio.Event() for order in orders}
        self._replied_orders.update(replied)
        for order in orders:
            self._controller.send(msgspec.json.encode(ReloadOutcome(order, *outcome)))
        try:
            async with asyncio.timeout(_REPLY_TIMEOUT):
                for event in replied.values():
                    await event.wait()
        except TimeoutError:
            pass
        finally:
            for order in orders:
                del self._replied_orders[order]
        if not outcome.refusals:
            self._controller.restart()

    def _replace(self) -> None:
        """Exec the installed program in place of this one, once the settings were read."""
        if self._replacing is None or self._replacing.done():
            self._replacing = asyncio.create_task(self._check_and_replace(), name="replace")

    async def _check_and_replace(self) -> None:
        """Exec the installed program in place of this one; the workers go on until its own serve."""
        try:
            fresh = await self._reloader.reread()
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

    def _make_worker(self, number: int) -> Child[WorkerMessage]:
        name = f"worker {number}"
        descriptors = [sock.fileno() for sock in (*self._sockets.udp, *self._sockets.tcp)]
        return Child(
            name,
            "meshdns.worker",
            guard=self._guard,
            make_config=lambda: self._worker_config(number),
            decode=partial(msgspec.json.decode, type=WorkerMessage),
            on_message=lambda message: self._on_worker_message(name, message),
            on_exit=self._on_worker_exit,
            descriptors=(*descriptors, self._sockets.private[number].fileno(), self._board.descriptor),
            config_ready=self._database_checked,
        )

    def _worker_config(self, number: int) -> bytes:
        if not self._workers[number].is_configured:
            self._board.record_worker_heartbeat(number, time.monotonic())  # it starts now
        return encode_worker_settings(
            worker_settings(
                self._settings,
                self._files.texts,
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
                files=self._files_message(),
            )
        )

    def _reconfigure_workers(self) -> None:
        for worker in self._workers:
            worker.configure()

    def _files_message(self) -> FilesMessage:
        return FilesMessage(self._files.texts, self._files.problems())

    def _on_files_changed(self) -> None:
        """Hand on the values of the files; no generation begins, and the controller goes on."""
        self._files.log_problems()
        self._reconfigure_workers()
        self._controller.send(msgspec.json.encode(self._files_message()))

    def _on_worker_message(self, name: str, message: WorkerMessage) -> None:
        self._readiness.on_worker_serving(
            name, database_ready=message.ready, generation=message.serving, outdated_zones=message.outdated
        )
        if self._readiness.is_serving and not self._has_served:
            self._has_served = True
            self._guard.call("start-up message", self._on_serving)
            self._retire_old_workers()

    def _retire_old_workers(self) -> None:
        """End the workers of a predecessor."""
        if self._handover is not None:
            self._handover.stop_old_workers()
            self._retired_workers = [
                self._start(f"worker {process} of the predecessor", partial(reap, process))
                for process in self._handover.worker_pids
            ]

    def _on_controller_message(self, message: ControllerMessage) -> None:
        if message.reload:
            self._reloader.request(message.order)
        if message.reload_replied in self._replied_orders:
            self._replied_orders[message.reload_replied].set()
        if message.view is not None and not self._database_usable:
            self._database_usable = True
            self._reconfigure_workers()
        if message.ready is not None:
            self._readiness.on_controller_report(ready=message.ready, not_ready_reason=message.waits)

    def _on_worker_exit(self, code: int) -> None:
        """Quarantine the name database after a worker crashed on a damaged page; forwarding goes on meanwhile."""
        if self._database_usable and (code in CRASH_STATUSES or code == location.EXIT_DATABASE_DAMAGED):
            self._quarantine_database(f"{self._database}: a worker died of it")
            self._controller.restart()
        elif code == LOST_STATUS:
            self._start("database check", self._recheck_database)

    def _on_controller_exit(self, code: int) -> None:
        """Do as for a worker; the controller also exits so if it cannot open the name database."""
        if code == location.EXIT_DATABASE_DAMAGED or (self._database_usable and code in CRASH_STATUSES):
            self._quarantine_database(f"{self._database}: the controller died of it")
        elif code == LOST_STATUS:
            self._start("database check", self._recheck_database)

    async def _recheck_database(self) -> None:
        """Check the name database after an exit whose status was lost: it may have been a crash on a damaged page."""
        if self._database_usable and not await self._check_database():
            self._controller.restart()

    async def _read_files_at_start(self) -> None:
        """Read the files that the settings name; what cannot be read is looked at again."""
        try:
            self._files.adopt(self._settings, await self._files.read_for(self._settings))
            self._files.log_problems()
        except Exception as error:  # noqa: BLE001 — names of the mesh must not wait for files
            self._guard.record_failure("settings files", error)

    async def _check_database_at_start(self) -> bool:
        """Return whether the last name database can be served; one that cannot be checked now is not."""
        try:
            return await self._check_database()
        except Exception as error:  # noqa: BLE001 — forwarding must not wait for what is wrong with the database
            self._guard.record_failure("database check", error)
            return False

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
        try:
            _, output = await asyncio.wait_for(process.communicate(), _VERIFY_TIMEOUT)
        except TimeoutError:
            process.kill()
            _, output = await process.communicate()
        if process.returncode == 0:
            return True
        reason = (
            output.decode(errors="replace").strip().rpartition("\n")[2] or f"its check ended with {process.returncode}"
        )
        self._quarantine_database(reason)
        return False

    async def _check_heartbeats(self) -> None:
        """Replace workers without heartbeat."""
        judge = HeartbeatJudge(WORKER_HEARTBEAT_TIMEOUT)
        while True:
            await asyncio.sleep(_HEARTBEAT_CHECK_INTERVAL)
            now = time.monotonic()
            configured = {worker.pid: number for number, worker in enumerate(self._workers) if worker.is_configured}
            heartbeats = {pid: now - self._board.worker_heartbeat_age(n, now) for pid, n in configured.items()}
            for pid in judge.silent(heartbeats, now):
                worker = self._workers[configured[pid]]
                _log.error("%s has been silent for %g s; killed", worker.name, WORKER_HEARTBEAT_TIMEOUT)
                self._board.record_worker_heartbeat(configured[pid], now)
                worker.kill()

    async def _renew_cookies(self) -> None:
        """Replace the cookie secret when its time is over."""
        while True:
            await asyncio.sleep(_COOKIE_CHECK_INTERVAL)
            if self._cookies.is_due(time.time()):
                self._cookies = cookie_secrets.load_or_create(self._state_dir, now=time.time())
                self._reconfigure_workers()

    # ------------------------------------------------------------------------------------------ HTTP

    def _make_http_servers(self) -> list[tuple[HttpServer, str]]:
        """Return the HTTP ports, each with its setting. Health has its own port if the settings name one."""
        http = self._settings.http
        health = {
            "/health": HttpPath(partial(self._reply_guarded, "/health", self._reply_health), is_open=True),
            "/ready": HttpPath(partial(self._reply_guarded, "/ready", self._reply_ready), is_open=True),
        }
        metrics = {"/metrics": HttpPath(partial(self._reply_guarded, "/metrics", self._reply_metrics))}
        if http.health is None:
            return [(HttpServer({**health, **metrics}, allow=http.allow), "listen")]
        return [(HttpServer(health, allow=()), "health"), (HttpServer(metrics, allow=http.allow), "listen")]

    async def _listen_http(self) -> None:
        for server, setting in self._http_servers:
            host, port = split_host_port(getattr(self._settings.http, setting))
            try:
                await server.listen(host, port)
            except OSError as error:
                message = f"http {host} port {port}: {error.strerror}; choose another address with http.{setting}"
                raise BindError(message) from None

    async def _reply_guarded(self, path: str, resource: HttpResource, accept: str) -> HttpReply:
        """Return the reply of a path; one that cannot be made is that request's failure alone."""
        try:
            return await resource(accept)
        except Exception as error:  # noqa: BLE001 — the border of a request
            self._guard.record_failure(f"http {path}", error)
            return HttpReply(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed; see the log of meshdns serve\n")

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
            reload_failures=self._reloader.failures,
            unreadable_files=len(self._files.problems()),
            failed_file_reads=self._files.failed_reads,
            usage=ProcessUsage.measure((child.pid for child in children if child.pid), start_time=self._started),
            query_log_counts=self._query_log.line_counts,
            own_page=self._metrics.encode(),
        )
        instance = exposition.InstanceCollector(self._board, len(self._workers), now=time.monotonic(), status=about)
        expose = partial(exposition.encode_metrics, instance, accept)
        body, content_type = await asyncio.get_running_loop().run_in_executor(self._scrape_executor, expose)
        return HttpReply(HTTPStatus.OK, body, content_type)
