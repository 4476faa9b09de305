"""Application of source events to the declarations: the rules of `meshdns.sources.sink`, without I/O or clock.

Rules:
- A list replaces a kind, as far as the mass-delete guard believes it.
- A removed cluster is served on for a while (`cluster_state.REMOVAL_GRACE_PERIOD`); one that comes back in between was
  never away.
- Data that are withheld (`maxStale`) are kept apart (`_WithheldStore`), where events still reach them: a watch that
  comes back continues from its last version and would not list them again. They return once every kind of the cluster
  had contact.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from meshdns.controller.cluster_state import REMOVAL_GRACE_PERIOD, ClusterState, ClusterTracker
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, key_of
from meshdns.sources.sink import (
    ClusterAdded,
    ClusterIdentified,
    ClusterRemoved,
    ContactMade,
    CredentialsObtained,
    KindListed,
    ObjectChanged,
    ObjectRemoved,
    ReadFailed,
    SourceEvent,
    SourceListed,
    SourceProblems,
)


class DeclarationStore(Protocol):
    """Store of the declarations that are served."""

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


class IngestResult(NamedTuple):
    """Result of an event."""

    commit: bool = False
    """Whether names may have changed."""
    recheck: bool = False
    """Whether the state of the clusters may have changed by more than one declaration."""
    relist_after: float = 0.0
    """The seconds after which another list is wanted; 0 for none."""


_NOTHING: Final = IngestResult()
_COMMIT: Final = IngestResult(commit=True)
_RECHECK: Final = IngestResult(recheck=True)
_COMMIT_AND_RECHECK: Final = IngestResult(commit=True, recheck=True)


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
    """Applies source events to `store` and `tracker`. Times are seconds of one monotonic clock."""

    def __init__(self, store: DeclarationStore, tracker: ClusterTracker, guard: MassDeleteGuard) -> None:
        self._store = store
        self._tracker = tracker
        self._guard = guard
        self._withheld: dict[str, _WithheldStore] = {}

    # ------------------------------------------------------------------------------------------ events

    def apply(self, event: SourceEvent, now: float) -> IngestResult:
        """Apply an event to the store or to the tracker; return what follows from it."""
        match event:
            case ObjectChanged():
                self._store_of(event.cluster).upsert(event.cluster, event.declaration)
                return self._release_held(event.cluster, key_of(event.declaration))
            case ContactMade():
                return _RECHECK if self._record_contact(event.cluster, event.kind, now) else _NOTHING
            case ObjectRemoved():
                self._store_of(event.cluster).remove(event.cluster, event.key)
                return self._release_held(event.cluster, event.key)
            case KindListed():
                return IngestResult(commit=True, recheck=True, relist_after=self._apply_list(event, now))
            case ReadFailed(cluster, kind, reason):
                self._tracker.state_of(cluster).record_failure(kind, reason)
                return _RECHECK
            case ClusterAdded():
                self._add_cluster(event)
                return _COMMIT_AND_RECHECK
            case ClusterRemoved(cluster):
                self._tracker.state_of(cluster).removed_at = now
                return _COMMIT_AND_RECHECK
            case ClusterIdentified(cluster, uid):
                self._tracker.state_of(cluster).uid = uid
                return _NOTHING
            case CredentialsObtained(cluster, expires_at, renewable):
                state = self._tracker.state_of(cluster)
                state.credentials_expire_at, state.credentials_renewable = expires_at, renewable
                return _NOTHING
            case SourceListed(source):
                self._tracker.record_source_listed(source)
                return _NOTHING
            case SourceProblems(source, problems):
                self._tracker.record_source_problems(source, problems)
                return _NOTHING

    def _apply_list(self, event: KindListed, now: float) -> float:
        """Replace a kind as far as the guard believes it; return the seconds after which another list is wanted."""
        cluster, kind = event.cluster, event.kind
        state = self._tracker.state_of(cluster)
        declared = self._store_of(cluster)
        known, keys = declared.keys(cluster, kind), {key_of(each) for each in event.declarations}
        gone, again = frozenset(known - keys), 0.0
        if state.can_relist:
            gone, again = self._guard.check_list(cluster, kind, known, keys, cluster_uid=state.uid, now=now)
        for key in gone:
            declared.remove(cluster, key)
        for declaration in event.declarations:
            declared.upsert(cluster, declaration)
        state.listed_kinds.add(kind)
        self._record_contact(cluster, kind, now)
        state.alarms = tuple(self._guard.alarms(cluster))
        return again

    def _add_cluster(self, event: ClusterAdded) -> None:
        state = self._tracker.state_of(event.cluster)
        if state.removed_at is not None:
            state.is_restored = state.is_synced
            state.listed_kinds.clear()
            state.removed_at = None
        state.kinds = event.kinds
        state.source = event.source
        state.can_relist = event.can_relist

    def _record_contact(self, cluster: str, kind: ObjectKind, now: float) -> bool:
        """Note a contact; return whether that ends a failure."""
        state = self._tracker.state_of(cluster)
        state.last_contacts[kind] = now
        return state.failures.pop(kind, None) is not None

    # ------------------------------------------------------------------------------------------ time

    def on_tick(self, now: float) -> list[str]:
        """Apply what time alone changes; return the clusters that are gone now."""
        gone = self._tracker.unclaimed_clusters(now)
        for state in self._tracker.clusters.values():
            if state.removed_at is not None and (now - state.removed_at >= REMOVAL_GRACE_PERIOD or not state.is_synced):
                gone.append(state.name)
            elif state.is_withheld and not state.is_stale(now):
                self._restore_withheld(state)
            elif not state.is_withheld and self._tracker.exceeds_max_stale(state, now):
                self._withhold(state, now)
        for name in gone:
            self._remove_cluster(name)
        return gone

    def _withhold(self, state: ClusterState, now: float) -> None:
        declarations = self._store.declarations_of(state.name)
        self._withheld[state.name] = _WithheldStore(declarations)
        for declaration in declarations:
            self._store.remove(state.name, key_of(declaration))
        state.is_withheld = True
        state.empty_since = now

    def _restore_withheld(self, state: ClusterState) -> None:
        for declaration in self._withheld.pop(state.name).declarations_of(state.name):
            self._store.upsert(state.name, declaration)
        state.is_withheld = False

    def _remove_cluster(self, cluster: str) -> None:
        self._tracker.clusters.pop(cluster, None)
        self._withheld.pop(cluster, None)
        self._guard.forget_cluster(cluster)
        self._store.remove_cluster(cluster)

    def _release_held(self, cluster: str, key: ObjectKey) -> IngestResult:
        """Let the guard keep an object no longer; its alarms may have changed by that."""
        if not self._guard.release(cluster, key):
            return _COMMIT
        self._tracker.state_of(cluster).alarms = tuple(self._guard.alarms(cluster))
        return _COMMIT_AND_RECHECK

    def _store_of(self, cluster: str) -> "DeclarationStore | _WithheldStore":
        return self._withheld.get(cluster, self._store)
