"""Runner of one source: starts it, and starts it again when it ends.

Rules:
- A source does not end while the process lives. One that does, whatever the reason, is started again after a wait that
  doubles with each end, up to a minute.
- Its end is a problem and a metric, and a failed read of each cluster that it had: they are served on, and grow old.
- A cluster that the source does not have any more when it was started again is removed once it has named all it has.
- Once a start has held for a minute the problem is over, and the next wait is a short one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from meshdns.instance.timers import Timers
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.foreign import describe_error
from meshdns.sources.settings import SourceError, problem_from_message
from meshdns.sources.sink import (
    ClusterAdded,
    ClusterRemoved,
    ContactMade,
    ObjectChanged,
    ObjectRemoved,
    ReadFailed,
    Sink,
    SourceEvent,
    SourceListed,
    SourceProblems,
)

FIRST_WAIT: Final = 1.0  # seconds
LAST_WAIT: Final = 60.0  # seconds
STABLE_AFTER: Final = 60.0
"""Seconds for which a source has to run before its last end is forgotten."""

StartSource = Callable[[Sink], Awaitable[None]]
"""Runs a source that reports to the sink, until it is cancelled."""

_log = logging.getLogger("meshdns.controller")


class SourceRunner:
    """Runs the source `title`; implements `meshdns.sources.sink.Sink` for it, to know which clusters it has.

    `draw` gives numbers from 0 to 1 for jitter; `on_end` is called whenever the source ended.
    """

    def __init__(self, title: str, sink: Sink, *, draw: Callable[[], float], on_end: Callable[[], None]) -> None:
        self._title = title
        self._sink = sink
        self._draw = draw
        self._on_end = on_end
        self._kinds: dict[str, frozenset[ObjectKind]] = {}  # by cluster
        self._unconfirmed: set[str] = set()  # clusters of before the last start, which it did not add again

    def report(self, event: SourceEvent) -> float:
        """Pass an event on."""
        match event:
            case ObjectChanged() | ContactMade() | ObjectRemoved():
                pass  # the most frequent events come first here
            case ClusterAdded(cluster, kinds):
                self._kinds[cluster] = kinds
                self._unconfirmed.discard(cluster)
            case ClusterRemoved(cluster):
                self._forget_cluster(cluster)
            case SourceListed():
                for cluster in sorted(self._unconfirmed):
                    self._forget_cluster(cluster)
                    self._sink.report(ClusterRemoved(cluster))
        return self._sink.report(event)

    async def run(self, start: StartSource) -> NoReturn:
        """Run the source until cancelled."""
        loop = asyncio.get_running_loop()
        ends = 0
        while True:
            began = loop.time()
            try:
                with Timers() as timers:
                    timers.call_later(STABLE_AFTER, self._clear_problem)
                    await start(self)
                message = "it ended; report this with the log"
            except SourceError as error:
                message = error.message
            except Exception as error:  # noqa: BLE001 — the border between sources
                _log.exception("%s ended; it is started again", self._title)
                message = f"it ended: {describe_error(_cause(error))}; report this with the log"
            ends = 0 if loop.time() - began >= STABLE_AFTER else ends
            self._report_end(message)
            await asyncio.sleep(min(LAST_WAIT, FIRST_WAIT * 2**ends) * (0.5 + self._draw() / 2))
            ends += 1

    def _forget_cluster(self, cluster: str) -> None:
        self._kinds.pop(cluster, None)
        self._unconfirmed.discard(cluster)

    def _report_end(self, message: str) -> None:
        self._on_end()
        self._unconfirmed = set(self._kinds)
        self._sink.report(SourceProblems(self._title, (problem_from_message("source", self._title, message),)))
        for cluster, kinds in self._kinds.items():
            for kind in kinds:
                self._sink.report(ReadFailed(cluster, kind, f"{self._title}: {message}"))

    def _clear_problem(self) -> None:
        self._sink.report(SourceProblems(self._title, ()))


def _cause(error: BaseException) -> BaseException:
    """The first exception of a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
