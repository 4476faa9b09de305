"""Rereading of the settings while an instance runs, by signal or by order of the admin socket.

Rules:
- New settings come in force as a whole, or the old ones stay. Whatever goes wrong is a refusal, with the place of the
  fault where there is one; it is logged, counted and told to whoever gave the order.
- The settings are read in a thread, for at most `READ_TIMEOUT`: a file system that hangs stops nothing else.
- One rereading runs at a time, that of a replacement included. Orders that come meanwhile share the next one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from meshdns.config import Settings, SettingsError, SettingsReader
from meshdns.config.consistency import conflicts
from meshdns.config.document import KeyPath, dotted_path
from meshdns.config.sections import SettingsModel
from meshdns.mesh.objects.foreign import bounded_text, describe_error
from meshdns.supervisor.daemon_thread import DaemonThread
from meshdns.supervisor.settings_files import SettingsFiles, States

READ_TIMEOUT: Final = 20.0  # seconds; the largest settings file takes some five
MAX_ORDERS: Final = 64
"""Orders that wait at a time; those beyond get no reply of their own."""

_MAX_LINES: Final = 20  # of the reasons of one refusal that are told
_MAX_LINE: Final = 500  # characters of each

_log = logging.getLogger("meshdns.supervisor")


class Outcome(NamedTuple):
    """What came of one rereading."""

    generation: int
    """The one that is in force."""
    refusals: tuple[str, ...] = ()
    """Why the settings that were read are not in force; empty if they are."""
    waiting_keys: tuple[str, ...] = ()
    """Keys that take effect with a restart."""


class Instance(NamedTuple):
    """The running instance, for the reloader.

    `put_in_force` returns the new generation. If it raises, nothing has changed.
    """

    settings: Callable[[], Settings]
    generation: Callable[[], int]
    put_in_force: Callable[[Settings, States], int]
    report: Callable[[Outcome, tuple[int, ...]], Awaitable[None]]


class Reloader:
    """Rereads the settings on request; see the rules above."""

    def __init__(
        self, reader: SettingsReader, files: SettingsFiles, instance: Instance, *, fixed: Iterable[str]
    ) -> None:
        self._reader = reader
        self._files = files
        self._instance = instance
        self._fixed = tuple(fixed)
        self._thread: DaemonThread[Settings] = DaemonThread("rereads the settings")
        self._place_thread: DaemonThread[list[str]] = DaemonThread("finds places in the settings")
        self._rereading = asyncio.Lock()  # another rereading is no file system that hangs
        self._wanted = asyncio.Event()
        self._orders: list[int] = []
        self.failures = 0

    def request(self, order: int = 0) -> None:
        """Have the settings reread; `order` is the number of the order that is told the outcome, 0 for none."""
        if order and len(self._orders) < MAX_ORDERS:
            self._orders.append(order)
        self._wanted.set()

    async def run(self) -> None:
        """Reread the settings whenever that is requested, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            orders, self._orders = tuple(self._orders), []
            outcome = await self.reload()
            try:
                await self._instance.report(outcome, orders)
            except Exception:  # noqa: BLE001 — the next request is to be heard
                _log.exception("the outcome of a reload could not be reported")

    async def reload(self) -> Outcome:
        """Reread the settings once. Never raises."""
        try:
            outcome = await self._put_in_force(await self.reread())
        except SettingsError as error:
            outcome = self._refusal(error.lines)
        except Exception as error:  # noqa: BLE001 — whatever it is, the old settings stay in force
            _log.exception("the settings could not be put in force")
            outcome = self._refusal(
                [f"they cannot be put in force ({describe_error(error)}); the log says where it failed"]
            )
        if outcome.refusals:
            self.failures += 1
            _log.error("settings generation %d stays in force: %s", outcome.generation, "\n".join(outcome.refusals))
        else:
            _log.info("settings generation %d in force", outcome.generation)
        if outcome.waiting_keys:
            _log.warning("a change of %s takes effect with a restart", ", ".join(outcome.waiting_keys))
        return outcome

    async def reread(self) -> Settings:
        """Return the settings as they can be read now; raises `SettingsError`, whatever goes wrong."""
        try:
            async with self._rereading:
                return await self._thread.call(self._reader.read, patience=READ_TIMEOUT)
        except SettingsError:
            raise
        except TimeoutError:
            message = f"the settings were not read within {READ_TIMEOUT:g} s; look at the file system they are on"
            raise SettingsError([message]) from None
        except Exception as error:
            _log.exception("the settings could not be read")
            raise SettingsError(
                [f"they cannot be read ({describe_error(error)}); the log says where it failed"]
            ) from error

    async def _put_in_force(self, fresh: Settings) -> Outcome:
        current = self._instance.settings()
        waiting = [key for key in self._fixed if getattr(fresh, key) != getattr(current, key)]
        merged = fresh.model_copy(update={key: getattr(current, key) for key in waiting})
        faults = list(conflicts(merged)) if waiting else []
        states = await self._files.read_for(merged)
        faults += [(each.key, f"{each.path}: {each.reason}") for each in self._files.unreadable(merged, states)]
        if faults:
            raise SettingsError(await self._placed(faults))
        generation = self._instance.put_in_force(merged, states)
        return Outcome(generation, waiting_keys=tuple(_file_key(merged, key) for key in waiting))

    async def _placed(self, faults: list[tuple[KeyPath, str]]) -> list[str]:
        """Return faults with their places in the settings file."""
        try:
            places = await self._place_thread.call(
                lambda: [self._reader.place_of(path) for path, _ in faults], patience=READ_TIMEOUT
            )
        except Exception:  # noqa: BLE001 — the key says enough
            places = [dotted_path(path) for path, _ in faults]
        return [f"{place}: {message}" for place, (_, message) in zip(places, faults, strict=True)]

    def _refusal(self, lines: Iterable[str]) -> Outcome:
        told = [bounded_text(line, _MAX_LINE) for line in lines]
        more = [f"and {len(told) - _MAX_LINES} more"] if len(told) > _MAX_LINES else []
        return Outcome(self._instance.generation(), (*told[:_MAX_LINES], *more))


def _file_key(settings: SettingsModel, field: str) -> str:
    """Return the key of a field as it is written in the file."""
    return type(settings).model_fields[field].alias or field
