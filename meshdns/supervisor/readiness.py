"""Whether this instance is ready for queries, and why not. Latched: once ready it stays so until it is told to end.

Ready means: every worker serves, and the mesh can be answered for: the view of an earlier life that a worker began with
can, or the controller says so, which knows what every cluster waits for. Time alone never makes ready.
"""

from collections.abc import Collection


class Readiness:
    """What the supervisor has heard so far."""

    def __init__(self, workers: Collection[str]) -> None:
        self._waiting_workers = set(workers)
        self._view_ready = False
        self._waits = "the controller has not begun yet; see its log"
        self._latched = False
        self._ending = False

    def worker_serves(self, name: str, *, ready: bool) -> None:
        """A worker answers; `ready` says whether the view that it serves does.

        Only the first word of each counts: a view that answers for one cluster by now need not do so for all that are
        required.
        """
        self._view_ready = self._view_ready or (ready and name in self._waiting_workers)
        self._waiting_workers.discard(name)
        self._latch()

    def controller_says(self, *, ready: bool, waits: str) -> None:
        """The controller has committed a view that answers for the mesh; `waits` says what it waits for otherwise."""
        self._view_ready = self._view_ready or ready
        self._waits = waits
        self._latch()

    def end(self) -> None:
        """The instance is about to end: no new queries are wanted."""
        self._ending = True

    @property
    def serving(self) -> bool:
        """Whether every worker answers, whatever the view says."""
        return not self._waiting_workers

    @property
    def ready(self) -> bool:
        """Whether queries are welcome."""
        return self._latched and not self._ending

    def reasons(self) -> list[str]:
        """Why not, for people; empty where ready."""
        if self._ending:
            return ["ending"]
        if self._latched:
            return []
        found = [f"{name} does not serve yet" for name in sorted(self._waiting_workers)]
        return found if self._view_ready else [*found, self._waits]

    def _latch(self) -> None:
        self._latched = self._latched or (self._view_ready and not self._waiting_workers)
