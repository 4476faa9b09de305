"""Who runs what, where several workers run the tests (pytest-xdist).

Rules:
- A group is run by one worker, test by test. For tests that share a real server `tests/conftest.py` adds its name to
  their ids, behind an ``@``; the tests of every other file are a group.
- Groups are handed out in the order in which they were collected: the slowest first.
- The group `ALONE` comes last, when all workers but one have ended: nothing of the test run is beside what measures
  time or fills the machine, and the run has one outcome all the same.
"""

from typing import Final

from xdist.scheduler.loadgroup import LoadGroupScheduling
from xdist.workermanage import WorkerController

ALONE: Final = "alone"


class AloneLast(LoadGroupScheduling):  # type: ignore[misc]  # xdist carries no types
    """The scheduler for ``--dist loadgroup --no-loadscope-reorder``."""

    def _split_scope(self, nodeid: str) -> str:
        """The group of a test: what stands behind the last ``@`` of its id, else its file."""
        group: str = super()._split_scope(nodeid)
        return nodeid.partition("::")[0] if group == nodeid else group

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Give the worker the next group; `ALONE` only if there is no other worker."""
        if not self._too_early(node):
            super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        """Give the worker what is next, if there is anything; while that is `ALONE`, let the others end."""
        if self._too_early(node):
            for other in self.nodes[:-1]:  # the first ones hold the servers, which would run on
                if not other.shutting_down:
                    other.shutdown()
        else:
            super()._reschedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Forget a worker that has ended; the one that is left may be given `ALONE` now."""
        crashed: str | None = super().remove_node(node)
        for other in self.nodes:
            self._reschedule(other)
        return crashed

    def _too_early(self, node: WorkerController) -> bool:
        """Whether `ALONE` is next and other workers have not ended yet."""
        return next(iter(self.workqueue), None) == ALONE and self.nodes != [node]
