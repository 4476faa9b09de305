"""Retry delay: when something that failed is tried again."""

from typing import Final

FIRST_DELAY: Final = 1.0
"""Seconds after the first failure; each further one doubles them."""


class RetryDelay:
    """The time of the next try. Times are seconds of one clock; one that is set back delays nothing."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._delay = 0.0
        self._failed_at = 0.0

    def is_due(self, now: float) -> bool:
        """Whether it is to be tried at `now`: nothing failed, or the delay is over."""
        return not self._delay or not self._failed_at <= now < self._failed_at + self._delay

    def note_failure(self, now: float) -> None:
        """A try failed."""
        self._failed_at = now
        self._delay = min(self._delay * 2 or FIRST_DELAY, self._longest)

    def note_success(self) -> None:
        """A try succeeded."""
        self._delay = 0.0
