"""The events of a new client are held back until all its lists are there, and reach the sink merged and in order."""

import math
from collections.abc import Sequence

import pytest

from meshdns.mesh.objects.declarations import Node, ObjectKind, ServiceEntry
from meshdns.sources.sink import (
    ClusterIdentified,
    ContactMade,
    CredentialsObtained,
    KindListed,
    ObjectChanged,
    ObjectRemoved,
    ReadFailed,
    SourceEvent,
)
from meshdns.sources.sync_buffer import SyncBuffer

ENTRY, NODE = ObjectKind.SERVICE_ENTRY, ObjectKind.NODE


class EventLog:
    """Implements `meshdns.sources.sink.Sink`; wants another list of nodes after 60 s."""

    def __init__(self) -> None:
        self.events: list[SourceEvent] = []

    def report(self, event: SourceEvent) -> float:
        """Keep an event."""
        self.events.append(event)
        return 60.0 if isinstance(event, KindListed) and event.kind is NODE else 0.0


class BufferScene:
    """A buffer for service entries and nodes of the cluster west; `completed` counts its calls of `on_complete`."""

    def __init__(self, *, buffering: bool) -> None:
        self.sink = EventLog()
        self.completed = 0
        self.buffer = SyncBuffer(
            self.sink, "west", (ENTRY, NODE), buffering=buffering, on_complete=self._count_completion
        )

    def _count_completion(self) -> None:
        self.completed += 1

    def report(self, *events: SourceEvent) -> list[float]:
        """Report each; the results."""
        return [self.buffer.report(event) for event in events]


def entry(name: str, host: str = "a.global") -> ServiceEntry:
    """A ServiceEntry of that name."""
    return ServiceEntry(namespace="shop", name=name, hosts=(host,))


def listed(*entries: ServiceEntry) -> KindListed:
    """A list of service entries."""
    return KindListed("west", ENTRY, entries)


NODES = KindListed("west", NODE, (Node(namespace="", name="n"),))
UNREADABLE = ReadFailed("west", NODE, "nodes is forbidden; grant it")
A, B, NEW_A = entry("a"), entry("b"), entry("a", "b.global")

MERGED: dict[str, tuple[Sequence[SourceEvent], Sequence[SourceEvent]]] = {
    "a list": ([listed(A, B)], [listed(A, B)]),
    "a later list replaces an earlier one": ([listed(A), listed(B)], [listed(B)]),
    "a change": ([listed(A, B), ObjectChanged("west", NEW_A)], [listed(NEW_A, B)]),
    "an addition": ([listed(A), ObjectChanged("west", B)], [listed(A, B)]),
    "a removal": ([listed(A, B), ObjectRemoved("west", (ENTRY, "shop", "a"))], [listed(B)]),
    "a removal of what is unknown": ([listed(A), ObjectRemoved("west", (ENTRY, "shop", "b"))], [listed(A)]),
    "a contact is dropped": ([listed(A), ContactMade("west", ENTRY)], [listed(A)]),
    "the identity comes before the lists": (
        [listed(A), ClusterIdentified("west", "uid-1")],
        [ClusterIdentified("west", "uid-1"), listed(A)],
    ),
    "the last credentials count": (
        [CredentialsObtained("west", 5.0, False), CredentialsObtained("west", math.inf, True), listed(A)],
        [CredentialsObtained("west", math.inf, True), listed(A)],
    ),
    "a failure that a contact ended": ([listed(A), UNREADABLE, ContactMade("west", NODE)], [listed(A)]),
}


@pytest.mark.parametrize("case", MERGED)
def test_events_are_merged_until_the_buffer_is_flushed(case: str) -> None:
    """The sink hears nothing before, and each kind as one list then."""
    reported, flushed = MERGED[case]
    scene = BufferScene(buffering=True)
    assert set(scene.report(*reported)) == {0.0}
    assert (scene.sink.events, scene.completed, scene.buffer.is_complete) == ([], 0, False)
    scene.report(NODES)
    assert (scene.sink.events, scene.completed, scene.buffer.is_complete) == ([], 1, True)
    assert scene.buffer.flush() == 60.0
    assert scene.sink.events == [*flushed, NODES]


def test_a_kind_that_is_still_withheld_is_reported_after_the_lists() -> None:
    """The API server is well, and the reason is known; both are said in one turn."""
    scene = BufferScene(buffering=True)
    scene.report(NODES, UNREADABLE, listed(A))
    assert scene.buffer.failure_reason == UNREADABLE.reason
    scene.buffer.flush()
    assert scene.sink.events == [NODES, listed(A), ContactMade("west", NODE), UNREADABLE]


def test_after_the_flush_every_event_is_passed_on() -> None:
    """With the sink's results; nothing is reported twice."""
    scene = BufferScene(buffering=True)
    scene.report(listed(A), NODES)
    scene.buffer.flush()
    scene.sink.events.clear()
    events: list[SourceEvent] = [ObjectChanged("west", NEW_A), ContactMade("west", ENTRY), UNREADABLE, NODES]
    assert (scene.report(*events), scene.sink.events, scene.completed) == ([0.0, 0.0, 0.0, 60.0], events, 1)


def test_a_first_client_hides_nothing() -> None:
    """Whatever it reads is served at once, and it is complete with the last kind."""
    scene = BufferScene(buffering=False)
    assert scene.report(NODES, listed(A)) == [60.0, 0.0]
    assert (scene.sink.events, scene.completed) == ([NODES, listed(A)], 1)


@pytest.mark.parametrize("buffering", [True, False])
def test_a_closed_buffer_reports_nothing_more(*, buffering: bool) -> None:
    """Neither an event nor that it is complete."""
    scene = BufferScene(buffering=buffering)
    scene.buffer.close()
    scene.report(listed(A), NODES, ContactMade("west", ENTRY), UNREADABLE)
    assert (scene.sink.events, scene.completed) == ([], 0)
