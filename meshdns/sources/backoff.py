"""How long to wait after failures in a row: full jitter, with a ceiling that doubles."""

from collections.abc import Callable
from typing import Final

_FIRST: Final = 0.8  # seconds
_LAST: Final = 30.0
_FLOOR: Final = 0.1
_HEALTHY: Final = 60.0


class Backoff:
    """The failures of one request; `draw` gives numbers from 0 to 1, below 1. Times are seconds of one clock."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._failures = 0
        self._healthy_since: float | None = None

    def well(self, now: float) -> None:
        """It works, from now on or for longer."""
        if self._healthy_since is None:
            self._healthy_since = now

    def failed(self, now: float) -> float:
        """It failed: the seconds to wait, from 0.1 to a ceiling of 0.8 to 30; 60 s of health bring that back."""
        if self._healthy_since is not None and now - self._healthy_since >= _HEALTHY:
            self._failures = 0
        self._healthy_since = None
        ceiling = min(_LAST, _FIRST * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return max(_FLOOR, ceiling * self._draw())
