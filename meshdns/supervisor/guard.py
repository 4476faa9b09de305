"""Guard: the border between the supervisor and everything that it runs or calls.

Rules:
- Nothing that a task or a callback raises passes: it is counted in a metric, and logged once per burst.
- A task that ends by an exception is run again after a delay that doubles; the delays start over once it has run for a
  while. A callback is tried again by its caller.
- Only cancellation ends a task for good, also one whose clean-up then raises.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from meshdns.instance import metric_pages
from meshdns.instance.bursts import Bursts
from meshdns.instance.metric_pages import MetricDefinition, MetricPage
from meshdns.mesh.objects.foreign import bounded_text

MIN_DELAY: Final = 0.1  # seconds before a failed task is run again
MAX_DELAY: Final = 30.0
RESET_AFTER: Final = 60.0  # seconds of running after which the delays start over

T = TypeVar("T")

_log = logging.getLogger("meshdns.supervisor")


class Guard:
    """Counts faults in `metrics`, by the name of a task or process; `clock` gives monotonic seconds."""

    def __init__(self, metrics: MetricPage, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._bursts = Bursts(clock)

    def record_failure(self, task: str, error: BaseException) -> None:
        """Count that a task or callback raised, and log the first of a burst with its traceback."""
        if self._begins_burst(metric_pages.TASK_FAILURES, task):
            _log.error("%s failed and is tried again; report this with the log", task, exc_info=error)

    def record_message_fault(self, process: str, reason: str) -> None:
        """Count a line of a child that is no message, and log the first of a burst."""
        if self._begins_burst(metric_pages.MESSAGE_FAULTS, process):
            _log.error("%s: %s; the line is dropped: report this with the log", process, bounded_text(reason))

    def call(self, task: str, callback: Callable[[], T]) -> T | None:
        """Return what a callback returns, or None if it raises."""
        try:
            return callback()
        except Exception as error:  # noqa: BLE001 — this is the border
            self.record_failure(task, error)
            return None

    async def keep_running(self, task: str, run: Callable[[], Awaitable[None]]) -> None:
        """Await `run()`, again after a delay whenever it raises, until it returns or is cancelled."""
        delay = MIN_DELAY
        while True:
            started = self._clock()
            try:
                await run()
            except Exception as error:  # noqa: BLE001 — this is the border
                self.record_failure(task, error)
                if _is_cancelled():
                    return
            else:
                return
            if self._clock() - started > RESET_AFTER:
                delay = MIN_DELAY
            await asyncio.sleep(delay)
            delay = min(delay * 2, MAX_DELAY)

    def _begins_burst(self, metric: MetricDefinition, name: str) -> bool:
        self._metrics.add(metric, name)
        return self._bursts.begins((metric.name, name))


def _is_cancelled() -> bool:
    """Return whether the running task was cancelled: what its clean-up raised replaced the cancellation."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
