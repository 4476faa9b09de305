"""Clocks with and without the time of suspension, and moments that outlive a process."""

import time

import pytest

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
