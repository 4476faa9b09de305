"""Controller: the sink of all sources, which turns source events into commits.

The first change is committed in the same turn of the event loop that brought it; what else arrives in that turn goes
into the same commit. Nothing is polled but the clock, once a second, for what time alone changes: staleness, and the
end of the wait for clusters that never synced.

A changed declaration waits for no more than its names. The states of clusters are judged again after other events,
and the summaries shown to people are written with the next commit, in the turn after.
"""

import asyncio
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from meshdns.controller.claim_log import ClaimLog
from meshdns.controller.cluster_state import ClusterTracker, ServingState
from meshdns.controller.gateway_prober import GatewayProber
from meshdns.controller.gauges import ControllerMetrics, MeshCounts
from meshdns.controller.hostname_resolver import HostnameResolver
from meshdns.controller.ingest import Ingest
from meshdns.controller.joining import Joining
from meshdns.controller.kept_contacts import KEEP_INTERVAL, decode_contacts, encode_contacts
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.controller.publisher import Publisher
from meshdns.controller.retry_delay import RetryDelay
from meshdns.controller.settings_names import UnknownNames
from meshdns.controller.snapshot_writer import SnapshotWriter
from meshdns.controller.summary_writer import SummaryWriter
from meshdns.instance.clocks import Moment
from meshdns.instance.timers import Timers
from meshdns.mesh.fair_timers import Owners
from meshdns.mesh.lookup_plan import LookupPlan
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.foreign import describe_error, listed
from meshdns.mesh.objects.problems import DatedProblem, Problem, ProblemKind, cluster_cause
from meshdns.namedb import snapshot
from meshdns.namedb.database import DamagedDatabaseError, NameDatabaseError
from meshdns.namedb.location import EXIT_DATABASE_DAMAGED
from meshdns.namedb.snapshot import SnapshotError
from meshdns.sources.sink import (
    ClusterAdded,
    ContactMade,
    KindListed,
    ObjectChanged,
    ObjectRemoved,
    ReadFailed,
    SourceEvent,
    SourceListed,
    SourceProblems,
)

TICK_INTERVAL: Final = 1.0  # seconds
_LONGEST_COMMIT_DELAY: Final = 16.0  # seconds until a commit that failed is tried again

_SLICES_PER_TURN: Final = 500
"""EndpointSlices from which on the pod addresses of no further cluster are dropped in one turn: some 100 ms of work."""

_log = logging.getLogger("meshdns.controller")


class ProcessHooks(NamedTuple):
    """Functions of the process for the controller: tell the supervisor, write heartbeats, restart.

    `report_not_ready` is called with the reason why the instance is not ready, and with "" once it is; `wall_clock` is
    the clock for people, in seconds since 1970, `moment` gives the time for what outlives the process; `release_memory`
    gives back the memory that reading everything took; `record_commit_failed` is called after each commit with whether
    it failed.
    """

    report_not_ready: Callable[[str], None]
    wall_clock: Callable[[], float]
    moment: Callable[[], Moment]
    write_heartbeat: Callable[[], None]
    request_restart: Callable[[], None]
    release_memory: Callable[[], None]
    metrics: ControllerMetrics
    record_commit_failed: Callable[[bool], None]


class Background(NamedTuple):
    """Background work: resolving host names and probing gateways."""

    hostname_resolver: HostnameResolver
    gateway_prober: GatewayProber


class Controller:
    """Implements `meshdns.sources.sink.Sink`."""

    def __init__(
        self,
        *,
        publisher: Publisher,
        tracker: ClusterTracker,
        guard: MassDeleteGuard,
        state_dir: Path,
        hooks: ProcessHooks,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
    ) -> None:
        self._publisher = publisher
        publisher.expects_claims = tracker.has_been_read
        self._claim_log = ClaimLog()
        self._snapshot_writer = SnapshotWriter(state_dir, publisher.declarations, loop=loop)
        self._hooks = hooks
        self._reported_reason: str | None = None
        self._ingest = Ingest(publisher, tracker, guard)
        self._logged_failures: dict[tuple[str, ObjectKind], str] = {}
        self._fully_listed: set[str] = set()  # clusters whose first lists were read
        self._tracker = tracker
        self._joining = Joining(tracker, publisher.name_table.own_clusters)
        self._timers = Timers(loop)
        self._clock = clock
        self._commit_scheduled = False
        self._commit_error = ""
        self._has_committed = False  # or an earlier process had
        self._commit_delay = RetryDelay(_LONGEST_COMMIT_DELAY)
        self._summary_writer = SummaryWriter(publisher, tracker, hooks.wall_clock)
        self._recheck_due = True  # whether more than declarations came since the clusters were judged
        self._serving_state = ServingState()
        self._seen_topology = publisher.name_table.topology
        self._background: Background | None = None
        self._lookup_plan: LookupPlan | None = None  # the plan that the resolver has
        self._probe_targets: Mapping[tuple[str, int], Owners] = {}
        self._source_problems: dict[str, tuple[Problem, ...]] = {}
        self._contacts_kept_at = -math.inf
        self._instance_problems: tuple[Problem, ...] = ()
        self._unknown_names = UnknownNames()

    def start(self) -> None:
        """Take over what the name database holds, or else the snapshot, and begin to tick."""
        remembered = self._publisher.restore(self._hooks.wall_clock())
        self._has_committed = bool(remembered)
        if remembered:
            self._snapshot_writer.mark_outdated()  # its writer may have exited before it wrote a snapshot
        else:
            remembered = self._restore_snapshot()
        ages = decode_contacts(self._publisher.restored_contacts, self._hooks.moment())
        for cluster in remembered:
            self._tracker.restore(cluster, self._clock(), contact_age=ages.get(cluster))
        self._on_tick()

    async def close(self) -> None:
        """Leave a snapshot behind that holds everything; nothing is done afterwards.

        The caller closes the name database next. A commit that is due is not made: the next process reads all again.
        """
        self._timers.close()
        await self._snapshot_writer.close(self._publisher.change_count)

    def _restore_snapshot(self) -> frozenset[str]:
        """Begin with the declarations of the snapshot: after a reboot, or when the name database was damaged."""
        clusters = set()
        try:
            for cluster, declaration in snapshot.read_snapshot(self._snapshot_writer.directory):
                self._publisher.upsert(cluster, declaration)
                clusters.add(cluster)
        except SnapshotError as error:
            _log.error("%s", error)
        if clusters:
            _log.info("began with the snapshot of %s", ", ".join(sorted(clusters)))
        return frozenset(clusters)

    def served_identities(self) -> dict[str, str]:
        """By cluster the UID of the one whose names are served, where it is known."""
        return self._ingest.served_identities()

    # ------------------------------------------------------------------------------------------ sources

    def expect_sources(self, sources: int) -> None:
        """Expect `SourceListed` from so many sources; clusters that none adds are kept until all have reported."""
        self._tracker.expect_sources(sources)

    def report(self, event: SourceEvent) -> float:
        """Take in an event of a source, and schedule a commit if names may have changed by it."""
        result = self._ingest.apply(event, self._clock())
        self._recheck_due |= result.recheck
        match event:
            case ObjectChanged() | ContactMade() | ObjectRemoved():
                pass  # the most frequent events come first here
            case ClusterAdded(cluster):
                self._update_joining()
                self._publisher.name_table.add_cluster(cluster)
            case SourceListed() if self._joining.waiting:
                self._recheck_due = True
                self._schedule_commit()
            case KindListed(cluster) if result.relist_after:
                for alarm in self._tracker.state_of(cluster).alarms:
                    _log.error("cluster %s: %s; %s", cluster, *alarm)
            case ReadFailed():
                self._record_failure(event)
            case SourceProblems():
                self._record_source_problems(event)
        if result.commit and not self._is_awaited(event):
            self._schedule_commit()
        return result.relist_after

    def _is_awaited(self, event: SourceEvent) -> bool:
        """Whether an event is a part of first lists that are under way: the clock commits these, or their last part."""
        if not self._joining.waiting or not isinstance(event, KindListed | ObjectChanged | ObjectRemoved):
            return False
        return event.cluster in self._joining.waiting and not self._tracker.state_of(event.cluster).is_read

    def _update_joining(self) -> None:
        """Have the names of the clusters wait that are to wait now."""
        self._publisher.name_table.set_waiting_clusters(self._joining.update(self._clock()))

    def _record_failure(self, event: ReadFailed) -> None:
        """Count a failed read, and log each reason once."""
        self._hooks.metrics.record_read_failure(event.cluster, event.kind)
        if self._logged_failures.get((event.cluster, event.kind)) != event.reason:
            self._logged_failures[event.cluster, event.kind] = event.reason
            _log.warning("cluster %s: %s: %s", event.cluster, event.kind.value, event.reason)

    def record_source_end(self, kind: str) -> None:
        """A source of this kind ended, and will be started again."""
        self._hooks.metrics.record_source_end(kind)

    def _record_source_problems(self, event: SourceProblems) -> None:
        """Keep the problems of a source, and log each once."""
        before = self._source_problems.get(event.source, ())
        self._source_problems[event.source] = event.problems
        for each in event.problems:
            if each not in before:
                _log.warning("%s: %s %s: %s; %s", event.source, each.object, each.name, each.reason, each.advice)

    def set_instance_problems(self, problems: tuple[Problem, ...]) -> None:
        """Show what the supervisor has found, and has logged, until it says otherwise."""
        self._instance_problems = problems

    # ------------------------------------------------------------------------------------------ commits

    def _schedule_commit(self) -> None:
        self._hooks.metrics.record_change()
        if not self._commit_scheduled:
            self._commit_scheduled = True
            self._timers.call_soon(self._commit)

    def _commit(self) -> None:
        self._commit_scheduled = False
        now = self._clock()
        if not self._commit_delay.is_due(now):
            return  # the changes are kept; the clock tries again
        self._report_claims()
        if self._recheck_due:
            self._update_joining()
            self._serving_state = self._tracker.serving_state(now)
            if self._joining.has_listed:  # whose names would be denied
                self._serving_state = self._serving_state._replace(complete=False)
        try:
            changed = self._publisher.publish(**self._serving_state._asdict(), now=self._hooks.wall_clock())
        except DamagedDatabaseError as error:
            _log.error("the name database cannot be used any more, and is rebuilt: %s", error)
            sys.exit(EXIT_DATABASE_DAMAGED)
        except NameDatabaseError as error:
            self._record_commit_failure(str(error), now)
        except Exception as error:  # noqa: BLE001 — whatever it is, the changes are kept and tried again
            if not self._commit_error:
                _log.exception("a commit failed")
            self._record_commit_failure(describe_error(error), now)
        else:
            self._hooks.record_commit_failed(False)
            self._has_committed = True
            self._commit_error = ""
            self._commit_delay.note_success()
            self._hooks.metrics.record_name_failures(self._publisher.failure_count)
            topology = self._publisher.name_table.topology
            if self._recheck_due or topology is not self._seen_topology:
                self._seen_topology, self._recheck_due = topology, True
                if self._summary_writer.write_changes(now):
                    self._schedule_commit()
            if self._publisher.has_pending_names:
                self._schedule_commit()
                return
            self._hooks.metrics.record_commit(changed)
            self._update_resolver()
            if self._recheck_due:
                self._after_commit(now)
                self._recheck_due = self._commit_scheduled

    def _report_claims(self) -> None:
        """Count and log the names that somebody began to declare beside others."""
        claims = self._publisher.take_claims()
        for claim in claims:
            self._hooks.metrics.record_claim(claim.claimant[0], is_between_clusters=claim.is_between_clusters)
        self._claim_log.write(claims)

    def _record_commit_failure(self, reason: str, now: float) -> None:
        """Count a failed commit, log each reason once, and wait for a while: the changes are kept."""
        self._commit_delay.note_failure(now)
        self._hooks.metrics.record_commit_failure()
        self._hooks.record_commit_failed(True)
        served = "what was committed last is served on"
        if not self._has_committed:
            served = "nothing was committed yet, so no name of the mesh is answered"
            self._report_readiness(f"{reason}; {ProblemKind.DATABASE.advice}")
        if reason != self._commit_error:
            _log.error("%s; %s", reason, served)
        self._commit_error = reason

    def _after_commit(self, now: float) -> None:
        """Do what the state of the clusters asks for, once everything that came is committed."""
        self._report_readiness(self._tracker.not_ready_reason(now))
        self._update_prober()
        self._drop_pod_addresses()
        complete = {state.name for state in self._tracker.clusters.values() if state.is_fully_listed}
        if not self._commit_scheduled and not self._joining.waiting:  # else there is more to come that is to stay
            if complete - self._fully_listed:
                self._hooks.release_memory()
            self._fully_listed = complete

    def _report_readiness(self, reason: str) -> None:
        """Tell the supervisor what the instance waits for, where that changed; once it is ready it stays so."""
        if self._reported_reason not in ("", reason):
            self._reported_reason = reason
            self._hooks.report_not_ready(reason)

    def _drop_pod_addresses(self) -> None:
        """Drop pod addresses of clusters on other networks; restart if some are needed after all.

        Which these are is only known once the own network is: before, a neighbour would look far away. Where they are
        many, the next commit goes on with the next cluster.
        """
        if not self._tracker.has_read_own_cluster:
            return
        dropped = 0
        for name, state in self._tracker.clusters.items():
            if state.is_fully_listed and dropped < _SLICES_PER_TURN:
                for part in self._publisher.name_table.drop_pod_addresses(name):
                    self._publisher.upsert(name, part)
                    dropped += 1
        if dropped:
            self._schedule_commit()
        if self._publisher.name_table.needs_pod_addresses():
            _log.warning("a cluster came onto the own network; reading all clusters again")
            self._hooks.request_restart()

    # ------------------------------------------------------------------------------------------ background

    def start_background(self, background: Background) -> None:
        """Keep host names resolved and gateways probed from now on."""
        self._recheck_due = True
        self._background = background
        self._schedule_commit()

    def on_resolved(self, host: str, addresses: tuple[str, ...]) -> None:
        """A host name's addresses changed; none means that it exists no more."""
        _log.info("host name %s resolves to %s", host, ", ".join(addresses) or "nothing")
        self._recheck_due = True
        self._publisher.set_resolved_addresses(host, addresses)
        self._schedule_commit()

    def on_failing(self, host: str, failing: bool) -> None:  # noqa: FBT001 — HostnameResolver calls it
        """The look-ups of a host name that has never resolved began to fail, or fail no more."""
        self._recheck_due = True
        self._publisher.name_table.set_failing(host, failing=failing)
        self._schedule_commit()

    def on_health_change(self, address: str, port: int, healthy: bool) -> None:  # noqa: FBT001 — GatewayProber calls it
        """A gateway's health changed."""
        _log.warning("gateway %s port %d is %s", address, port, "healthy" if healthy else "not healthy")
        self._recheck_due = True
        self._publisher.name_table.set_health(address, port, healthy=healthy)
        self._schedule_commit()

    def problems(self) -> Sequence[DatedProblem]:
        """Return what is wrong with the sources, with their lists, and with the name database, each with its time."""
        return self._publisher.date_own_problems(self._undated_problems(), self._hooks.wall_clock())

    def _undated_problems(self) -> tuple[Problem, ...]:
        sources = (
            self._instance_problems
            + self._unknown_names.problems
            + tuple(problem for problems in self._source_problems.values() for problem in problems)
            + tuple(
                Problem(ProblemKind.MASS_DELETE, "Cluster", "", state.name, "", *alarm, cause=cluster_cause(state.name))
                for state in self._tracker.clusters.values()
                for alarm in state.alarms
            )
        )
        if self._publisher.unstorable:
            reason = f"these cannot be stored, and are left out: {listed(self._publisher.unstorable)}"
            sources += (Problem(ProblemKind.NOT_COMPUTED, "NameDatabase", "", "items", "", reason),)
        if not self._commit_error:
            return sources
        advice = ProblemKind.DATABASE.advice
        return (*sources, Problem(ProblemKind.DATABASE, "NameDatabase", "", "namedb", "", self._commit_error, advice))

    @property
    def mesh_counts(self) -> MeshCounts:
        """How many names and problems there are."""
        return self._publisher.mesh_counts

    @property
    def judged_candidates(self) -> int:
        """The work so far (`NameTable.judged_candidates`)."""
        return self._publisher.name_table.judged_candidates

    def contact_ages(self) -> dict[str, float]:
        """Seconds since each cluster was heard of, in each of its kinds."""
        return self._tracker.contact_ages(self._clock())

    def _keep_contacts(self) -> None:
        """Have the next commit keep the last contacts, now and then."""
        now = self._clock()
        if now - self._contacts_kept_at >= KEEP_INTERVAL:
            self._contacts_kept_at = now
            self._publisher.set_contacts(encode_contacts(self._tracker.contact_ages(now), self._hooks.moment()))

    def _update_resolver(self) -> None:
        """Say what has to be resolved, where that changed."""
        plan = self._publisher.lookup_plan
        if self._background is not None and self._lookup_plan is not plan:
            self._lookup_plan = plan
            self._background.hostname_resolver.set_hosts(plan.hosts)

    def _update_prober(self) -> None:
        """Say what has to be probed."""
        if self._background is None:
            return
        name_table = self._publisher.name_table
        targets = name_table.probe_targets()
        for address, port in self._probe_targets.keys() - targets.keys():
            name_table.set_health(address, port, healthy=True)
        if targets != self._probe_targets:
            self._probe_targets = targets
            self._background.gateway_prober.set_targets(targets)

    def _on_tick(self) -> None:
        self._timers.call_later(TICK_INTERVAL, self._on_tick)
        self._hooks.write_heartbeat()
        self._tracker.record_tick(self._clock())
        self._publisher.reader_check()
        for name in self._ingest.on_tick(self._clock()):
            _log.warning("cluster %s is in no source any more; its names are gone", name)
            self._summary_writer.forget_cluster(name)
        self._recheck_due = True  # time has passed
        self._keep_contacts()
        self._commit()
        self._unknown_names.update(self._tracker, self._publisher.name_table, self._publisher.change_count)
        if not self._joining.waiting:  # a part of the mesh would replace all of it
            self._snapshot_writer.write_if_due(self._publisher.change_count, self._clock())
        self._hooks.metrics.publish(
            summaries=self._summary_writer.summaries,
            contact_ages=self.contact_ages(),
            credential_expiry=self._tracker.credential_expiry(),
            mesh_counts=self._publisher.mesh_counts,
            inventory=self._publisher.name_table.inventory,
            controller_problems=self.problems(),
        )
