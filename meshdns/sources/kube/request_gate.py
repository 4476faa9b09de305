"""Pacing of requests to an API server that fails, shared by all watches of one cluster.

Rules:
- Each kind has its own backoff; this bounds their sum. While the server fails, all of them together send one request
  per 4 to 6 s: eight kinds that each wait 15 s on average would send one per 2 s.
- It fails after two failures with no good reply in between. One alone may be the fault of one kind, a watch that broke
  or a token that has just expired, and must not hold up the others.
- Before the first good reply one request goes ahead, and the others a second later: the server may not be there.
- The first good reply lets all go on at once, those included that wait because the server could not be reached.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

SPACING: Final = 4.0
"""Seconds at least between two requests to a server that fails."""

_FIRST_REQUEST_DELAY: Final = 1.0
_FAILURE_LIMIT: Final = 2
_RENEWAL_INTERVAL: Final = 30.0  # seconds between two renewals of the credentials that are tried at once


class RequestGate:
    """Gate for requests to one API server. `clock` is the running loop's; `draw` gives numbers from 0 to 1."""

    def __init__(self, *, clock: Callable[[], float], draw: Callable[[], float]) -> None:
        self._clock = clock
        self._draw = draw
        self._had_success = False
        self._failures = 0
        self._next_request_at = clock()
        self._renewed_at = clock() - _RENEWAL_INTERVAL
        self._recovered = asyncio.Event()

    async def wait_turn(self) -> None:
        """Wait until a request may be sent."""
        while not self._is_open:
            if self._clock() >= self._next_request_at:
                self._next_request_at = self._clock() + (
                    SPACING * (1 + 0.5 * self._draw()) if self._failures else _FIRST_REQUEST_DELAY
                )
                return
            await self._wait_for_recovery(self._next_request_at)

    async def sleep(self, until: float, *, wake_on_recovery: bool) -> None:
        """Wait; with `wake_on_recovery`, until a server that fails replies again at the latest."""
        rest = until - self._clock()
        if wake_on_recovery and not self._is_open:
            await self._wait_for_recovery(until)
        elif rest > 0:
            await asyncio.sleep(rest)

    def record_success(self) -> None:
        """The server replied as it should."""
        self._had_success = True
        self._failures = 0
        self._recovered.set()

    def record_failure(self) -> None:
        """The server could not be reached, or replied that it cannot do its work."""
        self._failures += 1
        if not self._is_open and self._recovered.is_set():
            self._recovered.clear()
            self._next_request_at = self._clock() + SPACING * (1 + 0.5 * self._draw())

    def record_renewal(self) -> None:
        """Record that credentials were renewed: the next request goes ahead, now and then."""
        now = self._clock()
        if now - self._renewed_at >= _RENEWAL_INTERVAL:
            self._renewed_at = now
            self._next_request_at = now

    @property
    def _is_open(self) -> bool:
        return self._had_success and self._failures < _FAILURE_LIMIT

    async def _wait_for_recovery(self, deadline: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline - self._clock()):
                await self._recovered.wait()
