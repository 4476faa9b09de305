"""What sources report, applied to what is declared: the rules of `meshdns.sources.port.Sink`, without I/O or clock.

Rules:
- A list replaces a kind, as far as the mass-delete guard believes it.
- A removed cluster is served on for a while (`states.DRAIN`); one that comes back in between was never away.
- Data that are withheld (`maxStale`) are kept on a shelf, where events still reach them: a watch that comes back goes
  on from its last version and would not list them again. They return when all of the cluster is heard of.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from meshdns.controller.guard import Guard
from meshdns.controller.states import DRAIN, ClusterState, ClusterStates
from meshdns.mesh.declarations import AnyDeclaration, Key, Kind, key_of


class Declared(Protocol):
    """What is declared and served."""

    def upsert(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Add or replace a declaration."""

    def remove(self, cluster: str, key: Key) -> None:
        """Forget a declaration; nothing happens where it is unknown."""

    def keys(self, cluster: str, kind: Kind) -> set[Key]:
        """The keys known of one kind."""

    def of(self, cluster: str) -> list[AnyDeclaration]:
        """All declarations of a cluster."""

    def remove_cluster(self, cluster: str) -> None:
        """Forget a cluster."""


class _Shelf:
    """Data of one cluster that are withheld."""

    def __init__(self, declarations: Sequence[AnyDeclaration]) -> None:
        self._declarations = {key_of(each): each for each in declarations}

    def upsert(self, _: str, declaration: AnyDeclaration) -> None:
        self._declarations[key_of(declaration)] = declaration

    def remove(self, _: str, key: Key) -> None:
        self._declarations.pop(key, None)

    def keys(self, _: str, kind: Kind) -> set[Key]:
        return {key for key in self._declarations if key[0] is kind}

    def of(self, _: str) -> list[AnyDeclaration]:
        return list(self._declarations.values())


class Intake:
    """Applies reports to `declared` and `states`. Times are seconds of one monotonic clock."""

    def __init__(self, declared: Declared, states: ClusterStates, guard: Guard) -> None:
        self._declared = declared
        self._states = states
        self._guard = guard
        self._shelves: dict[str, _Shelf] = {}

    # ------------------------------------------------------------------------------------------ reports

    def joined(self, cluster: str, kinds: Collection[Kind], *, source: str, relists: bool) -> None:
        """A source will read this cluster."""
        state = self._states.cluster(cluster)
        if state.removed_at is not None:
            state.remembered = state.synced
            state.listed.clear()
            state.removed_at = None
        state.kinds = frozenset(kinds)
        state.source = source
        state.relists = relists

    def listed(self, cluster: str, kind: Kind, declarations: Sequence[AnyDeclaration], now: float) -> float:
        """A complete list; returns the seconds after which another is wanted, 0 for none."""
        state = self._states.cluster(cluster)
        declared = self._place(cluster)
        known, keys = declared.keys(cluster, kind), {key_of(each) for each in declarations}
        gone, again = frozenset(known - keys), 0.0
        if state.relists:
            gone, again = self._guard.judge(cluster, kind, known, keys, identity=state.uid, now=now)
        for key in gone:
            declared.remove(cluster, key)
        for declaration in declarations:
            declared.upsert(cluster, declaration)
        state.listed.add(kind)
        self.contact(cluster, kind, now)
        state.alarms = tuple(self._guard.alarms(cluster))
        return again

    def changed(self, cluster: str, declaration: AnyDeclaration) -> bool:
        """One object was added or modified; whether that changed what is alarming about the cluster."""
        self._place(cluster).upsert(cluster, declaration)
        return self._heard(cluster, key_of(declaration))

    def removed(self, cluster: str, key: Key) -> bool:
        """One object is gone; whether that changed what is alarming about the cluster."""
        self._place(cluster).remove(cluster, key)
        return self._heard(cluster, key)

    def contact(self, cluster: str, kind: Kind, now: float) -> bool:
        """The source was heard from; whether that ends a failure."""
        state = self._states.cluster(cluster)
        state.contacts[kind] = now
        return state.failures.pop(kind, None) is not None

    def left(self, cluster: str, now: float) -> None:
        """The cluster was removed from its source."""
        self._states.cluster(cluster).removed_at = now

    # ------------------------------------------------------------------------------------------ time

    def look(self, now: float) -> list[str]:
        """Do what time alone brings; the clusters that are gone now."""
        gone = self._states.ghosts(now)
        for state in self._states.clusters.values():
            if state.removed_at is not None and (now - state.removed_at >= DRAIN or not state.synced):
                gone.append(state.name)
            elif state.withheld and not state.stale(now):
                self._return(state)
            elif not state.withheld and self._states.overdue(state, now):
                self._withhold(state, now)
        for name in gone:
            self._forget(name)
        return gone

    def _withhold(self, state: ClusterState, now: float) -> None:
        declarations = self._declared.of(state.name)
        self._shelves[state.name] = _Shelf(declarations)
        for declaration in declarations:
            self._declared.remove(state.name, key_of(declaration))
        state.withheld = True
        state.empty_since = now

    def _return(self, state: ClusterState) -> None:
        for declaration in self._shelves.pop(state.name).of(state.name):
            self._declared.upsert(state.name, declaration)
        state.withheld = False

    def _forget(self, cluster: str) -> None:
        self._states.clusters.pop(cluster, None)
        self._shelves.pop(cluster, None)
        self._guard.forget(cluster)
        self._declared.remove_cluster(cluster)

    def _heard(self, cluster: str, key: Key) -> bool:
        kept = self._guard.heard(cluster, key)
        if kept:
            self._states.cluster(cluster).alarms = tuple(self._guard.alarms(cluster))
        return kept

    def _place(self, cluster: str) -> "Declared | _Shelf":
        return self._shelves.get(cluster, self._declared)
