"""A name database that cannot grow."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_database_that_cannot_grow_is_a_problem_and_serves_on(tmp_path: Path) -> None:
    """What was committed last is served on, and the reason is shown as a problem until a commit succeeds again."""
    command = [sys.executable, "-m", "tests.controller.full_namedb", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.stdout.splitlines() == [
        "served True, failed False, problems []",
        "served True, failed True, problems ['database']",
        "served True, failed False, problems []",
    ], done.stderr
