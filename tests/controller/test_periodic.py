"""Background work in rounds: real tasks, a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshdns.controller import periodic
from meshdns.controller.periodic import PeriodicRunner
from meshdns.mesh.fair_timers import NOBODY, FairTimers, Shares

DEADLINE = 15.0  # seconds; a condition that takes longer is a failure


class Work:
    """Rounds over items that are all due, whose work waits for the test."""

    def __init__(self, items: str, *, most: int) -> None:
        self.timers: FairTimers[str] = FairTimers(lambda _: NOBODY, Shares(owner=most, cluster=most, urgent=most))
        for item in items:
            self.timers.schedule(item, 0.0)
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.gates = {item: asyncio.Event() for item in items}
        self.runner = PeriodicRunner(self.timers, concurrency=most, clock=asyncio.get_running_loop().time)

    async def do(self, item: str) -> None:
        """Say that the work began, and do it when the gate opens."""
        self.begun.put_nowait(item)
        await self.gates[item].wait()

    async def next(self) -> str:
        """The next item whose work begins."""
        return await asyncio.wait_for(self.begun.get(), DEADLINE)


def with_runner(items: str, most: int, body: Callable[[Work], Awaitable[None]]) -> None:
    """Run `body` while the rounds run."""

    async def main() -> None:
        work = Work(items, most=most)
        run = asyncio.create_task(work.runner.run(work.do, name="work"), name="rounds")
        await body(work)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    asyncio.run(main())


def test_no_more_is_done_at_once_than_allowed_and_the_rest_follows() -> None:
    """The third item waits until one of the first two is done."""

    async def body(work: Work) -> None:
        assert {await work.next(), await work.next()} == {"a", "b"}
        assert len(work.timers) == 1
        work.gates["b"].set()
        assert await work.next() == "c"

    with_runner("abc", 2, body)


def test_what_is_put_on_the_agenda_is_seen_at_a_look() -> None:
    """Rounds that wait for nothing begin at once with what is new."""

    async def body(work: Work) -> None:
        assert await work.next() == "a"
        work.gates["b"] = asyncio.Event()
        work.timers.schedule("b", 0.0)
        work.runner.wake()
        assert await work.next() == "b"

    with_runner("a", 9, body)


def test_what_falls_due_is_done_without_a_look() -> None:
    """The agenda's own next due time ends the wait."""

    async def body(work: Work) -> None:
        work.gates["b"] = asyncio.Event()
        work.timers.schedule("b", asyncio.get_running_loop().time() + 0.05)
        work.runner.wake()
        assert {await work.next(), await work.next()} == {"a", "b"}

    with_runner("a", 9, body)


def test_work_cut_short_is_due_again() -> None:
    """After a cancelled run, begun anew, nothing is lost: what ran is done again, what was done is not."""

    async def body(work: Work) -> None:
        await work.next()
        await work.next()
        work.gates["a"].set()
        assert await work.next() == "c"

    async def main() -> None:
        work = Work("abc", most=2)
        run = asyncio.create_task(work.runner.run(work.do, name="work"), name="rounds")
        await body(work)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        assert sorted(work.timers.pop_due(float("inf"), limit=9)) == ["b", "c"]

    asyncio.run(main())


def test_an_unforeseen_exception_ends_the_run_and_loses_nothing() -> None:
    """Whoever supervises the run hears of it; the item stays on the agenda."""

    async def fail(item: str) -> None:
        raise LookupError(item)

    async def main() -> None:
        work = Work("a", most=2)
        with pytest.raises(ExceptionGroup) as raised:
            await asyncio.wait_for(work.runner.run(fail, name="work"), DEADLINE)
        assert raised.group_contains(LookupError)
        assert len(work.timers) == 1

    asyncio.run(main())


def test_what_falls_due_while_the_machine_is_suspended_is_done_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock leaps by an hour; the loop's own timer, which stood still, is not waited for."""
    monkeypatch.setattr(periodic, "_LONGEST_WAIT", 0.01)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        suspended = 0.0
        timers: FairTimers[str] = FairTimers(lambda _: NOBODY, Shares(owner=1, cluster=1, urgent=1))
        timers.schedule("a", loop.time() + 3600)
        done = asyncio.Event()
        runner = PeriodicRunner(timers, concurrency=1, clock=lambda: loop.time() + suspended)

        async def work(_item: str) -> None:
            done.set()

        run = asyncio.create_task(runner.run(work, name="work"), name="rounds")
        await asyncio.sleep(0)
        suspended = 3600.0
        await asyncio.wait_for(done.wait(), DEADLINE)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    asyncio.run(main())
