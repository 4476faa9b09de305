"""The threat model is no promise: each of its rows names tests, and those exist."""

import re

from tests.deploy.places import CHECKOUT

PAGE = CHECKOUT / "docs" / "threat-model.md"


def test_every_threat_names_tests_that_exist() -> None:
    """Each row of a table with tests has at least one, and every test that is named is somewhere in `tests`."""
    sources = "\n".join(path.read_text() for path in (CHECKOUT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^(?:async )?def (test_\w+)\(", sources, re.MULTILINE))
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and line.count("|") == 4]
    threats = [line for line in rows if not line.startswith("| threat |")]
    assert len(threats) > 20
    for line in threats:
        named = re.findall(r"`(test_\w+)`", line.split("|")[3])
        assert named, line
        assert set(named) <= there, set(named) - there
