"""The situations under zones/: `meshdns check` names what their problems.txt lists, and finds nothing in the others."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from meshdns.cli.main import root

SITUATIONS = Path(__file__).parents[2] / "zones"
LISTED = sorted(path.parent for path in SITUATIONS.glob("*/problems.txt"))
FAULTLESS = sorted(path for path in SITUATIONS.glob("*/*.yaml") if path.parent not in LISTED)


def check(*arguments: str) -> Result:
    """What `meshdns check` says to these arguments."""
    return CliRunner().invoke(root, ["check", *arguments])


def without_places(output: str) -> list[str]:
    """The lines of `output` without what stands before the object: ``file:line`` or the cluster."""
    return [line.partition(": ")[2] for line in output.splitlines()]


@pytest.mark.parametrize("situation", LISTED, ids=lambda folder: folder.name)
def test_each_listed_problem_is_found(situation: Path) -> None:
    """A line of problems.txt is the beginning of a line that is printed: object, field and reason; no other is."""
    found = without_places(check("--all", str(situation / "meshdns.yaml")).stdout)
    expected = (situation / "problems.txt").read_text("utf-8").splitlines()
    assert [line for line in expected if not any(each.startswith(line) for each in found)] == []
    assert [each for each in found if not each.startswith(tuple(expected))] == []


@pytest.mark.parametrize("situation", LISTED, ids=lambda folder: folder.name)
def test_each_problem_says_what_to_do(situation: Path) -> None:
    """Every printed line ends with advice, after a semicolon, and the exit code says that there are problems."""
    result = check("--all", str(situation / "meshdns.yaml"))
    assert [line for line in result.stdout.splitlines() if "; " not in line] == []
    assert result.exit_code == 79  # findings


@pytest.mark.parametrize("situation", LISTED, ids=lambda folder: folder.name)
def test_each_problem_is_named_once_with_its_place(situation: Path) -> None:
    """``file:line: Kind namespace/name: field: reason``, the field left out where there is none; in order of places.

    A problem of a cluster as a whole has the cluster in place of a place, and comes last.
    """
    lines = check("--all", str(situation / "meshdns.yaml")).stdout.splitlines()
    form = re.compile(r"(?:(/\S+):(\d+): \w+|(\S+): Cluster) \S+: (?!: )\S.*")
    assert [line for line in lines if form.fullmatch(line) is None] == []
    places = [(found[1], int(found[2])) for line in lines if (found := form.fullmatch(line)) and found[1]]
    assert all(line.startswith("/") for line in lines[: len(places)])
    assert places == sorted(places)
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize("settings", FAULTLESS, ids=lambda path: f"{path.parent.name} {path.name}")
def test_other_situations_are_clean(settings: Path) -> None:
    """What is shown as a good example has nothing that anybody must look at."""
    result = check(str(settings))
    assert result.stdout == ""
    assert result.exit_code == 0
