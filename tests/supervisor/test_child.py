"""A child is kept running: with backoff when it dies, at once when it is renewed, and never against its end."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from meshdns.supervisor.child import MIN_RESTART_DELAY, Child

_MODULE = "child_program"
_DEADLINE = 60.0  # seconds


class _ChildRecorder:
    """One child, what it said and how it ended; `config` is its next greeting."""

    def __init__(self, order: str) -> None:
        self.config = order
        self.messages: list[dict[str, Any]] = []
        self.exit_statuses: list[int] = []
        self.start_times: list[float] = []
        self.child = Child(
            "child_program",
            _MODULE,
            initial_config=self._next_config,
            on_message=self.messages.append,
            on_exit=self.exit_statuses.append,
        )

    def _next_config(self) -> bytes:
        self.start_times.append(time.monotonic())
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


def _with(order: str, body: Callable[[_ChildRecorder], Awaitable[None]]) -> None:
    async def run() -> None:
        family = _ChildRecorder(order)
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
        family.child.send(b"hello")
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
