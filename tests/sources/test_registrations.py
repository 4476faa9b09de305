"""A name has one holder, and a cluster one name."""

from meshdns.sources.registrations import NOBODY, Registrations


def test_the_first_holder_keeps_a_name_until_it_is_given_back() -> None:
    """The next one who asks then has it."""
    told: list[str] = []
    registrations = Registrations()
    registrations.watch(lambda: told.append("free"))
    assert registrations.take("west", "Secret a", 0) == NOBODY
    assert registrations.take("west", "Secret b", 0) == "Secret a"
    registrations.give_back("west")
    assert told == ["free"]
    assert registrations.take("west", "Secret b", 0) == NOBODY


def twins(*names: tuple[str, int], own: str = "") -> Registrations:
    """One cluster, registered under several names from sources of several ranks."""
    registrations = Registrations(own)
    for name, rank in names:
        registrations.take(name, name, rank)
        registrations.identified(name, "uid")
    return registrations


def test_of_two_names_the_one_whose_source_stands_first_is_served_once_it_is_read() -> None:
    """Whichever was identified first; until the first is complete the second is served."""
    registrations = twins(("late", 1), ("early", 0))
    registrations.completed("late")
    assert (registrations.twin("late"), registrations.twin("early")) == (NOBODY, NOBODY)
    registrations.completed("early")
    assert (registrations.twin("late"), registrations.twin("early")) == ("early", NOBODY)


def test_the_own_cluster_comes_first_wherever_its_source_stands() -> None:
    """A remote secret for it must not take its vantage away."""
    registrations = twins(("secret", 0), ("own", 7), own="own")
    registrations.completed("secret")
    registrations.completed("own")
    assert (registrations.twin("secret"), registrations.twin("own")) == ("own", NOBODY)


def test_who_is_another_cluster_or_unknown_has_no_twin() -> None:
    """An identity that is lost or changed frees both names."""
    registrations = twins(("a", 0), ("b", 0))
    registrations.completed("a")
    assert registrations.twin("b") == "a"
    registrations.identified("a", "other")
    assert registrations.twin("b") == NOBODY
    registrations.identified("b", "")
    assert registrations.twin("b") == NOBODY
