"""An API server that is there no more and does not say so: its packets vanish, in the middle of open connections."""

import subprocess
import sys

import pytest

from tests.rig.packages import program

pytestmark = pytest.mark.long

SEEN = """\
the cluster is synced
a reason is shown, and answers go on
what changed meanwhile is answered
"""


@pytest.mark.rig
@pytest.mark.timeout(300)
def test_a_black_hole_is_noticed_and_costs_no_answer() -> None:
    """Soon the cluster's state says that it cannot be reached; its names are answered throughout."""
    command = [program("unshare"), "--net", sys.executable, "-m", "tests.faults.black_hole_scene"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert (done.stdout, done.returncode) == (SEEN, 0), done.stderr
