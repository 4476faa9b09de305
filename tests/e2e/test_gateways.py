"""Gateways that die and return, and gateways known by a host name."""

import subprocess
import sys

import pytest

from tests.rig.packages import program

SEEN = """\
both gateways are answered
a gateway's host name is flattened
a dead gateway leaves the answer
with all dead the level fails open
a gateway that returns is answered alone
a new controller knows what a host name resolved to though the upstream is dead
"""


@pytest.mark.rig
def test_gateways_die_and_return() -> None:
    """Probes and host names decide what dig sees, in a network namespace that owns the gateways' addresses."""
    command = [program("unshare"), "--net", sys.executable, "-m", "tests.e2e.gateway_scene"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert (done.stdout, done.returncode) == (SEEN, 0), done.stderr
