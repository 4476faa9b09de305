"""A child process that is kept running.

A child is exec'd, never forked from a process that opened the name database. It reads lines from its standard input,
which also ties it to the supervisor: when the supervisor is gone the pipe closes and the child exits. Its messages are
JSON lines on standard output. A child that exits is restarted with growing, jittered delays; the delays start over once
it has run for a while.

Rules:
- Nothing that a child writes, and nothing that a callback raises, ends the supervisor (`meshdns.supervisor.guard`).
- While its configuration cannot be made, a child has the last one that could, and making it is tried again.
- Every exit that was not asked for is reported, also while a restart is under way.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

from meshdns.instance.pipe import MAX_MESSAGE, MAX_SETTINGS, MessageReader
from meshdns.supervisor.guard import MAX_DELAY, MIN_DELAY, Guard

MIN_RESTART_DELAY: Final = 0.05  # seconds; a worker that crashed once must be back within a second
MAX_RESTART_DELAY: Final = 10.0
EXIT_TIMEOUT: Final = 10.0  # seconds for a child to exit by itself
BACKOFF_RESET_AFTER: Final = 30.0  # seconds of running after which the delays start over
MAX_UNREAD: Final = 2 * MAX_SETTINGS
"""Bytes that wait for a child to read them; a child that reads nothing gets no more."""
CRASH_STATUSES: Final = frozenset({-signal.SIGBUS, -signal.SIGSEGV, -signal.SIGABRT})
"""Exit statuses that a damaged name database causes: a truncated file, a damaged page."""
LOST_STATUS: Final = 255
"""The exit status that asyncio reports if the system has lost the true one, which may have been a crash."""
_ORDERED_EXITS: Final = frozenset({0, -signal.SIGTERM, -signal.SIGKILL})
"""Exit statuses of a process that was told to exit; any other is a crash that came first."""

T = TypeVar("T")

_log = logging.getLogger("meshdns.supervisor")


class Child(Generic[T]):
    """One supervised process: `make_config` makes its lines; `on_message` and `on_exit` are callbacks.

    `decode` makes a message of a line, or raises. The first line is held back until `config_ready` is set, so that a
    process can start while its configuration is still being determined.
    """

    def __init__(  # noqa: PLR0913 — a process and its callbacks, all by keyword
        self,
        name: str,
        module: str,
        *,
        guard: Guard,
        make_config: Callable[[], bytes],
        decode: Callable[[bytes], T],
        on_message: Callable[[T], None],
        on_exit: Callable[[int], None],
        descriptors: Sequence[int] = (),
        config_ready: asyncio.Event | None = None,
    ) -> None:
        self.name = name
        self.restart_count = 0
        self._module = module
        self._guard = guard
        self._make_config = make_config
        self._decode = decode
        self._on_message = on_message
        self._on_exit = on_exit
        self._descriptors = tuple(descriptors)
        self._config_ready = config_ready
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._restarting = False
        self._last_config: bytes | None = None
        self._configured = False
        self._config_delay = MIN_DELAY
        self._config_timer: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """The process id, 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_configured(self) -> bool:
        """Whether the present process was sent a configuration."""
        return self._process is not None and self._configured

    def stdin_descriptors(self) -> list[int]:
        """The descriptor that keeps the process alive; none while there is no process."""
        stdin = self._process.stdin if self._process is not None else None
        return [stdin.transport.get_extra_info("pipe").fileno()] if stdin is not None else []

    async def run(self) -> None:
        """Keep the process running until `stop`."""
        loop = asyncio.get_running_loop()
        delay = MIN_RESTART_DELAY
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._run_once_or_fail()
            if self._stopping.is_set():
                return
            was_ordered, self._restarting = self._restarting and code in _ORDERED_EXITS, False
            if was_ordered:
                continue
            self.restart_count += 1
            self._guard.call(f"exit of {self.name}", partial(self._on_exit, code))
            if loop.time() - started > BACKOFF_RESET_AFTER:
                delay = MIN_RESTART_DELAY
            wait = delay * (0.5 + secrets.randbelow(1000) / 1000)
            _log.warning("%s ended with %s; started again in %.2f s", self.name, _exit_text(code), wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
            delay = min(delay * 2, MAX_RESTART_DELAY)

    def configure(self) -> None:
        """Send the process its present configuration, now or, if it cannot be made, as soon as it can."""
        if self._config_timer is not None:
            self._config_timer.cancel()
            self._config_timer = None
        line = self._guard.call(f"settings of {self.name}", self.make_line)
        if line is not None:
            self._config_delay = MIN_DELAY
            self._last_config = line
            self._configured = self.send(line) or self._configured
            return
        if self._last_config is not None and not self._configured:
            self._configured = self.send(self._last_config)
        self._config_timer = asyncio.get_running_loop().call_later(self._config_delay, self.configure)
        self._config_delay = min(self._config_delay * 2, MAX_DELAY)

    def make_line(self) -> bytes:
        """Return the present configuration; raises whatever keeps it from being made, ValueError if it is too long."""
        line = self._make_config()
        if len(line) > MAX_SETTINGS:
            raise ValueError(
                f"the settings are {len(line)} bytes, more than {MAX_SETTINGS}; name fewer zones or records"
            )
        return line

    def send(self, line: bytes) -> bool:
        """Send a line to the process; return whether there is one that can take it."""
        stdin = self._process.stdin if self._process is not None else None
        if stdin is None or stdin.is_closing():
            return False
        if stdin.transport.get_write_buffer_size() > MAX_UNREAD:
            self._guard.record_message_fault(self.name, "it does not read what it is sent")
            return False
        stdin.write(line + b"\n")
        return True

    def restart(self) -> None:
        """End the process so that a new one takes its place at once, with a new configuration."""
        if self._process is not None:
            self._restarting = True
            self._send_signal(signal.SIGTERM)
            asyncio.get_running_loop().call_later(EXIT_TIMEOUT, self._kill_if_running, self._process)

    def kill(self) -> None:
        """End a process that no longer listens."""
        self._send_signal(signal.SIGKILL)

    async def stop(self) -> None:
        """End the process: SIGTERM, then SIGKILL after `EXIT_TIMEOUT` seconds."""
        self._stopping.set()
        if self._config_timer is not None:
            self._config_timer.cancel()
        process = self._process
        if process is None:
            return
        self._send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), EXIT_TIMEOUT)
        except TimeoutError:
            _log.warning("%s does not end; killed", self.name)
            self.kill()
            await process.wait()

    def _kill_if_running(self, process: asyncio.subprocess.Process) -> None:
        """Kill a process that did not exit after SIGTERM."""
        if self._process is process:
            _log.warning("%s does not end; killed", self.name)
            self.kill()

    def _send_signal(self, signum: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signum)

    async def _run_once_or_fail(self) -> int:
        """Run the process once; one that cannot be started (no memory, too many processes) counts as exit status 71."""
        try:
            return await self._run_once()
        except OSError as error:
            _log.error("%s cannot be started: %s", self.name, error.strerror)
        except Exception as error:  # noqa: BLE001 — no fault around one process may end the others
            self._guard.record_failure(self.name, error)
        return os.EX_OSERR

    async def _run_once(self) -> int:
        """Run the process once and return its exit status."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            self._module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=self._descriptors,
        )
        self._process = process
        self._configured = False
        try:
            if self._stopping.is_set():
                process.terminate()
            if self._config_ready is not None:
                await self._config_ready.wait()
            self.configure()
            await self._take_messages(process)
            return await process.wait()
        finally:
            self._process = None
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _take_messages(self, process: asyncio.subprocess.Process) -> None:
        """Take the messages of a process until it closes its standard output."""
        assert process.stdout is not None  # noqa: S101 — asked for
        reader = MessageReader(process.stdout, MAX_MESSAGE, partial(self._guard.record_message_fault, self.name))
        while (message := await reader.receive(self._decode)) is not None:
            self._guard.call(f"message of {self.name}", partial(self._on_message, message))


def _exit_text(code: int) -> str:
    if code == LOST_STATUS:
        return "a status that was lost"
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"status {code}"
