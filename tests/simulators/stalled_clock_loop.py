"""A loop whose clock stands still while the machine runs something else.

A test that plays both sides, the one that waits and the one that answers late or never, counts what was sent again and
when. On a busy machine, and while a large process collects its garbage, both stand still together; a clock that goes on
then would have the one side give up on the other.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_LOOK: Final = 0.01  # seconds that sockets are waited for at once
_STEP: Final = 0.03  # seconds that the clock goes on by at most between two times it is read


class _ShortSelector(selectors.DefaultSelector):
    """Waits for a moment only, so that the clock is read often; the loop then waits again."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready."""
        return super().select(_LOOK if timeout is None else min(timeout, _LOOK))


class StalledClockLoop(asyncio.SelectorEventLoop):
    """The loop; `skipped_seconds` puts its clock forward, so that hours need not be waited for."""

    def __init__(self) -> None:
        self.skipped_seconds = 0.0
        self._read = self._steady = super().time()
        super().__init__(_ShortSelector())

    def time(self) -> float:
        """Seconds of this loop, with all that was leapt over."""
        now = super().time()
        self._steady += min(now - self._read, _STEP)
        self._read = now
        return self._steady + self.skipped_seconds


def run_with_stalled_clock(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on such a loop."""
    with asyncio.Runner(loop_factory=StalledClockLoop) as runner:
        return runner.run(main)
