"""Hand-over of an instance from one supervisor to the next: the lock, the sockets, the old children.

On SIGUSR2 a supervisor replaces itself by exec: process id, bound sockets and lock stay, the old workers go on
answering until the new ones serve, and no query is lost. One environment variable carries the hand-over.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import stat
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

import msgspec

from meshdns.supervisor.child import EXIT_TIMEOUT

VARIABLE: Final = "MESHDNS_HAND_OVER"
_REAP_INTERVAL: Final = 0.02  # seconds between checks of a child that exits


class StateDirError(Exception):
    """The state directory cannot be used; the message says why and what to do."""


class HandOver(msgspec.Struct, frozen=True):
    """Descriptors and process ids that a supervisor leaves to its successor."""

    lock: int
    udp: tuple[int, ...]
    tcp: tuple[int, ...]
    worker_stdins: tuple[int, ...] = msgspec.field(
        name="lifelines"
    )  # standard inputs of the old workers: closing one ends its worker
    worker_pids: tuple[int, ...] = msgspec.field(name="workers")  # to be waited for
    controller_pid: int = msgspec.field(name="controller")  # 0 if there was none

    def publish(self, environ: MutableMapping[str, str]) -> None:
        """Pass it to the program that is exec'd next."""
        for descriptor in (self.lock, *self.udp, *self.tcp, *self.worker_stdins):
            os.set_inheritable(descriptor, True)
        environ[VARIABLE] = msgspec.json.encode(self).decode()

    @classmethod
    def receive(cls, environ: MutableMapping[str, str]) -> "HandOver | None":
        """Return the hand-over of a predecessor, or None."""
        text = environ.pop(VARIABLE, None)
        if text is None:
            return None
        found = msgspec.json.decode(text, type=cls)
        for descriptor in (found.lock, *found.udp, *found.tcp, *found.worker_stdins):
            os.set_inheritable(descriptor, False)
        return found

    def stop_old_workers(self) -> None:
        """End the old workers."""
        for descriptor in self.worker_stdins:
            os.close(descriptor)


def lock_state_dir(directory: Path) -> int:
    """Lock a state directory for one instance; return the descriptor that holds the lock while it is open."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"{directory}: cannot be used for state: {error.strerror}; choose another with --state-dir"
        raise StateDirError(message) from None
    descriptor = _open_lock(directory / "lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        message = f"{directory}: another meshdns (pid {holder}) uses it; end that one or choose another --state-dir"
        raise StateDirError(message) from None
    with contextlib.suppress(OSError):  # a full disk keeps nobody from serving; the number is for people
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _open_lock(path: Path) -> int:
    advice = "remove it, or choose another folder with --state-dir"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise StateDirError(f"{path}: cannot be opened: {error.strerror}; {advice}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StateDirError(f"{path}: is no regular file; {advice}")
    return descriptor


async def reap(pid: int) -> None:
    """Wait for the exit of a child that a predecessor started and stopped; kill it if it does not exit."""
    loop = asyncio.get_running_loop()
    ended = loop.time() + EXIT_TIMEOUT
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        while os.waitpid(pid, os.WNOHANG) == (0, 0):  # noqa: ASYNC222 — it does not block
            if loop.time() > ended:
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(_REAP_INTERVAL)
