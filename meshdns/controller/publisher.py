"""Publisher: changes of the name table become commits of the name database."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec

from meshdns.authority.state import NamedbState
from meshdns.controller.cluster_summary import ClusterSummary, GatewaySummary
from meshdns.controller.gauges import MeshCounts
from meshdns.controller.problem_index import (
    CLAIMS_OWNER,
    GATEWAYS_OWNER,
    LOOKUPS_OWNER,
    OwnProblemTimes,
    ProblemIndex,
    clamp_start,
    date_problems,
    problems_of,
    settings_problems,
)
from meshdns.controller.retry_delay import RetryDelay
from meshdns.controller.row_encoder import PENDING_ROW, RowContent, RowEncoder
from meshdns.controller.unserved_names import UnservedNames
from meshdns.dns import names
from meshdns.mesh.answer import Answer, AnswerKind, encode_answer
from meshdns.mesh.claims import Claim, ClaimIndex, is_claim
from meshdns.mesh.diagnostics import ClusterProblem, check_answer, with_locations
from meshdns.mesh.lookup_plan import LookupPlan, plan_lookups
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, UnreadableObject, key_of
from meshdns.mesh.objects.foreign import bounded_text, counted, describe_error, listed
from meshdns.mesh.objects.problems import DatedProblem, Problem, ProblemKind, with_time
from meshdns.mesh.passthrough import Passthrough
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.topology import GatewaySet, Topology, topology_problems
from meshdns.mesh.zone_hashes import NO_HASHES, ZoneHashes
from meshdns.namedb.database import DamagedDatabaseError, NameDatabaseError
from meshdns.namedb.tables import (
    ProblemKey,
    decode_dated,
    decode_declaration,
    derived_problem_key,
    is_derived,
    object_problems_key,
    problem_cluster,
)
from meshdns.namedb.writer import Commit, Writer

NAMES_PER_COMMIT: Final = 1000
CANDIDATES_PER_COMMIT: Final = 10_000
"""Each some 100 ms of work, of small names and of large ones.

Between two parts of a large change the heartbeat is written and other changes are applied.
"""

_LONGEST_RETRY_DELAY: Final = 60.0  # seconds
_MOST_UNSTORABLE: Final = 1000  # items that are known by name
_WILDCARD: Final = b"\x01*"
_UNASKABLE: Final = b"\xff"  # what names begin with that are no owner names: no label is so long


class Publisher:
    """Applies changes to the name table and commits what follows from them."""

    def __init__(self, settings: MeshSettings, writer: Writer) -> None:
        self.name_table = NameTable(settings)
        self._settings = settings
        self._claims = ClaimIndex(self.name_table.inventory)
        self._shown_claims = 0  # version of the claims whose problems are known
        self._new_claims: list[Claim] = []
        self.expects_claims: Callable[[str], bool] = lambda _: False
        """Whether what a cluster begins to declare is a claim; not while it is read for the first time."""
        self._writer = writer
        self._commit = Commit()
        self._state = NamedbState()
        self._rows = RowEncoder(settings)
        self._wildcards: set[bytes] = set()  # wildcard owner names that have a row
        self._unchecked_rows: set[bytes] = set()  # rows of an earlier process that this one has not judged yet
        self._resolved: dict[str, tuple[str, ...]] = {}
        self._problem_index = ProblemIndex()
        self._object_problems: dict[ProblemKey, list[Problem]] = {}  # found since the last commit
        self._unchecked_problems: set[ProblemKey] = set()  # like _unchecked_rows, of derived problems
        self._own_problem_times = OwnProblemTimes()
        self._own_problems_stored: list[DatedProblem] = []
        self._unserved_names = UnservedNames(settings)
        self._checked_topology: Topology | None = None  # the topology whose problems are known
        self.lookup_plan = LookupPlan({}, {})
        """The host names to look up. It is another one wherever they changed."""
        self._planned: tuple[int, Topology] | None = None  # what `lookup_plan` was made of
        self._topology_failure = ""
        self._retries = RetryDelay(_LONGEST_RETRY_DELAY)  # of the names that could not be worked out
        self.failure_count = 0  # of names, each time that one could not be worked out
        self.unstorable: list[str] = []  # what was left out of commits, since no database can hold it
        self.restored_contacts: bytes | None = None  # the last contacts, as an earlier process kept them
        self._must_write = False  # even if nothing changed
        self.change_count = 0  # of declarations, since this process began
        self.mesh_counts = MeshCounts(settings)

    def declarations(self) -> list[tuple[str, AnyDeclaration]]:
        """All declarations with their clusters."""
        return [
            (name, declaration)
            for name, cluster in self.name_table.inventory.clusters.items()
            for declaration in cluster.declarations.values()
        ]

    def reader_check(self) -> None:
        """Free what dead readers of the name database hold, which would make its file grow."""
        self._writer.reader_check()

    def require_write(self) -> None:
        """Write the next commit even if nothing changed: the last one of an earlier process failed."""
        self._must_write = True

    def restore(self, now: float) -> frozenset[str]:
        """Take over what an earlier process left in the name database; returns the clusters it had synced.

        `now` is Unix time, the beginning of problems of which none is stored.
        """
        with self._writer.read() as tables:
            self._state = tables.state
            self._resolved = tables.resolved_hosts()
            declarations = list(tables.declarations.encoded())
            self._unchecked_rows = set(tables.rows.owners())
            self._wildcards = {owner for owner in self._unchecked_rows if owner.startswith(_WILDCARD)}
            self._unserved_names.restore(dict(tables.unserved_reasons.items()))
            self._own_problems_stored = tables.own_problems()
            self.restored_contacts = tables.contacts()
            self.mesh_counts.update_problems(tables.problems.kinds())
            problems = list(tables.problems.encoded())
        self._rows.cluster_ids = {name: number for number, name in enumerate(self._state.clusters)}
        for host, addresses in self._resolved.items():
            self.name_table.set_resolved_addresses(host, addresses)
        clusters = set()
        for cluster, value in declarations:
            declaration = decode_declaration(value)
            try:
                self.name_table.upsert(cluster, declaration)
            except Exception as error:  # noqa: BLE001 — as in `upsert`: an object that is kept must not stop each start
                declaration = _unreadable(declaration, error)
                self.name_table.upsert(cluster, declaration)
            self._note_unserved(cluster, declaration)
            clusters.add(cluster)
        self._own_problem_times.restore(self._own_problems_stored, now)
        self._restore_problems(problems, now)
        return frozenset(clusters)

    def _restore_problems(self, stored: Iterable[tuple[ProblemKey, bytes]], now: float) -> None:
        claims: list[ClusterProblem] = []
        for key, value in stored:
            problems = decode_dated(value)
            if is_derived(key):
                self._unchecked_problems.add(key)
                for problem in problems:
                    self._problem_index.restore(problem_cluster(key), problem, now)
                    if is_claim(problem):
                        claims.append((problem_cluster(key), problem))
            elif any(problem.since != clamp_start(problem.since, now) for problem in problems):
                self._commit.problems[key] = date_problems(problems, problems, now)
        self._claims.restore(claims)

    # ------------------------------------------------------------------------------------------ changes

    def upsert(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Add or replace a declaration; one that cannot be taken in becomes an `UnreadableObject`."""
        try:
            self._upsert(cluster, declaration)
        except Exception as error:  # noqa: BLE001 — whatever it is costs this object alone
            self._upsert(cluster, _unreadable(declaration, error))

    def _upsert(self, cluster: str, declaration: AnyDeclaration) -> None:
        claims = self._claims.find_new(cluster, declaration) if self.expects_claims(cluster) else []
        if self.name_table.upsert(cluster, declaration):
            self.change_count += 1
            self._claims.update(cluster, key_of(declaration))
            self._claims.add(claims)
            self._new_claims += claims
            self._commit.put_declaration(cluster, declaration)
            found = list(problems_of(cluster, declaration, self._settings))
            self._object_problems[object_problems_key(cluster, key_of(declaration))] = found
            self._note_unserved(cluster, declaration)

    def _note_unserved(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Note which of its names are not served; a problem that is not listed is a reason, too."""
        problems = settings_problems(cluster, declaration, self._settings)
        self._unserved_names.update_declaration(cluster, declaration, problems)

    def remove(self, cluster: str, key: ObjectKey) -> None:
        """Forget a declaration."""
        if self.name_table.remove(cluster, key):
            self.change_count += 1
            self._claims.update(cluster, key)
            self._commit.remove_declaration(cluster, key)
            self._object_problems[object_problems_key(cluster, key)] = []
            self._unserved_names.remove_declaration(cluster, key)

    def keys(self, cluster: str, kind: ObjectKind) -> set[ObjectKey]:
        """The keys known of one kind."""
        return {key for key in self.name_table.inventory.ensure_cluster(cluster).declarations if key[0] is kind}

    def declarations_of(self, cluster: str) -> list[AnyDeclaration]:
        """All declarations of a cluster."""
        return list(self.name_table.inventory.ensure_cluster(cluster).declarations.values())

    def take_claims(self) -> list[Claim]:
        """Return the claims that began since the last call."""
        taken, self._new_claims = self._new_claims, []
        return taken

    def remove_cluster(self, cluster: str) -> None:
        """Forget a cluster."""
        known = self.name_table.inventory.clusters.get(cluster)
        for key in list(known.declarations) if known is not None else ():
            self.remove(cluster, key)
        self.name_table.remove_cluster(cluster)
        self._commit.clusters[cluster] = None

    def set_resolved_addresses(self, host: str, addresses: tuple[str, ...]) -> None:
        """Note what a host name resolves to; kept in the database, so that a new process knows it before it can ask."""
        self.name_table.set_resolved_addresses(host, addresses)
        wanted = self.name_table.hosts_to_resolve
        self._resolved = {name: found for name, found in self._resolved.items() if name in wanted} | {host: addresses}
        self._commit.resolved_hosts = self._resolved

    def set_summary(self, cluster: str, summary: ClusterSummary) -> None:
        """Set what people are shown of a cluster."""
        self._commit.clusters[cluster] = msgspec.json.encode(summary)

    def set_contacts(self, contacts: bytes) -> None:
        """Keep the last contacts with the next commit."""
        self._commit.contacts = contacts

    def gateway_summaries(self, cluster: str) -> tuple[GatewaySummary, ...]:
        """The gateways of a cluster, and those in it that lead elsewhere, with their health, for people."""
        return tuple(
            GatewaySummary(
                gateway.address,
                gateway.port,
                gateway.owner,
                gateway.origin,
                self.name_table.is_healthy(gateway) if self._settings.probes_gateways else None,
                gateway.network,
                self.name_table.topology.state_of(gateway).status.value,
            )
            for gateway in self.name_table.topology.gateways_in_cluster(cluster)
        )

    def objects_without_address(self, cluster: str) -> int:
        """How many objects should be gateways of a cluster and have no address."""
        return len(self.name_table.topology.gateways.get(cluster, GatewaySet()).without_address)

    def passthrough(self, cluster: str) -> Passthrough | None:
        """What the gateways of a cluster pass through; None where that is not known."""
        return self.name_table.topology.passthrough.get(cluster)

    # ------------------------------------------------------------------------------------------ commit

    def date_own_problems(self, problems: Sequence[Problem], now: float) -> list[DatedProblem]:
        """Return the problems that the controller itself has at the Unix time `now`, with their beginnings.

        These are stored with the next commit, apart from the problems of the mesh: a full database cannot hold them.
        """
        dated = self._own_problem_times.add_times(problems, now)
        stored = self._own_problem_times.problems_to_store()
        if stored != self._own_problems_stored:
            self._own_problems_stored = self._commit.own_problems = stored
        return dated

    def publish(
        self, *, ready: bool, complete: bool, stale: Collection[str], now: float, knows_clusters: bool = True
    ) -> int:
        """Commit everything that changed, with the state that holds now; returns the number of changed rows.

        `now` is Unix time, at which problems begin that were not there before.

        A large change is committed in parts, `has_pending_names` says that some are left; until then `ready` and
        `complete` stay as they were. `knows_clusters` says that the clusters of all sources are known. Raises
        `NameDatabaseError` if the name database cannot be written; the changes are kept and tried with the next call.
        """
        commit = self._commit
        self._update_names(now)
        self._update_gateway_problems(now)
        self._update_claim_problems(now)
        self._date_object_problems(now)
        for name in stale:
            self._rows.cluster_id(name)
        if not self.has_pending_names:
            self._plan_lookups(now)
            self._remove_unchecked_rows()
            self._remove_unchecked_problems()
            self._unserved_names.update_pending(self.name_table.is_declared)
        commit.unserved_reasons.update(self._unserved_names.take_changes())
        zones, sources = self._computed_for(knows_clusters=knows_clusters)
        state = NamedbState(
            ready=self._state.ready if self.has_pending_names else ready,
            complete=self._state.complete if self.has_pending_names else complete,
            clusters=tuple(self._rows.cluster_ids),
            stale=tuple(sorted(self._rows.cluster_ids[name] for name in stale)),
            wildcards=bool(self._wildcards),
            zones=zones,
            sources=sources,
        )
        if state != self._state:
            commit.state = state
        if not commit and not self._must_write:
            return 0
        changed = self._apply(commit)
        self._must_write = False
        self.mesh_counts.update_problems(
            (key, tuple(problem.kind.value for problem in problems)) for key, problems in commit.problems.items()
        )
        self._state = state
        self._commit = Commit()
        return changed

    def _update_names(self, now: float) -> None:
        """Put a part of the names that changed into the next commit, each on its own."""
        if self.name_table.has_failed and self._retries.is_due(now):
            self.name_table.retry_failed()
        encoded_rows: dict[RowContent, bytes] = {}
        answers = self.name_table.refresh(NAMES_PER_COMMIT, CANDIDATES_PER_COMMIT)
        failures = self.name_table.take_failures()
        for name, answer in answers.items():
            try:
                self._update_name(name, answer, encoded_rows, now)
            except Exception as error:  # noqa: BLE001 — whatever it is costs this name alone
                self.name_table.mark_failed(name)
                failures[name] = describe_error(error)
        for name, reason in failures.items():
            self._keep_last_row(name, reason, now)
        self.failure_count += len(failures)
        if failures:
            self._retries.note_failure(now)
        elif not self.name_table.has_failed:
            self._retries.note_success()

    def _update_name(self, name: str, answer: Answer | None, encoded_rows: dict[RowContent, bytes], now: float) -> None:
        """Put a name into the next commit, or raise with nothing of it put there."""
        if fault := names.invalid_reason(name.removeprefix("*.")):
            if answer is None:
                self._update_derived_problems(_unaskable_owner(name), (), now)
                return
            raise ValueError(fault)
        owner = names.to_wire(name)
        row = self._rows.row(answer, encoded_rows) if answer is not None else None
        provenance = encode_answer(answer) if answer is not None else None
        self._update_answer_problems(name, owner, answer, now)
        self._unserved_names.update_name(name, owner, answer)
        self.mesh_counts.update_name(name, answer)
        self._put_row(owner, row, provenance)

    def _put_row(self, owner: bytes, row: bytes | None, provenance: bytes | None) -> None:
        """Put what a name is answered with into the next commit; None for a name that is gone."""
        self._unchecked_rows.discard(owner)
        if owner.startswith(_WILDCARD):
            (self._wildcards.discard if row is None else self._wildcards.add)(owner)
        self._commit.rows[owner] = row
        self._commit.provenance[owner] = provenance

    def _keep_last_row(self, name: str, reason: str, now: float) -> None:
        """Leave a name that cannot be worked out as it was answered last, or have it answered with SERVFAIL."""
        problem = Problem(ProblemKind.NOT_COMPUTED, "Name", "", bounded_text(name), "", reason)
        if names.invalid_reason(name.removeprefix("*.")):  # which nobody can ask
            self._update_derived_problems(_unaskable_owner(name), [("", problem)], now)
            return
        owner = names.to_wire(name)
        self._unchecked_rows.discard(owner)
        if self._commit.rows.get(owner) is None:
            with self._writer.read() as tables:
                is_known = owner not in self._commit.rows and tables.rows.get(owner) is not None
            if not is_known:
                self._put_row(owner, PENDING_ROW, encode_answer(Answer(AnswerKind.PENDING)))
        self._update_derived_problems(owner, [("", problem)], now)

    def _apply(self, commit: Commit) -> int:
        """Write a commit. What no database can hold is left out of the next try; all else stays in it."""
        try:
            return self._writer.apply(commit)
        except DamagedDatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 — one item that cannot be encoded must not keep all others
            cause = error
        dropped = commit.drop_unstorable()
        self.unstorable = [*dict.fromkeys((*self.unstorable, *dropped))][:_MOST_UNSTORABLE]
        if dropped or not isinstance(cause, NameDatabaseError):
            left_out = f"{counted(len(dropped), 'item was', 'items were')} left out: {listed(dropped)}"
            message = f"{describe_error(cause)}; {left_out}"
            raise NameDatabaseError(message) from cause
        raise cause

    def _computed_for(self, *, knows_clusters: bool) -> tuple[dict[str, ZoneHashes] | None, str]:
        """Return the hashes of the settings that the names of each zone are computed for after this commit.

        The hashes of other settings end with the first part of a change. Those of the settings in force begin with the
        last, once the clusters of other sources are known.
        """
        hashes, before = self._settings.hashes, self._state.zones
        are_sources_new = before is not None and self._state.sources != hashes.sources
        if not self.has_pending_names and (knows_clusters or not are_sources_new):
            return hashes.zones or None, hashes.sources
        if before is None:
            return None, self._state.sources
        return {
            name: zone.without_others(hashes.zones.get(name, NO_HASHES)) for name, zone in before.items()
        }, self._state.sources

    @property
    def has_pending_names(self) -> bool:
        """Whether a part of a large change is left for the next commit."""
        return self.name_table.has_pending_names

    def _remove_unchecked_rows(self) -> None:
        """Remove the names of an earlier process that this one, all names judged, does not know."""
        for owner in tuple(self._unchecked_rows):
            self._put_row(owner, None, None)

    def _remove_unchecked_problems(self) -> None:
        """Remove the derived problems of an earlier process that this one, all names judged, did not find."""
        for key in self._unchecked_problems:
            self._commit.problems[key] = ()
        self._unchecked_problems.clear()
        self._problem_index.forget_restored()

    def _date_object_problems(self, now: float) -> None:
        """Commit the problems of changed objects, with the times of those that the objects had before."""
        if not self._object_problems:
            return
        with self._writer.read() as tables:
            for key, found in self._object_problems.items():
                uncommitted = [p for p in self._commit.problems.get(key, ()) if isinstance(p, DatedProblem)]
                before = (uncommitted or tables.problems.dated(key)) if found else ()
                self._commit.problems[key] = date_problems(found, before, now)
        self._object_problems.clear()

    def _update_answer_problems(self, name: str, owner: bytes, answer: Answer | None, now: float) -> None:
        """Keep the problems that show in an answer."""
        inventory, topology = self.name_table.inventory, self.name_table.topology
        found = check_answer(name, answer, inventory, topology) if answer is not None else ()
        self._update_derived_problems(owner, found, now)

    def _update_gateway_problems(self, now: float) -> None:
        """Look for what is wrong with gateway objects, where anything about them changed."""
        topology, failure = self.name_table.topology, self.name_table.topology_failure
        if topology is self._checked_topology and failure == self._topology_failure:
            return
        self._checked_topology, self._topology_failure = topology, failure
        inventory = self.name_table.inventory
        found: list[ClusterProblem] = []
        try:
            found += with_locations(topology_problems(inventory, topology), inventory)
        except Exception as error:  # noqa: BLE001 — names are committed whatever is wrong with gateways
            failure = failure or describe_error(error)
        if failure:
            found.append(("", Problem(ProblemKind.NOT_COMPUTED, "Topology", "", "gateways", "", failure)))
        self._update_derived_problems(GATEWAYS_OWNER, found, now)

    def _update_claim_problems(self, now: float) -> None:
        """Show the claims, where they changed."""
        if self._shown_claims != self._claims.version:
            self._shown_claims = self._claims.version
            self._update_derived_problems(CLAIMS_OWNER, self._claims.problems(), now)

    def _plan_lookups(self, now: float) -> None:
        """Choose the host names to look up anew, where those that are wanted changed."""
        version, topology = self.name_table.hosts_to_resolve_version, self.name_table.topology
        if self._planned is not None and self._planned[0] == version and self._planned[1] is topology:
            return
        self._planned = (version, topology)
        self.lookup_plan = plan_lookups(self.name_table.host_owners(), self.lookup_plan.hosts)
        self._update_derived_problems(LOOKUPS_OWNER, self.lookup_plan.problems(), now)

    def _update_derived_problems(self, owner: bytes, found: Iterable[ClusterProblem], now: float) -> None:
        for (cluster, problem), since in self._problem_index.update(owner, found, now).items():
            key = derived_problem_key(cluster, problem)
            self._unchecked_problems.discard(key)
            self._commit.problems[key] = (with_time(problem, since),) if since is not None else ()


def _unreadable(declaration: AnyDeclaration, error: Exception) -> UnreadableObject:
    """Return what stands for a declaration that cannot be taken in."""
    kind, namespace, name = key_of(declaration)
    problem = Problem(ProblemKind.NOT_COMPUTED, kind.value, namespace, name, "", describe_error(error))
    return UnreadableObject(object_kind=kind, namespace=namespace, name=name, problems=(problem,))


def _unaskable_owner(name: str) -> bytes:
    """What stands for a name that is no owner name where owner names show problems."""
    return _UNASKABLE + name.encode(errors="replace")
