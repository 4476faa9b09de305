"""The values of the files that the settings name: read when settings are accepted, and again whenever a file changes.

Rules:
- Only the supervisor reads these files. What reads well is handed on as a value; workers and controller open none.
- A file is looked at every `CHECK_INTERVAL`. One that is another by its identity, through all links, is read again, and
  so is one that could not be read, or that changed so shortly before it was read that it may have changed since.
- What cannot be read leaves the last value, and is a problem until it can. Nothing about a file raises, blocks the
  event loop, or concerns another file: each is read in a thread of its own, for at most `READ_TIMEOUT`.
- All values together hold at most `MAX_TOTAL` bytes: they are sent as one line. What exceeds that counts as unreadable.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from meshdns.config import Settings
from meshdns.config.document import KeyPath, dotted_path
from meshdns.config.named_files import FileForm, FileUse, named_files
from meshdns.config.regular_file import FileIdentity
from meshdns.forwarding.upstreams import Address
from meshdns.mesh.objects.foreign import bounded_text
from meshdns.mesh.objects.problems import SETTINGS_CAUSE, Problem, ProblemKind
from meshdns.supervisor.daemon_thread import DaemonThread
from meshdns.upstream.file_forms import FileReading, own_addresses, read_named_file

CHECK_INTERVAL: Final = 5.0  # seconds
READ_TIMEOUT: Final = 3.0  # seconds that a file system may take
MAX_TOTAL: Final = 8 << 20  # bytes of all values; the line of a child may have 16 MiB
_SETTLED_AFTER: Final = 2_000_000_000  # nanoseconds; the coarsest time stamps of file systems have two seconds


_log = logging.getLogger("meshdns.supervisor")


class FileState(NamedTuple):
    """What is known about a file: its last good value, why the last reading failed (or ""), and what was read."""

    text: str | None = None
    reason: str = ""
    identity: FileIdentity | None = None
    """Of a reading that needs no repetition; else None."""


class UnreadableFile(NamedTuple):
    """A file that settings name and that cannot be read, by the key that names it."""

    key: KeyPath
    path: str
    reason: str


States = Mapping[FileUse, FileState]


class SettingsFiles:
    """The files of the settings in force; `on_change` is called when a value, or what is wrong with one, changed."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_change: Callable[[], None],
        interval: float = CHECK_INTERVAL,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self._uses = _uses(settings)
        self._own_addresses = own_addresses(settings)
        self._on_change = on_change
        self._interval = interval
        self._read_timeout = read_timeout
        self._states: dict[FileUse, FileState] = {}
        self._lock = asyncio.Lock()
        self._threads: dict[FileUse, DaemonThread[FileState]] = {}
        self.failed_reads = 0
        """Readings that failed, those of a file that stays unreadable included."""

    @property
    def texts(self) -> dict[FileForm, dict[str, str]]:
        """The values by form and path."""
        texts: dict[FileForm, dict[str, str]] = {}
        for use, state in self._states.items():
            if state.text is not None:
                texts.setdefault(use.form, {})[use.path] = state.text
        return texts

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the files now."""
        return tuple(_problem(use, self._uses[use], state) for use, state in self._states.items() if state.reason)

    @property
    def states(self) -> States:
        """The states in force."""
        return self._states

    async def read_for(self, settings: Settings) -> States:
        """Return the states of the files that `settings` name, without putting them in force."""
        states = await self._check(_uses(settings), own_addresses(settings))
        self._threads = {use: thread for use, thread in self._threads.items() if use in states or use in self._states}
        return states

    def unreadable(self, settings: Settings, states: States) -> list[UnreadableFile]:
        """Return what new settings name and has no value; a file named before may be unreadable for a while."""
        return [
            UnreadableFile(key, use.path, states[use].reason)
            for use, key in named_files(settings)
            if states[use].text is None and use not in self._states
        ]

    def adopt(self, settings: Settings, states: States) -> None:
        """Put the files of new settings in force, as `read_for` has read them."""
        self._uses = _uses(settings)
        self._own_addresses = own_addresses(settings)
        self._states = dict(states)

    async def refresh(self) -> bool:
        """Look at all files; return whether a value, or what is wrong with one, changed."""
        uses = self._uses
        states = await self._check(uses, self._own_addresses)
        if uses is not self._uses:
            return False  # other settings came in force meanwhile, with readings of their own
        before, self._states = self._states, states
        return [state[:2] for state in states.values()] != [before.get(use, FileState())[:2] for use in states]

    async def run(self) -> None:
        """Look at the files again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                if await self.refresh():
                    self._on_change()
            except Exception:  # noqa: BLE001 — the files are to be looked at again, whatever it was
                _log.exception("the files that the settings name could not be looked at")

    async def _check(self, uses: Iterable[FileUse], own: list[Address]) -> dict[FileUse, FileState]:
        uses = list(uses)
        async with self._lock:  # a thread that reads a file for another caller is no hanging one
            known = self._states
            states = await asyncio.gather(*(self._check_one(use, known.get(use, FileState()), own) for use in uses))
        checked = within_budget(dict(zip(uses, states, strict=True)), known)
        self.failed_reads += sum(bool(state.reason) for state in checked.values())
        return checked

    async def _check_one(self, use: FileUse, known: FileState, own: list[Address]) -> FileState:
        thread = self._threads.setdefault(use, DaemonThread(f"reads {use.path[-80:]}"))
        try:
            return await thread.call(partial(check_file, use, known, own), patience=self._read_timeout)
        except TimeoutError:
            reason = f"its file system did not answer for {self._read_timeout:g} s; look at the mount"
            return FileState(known.text, reason)
        except Exception as error:  # noqa: BLE001 — no thread, no memory: that costs this look at this file
            return FileState(known.text, f"cannot be read ({type(error).__name__}); see the log of the system")


def check_file(use: FileUse, known: FileState, own: list[Address]) -> FileState:
    """Return the state of a file after a look at it; it is read if it is not what it was."""
    try:
        if known.identity is not None and known.identity == FileIdentity.of(Path(use.path).stat()):
            return known
    except (OSError, ValueError):
        pass  # the reading says why
    reading = read_named_file(use, own)
    if reading.text is None:
        return FileState(known.text, reading.reason)
    return FileState(reading.text, "", reading.identity if _is_settled(reading) else None)


def _is_settled(reading: FileReading) -> bool:
    """Return whether a later change of the file would change its identity, whatever the steps of its time stamps."""
    identity = reading.identity
    return identity is not None and time.time_ns() - max(identity.modified, identity.changed) > _SETTLED_AFTER


def within_budget(states: States, known: States) -> dict[FileUse, FileState]:
    """Return the states without the new values that exceed `MAX_TOTAL`; the last ones stay where they fit."""
    kept: dict[FileUse, FileState] = {}
    room = MAX_TOTAL
    for use, state in states.items():
        fitting = state
        if len(state.text or "") > room:
            reason = f"with it, the files that settings name hold more than {MAX_TOTAL >> 20} MiB; name smaller ones"
            last = known.get(use, FileState()).text
            fitting = FileState(last if len(last or "") <= room else None, reason)
        room -= len(fitting.text or "")
        kept[use] = fitting
    return kept


def _uses(settings: Settings) -> dict[FileUse, KeyPath]:
    """Return the files that settings name, each with the first key that names it."""
    uses: dict[FileUse, KeyPath] = {}
    for use, key in named_files(settings):
        uses.setdefault(use, key)
    return uses


def _problem(use: FileUse, key: KeyPath, state: FileState) -> Problem:
    reason, _, advice = state.reason.rpartition("; ")
    kept = "the last good value stays in force" if state.text is not None else "nothing is known instead of it"
    return Problem(
        ProblemKind.UNREADABLE,
        use.form.value,
        "",
        bounded_text(use.path),
        dotted_path(key),
        f"{reason}; {kept}",
        advice,
        cause=SETTINGS_CAUSE,
    )
