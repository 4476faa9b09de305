"""The main job where its users are: two clusters, the cluster's own DNS in front, a gateway between."""

import subprocess
import sys

import pytest

from tests.rig.packages import program

SEEN = """\
meshdns is ready as the chart starts it
CoreDNS answers for cluster1
frontend.default.global is reached through a gateway of cluster2
frontend.default is reached through a gateway of cluster2
frontend is reached through a gateway of cluster2
its gateway dies and the name moves
frontend.default is reached through the other gateway
"""


@pytest.mark.rig
@pytest.mark.timeout(300)
def test_client_reaches_the_other_cluster() -> None:
    """With ndots:5 and the demo's search list a client resolves, connects, and follows when a gateway dies."""
    command = [program("unshare"), "--net", "--mount", sys.executable, "-m", "tests.e2e.two_nodes_scene"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert (done.stdout, done.returncode) == (SEEN, 0), done.stderr
