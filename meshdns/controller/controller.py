"""The sink of all sources: declarations in, commits out.

The first change is committed in the same turn of the event loop that brought it; what else arrives in that turn goes
into the same commit. Nothing is polled but the clock, once a second, for what time alone changes: staleness, and the
end of the patience with clusters that never synced.

A changed declaration waits for no more than its names. How the clusters are is judged anew where something else was
heard, and what people are shown of them is written with the next commit, in the turn after.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from meshdns.controller.census import Census
from meshdns.controller.descriptions import Descriptions
from meshdns.controller.guard import Guard
from meshdns.controller.intake import Intake
from meshdns.controller.measures import Measures
from meshdns.controller.probing import Probes
from meshdns.controller.publishing import Publisher
from meshdns.controller.resolving import HostNames
from meshdns.controller.snapshots import Snapshots
from meshdns.controller.states import ClusterStates, Standing
from meshdns.mesh.declarations import AnyDeclaration, Kind
from meshdns.mesh.problems import Problem, ProblemKind
from meshdns.view import snapshot
from meshdns.view.environment import DamagedView, ViewError
from meshdns.view.place import UNREADABLE
from meshdns.view.snapshot import SnapshotError

TICK: Final = 1.0  # seconds

_log = logging.getLogger("meshdns.controller")


class Process(NamedTuple):
    """What the process around does for the controller: tell the supervisor, beat on the scoreboard, begin anew.

    `waits` is told why the instance is not ready, and nothing ("") once it is; `wall` is the clock for people,
    in seconds since 1970; `settle` gives back the memory that reading everything took.
    """

    waits: Callable[[str], None]
    wall: Callable[[], float]
    beat: Callable[[float], None]
    restart: Callable[[], None]
    settle: Callable[[], None]
    measures: Measures


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
        guard: Guard,
        state_dir: Path,
        process: Process,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
    ) -> None:
        self._publisher = publisher
        self._snapshots = Snapshots(state_dir, publisher.declarations, loop=loop)
        self._process = process
        self._told_waits: str | None = None
        self._intake = Intake(publisher, states, guard)
        self._said: dict[tuple[str, Kind], str] = {}
        self._settled: set[str] = set()  # clusters whose first lists were read
        self._states = states
        self._loop = loop
        self._clock = clock
        self._scheduled = False
        self._failing = ""
        self._descriptions = Descriptions(publisher, states, process.wall)
        self._news = True  # whether more than declarations came since the clusters were judged
        self._standing = Standing()
        self._surveyed = publisher.catalog.topology
        self._background: Background | None = None
        self._wanted = -1  # the version of the hosts that are resolved
        self._targets: frozenset[tuple[str, int]] = frozenset()
        self._troubles: dict[str, tuple[Problem, ...]] = {}

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

    def joined(self, cluster: str, kinds: Collection[Kind], *, source: str, relists: bool = True) -> None:
        """A source will read this cluster."""
        self._news = True
        self._intake.joined(cluster, kinds, source=source, relists=relists)
        self._publisher.catalog.join_cluster(cluster)
        self._schedule()

    def named(self, source: str) -> None:
        """A source has joined all clusters that it has."""
        self._states.named(source)

    def listed(self, cluster: str, kind: Kind, declarations: Sequence[AnyDeclaration]) -> float:
        """A complete list: what is not in it is gone, once that can be believed."""
        self._news = True
        again = self._intake.listed(cluster, kind, declarations, self._clock())
        if again:
            for alarm in self._states.cluster(cluster).alarms:
                _log.error("cluster %s: %s; %s", cluster, *alarm)
        self._schedule()
        return again

    def changed(self, cluster: str, declaration: AnyDeclaration) -> None:
        """One object was added or modified."""
        self._news |= self._intake.changed(cluster, declaration)
        self._schedule()

    def removed(self, cluster: str, kind: Kind, namespace: str, name: str) -> None:
        """One object is gone."""
        self._news |= self._intake.removed(cluster, (kind, namespace, name))
        self._schedule()

    def contact(self, cluster: str, kind: Kind) -> None:
        """The source was heard from. Never a commit by itself."""
        self._news |= self._intake.contact(cluster, kind, self._clock())

    def failed(self, cluster: str, kind: Kind, reason: str) -> None:
        """The source was not heard from. Said once for each reason."""
        self._news = True
        self._states.cluster(cluster).failed(kind, reason)
        self._process.measures.failed(cluster, kind)
        if self._said.get((cluster, kind)) != reason:
            self._said[cluster, kind] = reason
            _log.warning("cluster %s: %s: %s", cluster, kind.value, reason)

    def expect(self, sources: int) -> None:
        """So many sources will say what clusters they have; what nobody names is kept until all have."""
        self._states.expect(sources)

    def identified(self, cluster: str, uid: str) -> None:
        """The UID of the cluster's namespace kube-system."""
        self._states.cluster(cluster).uid = uid

    def authenticated(self, cluster: str, until: float, *, renewed: bool) -> None:
        """Until when the cluster's credentials are good."""
        state = self._states.cluster(cluster)
        state.until, state.renewed = until, renewed

    def left(self, cluster: str) -> None:
        """The cluster was removed from its source."""
        self._news = True
        self._intake.left(cluster, self._clock())
        self._schedule()

    def troubled(self, source: str, problems: Sequence[Problem]) -> None:
        """What is wrong with a source itself. Each problem is said once in the log."""
        before = self._troubles.get(source, ())
        self._troubles[source] = tuple(problems)
        for problem in problems:
            if problem not in before:
                _log.warning("%s: %s %s: %s; %s", source, problem.object, problem.name, problem.reason, problem.advice)

    # ------------------------------------------------------------------------------------------ commits

    def _schedule(self) -> None:
        self._process.measures.changed()
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        self._scheduled = False
        now = self._clock()
        if self._news:
            self._standing = self._states.standing(now)
        try:
            changed = self._publisher.publish(**self._standing._asdict())
        except DamagedView as error:
            _log.error("the view cannot be used any more, and is rebuilt: %s", error)
            sys.exit(UNREADABLE)
        except ViewError as error:
            self._process.measures.not_committed()
            if str(error) != self._failing:
                _log.error("%s; the last good view is served on", error)
            self._failing = str(error)
        else:
            self._failing = ""
            topology = self._publisher.catalog.topology
            if self._news or topology is not self._surveyed:
                self._surveyed, self._news = topology, True
                if self._descriptions.look(now):
                    self._schedule()
            if self._publisher.busy:
                self._schedule()
                return
            self._process.measures.committed(changed)
            self._want_resolved()
            if self._news:
                self._follow(now)
                self._news = self._scheduled

    def _follow(self, now: float) -> None:
        """Do what the state of the clusters asks for, once everything that came is committed."""
        self._tell(self._states.waits_for(now))
        self._want_probed()
        self._seal()
        complete = {state.name for state in self._states.clusters.values() if state.complete}
        if not self._scheduled:  # else there is more to come that is to stay
            if complete - self._settled:
                self._process.settle()
            self._settled = complete

    def _tell(self, waits: str) -> None:
        """Tell the supervisor what the instance waits for, where that changed; once it is ready it stays so."""
        if self._told_waits not in ("", waits):
            self._told_waits = waits
            self._process.waits(waits)

    def _seal(self) -> None:
        """Let go of pod addresses that mean nothing from here; begin anew where some are needed after all.

        Which these are is only known once the own network is: before, a neighbour would look far away.
        """
        if not self._states.placed:
            return
        for name, state in self._states.clusters.items():
            if state.complete:
                for part in self._publisher.catalog.seal(name):
                    self._publisher.upsert(name, part)
                    self._schedule()
        if self._publisher.catalog.misses_addresses():
            _log.warning("a cluster came onto the own network; reading all clusters again")
            self._process.restart()

    # ------------------------------------------------------------------------------------------ background

    def attend(self, background: Background) -> None:
        """Keep host names resolved and gateways probed from now on."""
        self._news = True
        self._background = background
        self._schedule()

    def resolved(self, host: str, addresses: tuple[str, ...]) -> None:
        """A host name's addresses changed; none means that it exists no more."""
        _log.info("host name %s resolves to %s", host, ", ".join(addresses) or "nothing")
        self._news = True
        self._publisher.set_resolved(host, addresses)
        self._schedule()

    def probed(self, address: str, port: int, healthy: bool) -> None:  # noqa: FBT001 — the callback of Probes
        """A gateway's health changed."""
        _log.warning("gateway %s port %d is %s", address, port, "healthy" if healthy else "not healthy")
        self._news = True
        self._publisher.catalog.set_health(address, port, healthy=healthy)
        self._schedule()

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the sources, with their lists, and with the view itself: full, or on a disk that is."""
        sources = tuple(problem for problems in self._troubles.values() for problem in problems) + tuple(
            Problem(ProblemKind.MASS_DELETE, "Cluster", "", state.name, "", *alarm)
            for state in self._states.clusters.values()
            for alarm in state.alarms
        )
        if not self._failing:
            return sources
        advice = "free space, or remove the view's directory and restart to have it rebuilt"
        return (*sources, Problem(ProblemKind.VIEW, "View", "", "view", "", self._failing, advice))

    @property
    def census(self) -> Census:
        """How many names and problems there are."""
        return self._publisher.census

    def contacts(self) -> dict[str, float]:
        """Seconds since each cluster was heard of."""
        return self._states.contacts(self._clock())

    def _want_resolved(self) -> None:
        """Say what has to be resolved, where that changed."""
        catalog = self._publisher.catalog
        if self._background is not None and self._wanted != catalog.unresolved_version:
            self._wanted = catalog.unresolved_version
            self._background.host_names.want(catalog.unresolved_hosts)

    def _want_probed(self) -> None:
        """Say what has to be probed."""
        if self._background is None:
            return
        catalog = self._publisher.catalog
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
        for name in self._intake.look(self._clock()):
            _log.warning("cluster %s is in no source any more; its names are gone", name)
            self._descriptions.forget(name)
        self._news = True  # time has passed
        self._commit()
        self._snapshots.look(self._publisher.changes, self._clock())
        self._process.measures.publish(
            described=self._descriptions.known,
            contacts=self.contacts(),
            credentials=self._states.credentials(),
            census=self._publisher.census,
            inventory=self._publisher.catalog.inventory,
            own=self.problems(),
        )
