"""What is wrong is found within two commands, as the documents say."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig.packages import program

DOCUMENT = Path(__file__).parents[2] / "docs/debugging.md"


@pytest.mark.rig
def test_every_fault_is_found_within_two_commands() -> None:
    """A dead gateway, an expired token, a conflict, a wrong name, a hidden one; ``docs/debugging.md`` shows all of it.

    ``unshare --net python -m tests.e2e.operators_scene > docs/debugging.md`` writes that anew.
    """
    command = [program("unshare"), "--net", sys.executable, "-m", "tests.e2e.operators_scene"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout == DOCUMENT.read_text()
