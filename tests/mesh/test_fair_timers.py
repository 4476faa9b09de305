"""Fair turns in virtual time: what each item costs is the longest that it may take, since nobody answers."""

import heapq
from collections import Counter
from collections.abc import Callable

import pytest

from meshdns.mesh.fair_timers import FairTimers, Owner, Owners, Shares

PLACES = 32
SHARES = Shares(owner=8, cluster=16, urgent=24)
PATIENCE = 7.0  # seconds that a silent server costs

GREEDY = Owner("east", "greedy")
HONEST = Owner("east", "honest")


class Play:
    """Places in which items run, and a clock that goes from the end of one to the end of the next."""

    def __init__(self, *, again: float | None = None) -> None:
        self.owners: dict[str, Owners] = {}
        self.timers: FairTimers[str] = FairTimers(lambda item: self.owners[item], SHARES)
        self.now = 0.0
        self.begun: list[str] = []
        self.running: list[tuple[float, str]] = []
        self._again = again  # seconds after its end at which an item is due again

    def want(self, owner: Owner, count: int, prefix: str = "") -> None:
        """Items of an owner that are due now."""
        for number in range(count):
            name = f"{prefix or owner.namespace}-{number}"
            self.owners[name] = (owner,)
            self.timers.schedule(name, self.now)

    def fill(self) -> None:
        """Begin what may begin."""
        for item in self.timers.pop_due(self.now, limit=PLACES - len(self.running)):
            self.begun.append(item)
            heapq.heappush(self.running, (self.now + PATIENCE, item))

    def step(self) -> None:
        """Fill the places, and let time pass until one is free or something falls due."""
        self.fill()
        due = self.timers.next_due
        if due is not None and self.now < due and (not self.running or due < self.running[0][0]):
            self.now = due
            return
        self.now, item = heapq.heappop(self.running)
        if self._again is not None:
            self.timers.schedule(item, self.now + self._again)
        else:
            self.timers.finish(item)

    def steps(self, condition: Callable[[], bool], limit: int = 100_000) -> int:
        """Steps until a condition."""
        for number in range(limit):
            if condition():
                return number
            self.step()
        raise AssertionError("it never comes")


def test_second_tenants_name_is_asked_within_a_few_places() -> None:
    """1,500 silent names of one namespace are due before: one of them at most begins before the other's name."""
    play = Play()
    play.want(GREEDY, 1500)
    play.steps(lambda: len(play.begun) > 100)
    before = len(play.begun)
    play.want(HONEST, 1)
    play.steps(lambda: "honest-0" in play.begun)
    assert play.begun.index("honest-0") - before <= 1


def test_asking_again_is_fair_too() -> None:
    """Names that are asked again and again leave the other tenant's its rhythm."""
    play = Play(again=5.0)
    play.want(GREEDY, 1500)
    play.want(HONEST, 4)
    play.steps(lambda: play.now > 600.0)
    counts = Counter(item.partition("-")[0] for item in play.begun)
    assert counts["honest"] >= 4 * int(600.0 / (PATIENCE + 5.0) - 1)


def test_one_owner_has_a_share_of_what_runs() -> None:
    """Silent names of one namespace, and of one cluster, leave places free."""
    play = Play()
    play.want(GREEDY, 100)
    play.fill()
    assert len(play.running) == SHARES.owner
    for number in range(20):
        play.want(Owner("east", f"more-{number}"), 100)
    play.fill()
    assert len(play.running) == SHARES.cluster
    play.want(Owner("west", "first"), 3)
    play.fill()
    assert len(play.running) == SHARES.cluster + 3


def test_all_names_are_asked_in_the_end() -> None:
    """Turns starve nobody, whoever has how many; each item begins once."""
    play = Play()
    for number, count in enumerate((1, 50, 3, 200)):
        play.want(Owner("east", f"n{number}"), count)
        play.want(Owner("west", f"w{number}", urgent=number % 2 > 0), count)
    play.steps(lambda: len(play.begun) == 2 * 254)
    assert set(play.begun) == set(play.owners)


def test_namespaces_of_a_cluster_share_its_turns() -> None:
    """A cluster with many namespaces has no more turns than one with a single one."""
    play = Play()
    for number in range(50):
        play.want(Owner("east", f"e{number}"), 2)
    for number in range(2):
        play.want(Owner("west", f"w{number}"), 20)
    play.fill()
    assert Counter(item[0] for item in play.begun) == {"e": 16, "w": 16}
    assert len({item.partition("-")[0] for item in play.begun if item[0] == "e"}) == 16


def test_gateways_come_first_and_leave_places() -> None:
    """Urgent items begin before others that were due long before, and never take all places."""
    play = Play()
    play.want(GREEDY, 500)
    play.steps(lambda: len(play.begun) > 50)
    before = len(play.begun)
    play.want(Owner("west", "", urgent=True), 1)
    play.steps(lambda: "-0" in play.begun)
    assert play.begun.index("-0") - before <= 1
    flood = Play()
    for number in range(8):
        flood.want(Owner(f"c{number}", "", urgent=True), 100, f"c{number}")
    flood.want(HONEST, 1)
    flood.fill()
    assert len(flood.running) == SHARES.urgent + 1
    assert "honest-0" in flood.begun


def test_item_of_several_owners_is_taken_with_the_first_turn() -> None:
    """A name that a greedy namespace names as well is not held up by that."""
    play = Play()
    play.want(GREEDY, 1500)
    play.owners["shared"] = (GREEDY, HONEST)
    play.timers.schedule("shared", play.now)
    play.fill()
    assert "shared" in play.begun
    assert play.begun.count("shared") == 1


def test_item_moves_with_its_owners() -> None:
    """One that becomes a gateway's while it waits is taken first."""
    play = Play()
    play.want(GREEDY, 200)
    play.fill()
    play.owners["greedy-150"] = (Owner("west", "", urgent=True),)
    play.timers.update_owners("greedy-150")
    play.fill()
    assert play.begun[-1] == "greedy-150"


def test_cancelled_item_is_not_taken() -> None:
    """Whether it is due or not; its place, if it runs, is free at its end and not before."""
    play = Play()
    play.want(GREEDY, 10)
    play.fill()
    play.timers.cancel("greedy-9")
    play.timers.cancel("greedy-0")
    assert play.timers.pop_due(play.now, limit=9) == []
    assert len(play.timers) == 1
    play.timers.finish("greedy-0")
    assert play.timers.pop_due(play.now, limit=9) == ["greedy-8"]
    assert play.timers.next_due is None


@pytest.mark.parametrize("due", [0.0, 5.0])
def test_due_times_are_those_of_items_that_may_run(due: float) -> None:
    """While all that is due waits for a place of its owner, the next item that falls due is awaited."""
    play = Play()
    play.want(GREEDY, SHARES.owner + 1)
    play.owners["later"] = (HONEST,)
    play.timers.schedule("later", due + 1.0)
    play.fill()
    assert play.timers.next_due == due + 1.0
    play.timers.finish("greedy-0")
    assert play.timers.next_due == float("-inf")


def test_clusters_take_turns() -> None:
    """Of two clusters with as much to do each has every other turn, whatever their shares allow."""
    owners = {f"{cluster}-{number}": (Owner(cluster, "one"),) for cluster in ("east", "west") for number in range(20)}
    timers: FairTimers[str] = FairTimers(lambda item: owners[item], Shares(owner=99, cluster=99, urgent=99))
    for item in owners:
        timers.schedule(item, 0.0)
    assert Counter(item.partition("-")[0] for item in timers.pop_due(0.0, limit=10)) == {"east": 5, "west": 5}


def test_urgent_item_is_the_next_one() -> None:
    """It is taken before all that was due before it."""
    play = Play()
    play.want(GREEDY, 5)
    assert len(play.timers.pop_due(0.0, limit=1)) == 1
    play.want(Owner("west", "gateway", urgent=True), 1)
    assert play.timers.pop_due(0.0, limit=1) == ["gateway-0"]
