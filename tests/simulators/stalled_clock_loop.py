"""A loop whose clock stands still while there is something to do.

A test that plays both sides, the one that waits and the one that answers late or never, counts what was sent again and
when. On a busy machine, and while a large process collects its garbage, both stand still together; a clock that goes on
then would have the one side give up on the other.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_LOOK: Final = 0.01  # seconds that sockets are waited for at once
_TICK: Final = 1e-7  # seconds that each reading takes, so that what is asked for at once comes in the order of asking


class _Idle(selectors.DefaultSelector):
    """Waits for a moment only, so that the loop then waits again; `idle` is how long nothing came in all.

    A second of the loop lasts 1 / `speed` seconds.
    """

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed
        self.idle = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready."""
        began = time.monotonic()
        ready = super().select(_LOOK if timeout is None else min(timeout / self._speed, _LOOK))
        if not ready:
            self.idle += min(time.monotonic() - began, _LOOK) * self._speed
        return ready


class StalledClockLoop(asyncio.SelectorEventLoop):
    """The loop; `skipped_seconds` puts its clock forward, so that hours need not be waited for."""

    def __init__(self, speed: float = 1.0) -> None:
        self.skipped_seconds = 0.0
        self._passed = time.monotonic()
        self._waiting = _Idle(speed)
        super().__init__(self._waiting)

    def time(self) -> float:
        """Seconds of this loop: what it waited in vain, with all that was leapt over."""
        self._passed += _TICK
        return self._passed + self._waiting.idle + self.skipped_seconds


def run_with_stalled_clock(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on such a loop."""
    with asyncio.Runner(loop_factory=StalledClockLoop) as runner:
        return runner.run(main)
