"""Items by due time, in virtual time."""

from meshdns.mesh.agenda import Agenda


def agenda(**dues: float) -> Agenda[str]:
    """An agenda with these items."""
    out: Agenda[str] = Agenda()
    for item, due in dues.items():
        out.put(item, due)
    return out


def test_what_is_due_is_taken_longest_due_first() -> None:
    """Items come in the order of their due times, and only those whose time has come."""
    assert agenda(b=2, a=1, c=3).take(2, most=9) == ["a", "b"]


def test_no_more_are_taken_than_asked_for_and_the_rest_stays() -> None:
    """A bound leaves the later ones for the next time."""
    items = agenda(a=1, b=2, c=3)
    assert [items.take(9, most=2), items.take(9, most=2), items.take(9, most=2)] == [["a", "b"], ["c"], []]


def test_an_item_put_again_is_due_once_at_its_new_time() -> None:
    """A second put voids the first."""
    items = agenda(a=1)
    items.put("a", 5)
    assert (items.next, items.take(4, most=9), items.take(5, most=9), items.take(9, most=9)) == (5, [], ["a"], [])


def test_a_dropped_item_never_comes() -> None:
    """What was dropped is off, and nobody waits for it."""
    items = agenda(a=1, b=2)
    items.drop("a")
    items.drop("never there")
    assert (items.next, len(items), items.take(9, most=9)) == (2, 1, ["b"])


def test_items_that_come_and_go_leave_nothing_behind() -> None:
    """A host name that flaps for an hour must not fill the memory."""
    items = agenda(a=1)
    for _ in range(10_000):
        items.put("b", 3600)
        items.drop("b")
    assert len(items._heap) < 100
    assert items.take(9, most=9) == ["a"]
