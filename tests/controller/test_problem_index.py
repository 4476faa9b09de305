"""Problems in the view: each once, until the last name that shows it is well."""

from meshdns.controller.problem_index import GATEWAYS_OWNER, ProblemIndex
from meshdns.mesh.diagnostics import ClusterProblem
from meshdns.mesh.objects.problems import Problem, ProblemKind

ONE = ("east", Problem(ProblemKind.NO_GATEWAY, "ServiceEntry", "prod", "reviews", "spec.endpoints[0]", "none", "do"))
TWO = ("east", Problem(ProblemKind.NO_GATEWAY, "ServiceEntry", "prod", "reviews", "spec.endpoints[1]", "none", "do"))
WEST = ("west", ONE[1])


def apply_changes(view: set[ClusterProblem], changes: dict[ClusterProblem, bool]) -> list[tuple[str, str]]:
    """Apply `changes` to `view`; cluster and field of what it holds then."""
    for each, is_new in changes.items():
        assert (each not in view) is is_new
        (view.add if is_new else view.remove)(each)
    return sorted((cluster, problem.field) for cluster, problem in view)


def test_two_names_show_one_problem_once() -> None:
    """The second name that shows a problem adds nothing; it goes with the last of them."""
    findings, view = ProblemIndex(), set[ClusterProblem]()
    assert apply_changes(view, findings.update(b"a", [ONE])) == [("east", "spec.endpoints[0]")]
    assert findings.update(b"b", [ONE]) == {}
    assert findings.update(b"a", []) == {}
    assert apply_changes(view, findings.update(b"b", [])) == []


def test_clusters_and_gateways_are_kept_apart() -> None:
    """The same problem in two clusters is two; what gateways show does not go with a name."""
    findings, view = ProblemIndex(), set[ClusterProblem]()
    apply_changes(view, findings.update(b"a", [ONE, WEST]))
    assert apply_changes(view, findings.update(GATEWAYS_OWNER, [TWO, WEST])) == [
        ("east", "spec.endpoints[0]"),
        ("east", "spec.endpoints[1]"),
        ("west", "spec.endpoints[0]"),
    ]
    assert apply_changes(view, findings.update(b"a", [])) == [
        ("east", "spec.endpoints[1]"),
        ("west", "spec.endpoints[0]"),
    ]


def test_what_is_shown_again_changes_nothing() -> None:
    """A name that is judged anew with the same outcome writes nothing."""
    findings = ProblemIndex()
    findings.update(b"a", [ONE, TWO])
    assert findings.update(b"a", [TWO, ONE]) == {}
