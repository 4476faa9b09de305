"""Joining: from when on the names of a new cluster are computed, so that each name is computed once at a start.

Rules:
- A cluster whose declarations an earlier process left takes part from the beginning.
- The own cluster, and the one that governs it, take part once they are listed: mesh names are answered from then on.
- Every other one waits at the start for the first lists of all, `DENIAL_BLOCK_TIMEOUT` at most, and takes part together
  with them. What cannot be read is waited for no longer than `FAILURE_PATIENCE`, a source that says what is wrong with
  it not at all.
- A cluster that comes later waits for its own first lists alone, as long at most.
- One that takes part does so until it is gone.
"""

from collections.abc import Callable, Collection

from meshdns.controller.cluster_state import DENIAL_BLOCK_TIMEOUT, ClusterState, ClusterTracker


class Joining:
    """The clusters that wait; `own_clusters` returns the own one and the one that governs it."""

    def __init__(self, tracker: ClusterTracker, own_clusters: Callable[[], Collection[str]]) -> None:
        self._tracker = tracker
        self._own_clusters = own_clusters
        self._is_started = False
        self.waiting: frozenset[str] = frozenset()
        """The clusters that waited at the last `update`."""

    def update(self, now: float) -> frozenset[str]:
        """Return the clusters that wait now, in seconds of the clock of the tracker."""
        states = self._tracker.clusters.values()
        if not self._is_started:
            self._is_started = not self._tracker.awaits_first_lists(now)
        own = self._own_clusters()
        for state in states:
            if not state.has_joined:
                state.has_joined = self._may_join(state, own, now)
        self.waiting = frozenset(state.name for state in states if not state.has_joined)
        return self.waiting

    @property
    def has_listed(self) -> bool:
        """Whether a cluster that waits is listed, so that names of it are known that have no answer yet."""
        return any(self._tracker.clusters[name].is_fully_listed for name in self.waiting)

    def _may_join(self, state: ClusterState, own: Collection[str], now: float) -> bool:
        if state.is_restored or (state.name in own and state.is_fully_listed):
            return True
        is_read = state.is_read or now - state.added_at > DENIAL_BLOCK_TIMEOUT
        return self._is_started and is_read
