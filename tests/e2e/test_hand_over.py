"""SIGUSR2: the running server is replaced by what is installed now, and no query notices.

The environment variable HAND_OVER_RATE says how many queries a second there are (default: 2,000, for a busy machine):
``HAND_OVER_RATE=5000 .venv/bin/python -m pytest tests/e2e/test_hand_over.py -k lose_no_query`` on a quiet one.
"""

import os
import signal
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.instance import Instance, alive, on_boutique, wait_until_ready
from tests.e2e.load import BOUTIQUE, Load
from tests.rig.ports import free_port
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = pytest.mark.long

RATE: Final = int(os.environ.get("HAND_OVER_RATE", "2000"))  # queries/s


@pytest.fixture
def pair(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """An instance with two workers."""
    with on_boutique(clusters, resolver, workers=2) as instance:
        wait_until_ready(instance)
        yield instance


def _everybody(instance: Instance) -> set[int]:
    return {pid for pids in instance.children().values() for pid in pids}


def _handed_over(instance: Instance, before: set[int]) -> bool:
    """Whether a whole new family serves and the old one has ended and been buried."""
    now = _everybody(instance)
    gone = not any(Path(f"/proc/{pid}").exists() for pid in before)
    return gone and len(now) == len(before) and instance.page("/ready")[0] == HTTPStatus.OK


def test_three_replacements_in_a_row_lose_no_query(pair: Instance) -> None:
    """Under thousands of queries/s SIGUSR2, three times: the pid stays, the children are new, all are answered."""
    supervisor = pair.pid
    began = time.monotonic()
    with Load(pair.server, BOUTIQUE, rate=RATE, limit=100) as load:
        for _ in range(3):
            before = _everybody(pair)
            pair.kill(supervisor, signal.SIGUSR2)
            eventually(lambda before=before: _handed_over(pair, before), what="the new ones serve", within=60)  # type: ignore[misc]
        asked = load.sent / (time.monotonic() - began)
        outcome = load.end()
    assert outcome.clean, outcome
    assert asked > RATE / 2, f"only {asked:.0f} queries/s were sent"
    assert pair.pid == supervisor
    assert pair.running


def test_new_program_takes_new_settings(pair: Instance) -> None:
    """The number of workers and the HTTP port, which SIGHUP cannot change, change with SIGUSR2."""
    before = _everybody(pair)
    pair.http = free_port()
    pair.change(workers=1)
    pair.kill(pair.pid, signal.SIGUSR2)
    eventually(lambda: pair.page("/ready")[0] == HTTPStatus.OK, what="the new HTTP port says ready", within=60)
    eventually(lambda: not any(map(alive, before)), what="the old ones have ended", within=60)
    assert len(pair.workers) == 1
    assert pair.addresses("frontend.default.global") == ["203.0.113.20"]


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"listen": ["127.0.0.1:53535"]}], ids=["invalid", "moved"])
def test_replacement_that_cannot_work_is_refused(pair: Instance, wrong: dict[str, object]) -> None:
    """With wrong settings, or others for what is handed over, the running server stays and says why."""
    before = _everybody(pair)
    pair.change(**wrong)
    pair.kill(pair.pid, signal.SIGUSR2)
    eventually(lambda: "not replaced: " in pair.log(), what="the log says why")
    assert _everybody(pair) == before
    assert pair.addresses("frontend.default.global") == ["203.0.113.20"]


def test_signals_during_a_replacement_wait(pair: Instance) -> None:
    """SIGHUP and SIGUSR2 that come while the new program starts end nobody."""
    before = _everybody(pair)
    pair.kill(pair.pid, signal.SIGUSR2)
    eventually(lambda: pair.page("/metrics")[0] == 0, what="the old program is gone", within=60)
    pair.kill(pair.pid, signal.SIGHUP)
    pair.kill(pair.pid, signal.SIGUSR2)
    eventually(lambda: _handed_over(pair, before), what="the new ones serve", within=60)
    assert pair.addresses("frontend.default.global") == ["203.0.113.20"]


def test_stopped_children_do_not_hold_up_a_replacement(pair: Instance) -> None:
    """A worker and a controller that stand still are killed in the end; the new ones serve long before."""
    before = _everybody(pair)
    pair.kill(pair.workers[0], signal.SIGSTOP)
    pair.kill(pair.controller, signal.SIGSTOP)
    pair.kill(pair.pid, signal.SIGUSR2)
    eventually(lambda: _handed_over(pair, before), what="the new ones serve", within=60)


def test_killed_after_a_replacement_leaves_nobody(pair: Instance) -> None:
    """``kill -9`` of a supervisor that has replaced itself ends all of its children too."""
    before = _everybody(pair)
    pair.kill(pair.pid, signal.SIGUSR2)
    eventually(lambda: _handed_over(pair, before), what="the new ones serve", within=60)
    children = pair.crash()
    eventually(lambda: not any(map(alive, children)), what="all have ended", within=60)
    assert not any(map(alive, before))
    pair.start()
