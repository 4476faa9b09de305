"""What sources report, applied to what is declared: the rules of `meshdns.sources.sink.Sink`, without I/O or clock.

Rules:
- A list replaces a kind, as far as the mass-delete guard believes it.
- A removed cluster is served on for a while (`tracker.DRAIN`); one that comes back in between was never away.
- Data that are withheld (`maxStale`) are kept on a shelf, where events still reach them: a watch that comes back goes
  on from its last version and would not list them again. They return when all of the cluster is heard of.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from meshdns.controller.cluster_state import REMOVAL_GRACE_PERIOD, ClusterState, ClusterTracker
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, key_of


class DeclarationStore(Protocol):
    """What is declared and served."""

    def upsert(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Add or replace a declaration."""

    def remove(self, cluster: str, key: ObjectKey) -> None:
        """Forget a declaration; nothing happens where it is unknown."""

    def keys(self, cluster: str, kind: ObjectKind) -> set[ObjectKey]:
        """The keys known of one kind."""

    def declarations_of(self, cluster: str) -> list[AnyDeclaration]:
        """All declarations of a cluster."""

    def remove_cluster(self, cluster: str) -> None:
        """Forget a cluster."""


class _WithheldStore:
    """Data of one cluster that are withheld."""

    def __init__(self, declarations: Sequence[AnyDeclaration]) -> None:
        self._declarations = {key_of(each): each for each in declarations}

    def upsert(self, _: str, declaration: AnyDeclaration) -> None:
        self._declarations[key_of(declaration)] = declaration

    def remove(self, _: str, key: ObjectKey) -> None:
        self._declarations.pop(key, None)

    def keys(self, _: str, kind: ObjectKind) -> set[ObjectKey]:
        return {key for key in self._declarations if key[0] is kind}

    def declarations_of(self, _: str) -> list[AnyDeclaration]:
        return list(self._declarations.values())


class Ingest:
    """Applies reports to `store` and `tracker`. Times are seconds of one monotonic clock."""

    def __init__(self, store: DeclarationStore, tracker: ClusterTracker, guard: MassDeleteGuard) -> None:
        self._store = store
        self._tracker = tracker
        self._guard = guard
        self._withheld: dict[str, _WithheldStore] = {}

    # ------------------------------------------------------------------------------------------ reports

    def add_cluster(self, cluster: str, kinds: Collection[ObjectKind], *, source: str, can_relist: bool) -> None:
        """A source will read this cluster."""
        state = self._tracker.state_of(cluster)
        if state.removed_at is not None:
            state.restored = state.synced
            state.listed_kinds.clear()
            state.removed_at = None
        state.kinds = frozenset(kinds)
        state.source = source
        state.can_relist = can_relist

    def apply_list(self, cluster: str, kind: ObjectKind, declarations: Sequence[AnyDeclaration], now: float) -> float:
        """A complete list; returns the seconds after which another is wanted, 0 for none."""
        state = self._tracker.state_of(cluster)
        declared = self._store_of(cluster)
        known, keys = declared.keys(cluster, kind), {key_of(each) for each in declarations}
        gone, again = frozenset(known - keys), 0.0
        if state.can_relist:
            gone, again = self._guard.check_list(cluster, kind, known, keys, cluster_uid=state.uid, now=now)
        for key in gone:
            declared.remove(cluster, key)
        for declaration in declarations:
            declared.upsert(cluster, declaration)
        state.listed_kinds.add(kind)
        self.record_contact(cluster, kind, now)
        state.alarms = tuple(self._guard.alarms(cluster))
        return again

    def apply_change(self, cluster: str, declaration: AnyDeclaration) -> bool:
        """One object was added or modified; whether that changed what is alarming about the cluster."""
        self._store_of(cluster).upsert(cluster, declaration)
        return self._release_held(cluster, key_of(declaration))

    def apply_removal(self, cluster: str, key: ObjectKey) -> bool:
        """One object is gone; whether that changed what is alarming about the cluster."""
        self._store_of(cluster).remove(cluster, key)
        return self._release_held(cluster, key)

    def record_contact(self, cluster: str, kind: ObjectKind, now: float) -> bool:
        """The source was heard from; whether that ends a failure."""
        state = self._tracker.state_of(cluster)
        state.last_contacts[kind] = now
        return state.failures.pop(kind, None) is not None

    def mark_removed(self, cluster: str, now: float) -> None:
        """The cluster was removed from its source."""
        self._tracker.state_of(cluster).removed_at = now

    # ------------------------------------------------------------------------------------------ time

    def on_tick(self, now: float) -> list[str]:
        """Do what time alone brings; the clusters that are gone now."""
        gone = self._tracker.unclaimed(now)
        for state in self._tracker.clusters.values():
            if state.removed_at is not None and (now - state.removed_at >= REMOVAL_GRACE_PERIOD or not state.synced):
                gone.append(state.name)
            elif state.withheld and not state.is_stale(now):
                self._restore_withheld(state)
            elif not state.withheld and self._tracker.exceeds_max_stale(state, now):
                self._withhold(state, now)
        for name in gone:
            self._remove_cluster(name)
        return gone

    def _withhold(self, state: ClusterState, now: float) -> None:
        declarations = self._store.declarations_of(state.name)
        self._withheld[state.name] = _WithheldStore(declarations)
        for declaration in declarations:
            self._store.remove(state.name, key_of(declaration))
        state.withheld = True
        state.empty_since = now

    def _restore_withheld(self, state: ClusterState) -> None:
        for declaration in self._withheld.pop(state.name).declarations_of(state.name):
            self._store.upsert(state.name, declaration)
        state.withheld = False

    def _remove_cluster(self, cluster: str) -> None:
        self._tracker.clusters.pop(cluster, None)
        self._withheld.pop(cluster, None)
        self._guard.forget_cluster(cluster)
        self._store.remove_cluster(cluster)

    def _release_held(self, cluster: str, key: ObjectKey) -> bool:
        kept = self._guard.release(cluster, key)
        if kept:
            self._tracker.state_of(cluster).alarms = tuple(self._guard.alarms(cluster))
        return kept

    def _store_of(self, cluster: str) -> "DeclarationStore | _WithheldStore":
        return self._withheld.get(cluster, self._store)
