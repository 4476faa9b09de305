"""Turns in which clusters are read for the first time, so that the names of the own cluster come at once.

Rules:
- The own cluster waits for nobody. While it is being read the others wait, 10 s at most.
- Of the others 8 begin at a time, in this order: those that the settings name, those that an earlier process served,
  the rest; among equals whoever came first. A turn ends when everything was listed, and after 3 s at the latest: a
  cluster that is slow or does not answer is read on, beside the next one.

Time comes from the running loop.
"""

import asyncio
import enum
import heapq
from collections.abc import Callable
from typing import Final

TURNS: Final = 8
TURN_LENGTH: Final = 3.0  # seconds
OWN_LEAD: Final = 10.0
"""Seconds for which the own cluster is read alone, at most."""


class StartOrder(enum.IntEnum):
    """Who begins before whom."""

    OWN = 0
    NAMED = 1
    REMEMBERED = 2
    OTHER = 3


class StartQueue:
    """The turns of one process."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0
        self._turns = 0
        self._own_is_first = False

    def begin_own(self) -> None:
        """The own cluster is about to be read."""
        self._own_is_first = True
        asyncio.get_running_loop().call_later(OWN_LEAD, self.end_own)

    def end_own(self) -> None:
        """The own cluster was read."""
        if self._own_is_first:
            self._own_is_first = False
            self._admit()

    async def wait_turn(self, order: StartOrder) -> Callable[[], None]:
        """Wait for a turn; returns what ends it, which may be called more than once."""
        if order is StartOrder.OWN:
            return self.end_own
        self._count += 1
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (order, self._count, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._end_turn()
            raise
        return self._start_turn()

    def _start_turn(self) -> Callable[[], None]:
        has_ended = False

        def end() -> None:
            nonlocal has_ended
            if not has_ended:
                has_ended = True
                timer.cancel()
                self._end_turn()

        timer = asyncio.get_running_loop().call_later(TURN_LENGTH, end)
        return end

    def _end_turn(self) -> None:
        self._turns -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._turns < TURNS and not self._own_is_first:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                self._turns += 1
                turn.set_result(None)
