"""What the mass-delete guard believes, list by list, in virtual time."""

import pytest

from meshdns.controller.mass_delete_guard import GuardDecision, MassDeleteGuard
from meshdns.mesh.objects.declarations import ObjectKey, ObjectKind

START = 1000.0


def keys(count: int, *, first: int = 0) -> frozenset[ObjectKey]:
    """So many keys of ServiceEntries, from number `first` on."""
    return frozenset((ObjectKind.SERVICE_ENTRY, "shop", str(number)) for number in range(first, first + count))


class Served:
    """What is served of one cluster behind a guard."""

    def __init__(self, count: int, holds: dict[str, float] | None = None) -> None:
        self.guard = MassDeleteGuard(holds or {})
        self.known = keys(count)

    def list(self, listed: frozenset[ObjectKey], after: float) -> GuardDecision:
        """A list comes so many seconds after the start."""
        verdict = self.guard.check_list("west", ObjectKind.SERVICE_ENTRY, self.known, listed, now=START + after)
        self.known = (self.known - verdict.deleted) | listed
        return verdict


@pytest.mark.parametrize(
    ("known", "listed", "held"),
    [
        (10, 0, False),
        (11, 0, True),
        (11, 1, False),
        (30, 19, True),
        (40, 28, False),
        (39, 28, False),
        (36, 25, True),
        (1000, 700, False),
        (1000, 699, True),
    ],
)
def test_more_than_ten_and_more_than_thirty_percent_are_held(known: int, listed: int, held: bool) -> None:  # noqa: FBT001 - a table
    """Both limits must be passed; what is held is all that the list lacks."""
    served = Served(known)
    verdict = served.list(keys(listed), 0)
    assert verdict == (GuardDecision(frozenset(), 60.0) if held else GuardDecision(keys(known) - keys(listed), 0.0))


def test_a_second_list_a_minute_later_is_believed() -> None:
    """Not one that comes sooner, however many come."""
    served = Served(100)
    for after in (0, 1, 30, 59.9):
        assert served.list(frozenset(), after).deleted == frozenset()
    assert served.list(frozenset(), 60) == GuardDecision(keys(100), 0.0)


def test_objects_that_come_back_are_held_no_longer() -> None:
    """What the second list has is there; only what both lack is gone."""
    served = Served(100)
    served.list(keys(20), 0)
    assert served.list(keys(90), 60) == GuardDecision(keys(10, first=90), 0.0)


def test_a_cluster_that_vanishes_piecemeal_is_held_too() -> None:
    """While something is held, a list that lacks a little more makes that wait as well, for its own minute."""
    served = Served(100)
    served.list(keys(50), 0)
    assert served.list(keys(45), 30) == GuardDecision(frozenset(), 30.0)
    assert served.list(keys(45), 60) == GuardDecision(keys(50, first=50), 30.0)
    assert served.list(keys(45), 90) == GuardDecision(keys(5, first=45), 0.0)


def test_events_are_believed_at_once() -> None:
    """An object that the cluster itself names again or deletes is not the guard's any more."""
    served = Served(20)
    served.list(frozenset(), 0)
    for key in keys(19):
        assert served.guard.release("west", key)
        assert not served.guard.release("west", key)
    assert [alarm.reason for alarm in served.guard.alarms("west")] == [
        "1 of 20 objects of kind ServiceEntry were missing from a list"
    ]
    for key in keys(20):
        served.guard.release("west", key)
    assert served.guard.alarms("west") == []


def test_the_guard_can_be_shortened_and_switched_off() -> None:
    """By cluster: 0 believes every list."""
    assert Served(100, {"west": 0.0}).list(frozenset(), 0) == GuardDecision(keys(100), 0.0)
    brief = Served(100, {"west": 2.0})
    assert brief.list(frozenset(), 0) == GuardDecision(frozenset(), 2.0)
    assert brief.list(frozenset(), 2).deleted == keys(100)


def test_a_cluster_that_is_gone_leaves_nothing_held() -> None:
    """Its alarms end with it."""
    served = Served(100)
    served.list(frozenset(), 0)
    served.guard.forget_cluster("west")
    assert served.guard.alarms("west") == []
