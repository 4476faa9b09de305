"""What the documents say of commands, against the commands."""

from pathlib import Path

import pytest

from meshdns.cli.reference import reference
from tests.cli.command_runner import CommandRunner

ROOT = Path(__file__).parents[2]


def test_the_reference_is_current() -> None:
    """``docs/cli.md`` is what ``python -m meshdns.cli.reference`` writes."""
    assert (ROOT / "docs/cli.md").read_text() == reference()


@pytest.mark.parametrize("word", ["clusters", "names"])
def test_a_refusal_is_no_missing_server(meshdns: CommandRunner, word: str, state: Path) -> None:
    """Nobody to ask is told from whatever else fails, by the status alone."""
    assert meshdns("get", word, "--state-dir", str(state)).status == 69
