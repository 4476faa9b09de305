"""Timers: callbacks on the event loop that end with their owner.

An owner that is closed or replaced closes its timers first; none of its callbacks runs after that, and none can be
added. Packages whose owners end before the process does schedule callbacks by this module alone.
"""

import asyncio
import itertools
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Timers:
    """Callbacks of one owner on `loop` (by default the running one); leaving a ``with`` block closes them."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._pending: dict[int, asyncio.Handle] = {}
        self._is_closed = False

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call `callback` in the next turn of the loop; once closed, never."""
        if not self._is_closed:
            number = next(self._numbers)
            self._pending[number] = self._loop.call_soon(self._run, number, callback)

    def call_later(self, delay: float, callback: Callable[[], object]) -> None:
        """Call `callback` after `delay` seconds; once closed, never."""
        if not self._is_closed:
            number = next(self._numbers)
            self._pending[number] = self._loop.call_later(delay, self._run, number, callback)

    def close(self) -> None:
        """Cancel every callback that has not run."""
        self._is_closed = True
        for handle in self._pending.values():
            handle.cancel()
        self._pending.clear()

    def _run(self, number: int, callback: Callable[[], object]) -> None:
        del self._pending[number]
        callback()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
