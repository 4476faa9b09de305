"""Nothing that the supervisor runs ends it: faults are counted, logged once per burst, and tried again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from meshdns.instance.bursts import QUIET
from meshdns.instance.metric_pages import MESSAGE_FAULTS, TASK_FAILURES, MetricPage
from meshdns.supervisor.guard import MAX_DELAY, MIN_DELAY, RESET_AFTER, Guard


class _Scene:
    """A guard in virtual time; `delays` are what it slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.delays: list[float] = []
        self.metrics = MetricPage()
        self.guard = Guard(self.metrics, clock=lambda: self.now)
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.delays.append(seconds)
        self.now += seconds

    def failures(self, task: str) -> float:
        return self.metrics.series_values(TASK_FAILURES, task)[0]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> _Scene:
    """A guard in virtual time."""
    return _Scene(monkeypatch)


def _failing(times: int, before: Callable[[int], None] = lambda _turn: None) -> Callable[[], Awaitable[None]]:
    """Return a task that raises so often, and then returns."""
    turns = iter(range(times + 1))

    async def run() -> None:
        turn = next(turns)
        before(turn)
        if turn < times:
            raise ValueError(turn)

    return run


def test_failed_task_is_run_again_with_growing_delays(scene: _Scene) -> None:
    """Each failure is counted; the delays double up to the longest one."""
    asyncio.run(scene.guard.keep_running("watch", _failing(12)))
    assert scene.failures("watch") == 12
    assert scene.delays[:4] == [MIN_DELAY, 2 * MIN_DELAY, 4 * MIN_DELAY, 8 * MIN_DELAY]
    assert max(scene.delays) == scene.delays[-1] == MAX_DELAY


def test_delays_start_over_once_the_task_has_run_for_a_while(scene: _Scene) -> None:
    """A failure after an hour is not the continuation of those before it."""

    def before(turn: int) -> None:
        scene.now += RESET_AFTER + 1 if turn == 3 else 0

    asyncio.run(scene.guard.keep_running("watch", _failing(5, before)))
    assert scene.delays == [MIN_DELAY, 2 * MIN_DELAY, 4 * MIN_DELAY, MIN_DELAY, 2 * MIN_DELAY]


def test_cancelled_task_ends_also_if_its_clean_up_raises() -> None:
    """What is raised in place of the cancellation does not make the task immortal."""
    metrics = MetricPage()

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("clean-up")

    async def scene() -> None:
        task = asyncio.create_task(Guard(metrics).keep_running("query log", run), name="query log")
        await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([task])

    asyncio.run(scene())
    assert metrics.series_values(TASK_FAILURES, "query log")[0] == 1


def test_callback_that_raises_gives_nothing(scene: _Scene) -> None:
    """What a callback returns is passed on; what it raises is counted."""
    assert scene.guard.call("reload", lambda: 7) == 7
    assert scene.guard.call("reload", lambda: 1 // 0) is None
    assert scene.failures("reload") == 1


def test_burst_is_logged_once(scene: _Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Each task has its own bursts; one is over after a minute without a fault."""
    with caplog.at_level(logging.ERROR):
        for _ in range(1000):
            scene.guard.record_failure("watch", ValueError("one"))
            scene.guard.record_message_fault("worker 0", "x" * 100_000)
        assert len(caplog.records) == 2
        assert all(len(record.getMessage()) < 400 for record in caplog.records)
        scene.now += QUIET + 1
        scene.guard.record_failure("watch", ValueError("two"))
    assert len(caplog.records) == 3
    assert (scene.failures("watch"), scene.metrics.series_values(MESSAGE_FAULTS, "worker 0")[0]) == (1001, 1000)
