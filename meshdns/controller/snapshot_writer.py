"""Writer of the snapshot: after declarations changed, at most once a minute, and when the controller ends."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from meshdns.mesh.objects.declarations import AnyDeclaration
from meshdns.namedb import snapshot
from meshdns.namedb.snapshot import SnapshotError

SNAPSHOT_INTERVAL: Final = 60.0  # seconds: a snapshot is for reboots, and flash memory wears out

_log = logging.getLogger("meshdns.controller")


class SnapshotWriter:
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
        self._written_count = 0
        self._next_write_at = 0.0
        self._pending_write: asyncio.Future[None] | None = None
        self._last_error = ""

    def write_if_due(self, change_count: int, now: float) -> None:
        """Write a snapshot if something changed and the last is old enough; `change_count` counts since the start."""
        if (
            change_count == self._written_count
            or now < self._next_write_at
            or (self._pending_write is not None and not self._pending_write.done())
        ):
            return
        self._next_write_at = now + SNAPSHOT_INTERVAL
        self._written_count = change_count
        self._pending_write = self._loop.run_in_executor(None, self._write, self._declarations())

    def mark_outdated(self) -> None:
        """Have the next check write one, changes or not: the last may be out of date."""
        self._written_count = -1

    async def close(self, change_count: int) -> None:
        """Write what is not written yet."""
        if self._pending_write is not None:
            await self._pending_write
        if change_count != self._written_count:
            self._write(self._declarations())

    def _write(self, declarations: list[tuple[str, AnyDeclaration]]) -> None:
        try:
            snapshot.write_snapshot(self.directory, declarations)
        except SnapshotError as error:
            if str(error) != self._last_error:
                _log.error("%s", error)
            self._last_error = str(error)
        else:
            self._last_error = ""
