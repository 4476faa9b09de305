"""The supervisor: binds the sockets, hands checked settings to its children, keeps them running, ends them in order."""

import asyncio
import fcntl
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from meshdns.config.model import Settings
from meshdns.controller.settings import ControllerSettings
from meshdns.supervisor.children import Child
from meshdns.supervisor.hand_over import socket_addresses, worker_settings
from meshdns.supervisor.sockets import Sockets
from meshdns.view.place import current_view

PATIENCE: Final = 10.0  # seconds for a child to end by itself
_log = logging.getLogger("meshdns.supervisor")


class InstanceError(Exception):
    """The state directory cannot be used; the message says why and what to do."""


class Supervisor:
    """One running instance."""

    def __init__(self, settings: Settings, *, serving: Callable[[], None]) -> None:
        self._settings = settings
        self._serving = serving
        self._state_dir = Path(settings.state_dir or ".")
        self._lock = _locked(self._state_dir)
        self._sockets = Sockets(socket_addresses(settings))
        self._view = current_view(self._state_dir)
        self._view_known = (self._view / "data.mdb").exists()
        self._up: set[str] = set()
        self._controller = Child(
            "controller", "meshdns.controller.process", greeting=self._controller_line, heard=self._heard_controller
        )
        self._workers = [self._worker(number) for number in range(settings.workers or 1)]

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        children = [*self._workers, self._controller]
        async with asyncio.TaskGroup() as group:
            for child in children:
                group.create_task(child.run(), name=child.name)
            await stop.wait()
            _log.info("ending")
            await asyncio.gather(*(child.stop(PATIENCE) for child in children))
        self._sockets.close()
        os.close(self._lock)

    def _worker(self, number: int) -> Child:
        name = f"worker {number}"
        return Child(
            name,
            "meshdns.worker.process",
            greeting=self._worker_line,
            heard=lambda said: self._heard_worker(name, said),
            descriptors=self._sockets.descriptors(),
        )

    def _worker_line(self) -> bytes:
        view = str(self._view) if self._view_known else ""
        return msgspec.json.encode(worker_settings(self._settings, self._sockets, view=view, generation=1))

    def _controller_line(self) -> bytes:
        text = self._settings.model_dump_json()
        return msgspec.json.encode(ControllerSettings(generation=1, settings=text, view=str(self._view)))

    def _heard_worker(self, name: str, said: dict[str, Any]) -> None:
        if "serving" in said and name not in self._up:
            self._up.add(name)
            if len(self._up) == len(self._workers):
                self._serving()

    def _heard_controller(self, said: dict[str, Any]) -> None:
        if "view" in said and not self._view_known:
            self._view_known = True
            for worker in self._workers:
                worker.say(self._worker_line())


def _locked(directory: Path) -> int:
    """A descriptor that holds the lock of a state directory for as long as it is open."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        message = f"{directory}: cannot be used for state: {error.strerror}; choose another with --state-dir"
        raise InstanceError(message) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        message = f"{directory}: another meshdns (pid {holder}) uses it; end that one or choose another --state-dir"
        raise InstanceError(message) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
