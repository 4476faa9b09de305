"""Periodic background work: it is done when it falls due in `FairTimers`, a bounded number of items at once."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from meshdns.mesh.fair_timers import FairTimers

_LONGEST_WAIT: Final = 5.0  # seconds: timers of the loop stand still in suspend, and what is due does not

T = TypeVar("T", bound=Hashable)


class PeriodicRunner(Generic[T]):
    """Runs the work of each item of `timers` when it falls due, at most `concurrency` items at once.

    Times are seconds of `clock`, which may run on while the machine is suspended.
    """

    def __init__(self, timers: FairTimers[T], *, concurrency: int, clock: Callable[[], float]) -> None:
        self._timers = timers
        self._concurrency = concurrency
        self._clock = clock
        self._running: set[T] = set()
        self._wakeup = asyncio.Event()

    def wake(self) -> None:
        """Look at the timers again: something was scheduled."""
        self._wakeup.set()

    async def run(self, work: Callable[[T], Awaitable[None]], *, name: str) -> None:
        """Do `work` for each item as it falls due, in tasks called `name`, until cancelled.

        `work` schedules the item again. What it raises ends the run; the items whose work was cut short are
        due again at once, so that nothing is lost when the run is restarted.
        """
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._wakeup.clear()
                    for item in self._timers.pop_due(self._clock(), limit=self._concurrency - len(self._running)):
                        self._running.add(item)
                        group.create_task(self._run_item(work, item), name=name)
                    await self._wait_until_due()
        finally:
            for item in self._running:
                self._timers.schedule(item, self._clock())
            self._running.clear()

    async def _run_item(self, work: Callable[[T], Awaitable[None]], item: T) -> None:
        await work(item)
        self._running.discard(item)
        self._timers.finish(item)
        self.wake()

    async def _wait_until_due(self) -> None:
        """Wait until an item falls due and may be done, or `wake` is called."""
        due = self._timers.next_due if len(self._running) < self._concurrency else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else min(due - self._clock(), _LONGEST_WAIT)):
                await self._wakeup.wait()
