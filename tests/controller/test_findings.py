"""Problems in the view: each once, until the last name that shows it is well."""

import msgspec

from meshdns.controller.findings import GATEWAYS, Findings
from meshdns.mesh.problems import Problem, ProblemKind

ONE = ("east", Problem(ProblemKind.NO_GATEWAY, "ServiceEntry", "prod", "reviews", "spec.endpoints[0]", "none", "do"))
TWO = ("east", Problem(ProblemKind.NO_GATEWAY, "ServiceEntry", "prod", "reviews", "spec.endpoints[1]", "none", "do"))
WEST = ("west", ONE[1])


def kept(view: dict[bytes, bytes], changes: dict[bytes, bytes | None]) -> list[tuple[str, str]]:
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
    findings, view = Findings(), dict[bytes, bytes]()
    assert kept(view, findings.note(b"a", [ONE])) == [("east", "spec.endpoints[0]")]
    assert findings.note(b"b", [ONE]) == {}
    assert findings.note(b"a", []) == {}
    assert kept(view, findings.note(b"b", [])) == []


def test_clusters_and_gateways_are_kept_apart() -> None:
    """The same problem in two clusters is two; what gateways show does not go with a name."""
    findings, view = Findings(), dict[bytes, bytes]()
    kept(view, findings.note(b"a", [ONE, WEST]))
    assert kept(view, findings.note(GATEWAYS, [TWO, WEST])) == [
        ("east", "spec.endpoints[0]"),
        ("east", "spec.endpoints[1]"),
        ("west", "spec.endpoints[0]"),
    ]
    assert kept(view, findings.note(b"a", [])) == [("east", "spec.endpoints[1]"), ("west", "spec.endpoints[0]")]


def test_what_is_shown_again_changes_nothing() -> None:
    """A name that is judged anew with the same outcome writes nothing."""
    findings = Findings()
    findings.note(b"a", [ONE, TWO])
    assert findings.note(b"a", [TWO, ONE]) == {}
