"""A source that ends is started again, says so meanwhile, and loses nothing of what it read."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshdns.controller.source_runner import FIRST_WAIT, LAST_WAIT, STABLE_AFTER, SourceRunner
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources.settings import SourceError
from meshdns.sources.sink import (
    ClusterAdded,
    ClusterRemoved,
    ContactMade,
    ReadFailed,
    Sink,
    SourceEvent,
    SourceListed,
    SourceProblems,
)
from tests.sources.virtual_time_loop import VirtualTimeLoop

KINDS = frozenset({ObjectKind.SERVICE_ENTRY, ObjectKind.NODE})
EAST = ClusterAdded("east", KINDS, "a source")
WEST = ClusterAdded("west", KINDS, "a source")


class EventList:
    """Implements `meshdns.sources.sink.Sink`: keeps events, each with its time, and counts ends."""

    def __init__(self) -> None:
        self.events: list[tuple[float, SourceEvent]] = []
        self.ends = 0

    def report(self, event: SourceEvent) -> float:
        """Keep an event."""
        self.events.append((asyncio.get_running_loop().time(), event))
        return 0.0

    def count_end(self) -> None:
        """Called by the runner."""
        self.ends += 1

    def of(self, wanted: type[SourceEvent]) -> list[SourceEvent]:
        """The events of one type."""
        return [event for _, event in self.events if isinstance(event, wanted)]


class Script:
    """A source that does what `turns` say at each start; the last one is repeated."""

    def __init__(self, *turns: Callable[[Sink], Awaitable[None]]) -> None:
        self._turns = list(turns)
        self.starts: list[float] = []

    async def __call__(self, sink: Sink) -> None:
        """Start."""
        self.starts.append(asyncio.get_running_loop().time())
        await (self._turns.pop(0) if len(self._turns) > 1 else self._turns[0])(sink)


def raising(error: Exception, *events: SourceEvent) -> Callable[[Sink], Awaitable[None]]:
    """Report events, then end."""

    async def turn(sink: Sink) -> None:
        for event in events:
            sink.report(event)
        raise error

    return turn


def lasting(seconds: float, *events: SourceEvent) -> Callable[[Sink], Awaitable[None]]:
    """Report events, live for so long, then end by itself."""

    async def turn(sink: Sink) -> None:
        for event in events:
            sink.report(event)
        await asyncio.sleep(seconds)

    return turn


def run(script: Script, seconds: float) -> EventList:
    """Run a source for so many seconds of virtual time."""
    sink = EventList()

    async def work() -> None:
        runner = SourceRunner("source 1 (kubeconfig)", sink, draw=lambda: 1.0, on_end=sink.count_end)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await runner.run(script)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as loop:
        loop.run(work())
    return sink


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("Invalid IPv6 URL"), "it ended: ValueError (Invalid IPv6 URL)"),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [KeyError("x")])]), "it ended: KeyError (x)"),
        (SourceError("no namespace here; set namespace"), "no namespace here"),
        (RuntimeError("x" * 100_000), "it ended: RuntimeError (xxxxx"),
        (MemoryError(), "it ended: MemoryError"),
    ],
    ids=["value error", "group", "source error", "long", "memory"],
)
def test_a_source_that_ends_is_started_again_and_is_a_problem(error: Exception, reason: str) -> None:
    """Named by its place in the settings, with a reason of bounded length; its end is counted."""
    sink = run(script := Script(raising(error)), 10.5)
    assert script.starts == [0, 1, 3, 7]
    assert sink.ends == 4
    for event in sink.of(SourceProblems):
        assert isinstance(event, SourceProblems)
        (problem,) = event.problems
        assert (event.source, problem.object, problem.name) == (
            "source 1 (kubeconfig)",
            "source",
            "source 1 (kubeconfig)",
        )
        assert problem.reason.startswith(reason)
        assert len(problem.reason) <= 400


def test_waits_are_bounded_and_begin_anew_after_a_long_life() -> None:
    """A source that fails always is tried each minute; one that ran for a minute is tried at once."""
    script = Script(*[raising(ValueError())] * 10, lasting(STABLE_AFTER))
    run(script, 800)
    waits = [later - before for before, later in zip(script.starts, script.starts[1:], strict=False)]
    assert waits[:10] == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert waits[10:] == [STABLE_AFTER + FIRST_WAIT] * len(waits[10:])
    assert max(waits[:10]) == LAST_WAIT


def test_its_clusters_are_failed_reads_and_are_kept() -> None:
    """None is removed by the end; each kind has the reason."""
    sink = run(Script(raising(ValueError("bad"), EAST, ContactMade("east", ObjectKind.NODE))), 0.5)
    assert not sink.of(ClusterRemoved)
    failed = sink.of(ReadFailed)
    assert {event.kind for event in failed if isinstance(event, ReadFailed)} == KINDS
    assert {event.reason for event in failed if isinstance(event, ReadFailed)} == {
        "source 1 (kubeconfig): it ended: ValueError (bad); report this with the log"
    }


def test_a_cluster_that_is_not_there_after_the_start_is_removed() -> None:
    """Once the source has named all clusters it has, and not before."""
    turns = (raising(ValueError(), EAST, WEST), lasting(1000, EAST, SourceListed("a source")))
    sink = run(Script(*turns), 100)
    assert sink.of(ClusterRemoved) == [ClusterRemoved("west")]


def test_the_problem_is_over_once_a_start_has_held() -> None:
    """A minute after the start, not before."""
    sink = run(Script(raising(ValueError()), lasting(1000)), 100)
    found = [(at, bool(event.problems)) for at, event in sink.events if isinstance(event, SourceProblems)]
    assert found == [(0, True), (FIRST_WAIT + STABLE_AFTER, False)]
