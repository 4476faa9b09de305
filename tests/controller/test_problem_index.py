"""Problems in the name database: each once, until the last name that shows it is well, and since when."""

import msgspec
import pytest

from meshdns.controller.problem_index import (
    GATEWAYS_OWNER,
    RESTORED_LIFETIME,
    OwnProblemTimes,
    ProblemIndex,
    date_problems,
)
from meshdns.mesh.diagnostics import ClusterProblem
from meshdns.mesh.objects.problems import MAX_PROBLEMS, DatedProblem, Problem, ProblemKind, with_time

ONE = ("east", Problem(ProblemKind.NO_GATEWAY, "ServiceEntry", "prod", "reviews", "spec.endpoints[0]", "none", "do"))
TWO = ("east", Problem(ProblemKind.NO_GATEWAY, "ServiceEntry", "prod", "reviews", "spec.endpoints[1]", "none", "do"))
WEST = ("west", ONE[1])
NOW = 1_800_000_000.0


def apply_changes(view: set[ClusterProblem], changes: dict[ClusterProblem, float | None]) -> list[tuple[str, str]]:
    """Apply `changes` to `view`; cluster and field of what it holds then."""
    for each, since in changes.items():
        assert (each not in view) is (since is not None)
        (view.remove if since is None else view.add)(each)
    return sorted((cluster, problem.field) for cluster, problem in view)


def test_two_names_show_one_problem_once() -> None:
    """The second name that shows a problem adds nothing; it goes with the last of them."""
    findings, view = ProblemIndex(), set[ClusterProblem]()
    assert apply_changes(view, findings.update(b"a", [ONE], NOW)) == [("east", "spec.endpoints[0]")]
    assert findings.update(b"b", [ONE], NOW) == {}
    assert findings.update(b"a", [], NOW) == {}
    assert apply_changes(view, findings.update(b"b", [], NOW)) == []


def test_clusters_and_gateways_are_kept_apart() -> None:
    """The same problem in two clusters is two; what gateways show does not go with a name."""
    findings, view = ProblemIndex(), set[ClusterProblem]()
    apply_changes(view, findings.update(b"a", [ONE, WEST], NOW))
    assert apply_changes(view, findings.update(GATEWAYS_OWNER, [TWO, WEST], NOW)) == [
        ("east", "spec.endpoints[0]"),
        ("east", "spec.endpoints[1]"),
        ("west", "spec.endpoints[0]"),
    ]
    assert apply_changes(view, findings.update(b"a", [], NOW)) == [
        ("east", "spec.endpoints[1]"),
        ("west", "spec.endpoints[0]"),
    ]


def endpoint_problems(number: int) -> list[ClusterProblem]:
    """So many problems of one object."""
    return [("east", msgspec.structs.replace(ONE[1], field=f"spec.endpoints[{at}]")) for at in range(number)]


def test_of_one_object_a_bounded_number_is_listed() -> None:
    """However many names show however many problems of it; the rest is one more, with its number."""
    findings, view = ProblemIndex(), set[ClusterProblem]()
    many = endpoint_problems(120)
    for at in range(0, 120, 4):
        apply_changes(view, findings.update(f"n{at}".encode(), many[at : at + 4], NOW))
    apply_changes(view, findings.update(b"other", [WEST], NOW))
    assert len(view) == MAX_PROBLEMS + 2
    assert [problem.reason for _, problem in view if not problem.field] == ["has more problems, not listed: 70"]


def test_what_is_not_listed_takes_the_place_of_what_is_over() -> None:
    """Until all are listed, and until none is left; the rest keeps the time at which it was first counted."""
    findings, view = ProblemIndex(), set[ClusterProblem]()
    many = endpoint_problems(52)
    owners = {f"n{at}".encode(): many[at : at + 4] for at in range(0, 52, 4)}
    for owner, problems in owners.items():
        apply_changes(view, findings.update(owner, problems, NOW))
    apply_changes(view, findings.update(b"n0", many[3:4], NOW + 1))
    assert view == set(many[3:])
    changes = findings.update(b"n0", many[:4], NOW + 2)
    apply_changes(view, changes)
    assert len(view) == MAX_PROBLEMS + 1
    assert set(changes.values()) == {NOW + 2}
    for owner in owners:
        apply_changes(view, findings.update(owner, [], NOW + 3))
    assert view == set()


def test_the_rest_goes_with_its_object_in_one_turn() -> None:
    """A name that shows nothing any more leaves nothing behind, and the index can begin again."""
    findings, view = ProblemIndex(), set[ClusterProblem]()
    many = endpoint_problems(60)
    for _ in range(2):
        for owner, part in ((b"a", many[:8]), *((f"b{at}".encode(), many[at : at + 4]) for at in range(8, 60, 4))):
            apply_changes(view, findings.update(owner, part, NOW))
        assert len(view) == MAX_PROBLEMS + 1
        for owner in (b"a", *(f"b{at}".encode() for at in range(8, 60, 4))):
            apply_changes(view, findings.update(owner, [], NOW))
        assert view == set()


def test_what_is_shown_again_changes_nothing() -> None:
    """A name that is judged anew with the same outcome writes nothing."""
    findings = ProblemIndex()
    findings.update(b"a", [ONE, TWO], NOW)
    assert findings.update(b"a", [TWO, ONE], NOW) == {}


# ------------------------------------------------------------------------------------------ since when


def counted(found: ClusterProblem, count: int) -> ClusterProblem:
    """A problem whose reason has a number."""
    cluster, problem = found
    return cluster, msgspec.structs.replace(problem, reason=f"{count} gateways do not answer")


def test_a_problem_begins_when_the_first_name_shows_it() -> None:
    """Other names that show it later, and the end of the first, do not make it begin again."""
    findings = ProblemIndex()
    assert findings.update(b"a", [ONE], NOW) == {ONE: NOW}
    assert findings.update(b"b", [ONE, TWO], NOW + 5) == {TWO: NOW + 5}
    assert findings.update(b"a", [], NOW + 6) == {}
    assert findings.update(b"b", [TWO], NOW + 7) == {ONE: None}
    assert findings.update(b"b", [TWO, ONE], NOW + 9) == {ONE: NOW + 9}


def test_changed_numbers_do_not_begin_a_problem() -> None:
    """The problem with the new reason takes the place of the one with the old, and its time."""
    findings = ProblemIndex()
    findings.update(b"a", [counted(ONE, 3)], NOW)
    assert findings.update(b"a", [counted(ONE, 2)], NOW + 5) == {counted(ONE, 2): NOW, counted(ONE, 3): None}
    assert findings.update(b"a", [], NOW + 6) == {counted(ONE, 2): None}
    assert findings.update(b"a", [counted(ONE, 2)], NOW + 7) == {counted(ONE, 2): NOW + 7}


def test_a_restored_problem_keeps_its_time_until_everything_was_judged() -> None:
    """One that shows again is as old as before; one that does not is new when it comes later."""
    findings = ProblemIndex()
    for cluster, problem in (ONE, TWO):
        findings.restore(cluster, with_time(problem, NOW - 100), NOW)
    assert findings.update(b"a", [ONE], NOW) == {ONE: NOW - 100}
    findings.forget_restored()
    assert findings.update(b"a", [ONE, TWO], NOW + 1) == {TWO: NOW + 1}
    assert findings.update(b"a", [TWO], NOW + 2) == {ONE: None}
    assert findings.update(b"a", [TWO, ONE], NOW + 3) == {ONE: NOW + 3}


@pytest.mark.parametrize(("stored", "since"), [(0.0, NOW), (NOW - 1, NOW - 1), (NOW + 1, NOW)])
def test_a_time_that_is_unknown_or_in_the_future_becomes_now(stored: float, since: float) -> None:
    """The first version stored none; a clock that was wrong and is set back leaves times in the future."""
    findings, own = ProblemIndex(), OwnProblemTimes()
    findings.restore(ONE[0], with_time(ONE[1], stored), NOW)
    assert findings.update(b"a", [ONE], NOW) == {ONE: since}
    assert date_problems([ONE[1]], [with_time(ONE[1], stored)], NOW) == [with_time(ONE[1], since)]
    own.restore([with_time(ONE[1], stored)], NOW)
    assert own.add_times([ONE[1]], NOW) == [with_time(ONE[1], since)]


def test_a_clock_that_is_set_back_does_not_make_a_problem_younger() -> None:
    """A problem that is seen again at an earlier time began by then."""
    findings, own = ProblemIndex(), OwnProblemTimes()
    findings.update(b"a", [counted(ONE, 3)], NOW)
    own.add_times([ONE[1]], NOW)
    assert findings.update(b"a", [counted(ONE, 2)], NOW - 50)[counted(ONE, 2)] == NOW - 50
    assert own.add_times([ONE[1]], NOW - 50) == [with_time(ONE[1], NOW - 50)]
    assert findings.update(b"a", [counted(ONE, 1)], NOW + 50)[counted(ONE, 1)] == NOW - 50
    assert own.add_times([ONE[1]], NOW + 50) == [with_time(ONE[1], NOW - 50)]


def test_problems_of_an_object_keep_their_times_one_by_one() -> None:
    """A problem that comes is new, one that stays is not, and one that went is forgotten."""
    before = date_problems([ONE[1]], [], NOW)
    both = date_problems([TWO[1], ONE[1]], before, NOW + 5)
    assert [each.since for each in both] == [NOW + 5, NOW]
    assert [each.since for each in date_problems([ONE[1]], [both[0]], NOW + 9)] == [NOW + 9]


def test_the_controllers_own_problems_end_when_they_are_not_named() -> None:
    """All are named each time; one that comes back is new."""
    own = OwnProblemTimes()
    own.add_times([ONE[1]], NOW)
    assert own.add_times([ONE[1], TWO[1]], NOW + 1) == [with_time(ONE[1], NOW), with_time(TWO[1], NOW + 1)]
    assert own.add_times([TWO[1]], NOW + 2) == [with_time(TWO[1], NOW + 1)]
    assert own.add_times([ONE[1]], NOW + 3) == [with_time(ONE[1], NOW + 3)]


def test_what_is_stored_of_own_problems_changes_only_when_one_begins_or_ends() -> None:
    """A count in a reason that changes each second must not be a commit each second."""
    own = OwnProblemTimes()
    own.add_times([counted(ONE, 1)[1]], NOW)
    stored = own.problems_to_store()
    own.add_times([counted(ONE, 2)[1]], NOW + 1)
    assert own.problems_to_store() == stored
    own.add_times([], NOW + 2)
    assert own.problems_to_store() == []


@pytest.mark.parametrize(("later", "since"), [(RESTORED_LIFETIME, NOW), (RESTORED_LIFETIME + 1, None)])
def test_sources_may_report_late_after_a_start(later: float, since: float | None) -> None:
    """The problems that an earlier controller had are remembered for minutes, and stored on until then."""
    earlier, own = OwnProblemTimes(), OwnProblemTimes()
    earlier.add_times([counted(ONE, 1)[1]], NOW)
    own.restore(earlier.problems_to_store(), NOW)
    assert own.add_times([], NOW + 1) == []
    assert own.problems_to_store() == earlier.problems_to_store()
    (found,) = own.add_times([counted(ONE, 7)[1]], NOW + later)
    assert isinstance(found, DatedProblem)
    assert found.since == (NOW + later if since is None else since)
    assert own.add_times([], NOW + later) == []
    assert own.problems_to_store() == []
