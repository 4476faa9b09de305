"""When an API server that fails may be asked again: all kinds of a cluster share its patience.

Rules:
- Each kind has its own backoff; this bounds their sum. While the server fails, all of them together send one request
  per 4 to 6 s: eight kinds that each wait 15 s on average would send one per 2 s.
- It fails after two failures with no good reply in between. One alone may be the fault of one kind, a watch that broke
  or a token that has just expired, and must not hold up the others.
- Before the first good reply one request goes ahead, and the others a second later: nobody knows whether it is there.
- The first good reply lets all go on at once, those included that wait because the server could not be reached.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

SPACING: Final = 4.0
"""Seconds at least between two requests to a server that fails."""

_SCOUT: Final = 1.0
_FAILURES: Final = 2
_RENEWAL: Final = 30.0  # seconds between two renewals of the credentials that are tried at once


class Courtesy:
    """The patience with one API server. `clock` is the running loop's; `draw` gives numbers from 0 to 1, for jitter."""

    def __init__(self, *, clock: Callable[[], float], draw: Callable[[], float]) -> None:
        self._clock = clock
        self._draw = draw
        self._heard = False
        self._failures = 0
        self._next = clock()
        self._renewed = clock() - _RENEWAL
        self._well = asyncio.Event()

    async def turn(self) -> None:
        """Wait until a request may be sent."""
        while not self._open:
            if self._clock() >= self._next:
                self._next = self._clock() + (SPACING * (1 + 0.5 * self._draw()) if self._failures else _SCOUT)
                return
            await self._until(self._next)

    async def sleep(self, until: float, *, rouse: bool) -> None:
        """Wait; with `rouse`, until a server that fails is heard again at the latest."""
        rest = until - self._clock()
        if rouse and not self._open:
            await self._until(until)
        elif rest > 0:
            await asyncio.sleep(rest)

    def heard(self) -> None:
        """The server replied as it should."""
        self._heard = True
        self._failures = 0
        self._well.set()

    def failed(self) -> None:
        """The server could not be reached, or replied that it cannot do its work."""
        self._failures += 1
        if not self._open and self._well.is_set():
            self._well.clear()
            self._next = self._clock() + SPACING * (1 + 0.5 * self._draw())

    def renewed(self) -> None:
        """The credentials were loaded anew: the next request goes ahead, now and then."""
        now = self._clock()
        if now - self._renewed >= _RENEWAL:
            self._renewed = now
            self._next = now

    @property
    def _open(self) -> bool:
        return self._heard and self._failures < _FAILURES

    async def _until(self, time: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(time - self._clock()):
                await self._well.wait()
