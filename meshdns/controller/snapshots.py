"""When the snapshot is written: after declarations changed, at most once a minute, and when the controller ends."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from meshdns.mesh.declarations import AnyDeclaration
from meshdns.view import snapshot
from meshdns.view.snapshot import SnapshotError

INTERVAL: Final = 60.0  # seconds: a snapshot is for reboots, and flash memory wears out

_log = logging.getLogger("meshdns.controller")


class Snapshots:
    """Writes snapshots to `directory`, in a thread: a sync may take long."""

    def __init__(
        self,
        directory: Path,
        declarations: Callable[[], list[tuple[str, AnyDeclaration]]],
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.directory = directory
        self._declarations = declarations
        self._loop = loop
        self._written = 0
        self._due = 0.0
        self._writing: asyncio.Future[None] | None = None
        self._failing = ""

    def look(self, changes: int, now: float) -> None:
        """Write one where something changed and the last is old enough; `changes` counts since the process began."""
        if changes == self._written or now < self._due or (self._writing is not None and not self._writing.done()):
            return
        self._due = now + INTERVAL
        self._written = changes
        self._writing = self._loop.run_in_executor(None, self._write, self._declarations())

    def doubt(self) -> None:
        """Write one at the next look, changes or not: nobody knows whether the last is up to date."""
        self._written = -1

    async def close(self, changes: int) -> None:
        """Write what is not written yet."""
        if self._writing is not None:
            await self._writing
        if changes != self._written:
            self._write(self._declarations())

    def _write(self, declarations: list[tuple[str, AnyDeclaration]]) -> None:
        try:
            snapshot.write(self.directory, declarations)
        except SnapshotError as error:
            if str(error) != self._failing:
                _log.error("%s", error)
            self._failing = str(error)
        else:
            self._failing = ""
