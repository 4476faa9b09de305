"""What becomes of the data of clusters that shrink, grow stale, leave and return, in virtual time."""

from collections import defaultdict

from meshdns.controller.guard import Guard
from meshdns.controller.intake import Intake
from meshdns.controller.states import DRAIN, STALE_AFTER, UNSYNCED_BLOCKS, ClusterStates
from meshdns.mesh.declarations import AnyDeclaration, Key, Kind, ServiceEntry, key_of

START = 1000.0
KINDS = frozenset({Kind.SERVICE_ENTRY})


class Held:
    """Implements `meshdns.controller.intake.Declared` with nothing behind it."""

    def __init__(self) -> None:
        self.clusters: defaultdict[str, dict[Key, AnyDeclaration]] = defaultdict(dict)

    def upsert(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Add or replace."""
        self.clusters[cluster][key_of(declaration)] = declaration

    def remove(self, cluster: str, key: Key) -> None:
        """Forget."""
        self.clusters[cluster].pop(key, None)

    def keys(self, cluster: str, kind: Kind) -> set[Key]:
        """By kind."""
        return {key for key in self.clusters[cluster] if key[0] is kind}

    def of(self, cluster: str) -> list[AnyDeclaration]:
        """All."""
        return list(self.clusters[cluster].values())

    def remove_cluster(self, cluster: str) -> None:
        """Forget all."""
        self.clusters.pop(cluster, None)


def entry(number: int, host: str = "a.global") -> ServiceEntry:
    """A ServiceEntry called by its number."""
    return ServiceEntry(namespace="shop", name=str(number), hosts=(host,))


class Scene:
    """Cluster west behind an intake, and a clock that the test moves."""

    def __init__(self, max_stale: dict[str, float] | None = None) -> None:
        self.now = START
        self.held = Held()
        self.states = ClusterStates(own="", required=(), started=START, max_stale=max_stale)
        self.intake = Intake(self.held, self.states, Guard({}))
        self.join()

    def join(self, *, relists: bool = True) -> None:
        """A source has the cluster."""
        self.intake.joined("west", KINDS, source="test", relists=relists)

    def lists(self, count: int) -> float:
        """So many ServiceEntries."""
        return self.intake.listed("west", Kind.SERVICE_ENTRY, [entry(number) for number in range(count)], self.now)

    def after(self, seconds: float) -> list[str]:
        """Time passes; the clusters that went."""
        self.now += seconds
        return self.intake.look(self.now)

    @property
    def names(self) -> int:
        """How many objects are served."""
        return len(self.held.clusters["west"])


def test_what_a_list_suddenly_lacks_is_served_until_a_second_one_agrees() -> None:
    """The state says so meanwhile, and no longer than that."""
    scene = Scene()
    scene.lists(100)
    assert (scene.lists(5), scene.names) == (60.0, 100)
    assert scene.states.cluster("west").reason.startswith("95 of 100 objects of kind ServiceEntry were missing")
    scene.after(60)
    assert (scene.lists(5), scene.names, scene.states.cluster("west").reason) == (0.0, 5, "")


def test_objects_that_are_deleted_one_by_one_go_at_once() -> None:
    """Events are not guarded."""
    scene = Scene()
    scene.lists(100)
    for number in range(100):
        scene.intake.removed("west", (Kind.SERVICE_ENTRY, "shop", str(number)))
    assert scene.names == 0


def test_a_folder_is_believed_at_once() -> None:
    """Its source never lists again."""
    scene = Scene()
    scene.join(relists=False)
    scene.lists(100)
    assert (scene.lists(5), scene.names) == (0.0, 5)


def test_last_known_data_are_served_for_ever_by_default() -> None:
    """Stale, but there."""
    scene = Scene()
    scene.lists(3)
    assert (scene.after(1e7), scene.names) == ([], 3)
    assert scene.states.stale(scene.now) == {"west"}


def test_stale_data_are_withheld_after_their_time_and_return_with_what_happened_since() -> None:
    """Then nothing is denied for a while; the watch that comes back lists nothing again."""
    scene = Scene({"west": 300.0})
    scene.lists(3)
    scene.after(300)
    assert (scene.names, scene.states.complete(scene.now)) == (3, True)
    scene.after(0.1)
    assert (scene.names, scene.states.complete(scene.now)) == (0, False)
    west = scene.states.cluster("west")
    assert (west.status(scene.now), west.reason) == ("stale", "its names are withheld, as its maxStale says")
    scene.after(UNSYNCED_BLOCKS + 0.1)
    assert scene.states.complete(scene.now)
    scene.intake.changed("west", entry(7))
    scene.intake.removed("west", (Kind.SERVICE_ENTRY, "shop", "0"))
    scene.intake.contact("west", Kind.SERVICE_ENTRY, scene.now)
    assert scene.names == 0
    scene.after(0)
    assert sorted(key[2] for key in scene.held.clusters["west"]) == ["1", "2", "7"]
    assert (west.status(scene.now), west.reason) == ("synced", "")


def test_a_removed_cluster_is_served_for_a_while_and_goes_in_one_step() -> None:
    """It is called removed meanwhile and denies nothing of others."""
    scene = Scene()
    scene.lists(3)
    scene.intake.left("west", scene.now)
    assert (scene.after(DRAIN - 0.1), scene.names) == ([], 3)
    assert scene.states.cluster("west").status(scene.now) == "removed"
    assert (scene.after(0.1), scene.names, dict(scene.states.clusters)) == (["west"], 0, {})


def test_a_cluster_that_comes_back_in_time_was_never_away() -> None:
    """A source that flaps takes no name away; the new lists decide."""
    scene = Scene()
    scene.lists(3)
    scene.intake.left("west", scene.now)
    scene.after(DRAIN - 1)
    scene.join()
    assert (scene.after(DRAIN), scene.names) == ([], 3)
    assert scene.states.answers()
    scene.lists(2)
    assert scene.names == 2


def test_a_cluster_that_never_synced_goes_at_once() -> None:
    """There is nothing to serve on."""
    scene = Scene()
    scene.intake.left("west", scene.now)
    assert scene.after(0) == ["west"]


def test_a_cluster_is_as_fresh_as_the_kind_that_was_not_heard_of_for_longest() -> None:
    """A contact of any kind does not stand for another."""
    scene = Scene()
    scene.intake.joined("west", {Kind.SERVICE_ENTRY, Kind.SERVICE}, source="test", relists=True)
    scene.lists(1)
    scene.intake.listed("west", Kind.SERVICE, (), scene.now + 50)
    assert scene.states.stale(scene.now + STALE_AFTER + 0.1) == {"west"}
