"""What becomes of the data of clusters that shrink, grow stale, leave and return, in virtual time."""

from collections import defaultdict

from meshdns.controller.cluster_state import DENIAL_BLOCK_TIMEOUT, REMOVAL_GRACE_PERIOD, STALE_AFTER, ClusterTracker
from meshdns.controller.ingest import Ingest
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, ServiceEntry, key_of

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

    def join(self, *, relists: bool = True) -> None:
        """A source has the cluster."""
        self.ingest.add_cluster("west", KINDS, source="test", can_relist=relists)

    def lists(self, count: int) -> float:
        """So many ServiceEntries."""
        return self.ingest.apply_list(
            "west", ObjectKind.SERVICE_ENTRY, [entry(number) for number in range(count)], self.now
        )

    def after(self, seconds: float) -> list[str]:
        """Time passes; the clusters that went."""
        self.now += seconds
        return self.ingest.on_tick(self.now)

    @property
    def names(self) -> int:
        """How many objects are served."""
        return len(self.store.clusters["west"])


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
        scene.ingest.apply_removal("west", (ObjectKind.SERVICE_ENTRY, "shop", str(number)))
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
    scene.ingest.apply_change("west", entry(7))
    scene.ingest.apply_removal("west", (ObjectKind.SERVICE_ENTRY, "shop", "0"))
    scene.ingest.record_contact("west", ObjectKind.SERVICE_ENTRY, scene.now)
    assert scene.names == 0
    scene.after(0)
    assert sorted(key[2] for key in scene.store.clusters["west"]) == ["1", "2", "7"]
    assert (west.status(scene.now), west.reason) == ("synced", "")


def test_a_removed_cluster_is_served_for_a_while_and_goes_in_one_step() -> None:
    """It is called removed meanwhile and denies nothing of others."""
    scene = IngestScene()
    scene.lists(3)
    scene.ingest.mark_removed("west", scene.now)
    assert (scene.after(REMOVAL_GRACE_PERIOD - 0.1), scene.names) == ([], 3)
    assert scene.tracker.state_of("west").status(scene.now) == "removed"
    assert (scene.after(0.1), scene.names, dict(scene.tracker.clusters)) == (["west"], 0, {})


def test_a_cluster_that_comes_back_in_time_was_never_away() -> None:
    """A source that flaps takes no name away; the new lists decide."""
    scene = IngestScene()
    scene.lists(3)
    scene.ingest.mark_removed("west", scene.now)
    scene.after(REMOVAL_GRACE_PERIOD - 1)
    scene.join()
    assert (scene.after(REMOVAL_GRACE_PERIOD), scene.names) == ([], 3)
    assert scene.tracker.may_answer()
    scene.lists(2)
    assert scene.names == 2


def test_a_cluster_that_never_synced_goes_at_once() -> None:
    """There is nothing to serve on."""
    scene = IngestScene()
    scene.ingest.mark_removed("west", scene.now)
    assert scene.after(0) == ["west"]


def test_a_cluster_is_as_fresh_as_the_kind_that_was_not_heard_of_for_longest() -> None:
    """A contact of any kind does not stand for another."""
    scene = IngestScene()
    scene.ingest.add_cluster("west", {ObjectKind.SERVICE_ENTRY, ObjectKind.SERVICE}, source="test", can_relist=True)
    scene.lists(1)
    scene.ingest.apply_list("west", ObjectKind.SERVICE, (), scene.now + 50)
    assert scene.tracker.stale_clusters(scene.now + STALE_AFTER + 0.1) == {"west"}
