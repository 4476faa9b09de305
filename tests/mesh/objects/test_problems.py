"""A problem over time: what makes it another one, and what it says by its kind."""

import msgspec
import pytest

from meshdns.mesh.objects.problems import Problem, ProblemKind, Severity, cause_of, identity_of

GONE = Problem(ProblemKind.MASS_DELETE, "Cluster", "", "east", "", "12 of 40 objects were missing", "wait 60 s")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("12 of 40 objects were missing", "11 of 41 objects were missing"),
        ("no reply for 35s", "no reply for 1200ms"),
        ("5 contradicts 60 of ServiceEntry prod/cart", "5.5 contradicts 7 of ServiceEntry prod/cart"),
        ("line 7: unexpected end", "line 12: unexpected end"),
    ],
)
def test_other_numbers_are_the_same_problem(before: str, after: str) -> None:
    """Counts, times and lines change while a problem stays."""
    first, second = (msgspec.structs.replace(GONE, reason=reason) for reason in (before, after))
    assert identity_of("", first) == identity_of("", second)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("127.0.0.1 means nothing", "127.0.0.2 means nothing"),
        ("fe80::1 means nothing", "fe80::2 means nothing"),
        ("cluster west1 has no gateway", "cluster west2 has no gateway"),
        ("ServiceEntry prod/cart-1 wins", "ServiceEntry prod/cart-2 wins"),
        ("ServiceEntry prod/1 wins", "ServiceEntry prod/2 wins"),
        ("version v1.29 is too old", "version v1.30 is too old"),
    ],
)
def test_other_names_and_addresses_are_another_problem(before: str, after: str) -> None:
    """Digits of a name, an address or a version tell what the problem is about."""
    first, second = (msgspec.structs.replace(GONE, reason=reason) for reason in (before, after))
    assert identity_of("", first) != identity_of("", second)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": ProblemKind.CONFLICT},
        {"object": "Secret"},
        {"namespace": "prod"},
        {"name": "west"},
        {"field": "spec"},
        {"reason": "the list was empty"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_problem_is_about_tells_it_from_others(changes: dict[str, object]) -> None:
    """Kind, object, field and reason make the problem, and so does the cluster."""
    assert identity_of("", GONE) != identity_of("", msgspec.structs.replace(GONE, **changes))
    assert identity_of("", GONE) != identity_of("east", GONE)


def test_advice_place_and_cause_do_not_make_another_problem() -> None:
    """A manifest that gains a line above the fault still has the same fault."""
    moved = msgspec.structs.replace(GONE, advice="look", where="a.yaml:9", cause="cluster east")
    assert identity_of("", GONE) == identity_of("", moved)


def test_the_kind_says_what_the_problem_does_not() -> None:
    """Severity comes from the kind; so does advice where the problem has none."""
    assert (GONE.severity, GONE.next_step) == (Severity.WARNING, "wait 60 s")
    assert msgspec.structs.replace(GONE, advice="").next_step == ProblemKind.MASS_DELETE.advice


def test_without_another_cause_the_object_is_the_cause() -> None:
    """Parts of its identity that it does not have are left out."""
    assert cause_of("", GONE) == "Cluster east"
    assert cause_of("west", msgspec.structs.replace(GONE, cause="cluster east")) == "cluster east"


def test_a_problem_of_the_first_version_is_read() -> None:
    """It has no cause; the words of its kind are those that are stored."""
    stored = b'{"kind":"mass delete","object":"Cluster","namespace":"","name":"east","field":"","reason":"gone"}'
    found = msgspec.json.decode(stored, type=Problem)
    assert (found.kind, found.cause) == (ProblemKind.MASS_DELETE, "")
