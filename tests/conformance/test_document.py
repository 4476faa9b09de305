"""docs/conformance.md is of these tables, and what it says of meshdns is what meshdns is to do."""

import re
from pathlib import Path

import pytest

from tests.conformance.cases import CASES
from tests.conformance.document import DOCUMENT
from tests.conformance.forwarders import FORWARDERS, MESHDNS
from tests.conformance.rows import ROWS, cases_of
from tests.conformance.situations import views
from tests.conformance.zone_rules import RULES
from tests.simulators.behaviour_docs import BEHAVIOUR_DOCS
from tests.simulators.behaviours import BEHAVIOURS

_ROOT = Path(__file__).parents[2]
_ADVICE = "run `make conformance` and keep docs/conformance.md"


def _tables(title: str) -> list[list[str]]:
    """The rows of the tables below a heading, its head left out."""
    text = re.split(r"^#+ ", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE)
    section = next(part for part in text if part.partition("\n")[0] == title)
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return [row for row in cells if set(row[0]) != {"-"}]


@pytest.mark.parametrize("title", ["With a cold cache", "With a warm and with a stale cache"])
def test_the_document_has_every_behaviour(title: str) -> None:
    """In the order of the table, and each with its meaning."""
    names = [row[0].strip("`") for row in _tables(title)[1:]]
    assert names == list(BEHAVIOURS) == list(BEHAVIOUR_DOCS), _ADVICE
    assert len(names) >= 60


@pytest.mark.parametrize("title", ["With a cold cache", "With a warm and with a stale cache"])
def test_what_is_heard_of_meshdns_is_right(title: str) -> None:
    """Nothing is bold: no forgery, no late answer, no fourth query."""
    head, *rows = _tables(title)
    column = head.index(MESHDNS)
    for row in rows:
        assert "**" not in row[column], row
        assert all(int(number) <= 3 for number in re.findall(r" (\d+)(?:,|$)", row[column])), row


def test_the_document_compares_all_servers() -> None:
    """Each forwarder has its column, and its version is told."""
    head = _tables("Behind a hostile upstream")[0]
    assert head[1:] == [forwarder.title for forwarder in FORWARDERS.values()]
    assert {row[0] for row in _tables("Conformance")[1:]} == {*head[1:], "NSD"}


def test_the_document_has_every_case_row_and_rule() -> None:
    """The tables are those of today."""
    assert [row[0] for row in _tables("As an authority")[1:]] == [case.row for case in CASES], _ADVICE
    assert [int(row[0]) for row in _tables("The rows of the checklist")[1:]] == list(ROWS), _ADVICE
    random = [row[0] for row in _tables("Random questions")[1:]]
    assert random[: len(RULES)] == [rule.name for rule in RULES], _ADVICE
    assert set(random[len(RULES) + 1 :]) == {situation for situation, _ in views()}, _ADVICE


@pytest.mark.parametrize("number", ROWS)
def test_every_row_of_the_checklist_is_shown(number: int) -> None:
    """By cases, by tests that exist, or by a reason why it does not apply."""
    row = ROWS[number]
    assert bool(cases_of(number) or row.tests) != bool(row.apart)
    for named in row.tests:
        file, _, test = named.partition("::")
        assert re.search(rf"^def {test}\(", (_ROOT / file).read_text("utf-8"), re.MULTILINE), named


def test_the_rows_are_those_from_1_to_62() -> None:
    """None is left out, and every case belongs to one or to RFC 8906."""
    assert list(ROWS) == list(range(1, 63))
    assert {case.row.split()[0] for case in CASES} <= {"8906", *map(str, ROWS)}
