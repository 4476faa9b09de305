"""A name has one holder, and a cluster one name."""

from meshdns.sources.registry import NO_NAME, ClusterRegistry


def test_the_first_holder_keeps_a_name_until_it_is_given_back() -> None:
    """The next one who asks then has it."""
    told: list[str] = []
    registrations = ClusterRegistry()
    registrations.subscribe(lambda: told.append("free"))
    assert registrations.claim("west", "Secret a", 0) == NO_NAME
    assert registrations.claim("west", "Secret b", 0) == "Secret a"
    registrations.release("west")
    assert told == ["free"]
    assert registrations.claim("west", "Secret b", 0) == NO_NAME


def twins(*names: tuple[str, int], own: str = "") -> ClusterRegistry:
    """One cluster, registered under several names from sources of several ranks."""
    registrations = ClusterRegistry(own)
    for name, rank in names:
        registrations.claim(name, name, rank)
        registrations.set_uid(name, "uid")
    return registrations


def test_of_two_names_the_one_whose_source_stands_first_is_served_once_it_is_read() -> None:
    """Whichever was identified first; until the first is complete the second is served."""
    registrations = twins(("late", 1), ("early", 0))
    registrations.mark_complete("late")
    assert (registrations.duplicate_of("late"), registrations.duplicate_of("early")) == (NO_NAME, NO_NAME)
    registrations.mark_complete("early")
    assert (registrations.duplicate_of("late"), registrations.duplicate_of("early")) == ("early", NO_NAME)


def test_the_own_cluster_comes_first_wherever_its_source_stands() -> None:
    """A remote secret for it must not take its vantage away."""
    registrations = twins(("secret", 0), ("own", 7), own="own")
    registrations.mark_complete("secret")
    registrations.mark_complete("own")
    assert (registrations.duplicate_of("secret"), registrations.duplicate_of("own")) == ("own", NO_NAME)


def test_who_is_another_cluster_or_unknown_has_no_twin() -> None:
    """An identity that is lost or changed frees both names."""
    registrations = twins(("a", 0), ("b", 0))
    registrations.mark_complete("a")
    assert registrations.duplicate_of("b") == "a"
    registrations.set_uid("a", "other")
    assert registrations.duplicate_of("b") == NO_NAME
    registrations.set_uid("b", "")
    assert registrations.duplicate_of("b") == NO_NAME
