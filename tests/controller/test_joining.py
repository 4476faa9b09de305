"""Clusters join: which names are computed when, and how often, at a start of the controller."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from meshdns.controller.cluster_state import DENIAL_BLOCK_TIMEOUT, FAILURE_PATIENCE, ClusterTracker
from meshdns.controller.controller import Controller
from meshdns.controller.joining import Joining
from meshdns.dns import names
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind, kind_of
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import ClusterAdded, KindListed, ReadFailed, SourceEvent, SourceListed
from tests.controller.scene import controller_metrics, make_controller, run_turns
from tests.mesh.scene import endpoint_slice, entry, gateway, service, system_namespace

START = 1000.0
PROBLEMS = (Problem(ProblemKind.UNREADABLE, "kubeconfig", "", "fleet", "", "no reply for 5 s", "look"),)
KINDS = frozenset({ObjectKind.NAMESPACE, ObjectKind.SERVICE, ObjectKind.ENDPOINT_SLICE, ObjectKind.SERVICE_ENTRY})


# ------------------------------------------------------------------------------------------ rules


def added(tracker: ClusterTracker, *clusters: str, at: float = START) -> None:
    """A source adds clusters."""
    for name in clusters:
        state = tracker.state_of(name)
        state.kinds, state.added_at = KINDS, at


def listed(tracker: ClusterTracker, *clusters: str) -> None:
    """All lists of clusters are in."""
    for name in clusters:
        tracker.state_of(name).listed_kinds |= KINDS


@pytest.fixture
def tracker() -> ClusterTracker:
    """At the start in cluster east, with one source that has named three clusters."""
    made = ClusterTracker(own="east", required=(), started=START)
    made.expect_sources(1)
    made.record_source_listed("test")
    added(made, "east", "west", "south")
    return made


@pytest.fixture
def joining(tracker: ClusterTracker) -> Joining:
    """Of that start; east is governed by no other cluster."""
    return Joining(tracker, lambda: ("east",))


def test_the_own_cluster_waits_for_no_other(tracker: ClusterTracker, joining: Joining) -> None:
    """Its names are computed once it is listed; those of others that are listed wait for the rest."""
    assert joining.update(START) == {"east", "west", "south"}
    listed(tracker, "east", "west")
    assert joining.update(START) == {"west", "south"}
    assert joining.has_listed
    listed(tracker, "south")
    assert joining.update(START) == frozenset()
    assert not joining.has_listed


def test_the_cluster_that_governs_the_own_one_waits_for_no_other(tracker: ClusterTracker) -> None:
    """Its ServiceEntries are those of the own cluster."""
    listed(tracker, "south")
    assert Joining(tracker, lambda: ("east", "south")).update(START) == {"east", "west"}


def test_a_restored_cluster_does_not_wait(tracker: ClusterTracker, joining: Joining) -> None:
    """It is served already."""
    tracker.restore("west", START, contact_age=1)
    assert joining.update(START) == {"east", "south"}


def test_the_wait_ends_with_its_time(tracker: ClusterTracker, joining: Joining) -> None:
    """A cluster that says nothing is not waited for after that; what it has brought counts then, too."""
    listed(tracker, "east", "west")
    assert joining.update(START + DENIAL_BLOCK_TIMEOUT) == {"west", "south"}
    assert joining.update(START + DENIAL_BLOCK_TIMEOUT + 0.1) == frozenset()


def test_a_suspended_machine_waits_no_less(tracker: ClusterTracker, joining: Joining) -> None:
    """No cluster could answer meanwhile."""
    tracker.record_tick(START + 100)
    assert joining.update(START + 101) == {"east", "west", "south"}


def test_what_cannot_be_read_is_not_waited_for(tracker: ClusterTracker, joining: Joining) -> None:
    """Neither a dead cluster, nor a kind that is forbidden, once they had time to be read after all."""
    listed(tracker, "east", "west")
    tracker.state_of("south").listed_kinds |= KINDS - {ObjectKind.SERVICE}
    assert joining.update(START)
    tracker.state_of("south").record_failure(ObjectKind.SERVICE, "403 Forbidden")
    assert joining.update(START + FAILURE_PATIENCE) == {"west", "south"}
    assert joining.update(START + FAILURE_PATIENCE + 0.1) == frozenset()


def test_a_start_waits_for_the_own_cluster_however_often_it_fails(tracker: ClusterTracker, joining: Joining) -> None:
    """Without it nothing is answered, so that nothing is gained by names."""
    listed(tracker, "west", "south")
    for kind in KINDS:
        tracker.state_of("east").record_failure(kind, "connection refused")
    assert joining.update(START + DENIAL_BLOCK_TIMEOUT) == {"east", "west", "south"}
    listed(tracker, "east")
    assert joining.update(START + DENIAL_BLOCK_TIMEOUT) == frozenset()


def test_sources_are_waited_for() -> None:
    """One that has not named its clusters may have many; one that fails is not waited for."""
    tracker = ClusterTracker(own="east", required=(), started=START)
    tracker.expect_sources(2)
    tracker.record_source_listed("one")
    added(tracker, "east", "west")
    listed(tracker, "east", "west")
    joining = Joining(tracker, lambda: ("east",))
    assert joining.update(START) == {"west"}
    assert tracker.not_ready_reason(START) == "a source has not named its clusters; wait"
    tracker.record_source_problems("two", PROBLEMS)
    assert joining.update(START) == frozenset()
    assert tracker.not_ready_reason(START) == ""


def test_a_later_cluster_waits_for_its_own_lists(tracker: ClusterTracker, joining: Joining) -> None:
    """Not for those of others, and no longer than at a start."""
    listed(tracker, "east", "west", "south")
    joining.update(START)
    added(tracker, "north", "dead", at=START + 100)
    assert joining.update(START + 100) == {"north", "dead"}
    listed(tracker, "north")
    assert joining.update(START + 101) == {"dead"}
    assert joining.update(START + 100 + DENIAL_BLOCK_TIMEOUT + 0.1) == frozenset()


# ------------------------------------------------------------------------------------------ a start


def cluster_name(number: int) -> str:
    """The first one is the own."""
    return "east" if number == 0 else f"c{number}"


def objects(number: int) -> Sequence[AnyDeclaration]:
    """A cluster with Services that all have and some of its own, and entries, a host of which two share."""
    found = [system_namespace(f"net-{number}"), gateway(f"203.0.113.{number}")]
    for name in ("shared", *(f"s{each}-{number}" for each in range(4))):
        found += [
            service(name, f"10.96.{number}.7", namespace="p"),
            endpoint_slice(f"10.40.{number}.1", service_name=name, namespace="p"),
        ]
    hosts = (f"pair{number // 2}.global", *(f"e{each}-{number}.global" for each in range(4)))
    return [*found, *(entry(f"10.40.{number}.2", host=host, name=host[:4] + str(len(host))) for host in hosts)]


def first_lists(number: int) -> list[SourceEvent]:
    """The lists of a cluster, by kind."""
    found = objects(number)
    return [
        KindListed(cluster_name(number), kind, tuple(each for each in found if kind_of(each) is kind)) for kind in KINDS
    ]


def run(folder: Path, scenario: Callable[[Controller, Writer], Awaitable[None]]) -> None:
    """Run a scenario on a controller without a database."""

    async def main() -> None:
        controller = make_controller(writer, folder, controller_metrics())
        controller.expect_sources(1)
        controller.start()
        await scenario(controller, writer)
        await controller.close()

    folder.mkdir()
    writer = Writer(folder / "namedb")
    asyncio.run(main())
    writer.close()


def rows(writer: Writer) -> dict[bytes, tuple[int, bytes | None]]:
    """The size of each row and its provenance; clusters are numbered in a row as they come."""
    with writer.read() as tables:
        return {
            owner: (len(tables.rows.get(owner) or b""), tables.provenance.get(owner)) for owner in tables.rows.owners()
        }


async def start(controller: Controller, clusters: int, seed: int) -> None:
    """Report the first lists of so many clusters, in an order and in turns that follow from `seed`."""
    events = [event for number in range(clusters) for event in first_lists(number)]
    events.sort(key=lambda event: sha256(f"{seed} {event}".encode()).digest())
    for number in range(clusters):
        controller.report(ClusterAdded(cluster_name(number), KINDS, "test"))
    controller.report(SourceListed("test"))
    for number, event in enumerate(events):
        controller.report(event)
        if number % (seed + 1) == 0:
            await run_turns(1)
    await run_turns(30)


class Outcome(NamedTuple):
    """The work of a start, and the rows that it leaves."""

    judged: int
    rows: dict[bytes, tuple[int, bytes | None]]


def outcome(folder: Path, clusters: int, seed: int) -> Outcome:
    """Start with so many clusters."""
    left: list[Outcome] = []

    async def scenario(controller: Controller, writer: Writer) -> None:
        await start(controller, clusters, seed)
        left.append(Outcome(controller.judged_candidates, rows(writer)))

    run(folder, scenario)
    return left[0]


def test_a_start_judges_names_in_proportion_to_the_clusters(tmp_path: Path) -> None:
    """Twice the clusters are twice the work, in whatever order their lists arrive; the rows are the same."""
    few, many = (
        [outcome(tmp_path / f"{clusters}-{seed}", clusters, seed) for seed in range(3)] for clusters in (8, 16)
    )
    for starts in (few, many):
        assert all(each.rows == starts[0].rows for each in starts)
    assert len(many[0].rows) > 1.8 * len(few[0].rows)
    assert max(each.judged for each in many) <= 2.4 * min(each.judged for each in few)


def test_the_own_cluster_is_served_while_others_are_missing(tmp_path: Path) -> None:
    """Its names have rows and are answered; names of others may not be denied, though they are listed."""

    async def scenario(controller: Controller, writer: Writer) -> None:
        for number in range(3):
            controller.report(ClusterAdded(cluster_name(number), KINDS, "test"))
        controller.report(SourceListed("test"))
        for event in (*first_lists(0), *first_lists(1)):
            controller.report(event)
        await run_turns(5)
        with writer.read() as tables:
            assert (tables.state.ready, tables.state.complete) == (True, False)
            assert tables.rows.get(names.to_wire("s0-0.p.global"))
            assert not tables.rows.get(names.to_wire("s0-1.p.global"))
        for event in first_lists(2):
            controller.report(event)
        await run_turns(5)
        with writer.read() as tables:
            assert (tables.state.ready, tables.state.complete) == (True, True)
            assert tables.rows.get(names.to_wire("s0-1.p.global"))

    run(tmp_path / "state", scenario)


def test_listed_clusters_are_not_denied_while_another_source_is_missing(tmp_path: Path) -> None:
    """All that is known has synced, and yet names of it have no rows."""

    async def scenario(controller: Controller, writer: Writer) -> None:
        for number in range(2):
            controller.report(ClusterAdded(cluster_name(number), KINDS, "test"))
            for event in first_lists(number):
                controller.report(event)
        await run_turns(5)
        with writer.read() as tables:
            assert (tables.state.ready, tables.state.complete) == (True, False)
        controller.report(SourceListed("test"))
        await run_turns(5)
        with writer.read() as tables:
            assert tables.state.complete
            assert tables.rows.get(names.to_wire("s0-1.p.global"))

    run(tmp_path / "state", scenario)


def test_a_dead_cluster_does_not_hold_up_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock sees that it is not read for now."""
    monkeypatch.setattr("meshdns.controller.cluster_state.FAILURE_PATIENCE", 0.0)

    async def scenario(controller: Controller, writer: Writer) -> None:
        for number in range(3):
            controller.report(ClusterAdded(cluster_name(number), KINDS, "test"))
        controller.report(SourceListed("test"))
        for event in (*first_lists(0), *first_lists(1)):
            controller.report(event)
        for kind in KINDS:
            controller.report(ReadFailed(cluster_name(2), kind, "connection refused; start it"))
        controller.report(SourceListed("test"))
        await run_turns(5)
        with writer.read() as tables:
            assert not tables.state.complete
            assert tables.rows.get(names.to_wire("s0-1.p.global"))

    run(tmp_path / "state", scenario)
