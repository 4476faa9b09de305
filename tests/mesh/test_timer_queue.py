"""Items by due time, in virtual time."""

from meshdns.mesh.timer_queue import TimerQueue


def agenda(**dues: float) -> TimerQueue[str]:
    """An agenda with these items."""
    out: TimerQueue[str] = TimerQueue()
    for item, due in dues.items():
        out.schedule(item, due)
    return out


def test_what_is_due_is_taken_longest_due_first() -> None:
    """Items come in the order of their due times, and only those whose time has come."""
    assert agenda(b=2, a=1, c=3).pop_due(2, limit=9) == ["a", "b"]


def test_no_more_are_taken_than_asked_for_and_the_rest_stays() -> None:
    """A bound leaves the later ones for the next time."""
    items = agenda(a=1, b=2, c=3)
    assert [items.pop_due(9, limit=2), items.pop_due(9, limit=2), items.pop_due(9, limit=2)] == [["a", "b"], ["c"], []]


def test_an_item_put_again_is_due_once_at_its_new_time() -> None:
    """A second put voids the first."""
    items = agenda(a=1)
    items.schedule("a", 5)
    assert (items.next_due, items.pop_due(4, limit=9), items.pop_due(5, limit=9), items.pop_due(9, limit=9)) == (
        5,
        [],
        ["a"],
        [],
    )


def test_a_dropped_item_never_comes() -> None:
    """What was dropped is off, and nobody waits for it."""
    items = agenda(a=1, b=2)
    items.cancel("a")
    items.cancel("never there")
    assert (items.next_due, len(items), items.pop_due(9, limit=9)) == (2, 1, ["b"])


def test_items_that_come_and_go_leave_nothing_behind() -> None:
    """A host name that flaps for an hour must not fill the memory."""
    items = agenda(a=1)
    for _ in range(10_000):
        items.schedule("b", 3600)
        items.cancel("b")
    assert len(items._heap) < 100
    assert items.pop_due(9, limit=9) == ["a"]
