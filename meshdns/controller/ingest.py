"""Application of source events to the declarations: the rules of `meshdns.sources.sink`, without I/O or clock.

Rules:
- A list replaces a kind, as far as the mass-delete guard believes it.
- What another identity of the cluster declares is kept apart until all of it is known
  (`meshdns.controller.identity_change`). Until then the served data have no contact, and age.
- A removed cluster is served on for a while (`cluster_state.REMOVAL_GRACE_PERIOD`); one that comes back in between was
  never away.
- Data that are withheld (`maxStale`) are kept apart (`WithheldStore`), where events still reach them: a watch that
  comes back continues from its last version and would not list them again. They return once every kind of the cluster
  had contact.
"""

from collections import Counter
from typing import Final, NamedTuple, Protocol

from meshdns.controller.cluster_state import REMOVAL_GRACE_PERIOD, ClusterState, ClusterTracker
from meshdns.controller.identity_change import PendingIdentity, identity_in
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.controller.withheld_store import WithheldStore
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


class Ingest:
    """Applies source events to `store` and `tracker`. Times are seconds of one monotonic clock."""

    def __init__(self, store: DeclarationStore, tracker: ClusterTracker, guard: MassDeleteGuard) -> None:
        self._store = store
        self._tracker = tracker
        self._guard = guard
        self._withheld: dict[str, WithheldStore] = {}
        self._pending: dict[str, PendingIdentity] = {}

    # ------------------------------------------------------------------------------------------ events

    def apply(self, event: SourceEvent, now: float) -> IngestResult:
        """Apply an event to the store or to the tracker; return what follows from it."""
        match event:
            case ObjectChanged():
                self._target_of(event.cluster).upsert(event.cluster, event.declaration)
                return self._release_held(event.cluster, key_of(event.declaration))
            case ContactMade():
                return _RECHECK if self._record_contact(event.cluster, event.kind, now) else _NOTHING
            case ObjectRemoved():
                self._target_of(event.cluster).remove(event.cluster, event.key)
                return self._release_held(event.cluster, event.key)
            case KindListed():
                return IngestResult(commit=True, recheck=True, relist_after=self._apply_list(event, now))
            case ReadFailed(cluster, kind, reason):
                self._tracker.state_of(cluster).record_failure(kind, reason)
                return _RECHECK
            case ClusterAdded():
                self._add_cluster(event, now)
                return _COMMIT_AND_RECHECK
            case ClusterRemoved():
                self._mark_removed(event, now)
                return _COMMIT_AND_RECHECK
            case ClusterIdentified(cluster, uid):
                self._set_identity(self._tracker.state_of(cluster), uid)
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
        if state.can_relist and not state.uid and cluster not in self._pending and self._served_identity(state):
            self._pending[cluster] = PendingIdentity("")
        pending = self._pending.get(cluster)
        if pending is not None:
            pending.replace_kind(kind, event.declarations)
            self._record_contact(cluster, kind, now)
            return self._end_pending(state, pending, now) if pending.listed_kinds >= state.kinds else 0.0
        declared = self._store_of(cluster)
        known, keys = declared.keys(cluster, kind), {key_of(each) for each in event.declarations}
        gone, again = frozenset(known - keys), 0.0
        if state.can_relist:
            gone, again = self._guard.check_list(cluster, kind, known, keys, now=now)
        for key in gone:
            declared.remove(cluster, key)
        for declaration in event.declarations:
            declared.upsert(cluster, declaration)
        state.listed_kinds.add(kind)
        self._record_contact(cluster, kind, now)
        state.alarms = tuple(self._guard.alarms(cluster))
        return again

    # ------------------------------------------------------------------------------------------ identity

    def served_identities(self) -> dict[str, str]:
        """By cluster the identity of what is served, where that is known."""
        found = {name: self._served_identity(state) for name, state in self._tracker.clusters.items()}
        return {name: uid for name, uid in found.items() if uid}

    def _served_identity(self, state: ClusterState) -> str:
        """The identity of what is served; that of an earlier process is found in its declarations."""
        if state.served_uid is None:
            state.served_uid = identity_in(self._store_of(state.name).declarations_of(state.name))
        return state.served_uid

    def _set_identity(self, state: ClusterState, uid: str) -> None:
        """A source is about to list every kind of the cluster with this identity; empty: it is not known yet."""
        state.uid = uid
        served = self._served_identity(state)
        before = self._pending.pop(state.name, None)
        if uid == served or not state.can_relist:
            state.alarms = tuple(self._guard.alarms(state.name))
            return
        if self._store_of(state.name).declarations_of(state.name):
            pending = self._pending[state.name] = PendingIdentity(uid)
            pending.empty_since = before.empty_since if before is not None and before.uid == uid else None
        else:
            state.served_uid = uid

    def _end_pending(self, state: ClusterState, pending: PendingIdentity, now: float) -> float:
        """Every kind is listed: what is served gives way, but for a cluster that turns out to be the same."""
        cluster = state.name
        again = self._hold_lost_store(state, pending, now)
        if again:
            return again
        del self._pending[cluster]
        declarations = pending.declarations_of(cluster)
        same = pending.uid == self._served_identity(state)
        state.uid = pending.uid or state.uid
        if same:
            lists = [
                KindListed(cluster, kind, tuple(each for each in declarations if key_of(each)[0] is kind))
                for kind in pending.listed_kinds
            ]
            return max(self._apply_list(each, now) for each in lists)
        self._guard.forget_cluster(cluster)
        declared, listed = self._store_of(cluster), {key_of(each) for each in declarations}
        for known in declared.declarations_of(cluster):
            if key_of(known) not in listed:
                declared.remove(cluster, key_of(known))
        for declaration in declarations:
            declared.upsert(cluster, declaration)
        state.served_uid = pending.uid
        state.alarms = ()
        state.listed_kinds = set(pending.listed_kinds)
        for kind in state.kinds:
            self._record_contact(cluster, kind, now)
        return 0.0

    def _hold_lost_store(self, state: ClusterState, pending: PendingIdentity, now: float) -> float:
        """The seconds after which another list is wanted, where a cluster came back under another identity, empty."""
        if not pending.is_empty or pending.uid == self._served_identity(state):
            return 0.0
        counts = Counter(key_of(each)[0] for each in self._store_of(state.name).declarations_of(state.name))
        hold, alarms = self._guard.hold_of_lost_store(state.name, counts)
        pending.empty_since = now if pending.empty_since is None else pending.empty_since
        state.alarms = tuple(alarms) if now - pending.empty_since < hold else ()
        return max(0.0, hold - (now - pending.empty_since))

    def _mark_removed(self, event: ClusterRemoved, now: float) -> None:
        """Serve a cluster for a while longer, or no more where it is not what it says it is."""
        state = self._tracker.state_of(event.cluster)
        state.removed_at = now
        self._pending.pop(event.cluster, None)
        if event.at_once:
            state.removed_at = now - REMOVAL_GRACE_PERIOD
            state.is_restored = state.is_withheld = False
            state.served_uid = ""
            state.listed_kinds.clear()
            self._withheld.pop(event.cluster, None)
            self._guard.forget_cluster(event.cluster)
            for declaration in self._store.declarations_of(event.cluster):
                self._store.remove(event.cluster, key_of(declaration))

    def _add_cluster(self, event: ClusterAdded, now: float) -> None:
        state = self._tracker.state_of(event.cluster)
        state.added_at = now
        state.uid = ""
        self._pending.pop(event.cluster, None)
        if state.removed_at is not None:
            state.is_restored = state.is_synced
            state.listed_kinds.clear()
            state.removed_at = None
        state.kinds = event.kinds
        state.source = event.source
        state.can_relist = event.can_relist

    def _record_contact(self, cluster: str, kind: ObjectKind, now: float) -> bool:
        """Note a contact; return whether that ends a failure. What is not served yet has none."""
        state = self._tracker.state_of(cluster)
        if cluster not in self._pending:
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
        self._withheld[state.name] = WithheldStore(declarations)
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
        self._pending.pop(cluster, None)
        self._guard.forget_cluster(cluster)
        self._store.remove_cluster(cluster)

    def _release_held(self, cluster: str, key: ObjectKey) -> IngestResult:
        """Let the guard keep an object no longer; its alarms may have changed by that."""
        if cluster in self._pending:
            return _NOTHING
        if not self._guard.release(cluster, key):
            return _COMMIT
        self._tracker.state_of(cluster).alarms = tuple(self._guard.alarms(cluster))
        return _COMMIT_AND_RECHECK

    def _target_of(self, cluster: str) -> "DeclarationStore | WithheldStore | PendingIdentity":
        """Where changes of a cluster go."""
        return self._pending.get(cluster) or self._store_of(cluster)

    def _store_of(self, cluster: str) -> "DeclarationStore | WithheldStore":
        return self._withheld.get(cluster, self._store)
