"""Each row of the threat model names tests that exist."""

import re
from collections import Counter

from tests.deploy.places import CHECKOUT

PAGE = CHECKOUT / "docs" / "threat-model.md"


def test_every_threat_names_tests_that_exist() -> None:
    """Each row has at least one test, and each name stands for one test only, which cannot be mistaken for another."""
    sources = "\n".join(path.read_text() for path in (CHECKOUT / "tests").rglob("test_*.py"))
    there = Counter(re.findall(r"^(?:async )?def (test_\w+)\(", sources, re.MULTILINE))
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and line.count("|") == 4]
    threats = [line for line in rows if not line.startswith("| threat |")]
    assert len(threats) > 20
    for line in threats:
        named = re.findall(r"`(test_\w+)`", line.split("|")[3])
        assert named, line
        assert {name: there[name] for name in named} == dict.fromkeys(named, 1), line
