"""Background work that comes round again: what falls due on an agenda is done, a bounded number of items at once."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from meshdns.mesh.agenda import Agenda

T = TypeVar("T", bound=Hashable)


class Rounds(Generic[T]):
    """Does what is on `agenda`, at most `most` items at once. Times are `clock`'s, in seconds."""

    def __init__(self, agenda: Agenda[T], *, most: int, clock: Callable[[], float]) -> None:
        self._agenda = agenda
        self._most = most
        self._clock = clock
        self._running: set[T] = set()
        self._woken = asyncio.Event()

    def look(self) -> None:
        """Look at the agenda again: something was put on it."""
        self._woken.set()

    async def run(self, work: Callable[[T], Awaitable[None]], *, name: str) -> None:
        """Do `work` for each item as it falls due, in tasks called `name`, until cancelled.

        `work` puts the item back on the agenda. What it raises ends the run; the items whose work was cut short are
        due again at once, so that nothing is lost when the run is begun anew.
        """
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._woken.clear()
                    for item in self._agenda.take(self._clock(), most=self._most - len(self._running)):
                        self._running.add(item)
                        group.create_task(self._one(work, item), name=name)
                    await self._pause()
        finally:
            for item in self._running:
                self._agenda.put(item, self._clock())
            self._running.clear()

    async def _one(self, work: Callable[[T], Awaitable[None]], item: T) -> None:
        await work(item)
        self._running.discard(item)
        self.look()

    async def _pause(self) -> None:
        """Wait until an item falls due and may be done, or `look` is called."""
        due = self._agenda.next if len(self._running) < self._most else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else due - self._clock()):
                await self._woken.wait()
