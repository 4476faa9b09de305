"""An instance whose processes all stand still for a while, as in a frozen container or a paused machine."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshdns.supervisor.supervisor import WORKER_HEARTBEAT_TIMEOUT
from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.rig.unbound import Unbound

STANDS = WORKER_HEARTBEAT_TIMEOUT + 7.0  # seconds; longer than any heartbeat may be away


@pytest.fixture
def instance(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """An instance with two workers."""
    with on_boutique(clusters, resolver, workers=2) as instance:
        wait_until_ready(instance)
        yield instance


def test_nobody_is_killed_after_all_stood_still_together(instance: Instance) -> None:
    """The judge wakes up first and sees old heartbeats: it kills nobody, and no answer is called stale."""
    before = instance.children()
    pids = [instance.pid, *(pid for found in before.values() for pid in found)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STANDS)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    began = time.monotonic()
    while time.monotonic() < began + 1.5:  # some looks at the heartbeats
        reply = instance.ask("frontend.default.global")
        assert (reply.rdata, reply.ede) == (("203.0.113.20",), ())
    assert instance.children() == before
    assert instance.metric("meshdns_child_restarts_total") == 0
