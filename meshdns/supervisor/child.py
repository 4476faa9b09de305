"""A child process that is kept running.

A child is exec'd, never forked from a process that opened the name database. It reads lines from its standard input,
which also ties it to the supervisor: when the supervisor is gone the pipe closes and the child exits. Its messages are
JSON lines on standard output. A child that exits is restarted with growing, jittered delays; the delays start over once
it has run for a while.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

MIN_RESTART_DELAY: Final = 0.05  # seconds; a worker that crashed once must be back within a second
MAX_RESTART_DELAY: Final = 10.0
EXIT_TIMEOUT: Final = 10.0  # seconds for a child to exit by itself
BACKOFF_RESET_AFTER: Final = 30.0  # seconds of running after which the delays start over
CRASH_STATUSES: Final = frozenset({-signal.SIGBUS, -signal.SIGSEGV, -signal.SIGABRT})
"""Exit statuses that a damaged name database causes: a truncated file, a damaged page."""

_log = logging.getLogger("meshdns.supervisor")


class Child:
    """One supervised process: `initial_config` makes its first line; `on_message` and `on_exit` are callbacks.

    The first line is held back until `config_ready` is set, so that a process can start while its configuration is
    still being determined.
    """

    def __init__(
        self,
        name: str,
        module: str,
        *,
        initial_config: Callable[[], bytes],
        on_message: Callable[[dict[str, Any]], None],
        on_exit: Callable[[int], None],
        descriptors: Sequence[int] = (),
        config_ready: asyncio.Event | None = None,
    ) -> None:
        self.name = name
        self.restart_count = 0
        self._module = module
        self._initial_config = initial_config
        self._on_message = on_message
        self._on_exit = on_exit
        self._descriptors = tuple(descriptors)
        self._config_ready = config_ready
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._restarting = False

    @property
    def pid(self) -> int:
        """The process id, 0 while there is none."""
        return self._process.pid if self._process is not None else 0

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
            if self._restarting:
                self._restarting = False
                continue
            self.restart_count += 1
            self._on_exit(code)
            if loop.time() - started > BACKOFF_RESET_AFTER:
                delay = MIN_RESTART_DELAY
            wait = delay * (0.5 + secrets.randbelow(1000) / 1000)
            _log.warning("%s ended with %s; started again in %.2f s", self.name, _exit_text(code), wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
            delay = min(delay * 2, MAX_RESTART_DELAY)

    def send(self, line: bytes) -> None:
        """Send a line to the process, if there is one."""
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(line + b"\n")

    def restart(self) -> None:
        """End the process so that a new one takes its place at once, with a new `initial_config`."""
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
        if self._stopping.is_set():
            process.terminate()
        if self._config_ready is not None:
            await self._config_ready.wait()
        self.send(self._initial_config())
        assert process.stdout is not None  # noqa: S101 — asked for above
        async for line in process.stdout:
            with contextlib.suppress(msgspec.DecodeError):
                self._on_message(msgspec.json.decode(line))
        code = await process.wait()
        self._process = None
        return code


def _exit_text(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"status {code}"
