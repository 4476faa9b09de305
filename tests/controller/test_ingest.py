"""What becomes of the data of clusters that shrink, grow stale, leave and return, in virtual time."""

from collections import defaultdict

import pytest

from meshdns.controller.cluster_state import DENIAL_BLOCK_TIMEOUT, REMOVAL_GRACE_PERIOD, STALE_AFTER, ClusterTracker
from meshdns.controller.ingest import Ingest, IngestResult
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, ServiceEntry, key_of
from meshdns.sources.sink import (
    ClusterAdded,
    ClusterIdentified,
    ClusterRemoved,
    ContactMade,
    CredentialsObtained,
    KindListed,
    ObjectChanged,
    ObjectRemoved,
    ReadFailed,
    SourceEvent,
    SourceListed,
    SourceProblems,
)

START = 1000.0
KINDS = frozenset({ObjectKind.SERVICE_ENTRY})


class FakeStore:
    """Implements `meshdns.controller.ingest.DeclarationStore` with nothing behind it."""

    def __init__(self) -> None:
        self.clusters: defaultdict[str, dict[ObjectKey, AnyDeclaration]] = defaultdict(dict)

    def upsert(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Add or replace."""
        self.clusters[cluster][key_of(declaration)] = declaration

    def remove(self, cluster: str, key: ObjectKey) -> None:
        """Forget."""
        self.clusters[cluster].pop(key, None)

    def keys(self, cluster: str, kind: ObjectKind) -> set[ObjectKey]:
        """By kind."""
        return {key for key in self.clusters[cluster] if key[0] is kind}

    def declarations_of(self, cluster: str) -> list[AnyDeclaration]:
        """All."""
        return list(self.clusters[cluster].values())

    def remove_cluster(self, cluster: str) -> None:
        """Forget all."""
        self.clusters.pop(cluster, None)


def entry(number: int, host: str = "a.global") -> ServiceEntry:
    """A ServiceEntry called by its number."""
    return ServiceEntry(namespace="shop", name=str(number), hosts=(host,))


class IngestScene:
    """Cluster west behind an intake, and a clock that the test moves."""

    def __init__(self, max_stale: dict[str, float] | None = None) -> None:
        self.now = START
        self.store = FakeStore()
        self.tracker = ClusterTracker(own="", required=(), started=START, max_stale=max_stale)
        self.ingest = Ingest(self.store, self.tracker, MassDeleteGuard({}))
        self.join()

    def report(self, event: SourceEvent) -> float:
        """Apply an event now; the seconds after which another list is wanted."""
        return self.ingest.apply(event, self.now).relist_after

    def join(self, *, relists: bool = True) -> None:
        """A source has the cluster."""
        self.report(ClusterAdded("west", KINDS, "test", can_relist=relists))

    def lists(self, count: int) -> float:
        """So many ServiceEntries."""
        return self.report(KindListed("west", ObjectKind.SERVICE_ENTRY, tuple(map(entry, range(count)))))

    def after(self, seconds: float) -> list[str]:
        """Time passes; the clusters that went."""
        self.now += seconds
        return self.ingest.on_tick(self.now)

    @property
    def names(self) -> int:
        """How many objects are served."""
        return len(self.store.clusters["west"])


SHOP_0 = (ObjectKind.SERVICE_ENTRY, "shop", "0")
RESULTS: dict[str, tuple[SourceEvent, IngestResult]] = {
    "a cluster": (ClusterAdded("east", KINDS, "test"), IngestResult(commit=True, recheck=True)),
    "a list": (KindListed("west", ObjectKind.SERVICE_ENTRY, ()), IngestResult(True, True, 60.0)),
    "a change": (ObjectChanged("west", entry(0)), IngestResult(commit=True)),
    "a removal": (ObjectRemoved("west", SHOP_0), IngestResult(commit=True)),
    "a contact": (ContactMade("west", ObjectKind.SERVICE_ENTRY), IngestResult()),
    "a failure": (ReadFailed("west", ObjectKind.SERVICE_ENTRY, "no answer; wait"), IngestResult(recheck=True)),
    "an identity": (ClusterIdentified("west", "uid-1"), IngestResult()),
    "credentials": (CredentialsObtained("west", 5.0, renewable=True), IngestResult()),
    "a cluster that left": (ClusterRemoved("west"), IngestResult(commit=True, recheck=True)),
    "a source": (SourceListed("test"), IngestResult()),
    "problems of a source": (SourceProblems("test", ()), IngestResult()),
}


@pytest.mark.parametrize("case", RESULTS)
def test_an_event_asks_for_no_more_than_it_needs(case: str) -> None:
    """A commit only where names may change, new judgement of the clusters only where more than an object did."""
    event, result = RESULTS[case]
    scene = IngestScene()
    scene.lists(100)
    assert scene.ingest.apply(event, scene.now) == result


def test_a_contact_after_a_failure_and_an_object_that_comes_back_ask_for_new_judgement() -> None:
    """What people are shown of the cluster changes by both."""
    scene = IngestScene()
    scene.lists(100)
    scene.report(ReadFailed("west", ObjectKind.SERVICE_ENTRY, "no answer; wait"))
    contact = ContactMade("west", ObjectKind.SERVICE_ENTRY)
    assert scene.ingest.apply(contact, scene.now) == IngestResult(recheck=True)
    scene.lists(0)
    changed = ObjectChanged("west", entry(0))
    assert scene.ingest.apply(changed, scene.now) == IngestResult(commit=True, recheck=True)
    assert scene.ingest.apply(changed, scene.now) == IngestResult(commit=True)


def test_what_a_list_suddenly_lacks_is_served_until_a_second_one_agrees() -> None:
    """The state says so meanwhile, and no longer than that."""
    scene = IngestScene()
    scene.lists(100)
    assert (scene.lists(5), scene.names) == (60.0, 100)
    assert scene.tracker.state_of("west").reason.startswith("95 of 100 objects of kind ServiceEntry were missing")
    scene.after(60)
    assert (scene.lists(5), scene.names, scene.tracker.state_of("west").reason) == (0.0, 5, "")


def test_objects_that_are_deleted_one_by_one_go_at_once() -> None:
    """Events are not guarded."""
    scene = IngestScene()
    scene.lists(100)
    for number in range(100):
        scene.report(ObjectRemoved("west", (ObjectKind.SERVICE_ENTRY, "shop", str(number))))
    assert scene.names == 0


def test_a_folder_is_believed_at_once() -> None:
    """Its source never lists again."""
    scene = IngestScene()
    scene.join(relists=False)
    scene.lists(100)
    assert (scene.lists(5), scene.names) == (0.0, 5)


def test_last_known_data_are_served_for_ever_by_default() -> None:
    """Stale, but there."""
    scene = IngestScene()
    scene.lists(3)
    assert (scene.after(1e7), scene.names) == ([], 3)
    assert scene.tracker.stale_clusters(scene.now) == {"west"}


def test_stale_data_are_withheld_after_their_time_and_return_with_what_happened_since() -> None:
    """Then nothing is denied for a while; the watch that comes back lists nothing again."""
    scene = IngestScene({"west": 300.0})
    scene.lists(3)
    scene.after(300)
    assert (scene.names, scene.tracker.may_deny(scene.now)) == (3, True)
    scene.after(0.1)
    assert (scene.names, scene.tracker.may_deny(scene.now)) == (0, False)
    west = scene.tracker.state_of("west")
    assert (west.status(scene.now), west.reason) == ("stale", "its names are withheld, as its maxStale says")
    scene.after(DENIAL_BLOCK_TIMEOUT + 0.1)
    assert scene.tracker.may_deny(scene.now)
    scene.report(ObjectChanged("west", entry(7)))
    scene.report(ObjectRemoved("west", (ObjectKind.SERVICE_ENTRY, "shop", "0")))
    scene.report(ContactMade("west", ObjectKind.SERVICE_ENTRY))
    assert scene.names == 0
    scene.after(0)
    assert sorted(key[2] for key in scene.store.clusters["west"]) == ["1", "2", "7"]
    assert (west.status(scene.now), west.reason) == ("synced", "")


def test_a_removed_cluster_is_served_for_a_while_and_goes_in_one_step() -> None:
    """It is called removed meanwhile and denies nothing of others."""
    scene = IngestScene()
    scene.lists(3)
    scene.report(ClusterRemoved("west"))
    assert (scene.after(REMOVAL_GRACE_PERIOD - 0.1), scene.names) == ([], 3)
    assert scene.tracker.state_of("west").status(scene.now) == "removed"
    assert (scene.after(0.1), scene.names, dict(scene.tracker.clusters)) == (["west"], 0, {})


def test_a_cluster_that_comes_back_in_time_was_never_away() -> None:
    """A source that flaps takes no name away; the new lists decide."""
    scene = IngestScene()
    scene.lists(3)
    scene.report(ClusterRemoved("west"))
    scene.after(REMOVAL_GRACE_PERIOD - 1)
    scene.join()
    assert (scene.after(REMOVAL_GRACE_PERIOD), scene.names) == ([], 3)
    assert scene.tracker.may_answer()
    scene.lists(2)
    assert scene.names == 2


def test_a_cluster_that_never_synced_goes_at_once() -> None:
    """There is nothing to serve on."""
    scene = IngestScene()
    scene.report(ClusterRemoved("west"))
    assert scene.after(0) == ["west"]


def test_a_cluster_is_as_fresh_as_the_kind_that_was_not_heard_of_for_longest() -> None:
    """A contact of any kind does not stand for another."""
    scene = IngestScene()
    scene.report(ClusterAdded("west", frozenset({ObjectKind.SERVICE_ENTRY, ObjectKind.SERVICE}), "test"))
    scene.lists(1)
    scene.ingest.apply(KindListed("west", ObjectKind.SERVICE, ()), scene.now + 50)
    assert scene.tracker.stale_clusters(scene.now + STALE_AFTER + 0.1) == {"west"}
