"""Clocks with and without the time of suspension, and moments that outlive a process."""

import re
import time
from pathlib import Path

import pytest

import meshdns
from meshdns.instance import clocks
from meshdns.instance.clocks import Moment, SuspensionWatch, boot_time, current_moment


def test_boot_clock_counts_what_the_monotonic_clock_does_not() -> None:
    """It is CLOCK_BOOTTIME where the system has one."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        assert boot_time is time.monotonic
        return
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= boot_time() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_system_without_a_boot_clock_has_the_monotonic_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert clocks._boot_clock() is time.monotonic


def test_suspension_is_noticed_once() -> None:
    """Running for long is none, however late the next look is."""
    running, suspended = [0.0], [0.0]
    watch = SuspensionWatch(boot=lambda: running[0] + suspended[0], running=lambda: running[0])
    running[0] += 3600
    assert not watch.was_suspended()
    suspended[0] += 30
    assert watch.was_suspended()
    assert not watch.was_suspended()


def test_age_within_one_boot_does_not_follow_the_wall_clock() -> None:
    """The wall clock may be set; across a reboot there is no other."""
    then = Moment("one", 100.0, 5000.0)
    assert then.age(Moment("one", 160.0, 0.0)) == 60
    assert then.age(Moment("two", 10.0, 5090.0)) == 90
    assert then.age(Moment("two", 10.0, 10.0)) == 0
    assert Moment("", 100.0, 5000.0).age(Moment("", 900.0, 5001.0)) == 1


def test_present_moment_has_no_age() -> None:
    """What is read twice is of one boot."""
    assert current_moment().age(current_moment()) < 3600


RUNNING_CLOCK = {
    "controller/__main__.py": "heartbeats, durations of changes, the lease of live queries, probes of gateways",
    "controller/admin/server.py": "how long one report serves all who ask for it",
    "controller/hostname_resolver.py": "how long one look-up takes",
    "controller/source_runner.py": "how long a source ran",
    "instance/clocks.py": "the clocks themselves",
    "instance/process.py": "bursts of faults",
    "sources/cluster_reader.py": "timeouts, pauses and watches; suspension is noticed by the follower",
    "sources/kube/identity.py": "how long one look holds; suspension is noticed",
    "sources/read_limits.py": "how long a lease of the list budget is held",
    "sources/remote_secrets.py": "how long a watch lasted",
    "supervisor/child.py": "restart delays",
    "supervisor/guard.py": "delays of retries",
    "supervisor/handover.py": "a timeout",
    "supervisor/sockets.py": "a timeout",
    "supervisor/supervisor.py": "heartbeats",
    "upstream/forwarder.py": "timeouts of exchanges",
    "upstream/tls.py": "timeouts of connections",
    "worker/selector.py": "timeouts of the loop",
    "worker/worker.py": "heartbeats, and the time to drain",
}
"""Modules that read the clock that stands still in suspend, and what they measure: no ages of data."""

BOOT_CLOCK = {
    "controller/__main__.py": "contacts with clusters, look-ups of host names",
    "controller/kept_contacts.py": "contacts over a restart",
    "controller/controller.py": "as above",
    "sources/folder/source.py": "contacts with folders",
    "sources/kube/client.py": "credentials",
    "sources/kube/follower.py": "silence of watches",
    "sources/kube/identity.py": "whose cluster it is",
    "worker/worker.py": "cached answers, received queries",
}
"""Modules that use `meshdns.instance.clocks`, and what for."""


def _modules_with(pattern: str) -> set[str]:
    root = Path(meshdns.__file__).parent
    found = {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.py")}
    return {name for name, text in found.items() if re.search(pattern, text)}


def test_ages_of_data_are_not_measured_with_the_monotonic_clock() -> None:
    """Whoever reads it is in the table with what it measures; a new reader has to choose its clock."""
    assert _modules_with(r"time\.monotonic|loop\.time\b|_loop\(\)\.time\b|time\.perf_counter_ns") == set(RUNNING_CLOCK)
    assert _modules_with(r"from meshdns\.instance\.clocks import") == set(BOOT_CLOCK)
