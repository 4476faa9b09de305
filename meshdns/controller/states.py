"""What is known of each cluster's contact: never synced, synced, stale; and what that allows answers to say.

Pure: time comes in as monotonic seconds. Only a cluster that has synced once asserts absence; the others block a denial
for a while, or for ever where they are required. The own cluster always is.
"""

from collections.abc import Collection
from typing import Final

from meshdns.mesh.declarations import Kind

STALE_AFTER: Final = 90.0  # seconds without a successful contact
UNSYNCED_BLOCKS: Final = 30.0  # seconds after start for which a cluster that never synced blocks denials


class ClusterState:
    """One cluster as its source sees it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = ""
        self.kinds: frozenset[Kind] = frozenset()
        self.listed: set[Kind] = set()
        self.remembered = False  # a view that an earlier process wrote holds its declarations
        self.contacts: dict[Kind, float] = {}
        self.failures: dict[Kind, str] = {}

    @property
    def synced(self) -> bool:
        """Whether everything was listed once, by this process or an earlier one."""
        return self.remembered or self.complete

    @property
    def complete(self) -> bool:
        """Whether this process has listed everything."""
        return bool(self.kinds) and self.kinds <= self.listed

    def stale(self, now: float) -> bool:
        """Whether any kind was not heard of for too long; the oldest contact counts."""
        oldest = min((self.contacts.get(kind, float("-inf")) for kind in self.kinds), default=float("-inf"))
        return self.synced and now - oldest > STALE_AFTER

    def status(self, now: float) -> str:
        """The word for people."""
        if not self.synced:
            return "never synced"
        return "stale" if self.stale(now) else "synced"

    @property
    def reason(self) -> str:
        """The last failure that still holds."""
        return next((self.failures[kind] for kind in Kind if kind in self.failures), "")


class ClusterStates:
    """All clusters, and the two flags of the view that follow from them."""

    def __init__(self, *, own: str, required: Collection[str], started: float) -> None:
        self._own = own
        self._required = frozenset(required) | ({own} if own else frozenset())
        self._started = started
        self.clusters: dict[str, ClusterState] = {}

    def cluster(self, name: str) -> ClusterState:
        """The state of a cluster, made when first heard of."""
        return self.clusters.setdefault(name, ClusterState(name))

    def ready(self) -> bool:
        """The own cluster has synced; without one, any has."""
        if self._own:
            return self._own in self.clusters and self.clusters[self._own].synced
        return any(state.synced for state in self.clusters.values())

    def complete(self, now: float) -> bool:
        """Whether an unknown name may be denied."""
        if any(name not in self.clusters for name in self._required):
            return False
        waiting = [state.name for state in self.clusters.values() if not state.synced]
        if any(name in self._required for name in waiting):
            return False
        return not waiting or now - self._started > UNSYNCED_BLOCKS

    def ghosts(self, now: float) -> list[str]:
        """Clusters that only an earlier process knew: no source has named them, though all that were have been read."""
        if now - self._started <= UNSYNCED_BLOCKS or not any(state.kinds for state in self.clusters.values()):
            return []
        if any(state.kinds and not state.complete for state in self.clusters.values()):
            return []
        return [state.name for state in self.clusters.values() if not state.kinds]

    def stale(self, now: float) -> frozenset[str]:
        """The clusters whose last contact is too old."""
        return frozenset(state.name for state in self.clusters.values() if state.stale(now))
