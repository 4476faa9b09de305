"""How often all kinds of a cluster together ask a server that fails, in virtual time."""

import asyncio
from collections.abc import Callable

import pytest

from meshdns.sources.kube.request_gate import SPACING, RequestGate
from tests.sources.virtual_time_loop import VirtualTimeLoop

KINDS = 8


class Server:
    """Answers at once, as told; `requested_at` are the times of requests."""

    def __init__(self, courtesy: RequestGate, *, well: Callable[[float], bool]) -> None:
        self.gate = courtesy
        self.requested_at: list[float] = []
        self.succeeded_at: list[float] = []
        self._well = well

    async def kind(self) -> None:
        """Ask until it is well, with a short backoff of one's own."""
        clock = asyncio.get_running_loop().time
        while True:
            await self.gate.wait_turn()
            self.requested_at.append(clock())
            await asyncio.sleep(0.01)
            if self._well(clock()):
                self.gate.record_success()
                self.succeeded_at.append(clock())
                return
            self.gate.record_failure()
            await self.gate.sleep(clock() + 25.0, wake_on_recovery=True)


def play(well: Callable[[float], bool], *, seconds: float = 3600.0) -> Server:
    """Eight kinds against a server, for so long."""

    async def run() -> Server:
        courtesy = RequestGate(clock=asyncio.get_running_loop().time, draw=lambda: 0.0)
        server = Server(courtesy, well=well)
        tasks = [asyncio.create_task(server.kind(), name="kind") for _ in range(KINDS)]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return server

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(run())


@pytest.mark.parametrize("minutes", [1, 2, 60])
def test_a_server_that_fails_is_asked_once_in_four_seconds(minutes: int) -> None:
    """All kinds together, from the first minute on."""
    server = play(lambda _: False, seconds=60.0 * minutes)
    assert len(server.requested_at) <= 60 * minutes / SPACING + 1


def test_a_server_that_is_well_is_asked_by_all_kinds_after_the_first_reply() -> None:
    """One request goes ahead; the others follow its answer."""
    server = play(lambda _: True)
    assert [round(time, 2) for time in server.requested_at] == [0.0] + [0.01] * 7


def test_the_first_good_reply_lets_all_go_on() -> None:
    """Those that wait for their turn and those that wait out a failure."""
    server = play(lambda now: now > 300)
    assert len(server.succeeded_at) == KINDS
    assert max(server.succeeded_at) - min(server.succeeded_at) < 0.1


def test_one_failure_holds_nobody_up() -> None:
    """Only the second in a row, with no good reply in between, closes the way."""

    async def run() -> list[float]:
        clock = asyncio.get_running_loop().time
        courtesy = RequestGate(clock=clock, draw=lambda: 0.0)
        times = []
        for reply in (
            courtesy.record_success,
            courtesy.record_failure,
            courtesy.record_success,
            courtesy.record_failure,
            courtesy.record_failure,
        ):
            reply()
            begun = clock()
            await courtesy.wait_turn()
            times.append(clock() - begun)
        return times

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(run()) == [0.0, 0.0, 0.0, 0.0, SPACING]


def test_new_credentials_are_tried_at_once_now_and_then() -> None:
    """A token that was rotated works again without a wait; one that stays bad is not tried in a loop."""

    async def run() -> list[float]:
        clock = asyncio.get_running_loop().time
        courtesy = RequestGate(clock=clock, draw=lambda: 0.0)
        courtesy.record_success()
        times = []
        for _ in range(3):
            courtesy.record_failure()
            courtesy.record_failure()
            courtesy.record_renewal()
            begun = clock()
            await courtesy.wait_turn()
            times.append(clock() - begun)
        return times

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(run()) == [0.0, SPACING, SPACING]
