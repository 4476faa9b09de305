"""A child is kept running: with backoff when it dies, at once when it is renewed, and never against its end."""

import asyncio
import os
import signal
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshdns.instance.metric_pages import MESSAGE_FAULTS, TASK_FAILURES, MetricDefinition, MetricPage
from meshdns.instance.pipe import MAX_MESSAGE, MessageReader
from meshdns.supervisor import child
from meshdns.supervisor.child import LOST_STATUS, MIN_RESTART_DELAY, Child
from meshdns.supervisor.guard import Guard
from tests.supervisor import junk_child

_MODULE = "child_program"
_DEADLINE = 60.0  # seconds


class _ChildRecorder:
    """One child, what it said and how it ended; `config` is its next greeting."""

    def __init__(self, order: str, *, module: str = _MODULE, failing: Collection[str] = ()) -> None:
        self.config = order
        self.failing = set(failing)  # callbacks that raise: config, message, exit
        self.metrics = MetricPage()
        self.messages: list[dict[str, Any]] = []
        self.exit_statuses: list[int] = []
        self.start_times: list[float] = []
        self.pids: list[int] = []  # of the processes that were configured
        self.child: Child[dict[str, Any]] = Child(
            "child_program",
            module,
            guard=Guard(self.metrics),
            make_config=self._next_config,
            decode=_decode,
            on_message=self._take_message,
            on_exit=self._take_exit,
        )

    def _take_message(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self._fail_if("message")

    def _take_exit(self, status: int) -> None:
        self.exit_statuses.append(status)
        self._fail_if("exit")

    def _fail_if(self, callback: str) -> None:
        if callback in self.failing:
            raise ValueError(callback)

    def count(self, metric: MetricDefinition, name: str) -> float:
        """What the guard counted."""
        return self.metrics.series_values(metric, name)[0]

    def _next_config(self) -> bytes:
        self.start_times.append(time.monotonic())
        self.pids.append(self.child.pid)
        self._fail_if("config")
        return self.config.encode()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition on this family."""
        async with asyncio.timeout(_DEADLINE):
            while not condition():  # noqa: ASYNC110 — what is waited for has no event
                await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children find the module beside this file."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def _decode(line: bytes) -> dict[str, Any]:
    return msgspec.json.decode(line, type=dict[str, Any])


def _with(
    order: str,
    body: Callable[[_ChildRecorder], Awaitable[None]],
    *,
    module: str = _MODULE,
    failing: Collection[str] = (),
) -> None:
    async def run() -> None:
        family = _ChildRecorder(order, module=module, failing=failing)
        running = asyncio.create_task(family.child.run(), name="child")
        try:
            await body(family)
        finally:
            await family.child.stop()
            await running

    asyncio.run(run())


def test_child_is_greeted_and_heard() -> None:
    """Its first line is the greeting; JSON lines are heard, others passed over; what is said later arrives."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.messages)
        family.config = "hello"
        family.child.configure()
        await family.until(lambda: len(family.messages) == 2)
        assert family.messages == [{"heard": ["live"], "pid": family.child.pid}, {"more": "hello"}]

    _with("live", body)


@pytest.mark.slow
def test_dying_child_is_started_again_with_growing_delays() -> None:
    """Delays at least double from one to the next but for the jitter, from a twentieth of a second on."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: len(family.start_times) == 6)
        assert family.exit_statuses[:5] == [3] * 5
        assert family.child.restart_count >= 5
        delays = [later - earlier for earlier, later in zip(family.start_times, family.start_times[1:], strict=False)]
        for turn, delay in enumerate(delays):
            assert delay >= MIN_RESTART_DELAY * 2**turn / 2

    _with("exit 3", body)


def test_signal_is_told_as_a_negative_status() -> None:
    """A child that dies of SIGBUS ends with -7, by which a damaged name database is known."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.exit_statuses)
        assert family.exit_statuses[0] == -signal.SIGBUS

    _with("crash", body)


def test_renewed_child_gets_a_new_greeting_without_a_delay_or_a_complaint() -> None:
    """Renewal is no death: nothing is counted, nobody is told, and the new one hears the new line."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.messages)
        family.config = "live anew"
        family.child.restart()
        await family.until(lambda: len(family.messages) == 2)
        assert family.messages[1]["heard"] == ["live", "anew"]
        assert (family.exit_statuses, family.child.restart_count) == ([], 0)

    _with("live", body)


def test_stop_ends_a_child_that_waits_for_its_next_life() -> None:
    """No child is started after `stop`, not even one whose delay was under way."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: len(family.exit_statuses) == 3)
        lives = len(family.start_times)
        await family.child.stop()
        assert len(family.start_times) == lives

    _with("exit 1", body)


@pytest.mark.slow
def test_deaf_child_is_killed_in_the_end() -> None:
    """A child without ears for SIGTERM gets SIGKILL once patience is over."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.messages)
        pid = family.child.pid
        await family.child.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    _with("deaf", body)


def test_child_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the program is missing for a while the supervisor lives on, and the child comes when it is back."""
    program = sys.executable
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: len(family.exit_statuses) == 2)
        assert family.exit_statuses == [os.EX_OSERR] * 2
        monkeypatch.setattr(sys, "executable", program)
        await family.until(lambda: family.messages)

    _with("live", body)


# ---------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("kind", sorted(junk_child.JUNK))
def test_junk_costs_only_itself(kind: str) -> None:
    """Whatever a child writes, its next message is taken, and each line that is none is counted."""
    lines = [line for line in junk_child.JUNK[kind].split(b"\n") if line.strip()]

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.messages)
        assert family.messages == [{"good": True}]
        assert family.count(MESSAGE_FAULTS, "child_program") == len(lines)
        assert (family.exit_statuses, family.child.restart_count) == ([], 0)

    _with(kind, body, module="junk_child")


def test_line_without_end_is_read_in_bounded_memory() -> None:
    """It is one fault, of which no more than a line is held; the child can be stopped as any other."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.count(MESSAGE_FAULTS, "child_program"))
        tracemalloc.start()
        for _ in range(20):
            await asyncio.sleep(0.01)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 * MAX_MESSAGE
        assert family.count(MESSAGE_FAULTS, "child_program") == 1

    _with("endless", body, module="junk_child")


def test_half_line_of_a_dying_child_is_dropped() -> None:
    """It is no fault, and nothing of it is joined to what the next process writes."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.exit_statuses)
        family.config = "no-json"
        await family.until(lambda: family.messages)
        assert family.messages == [{"good": True}]
        assert family.count(MESSAGE_FAULTS, "child_program") == 1

    _with("half", body, module="junk_child")


def test_burst_of_faults_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Five thousand lines that are no messages are one line of the log, and all are counted."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.messages)
        assert family.count(MESSAGE_FAULTS, "child_program") == 5000

    _with("burst", body, module="junk_child")
    assert sum("no message" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("callback", ["message", "exit"])
def test_callback_that_raises_ends_nothing(callback: str) -> None:
    """The child lives on, or is started again; the failure is counted under the callback's name."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.count(TASK_FAILURES, f"{callback} of child_program") >= 2)
        await family.until(lambda: len(family.exit_statuses) >= 2)

    _with("exit 3", body, failing=[callback])


def test_first_configuration_that_cannot_be_made_is_tried_again() -> None:
    """The process waits for it; it gets it as soon as it can be made, and was not restarted."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: len(family.start_times) >= 2)
        assert not family.child.is_configured
        family.failing.clear()
        await family.until(lambda: family.messages)
        assert family.messages[0]["heard"] == ["live"]
        assert family.count(TASK_FAILURES, "settings of child_program") >= 2
        assert family.exit_statuses == []

    _with("live", body, failing=["config"])


def test_restarted_child_has_its_last_configuration_while_no_new_one_can_be_made() -> None:
    """What was in force before stays in force, and the new one follows."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.messages)
        family.config = "live anew"
        family.failing.add("config")
        family.child.restart()
        await family.until(lambda: len(family.messages) == 2)
        assert family.messages[1]["heard"] == ["live"]
        family.failing.clear()
        await family.until(lambda: len(family.messages) == 3)
        assert family.messages[2] == {"more": "live anew"}

    _with("live", body)


def test_settings_that_are_too_long_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child keeps what it has; the failure is counted."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.messages)
        monkeypatch.setattr(child, "MAX_SETTINGS", 100)
        family.config = "x" * 101
        family.child.configure()
        assert family.count(TASK_FAILURES, "settings of child_program") == 1
        family.config = "short"
        await family.until(lambda: len(family.messages) == 2)
        assert family.messages[1] == {"more": "short"}

    _with("live", body)


def test_child_that_reads_nothing_is_sent_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is bounded, and the rest is counted as its fault."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.messages)
        monkeypatch.setattr(child, "MAX_UNREAD", 1 << 20)
        os.kill(family.child.pid, signal.SIGSTOP)
        sent = [family.child.send(b"x" * (1 << 18)) for _ in range(20)]
        assert 4 <= sum(sent) <= 6
        assert family.count(MESSAGE_FAULTS, "child_program") == 1 + 20 - sum(sent)  # one line of its own is none
        family.child.kill()

    _with("live", body)


def test_crash_before_an_ordered_exit_is_reported() -> None:
    """A process that dies of SIGBUS while it is being restarted has not exited as it was told."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.messages)
        pid = family.child.pid
        os.kill(pid, signal.SIGSTOP)
        await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)  # else it dies of the SIGTERM
        family.child.restart()
        os.kill(pid, signal.SIGBUS)
        os.kill(pid, signal.SIGCONT)
        await family.until(lambda: family.exit_statuses)
        assert family.exit_statuses == [-signal.SIGBUS]
        await family.until(lambda: len(family.messages) == 2)

    _with("live", body)


def test_lost_exit_status_is_reported_as_lost() -> None:
    """A status that somebody else has read, or the system did not keep, is no ordinary exit."""

    async def body(family: _ChildRecorder) -> None:
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            await family.until(lambda: family.exit_statuses)
        finally:
            signal.signal(signal.SIGCHLD, before)
        assert family.exit_statuses[0] == LOST_STATUS

    _with("crash", body)


def test_fault_around_a_process_ends_it_and_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw is counted; the process does not stay behind unsupervised."""

    async def body(family: _ChildRecorder) -> None:
        await family.until(lambda: family.messages)
        broken = property(lambda _self: 1 / 0)
        with monkeypatch.context() as patch:
            patch.setattr(MessageReader, "receive", broken)
            family.child.kill()
            await family.until(lambda: family.count(TASK_FAILURES, "child_program"))
        await family.until(lambda: len(family.messages) >= 2)
        assert len(family.pids) >= 3
        for pid in family.pids[:-1]:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    _with("live", body)
