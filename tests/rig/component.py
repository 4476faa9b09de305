"""A real program for as long as a ``with`` block: started, waited for, ended by its process id.

Rules:
- `command` names the program and its arguments; `ready` looks, without waiting long, whether it serves.
- What it prints goes to a log in its folder; the log's tail is part of every failure to start and a note on every
  exception that leaves the block.
- The kernel kills the program when the thread that started it is gone (PR_SET_PDEATHSIG), so a killed test run leaves
  no servers behind. Start components in the main thread.
"""

import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.rig.marks import require_rig
from tests.rig.ports import LOOPBACK, free_port
from tests.rig.waiting import eventually
from tests.rig.workspace import Workspace

_STOP_DEADLINE = 10.0  # seconds from SIGTERM to SIGKILL
_TAIL = 15  # lines of the log that are shown
_WIDTH = 240  # characters shown of each


class ComponentFailed(Exception):  # noqa: N818 - the component failed, not the code
    """A program did not start; the message holds the tail of its log."""


class Component(ABC):
    """One real program on `address` and `port`; subclasses say which."""

    title: ClassVar[str]
    start_deadline: ClassVar[float] = 90.0  # seconds; generous, because test machines stall

    def __init__(self) -> None:
        self.address = LOOPBACK
        self.port = free_port()
        self.passed: tuple[int, ...] = ()  # descriptors that the program inherits
        self._workspace: Workspace | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program's full path and its arguments."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether the program serves now; any `OSError` counts as no."""

    def files(self) -> Mapping[str, str]:
        """What the program reads: file names and texts, written into `folder` before the first start."""
        return {}

    @property
    def folder(self) -> Path:
        """The component's own folder; exists inside the ``with`` block."""
        if self._workspace is None:
            raise RuntimeError(f"{self.title} has no folder yet: use it in a `with` block")
        return self._workspace.path

    @property
    def has_folder(self) -> bool:
        """Whether it is inside its `with` block, so that there is a log."""
        return self._workspace is not None

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self._workspace = Workspace()
        try:
            for name, text in self.files().items():
                (self.folder / name).write_text(text)
            self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if fault is not None:
            fault.add_note(self.log_tail())
        self._close()

    def start(self) -> None:
        """Start the program, again after `stop` on the same port and files, and wait until it is ready."""
        require_rig(self.title)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_dying_with_us(), *self.command()],
                cwd=self.folder,
                pass_fds=self.passed,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the test run, which then ends its programs in order
            )
        try:
            eventually(self._ready_or_dead, what=f"{self.title} is ready", within=self.start_deadline)
        except (TimeoutError, ComponentFailed) as fault:
            self.stop()
            raise ComponentFailed(f"{self.title} did not start: {fault}\n{self.log_tail()}") from fault

    def stop(self) -> None:
        """End the program: SIGTERM, and SIGKILL after 10 s. Nothing happens if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.send_signal(signal.SIGCONT)  # a paused program hears SIGTERM only when it goes on
        try:
            process.wait(_STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Stand still (SIGSTOP): connections stay open, and nobody answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._running().send_signal(signal.SIGCONT)

    def log(self) -> str:
        """All that the program has printed."""
        return (self.folder / "log").read_text(errors="replace")

    def log_tail(self) -> str:
        """The last lines of the log under a title, for people."""
        lines = [line[:_WIDTH] for line in self.log().splitlines()[-_TAIL:]]
        return "\n".join([f"--- the log of {self.title} ends with:", *lines])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.title} does not run: start it first")
        return self._process

    def _ready_or_dead(self) -> bool:
        status = self._running().poll()
        if status is not None:
            raise ComponentFailed(f"it ended with status {status}; correct its configuration or arguments")
        try:
            return self.ready()
        except OSError:
            return False

    def _close(self) -> None:
        self.stop()
        if self._workspace is not None:
            self._workspace.remove()
            self._workspace = None


def _dying_with_us() -> list[str]:
    """The words before a command that make the kernel kill it when this process is gone; none outside Linux."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
