"""What is served when another cluster answers under a name, and when the first one comes back."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from meshdns.controller.cluster_state import STALE_AFTER, ClusterTracker
from meshdns.controller.ingest import Ingest
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.mesh.objects.declarations import AnyDeclaration, Namespace, ObjectKind, ServiceEntry, key_of
from meshdns.namedb import snapshot
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import (
    ClusterAdded,
    ClusterIdentified,
    ClusterRemoved,
    ContactMade,
    KindListed,
    ObjectChanged,
    ObjectRemoved,
    SourceEvent,
)
from tests.controller.scene import controller_metrics, make_controller, run_turns
from tests.controller.test_ingest import FakeStore

START = 1000.0
ENTRY, SPACE = ObjectKind.SERVICE_ENTRY, ObjectKind.NAMESPACE
KINDS = frozenset({ENTRY, SPACE})


def entries(prefix: str, count: int) -> tuple[ServiceEntry, ...]:
    """So many ServiceEntries whose names begin with the prefix."""
    return tuple(
        ServiceEntry(namespace="shop", name=f"{prefix}{n}", hosts=(f"{prefix}{n}.global",)) for n in range(count)
    )


def spaces(uid: str) -> tuple[Namespace, ...]:
    """The namespaces of the cluster of that identity."""
    return (Namespace(namespace="", name="kube-system", uid=uid),) if uid else ()


class Scene:
    """Cluster west behind an intake; `stored` is what an earlier process left."""

    def __init__(self, stored: Iterable[AnyDeclaration] = ()) -> None:
        self.now = START
        self.store = FakeStore()
        self.tracker = ClusterTracker(own="", required=(), started=START)
        self.ingest = Ingest(self.store, self.tracker, MassDeleteGuard({}))
        for declaration in stored:
            self.store.upsert("west", declaration)
            self.tracker.state_of("west").is_restored = True
        self.report(ClusterAdded("west", KINDS, "test"))

    def report(self, *events: SourceEvent) -> list[float]:
        """Apply events now; the seconds after which other lists are wanted."""
        return [self.ingest.apply(event, self.now).relist_after for event in events]

    def list_all(self, uid: str, prefix: str, count: int, *, identified: bool = True) -> None:
        """A new connection reads the cluster of that identity."""
        if identified:
            self.report(ClusterIdentified("west", uid))
        self.report(KindListed("west", SPACE, spaces(uid)), KindListed("west", ENTRY, entries(prefix, count)))

    @property
    def served(self) -> dict[str, int]:
        """How many ServiceEntries are served, by the first letter of their names."""
        names = [key[2][0] for key in self.store.clusters["west"] if key[0] is ENTRY]
        return {letter: names.count(letter) for letter in sorted(set(names))}


def test_another_cluster_takes_the_place_of_the_first_and_gives_it_back_at_once() -> None:
    """The guard holds nothing, in neither direction, and nothing of the two is served side by side."""
    scene = Scene()
    scene.list_all("uid-a", "a", 100)
    assert scene.served == {"a": 100}
    for uid, prefix, count in (("uid-b", "b", 50), ("uid-a", "a", 100), ("uid-b", "b", 1), ("uid-a", "a", 7)):
        scene.list_all(uid, prefix, count)
        assert (scene.served, scene.tracker.state_of("west").alarms) == ({prefix: count}, ())


def test_a_store_that_was_lost_is_no_other_cluster() -> None:
    """Its API server has a new identity and nothing else: what was known is served until a list a minute later."""
    scene = Scene()
    scene.list_all("uid-a", "a", 100)
    for after in (0, 30):
        scene.now = START + after
        scene.list_all("uid-b", "b", 0)
        assert scene.served == {"a": 100}
        assert scene.tracker.state_of("west").reason.startswith("100 of 100 objects of kind ServiceEntry were missing")
    scene.now = START + 60
    scene.list_all("uid-b", "b", 0)
    assert (scene.served, scene.tracker.state_of("west").alarms) == ({}, ())
    scene.list_all("uid-a", "a", 100)
    assert scene.served == {"a": 100}


def test_a_store_that_is_restored_in_time_takes_nothing_away() -> None:
    """The alarm ends with it; a store that is filled anew under the new identity counts at once."""
    for uid in ("uid-a", "uid-b"):
        scene = Scene()
        scene.list_all("uid-a", "a", 100)
        scene.list_all("uid-b", "b", 0)
        scene.list_all(uid, "c", 100)
        assert "c" in scene.served
        assert scene.served["c"] == 100
        assert ("a" in scene.served) is (uid == "uid-a")  # the guard keeps what is of the same identity


def test_of_another_cluster_nothing_is_served_before_all_is_known() -> None:
    """Its changes go into what is kept apart, and its contacts do not make the served data look fresh."""
    scene = Scene()
    scene.list_all("uid-a", "a", 100)
    scene.report(ClusterIdentified("west", "uid-b"), KindListed("west", ENTRY, entries("b", 20)))
    scene.report(
        ObjectChanged("west", entries("b", 21)[20]),
        ObjectRemoved("west", key_of(entries("b", 1)[0])),
        ContactMade("west", ENTRY),
    )
    assert scene.served == {"a": 100}
    scene.now += STALE_AFTER + 1
    scene.report(ContactMade("west", ENTRY), ContactMade("west", SPACE))
    assert scene.tracker.state_of("west").status(scene.now) == "stale"
    scene.report(KindListed("west", SPACE, spaces("uid-b")))
    assert scene.served == {"b": 20}
    assert scene.tracker.state_of("west").status(scene.now) == "synced"


def test_a_cluster_that_comes_back_before_the_other_was_read_was_never_away() -> None:
    """What was kept apart is dropped, and the guard holds as ever."""
    scene = Scene()
    scene.list_all("uid-a", "a", 100)
    scene.report(ClusterIdentified("west", "uid-b"), KindListed("west", ENTRY, entries("b", 20)))
    scene.list_all("uid-a", "a", 10)
    assert scene.served == {"a": 100}
    scene.now += 60
    scene.list_all("uid-a", "a", 10)
    assert scene.served == {"a": 10}


@pytest.mark.parametrize("identified", [True, False])
def test_what_an_earlier_process_knew_of_another_cluster_goes_as_a_whole(*, identified: bool) -> None:
    """The identity is stored with it; one that a new connection cannot tell is found in its lists."""
    scene = Scene((*spaces("uid-a"), *entries("a", 100)))
    assert scene.ingest.served_identities() == {"west": "uid-a"}
    if identified:
        scene.report(ClusterIdentified("west", "uid-b"))
    scene.report(KindListed("west", ENTRY, entries("b", 50)))
    assert scene.served == {"a": 100}
    scene.report(KindListed("west", SPACE, spaces("uid-b")))
    assert scene.served == {"b": 50}
    assert scene.ingest.served_identities() == {"west": "uid-b"}


def test_the_same_cluster_after_a_restart_is_guarded_whether_it_is_identified_or_not() -> None:
    """Its lists may lack what an earlier process knew, as those of one process may."""
    for identified in (True, False):
        scene = Scene((*spaces("uid-a"), *entries("a", 100)))
        scene.list_all("uid-a", "a", 5, identified=identified)
        assert scene.served == {"a": 100}


def test_what_was_stored_before_an_identity_was_known_is_nobodys() -> None:
    """A process that ended between two lists leaves declarations that may be of another cluster."""
    scene = Scene(entries("a", 100))
    scene.list_all("uid-b", "b", 50)
    assert scene.served == {"b": 50}


def test_a_new_connection_that_cannot_tell_its_identity_changes_nothing_of_a_known_one() -> None:
    """Where the namespaces are forbidden the lists of the others do not count."""
    scene = Scene()
    scene.list_all("uid-a", "a", 100)
    scene.report(ClusterIdentified("west", ""), KindListed("west", ENTRY, entries("b", 50)))
    assert scene.served == {"a": 100}


def test_a_cluster_that_is_not_what_it_says_goes_without_grace() -> None:
    """Its names are gone with the event; the tick only forgets it."""
    scene = Scene()
    scene.list_all("uid-a", "a", 100)
    scene.report(ClusterRemoved("west", at_once=True))
    assert scene.served == {}
    assert scene.ingest.on_tick(scene.now) == ["west"]


def test_a_snapshot_of_another_identity_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """A controller that begins with it serves nothing of two clusters."""
    stored: tuple[AnyDeclaration, ...] = (*spaces("uid-a"), *entries("a", 40))
    snapshot.write_snapshot(tmp_path, [("west", each) for each in stored])

    async def play() -> None:
        writer = Writer(tmp_path / "namedb")
        controller = make_controller(writer, tmp_path, controller_metrics(), own_cluster="west")
        controller.start()
        await run_turns(3)
        controller.report(ClusterAdded("west", KINDS, "test"))
        controller.report(ClusterIdentified("west", "uid-b"))
        controller.report(KindListed("west", ENTRY, entries("b", 5)))
        await run_turns(3)
        known = {declaration.name[0] for _, declaration in controller._publisher.declarations()}
        assert known == {"a", "k"}
        controller.report(KindListed("west", SPACE, spaces("uid-b")))
        await run_turns(3)
        known = {declaration.name[0] for _, declaration in controller._publisher.declarations()}
        assert known == {"b", "k"}
        await controller.close()
        writer.close()

    asyncio.run(play())
