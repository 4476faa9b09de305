"""A loop without a real clock: when nothing is left to do, its time jumps to the next timer."""

import asyncio
import selectors
from typing import Any


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Hours of waits in no time. Nothing outside may wake it: where no timer is left it would wait for ever."""

    def __init__(self) -> None:
        super().__init__(_Selector(self))
        self._now = 0.0

    def time(self) -> float:
        """Seconds of this loop."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Jump."""
        self._now += seconds


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        if timeout is None:
            raise RuntimeError("every task waits, and no timer is left")
        if timeout > 0:
            self._loop.advance(timeout)
        return []
