"""Problems in the view: each once, until the last name that shows it is well."""

import msgspec

from meshdns.controller.problem_index import GATEWAYS_OWNER, ProblemIndex
from meshdns.mesh.objects.problems import Problem, ProblemKind

ONE = ("east", Problem(ProblemKind.NO_GATEWAY, "ServiceEntry", "prod", "reviews", "spec.endpoints[0]", "none", "do"))
TWO = ("east", Problem(ProblemKind.NO_GATEWAY, "ServiceEntry", "prod", "reviews", "spec.endpoints[1]", "none", "do"))
WEST = ("west", ONE[1])


def apply_changes(view: dict[bytes, bytes], changes: dict[bytes, bytes | None]) -> list[tuple[str, str]]:
    """Apply `changes` to `view`; cluster and field of what it holds then."""
    for key, value in changes.items():
        if value is None:
            del view[key]
        else:
            view[key] = value
    return sorted(
        (key.split(b"\0\0", 1)[0].decode(), problem.field)
        for key, value in view.items()
        for problem in msgspec.json.decode(value, type=list[Problem])
    )


def test_two_names_show_one_problem_once() -> None:
    """The second name that shows a problem adds nothing; it goes with the last of them."""
    findings, view = ProblemIndex(), dict[bytes, bytes]()
    assert apply_changes(view, findings.update(b"a", [ONE])) == [("east", "spec.endpoints[0]")]
    assert findings.update(b"b", [ONE]) == {}
    assert findings.update(b"a", []) == {}
    assert apply_changes(view, findings.update(b"b", [])) == []


def test_clusters_and_gateways_are_kept_apart() -> None:
    """The same problem in two clusters is two; what gateways show does not go with a name."""
    findings, view = ProblemIndex(), dict[bytes, bytes]()
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
