"""The sink of all sources: declarations in, commits out.

The first change is committed in the same turn of the event loop that brought it; what else arrives in that turn goes
into the same commit. Nothing is polled but the clock, once a second, for what time alone changes: staleness, and the
end of the patience with clusters that never synced.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from meshdns.controller.description import ClusterDescription
from meshdns.controller.probing import Probes
from meshdns.controller.publishing import Publisher
from meshdns.controller.resolving import HostNames
from meshdns.controller.snapshots import Snapshots
from meshdns.controller.states import ClusterStates
from meshdns.mesh.declarations import AnyDeclaration, Kind, key_of
from meshdns.mesh.problems import Problem, ProblemKind
from meshdns.view import snapshot
from meshdns.view.environment import DamagedView, ViewError
from meshdns.view.place import UNREADABLE
from meshdns.view.snapshot import SnapshotError

TICK: Final = 1.0  # seconds

_log = logging.getLogger("meshdns.controller")


class Process(NamedTuple):
    """What the process around does for the controller: tell the supervisor, beat on the scoreboard, begin anew.

    `settle` gives back the memory that reading everything took.
    """

    ready: Callable[[bool], None]
    beat: Callable[[float], None]
    restart: Callable[[], None]
    settle: Callable[[], None]


class Background(NamedTuple):
    """The work that goes on beside: resolving host names and probing gateways."""

    host_names: HostNames
    probes: Probes


class Controller:
    """Implements `meshdns.sources.port.Sink`."""

    def __init__(
        self,
        *,
        publisher: Publisher,
        states: ClusterStates,
        state_dir: Path,
        process: Process,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
    ) -> None:
        self._publisher = publisher
        self._snapshots = Snapshots(state_dir, publisher.declarations, loop=loop)
        self._process = process
        self._told_ready = False
        self._said: dict[tuple[str, Kind], str] = {}
        self._held = False
        self._settled = False
        self._states = states
        self._loop = loop
        self._clock = clock
        self._scheduled = False
        self._failing = ""
        self._described: dict[str, ClusterDescription] = {}
        self._background: Background | None = None
        self._targets: frozenset[tuple[str, int]] = frozenset()

    def start(self) -> None:
        """Take over what the view holds, or else the snapshot, and begin to tick."""
        remembered = self._publisher.restore()
        if remembered:
            self._snapshots.doubt()  # whoever wrote this view may have ended before it wrote a snapshot
        else:
            remembered = self._restore_snapshot()
        for cluster in remembered:
            self._states.cluster(cluster).remembered = True
        self._tick()

    async def close(self) -> None:
        """Leave a snapshot behind that holds everything."""
        await self._snapshots.close(self._publisher.changes)

    def _restore_snapshot(self) -> frozenset[str]:
        """Begin with the declarations of the snapshot: after a reboot, or when the view was damaged."""
        clusters = set()
        try:
            for cluster, declaration in snapshot.read(self._snapshots.directory):
                self._publisher.upsert(cluster, declaration)
                clusters.add(cluster)
        except SnapshotError as error:
            _log.error("%s", error)
        if clusters:
            _log.info("began with the snapshot of %s", ", ".join(sorted(clusters)))
        return frozenset(clusters)

    # ------------------------------------------------------------------------------------------ Sink

    def joined(self, cluster: str, kinds: Collection[Kind], *, source: str) -> None:
        """A source will read this cluster."""
        state = self._states.cluster(cluster)
        state.kinds = frozenset(kinds)
        state.source = source
        self._publisher.catalog.join_cluster(cluster)
        self._schedule()

    def listed(self, cluster: str, kind: Kind, declarations: Sequence[AnyDeclaration]) -> None:
        """A complete list: what is not in it is gone."""
        gone = self._publisher.keys(cluster, kind) - {key_of(declaration) for declaration in declarations}
        for key in gone:
            self._publisher.remove(cluster, key)
        for declaration in declarations:
            self._publisher.upsert(cluster, declaration)
        self._states.cluster(cluster).listed.add(kind)
        self.contact(cluster, kind)
        self._schedule()

    def changed(self, cluster: str, declaration: AnyDeclaration) -> None:
        """One object was added or modified."""
        self._publisher.upsert(cluster, declaration)
        self._schedule()

    def removed(self, cluster: str, kind: Kind, namespace: str, name: str) -> None:
        """One object is gone."""
        self._publisher.remove(cluster, (kind, namespace, name))
        self._schedule()

    def contact(self, cluster: str, kind: Kind) -> None:
        """The source was heard from. Never a commit by itself."""
        state = self._states.cluster(cluster)
        state.contacts[kind] = self._clock()
        state.failures.pop(kind, None)

    def failed(self, cluster: str, kind: Kind, reason: str) -> None:
        """The source was not heard from. Said once for each reason."""
        self._states.cluster(cluster).failures[kind] = reason
        if self._said.get((cluster, kind)) != reason:
            self._said[cluster, kind] = reason
            _log.warning("cluster %s: %s: %s", cluster, kind.value, reason)

    def hold(self) -> None:
        """A source could not be read: what is remembered of clusters that it may have is kept."""
        self._held = True

    def left(self, cluster: str) -> None:
        """The cluster was removed from its source."""
        self._states.clusters.pop(cluster, None)
        self._described.pop(cluster, None)
        self._publisher.remove_cluster(cluster)
        self._schedule()

    # ------------------------------------------------------------------------------------------ commits

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        self._scheduled = False
        now = self._clock()
        self._describe(now)
        ready = self._states.ready()
        try:
            self._publisher.publish(ready=ready, complete=self._states.complete(now), stale=self._states.stale(now))
        except DamagedView as error:
            _log.error("the view cannot be used any more, and is rebuilt: %s", error)
            sys.exit(UNREADABLE)
        except ViewError as error:
            if str(error) != self._failing:
                _log.error("%s; the last good view is served on", error)
            self._failing = str(error)
        else:
            self._failing = ""
            if self._publisher.busy:
                self._schedule()
                return
            if ready and not self._told_ready:
                self._told_ready = True
                self._process.ready(ready)
            self._want()
            self._seal()
            clusters = self._states.clusters.values()
            if not self._settled and clusters and all(state.complete for state in clusters):
                self._settled = True
                self._process.settle()

    def _seal(self) -> None:
        """Let go of pod addresses that mean nothing from here; begin anew where some are needed after all."""
        for name, state in self._states.clusters.items():
            if state.complete:
                for part in self._publisher.catalog.seal(name):
                    self._publisher.upsert(name, part)
                    self._schedule()
        if self._publisher.catalog.misses_addresses():
            _log.warning("a cluster came onto the own network; reading all clusters again")
            self._process.restart()

    def _describe(self, now: float) -> None:
        """Publish what people are shown of each cluster, where it changed."""
        for name, state in self._states.clusters.items():
            description = ClusterDescription(
                source=state.source,
                status=state.status(now),
                network=self._publisher.catalog.topology.networks.get(name, ""),
                reason=state.reason,
                gateways=self._publisher.gateways(name),
            )
            before = self._described.get(name)
            if before != description:
                self._described[name] = description
                self._publisher.describe(name, description)
                if before is not None and before.status != description.status:
                    _log.info("cluster %s is %s", name, description.status)

    # ------------------------------------------------------------------------------------------ background

    def attend(self, background: Background) -> None:
        """Keep host names resolved and gateways probed from now on."""
        self._background = background
        self._schedule()

    def resolved(self, host: str, addresses: tuple[str, ...]) -> None:
        """A host name's addresses changed; none means that it exists no more."""
        _log.info("host name %s resolves to %s", host, ", ".join(addresses) or "nothing")
        self._publisher.set_resolved(host, addresses)
        self._schedule()

    def probed(self, address: str, port: int, healthy: bool) -> None:  # noqa: FBT001 — the callback of Probes
        """A gateway's health changed."""
        _log.warning("gateway %s port %d is %s", address, port, "healthy" if healthy else "not healthy")
        self._publisher.catalog.set_health(address, port, healthy=healthy)
        self._schedule()

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the view itself: full, or on a disk that is."""
        if not self._failing:
            return ()
        advice = "free space, or remove the view's directory and restart to have it rebuilt"
        return (Problem(ProblemKind.VIEW, "View", "", "view", "", self._failing, advice),)

    def contacts(self) -> dict[str, float]:
        """Seconds since each cluster was heard of."""
        now = self._clock()
        return {
            name: now - max(state.contacts.values()) for name, state in self._states.clusters.items() if state.contacts
        }

    def _want(self) -> None:
        """Say what has to be resolved and probed."""
        if self._background is None:
            return
        catalog = self._publisher.catalog
        self._background.host_names.want(catalog.unresolved_hosts)
        targets = frozenset(catalog.gateway_addresses())
        for address, port in self._targets - targets:
            catalog.set_health(address, port, healthy=True)
        if targets != self._targets:
            self._targets = targets
            self._background.probes.want(targets)

    def _tick(self) -> None:
        self._loop.call_later(TICK, self._tick)
        self._process.beat(self._clock())
        self._publisher.reader_check()
        for name in () if self._held else self._states.ghosts(self._clock()):
            _log.warning("cluster %s is in no source any more; its names are gone", name)
            self.left(name)
        self._commit()
        self._snapshots.look(self._publisher.changes, self._clock())
