"""Publisher: changes of the name table become commits of the name database."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from meshdns.authority import row_format
from meshdns.authority.row_format import ClusterPart, RowService, RowStatus, SynthesisData
from meshdns.authority.state import NamedbState
from meshdns.controller.cluster_summary import ClusterSummary, GatewaySummary
from meshdns.controller.gauges import MeshCounts
from meshdns.controller.problem_index import (
    GATEWAYS_OWNER,
    OwnProblemTimes,
    ProblemIndex,
    clamp_start,
    date_problems,
    problems_of,
    settings_problems,
)
from meshdns.controller.unserved_names import UnservedNames
from meshdns.dns import names, records
from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.dns.response import record
from meshdns.mesh.addresses import parse_address
from meshdns.mesh.answer import Answer, AnswerKind, encode_answer
from meshdns.mesh.candidates import Level
from meshdns.mesh.diagnostics import ClusterProblem, check_answer, with_locations
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, key_of
from meshdns.mesh.objects.problems import DatedProblem, Problem, with_time
from meshdns.mesh.passthrough import Passthrough
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.topology import Topology, topology_problems
from meshdns.mesh.zone_hashes import NO_HASHES, ZoneHashes
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

_ROW_STATUS: Final = {
    AnswerKind.ADDRESSES: RowStatus.DATA,
    AnswerKind.NODATA: RowStatus.DATA,
    AnswerKind.PENDING: RowStatus.PENDING,
    AnswerKind.FORWARD: RowStatus.FORWARD,
}
NAMES_PER_COMMIT: Final = 1000
"""Some 100 ms of work: between two parts of a large change the heartbeat is written and other changes are applied."""

_RowContent = tuple[tuple[object, ...], tuple[object, ...]]
"""All of an answer that its row holds."""


class Publisher:
    """Applies changes to the name table and commits what follows from them."""

    def __init__(self, settings: MeshSettings, writer: Writer) -> None:
        self.name_table = NameTable(settings)
        self._settings = settings
        self._writer = writer
        self._commit = Commit()
        self._state = NamedbState()
        self._cluster_ids: dict[str, int] = {}
        self._wildcards: set[str] = set()
        self._unchecked_rows: set[bytes] = set()  # rows of an earlier process that this one has not judged yet
        self._resolved: dict[str, tuple[str, ...]] = {}
        self._problem_index = ProblemIndex()
        self._object_problems: dict[ProblemKey, list[Problem]] = {}  # found since the last commit
        self._unchecked_problems: set[ProblemKey] = set()  # like _unchecked_rows, of derived problems
        self._own_problem_times = OwnProblemTimes()
        self._own_problems_stored: list[DatedProblem] = []
        self._unserved_names = UnservedNames(settings)
        self._checked_topology: Topology | None = None  # the topology whose problems are known
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
            self._unserved_names.restore(dict(tables.unserved_reasons.items()))
            self._own_problems_stored = tables.own_problems()
            self.mesh_counts.update_problems(tables.problems.kinds())
            problems = list(tables.problems.encoded())
        self._cluster_ids = {name: number for number, name in enumerate(self._state.clusters)}
        for host, addresses in self._resolved.items():
            self.name_table.set_resolved_addresses(host, addresses)
        clusters = set()
        for cluster, value in declarations:
            declaration = decode_declaration(value)
            self.name_table.upsert(cluster, declaration)
            self._unserved_names.update_declaration(
                cluster, declaration, settings_problems(cluster, declaration, self._settings)
            )
            clusters.add(cluster)
        self._own_problem_times.restore(self._own_problems_stored, now)
        self._restore_problems(problems, now)
        return frozenset(clusters)

    def _restore_problems(self, stored: Iterable[tuple[ProblemKey, bytes]], now: float) -> None:
        for key, value in stored:
            problems = decode_dated(value)
            if is_derived(key):
                self._unchecked_problems.add(key)
                for problem in problems:
                    self._problem_index.restore(problem_cluster(key), problem, now)
            elif any(problem.since != clamp_start(problem.since, now) for problem in problems):
                self._commit.problems[key] = date_problems(problems, problems, now)

    # ------------------------------------------------------------------------------------------ changes

    def upsert(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Add or replace a declaration."""
        if self.name_table.upsert(cluster, declaration):
            self.change_count += 1
            self._commit.put_declaration(cluster, declaration)
            found = list(problems_of(cluster, declaration, self._settings))
            self._object_problems[object_problems_key(cluster, key_of(declaration))] = found
            self._unserved_names.update_declaration(cluster, declaration, found)

    def remove(self, cluster: str, key: ObjectKey) -> None:
        """Forget a declaration."""
        if self.name_table.remove(cluster, key):
            self.change_count += 1
            self._commit.remove_declaration(cluster, key)
            self._object_problems[object_problems_key(cluster, key)] = []
            self._unserved_names.remove_declaration(cluster, key)

    def keys(self, cluster: str, kind: ObjectKind) -> set[ObjectKey]:
        """The keys known of one kind."""
        return {key for key in self.name_table.inventory.ensure_cluster(cluster).declarations if key[0] is kind}

    def declarations_of(self, cluster: str) -> list[AnyDeclaration]:
        """All declarations of a cluster."""
        return list(self.name_table.inventory.ensure_cluster(cluster).declarations.values())

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
            )
            for gateway in self.name_table.topology.gateways_in_cluster(cluster)
        )

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
        made: dict[_RowContent, bytes] = {}
        for name, answer in self.name_table.refresh(NAMES_PER_COMMIT).items():
            self._track_wildcard(name, answer)
            self.mesh_counts.update_name(name, answer)
            owner = names.to_wire(name)
            self._unchecked_rows.discard(owner)
            commit.rows[owner] = self._row(answer, made) if answer is not None else None
            commit.provenance[owner] = encode_answer(answer) if answer is not None else None
            self._unserved_names.update_name(name, owner, answer)
            self._update_answer_problems(name, owner, answer, now)
        self._update_gateway_problems(now)
        self._date_object_problems(now)
        for name in stale:
            self._cluster_id(name)
        if not self.has_pending_names:
            self._remove_unchecked_rows()
            self._remove_unchecked_problems()
            self._unserved_names.update_pending(self.name_table.is_declared)
        commit.unserved_reasons.update(self._unserved_names.take_changes())
        zones, sources = self._computed_for(knows_clusters=knows_clusters)
        state = NamedbState(
            ready=self._state.ready if self.has_pending_names else ready,
            complete=self._state.complete if self.has_pending_names else complete,
            clusters=tuple(self._cluster_ids),
            stale=tuple(sorted(self._cluster_ids[name] for name in stale)),
            wildcards=bool(self._wildcards),
            zones=zones,
            sources=sources,
        )
        if state != self._state:
            commit.state = state
        if not commit and not self._must_write:
            return 0
        changed = self._writer.apply(commit)
        self._must_write = False
        self.mesh_counts.update_problems(
            (key, tuple(problem.kind.value for problem in problems)) for key, problems in commit.problems.items()
        )
        self._state = state
        self._commit = Commit()
        return changed

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
        for owner in self._unchecked_rows:
            self._commit.rows[owner] = None
            self._commit.provenance[owner] = None
        self._unchecked_rows.clear()

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
        topology = self.name_table.topology
        if topology is not self._checked_topology:
            self._checked_topology = topology
            inventory = self.name_table.inventory
            found = with_locations(topology_problems(inventory, topology), inventory)
            self._update_derived_problems(GATEWAYS_OWNER, found, now)

    def _update_derived_problems(self, owner: bytes, found: Iterable[ClusterProblem], now: float) -> None:
        for (cluster, problem), since in self._problem_index.update(owner, found, now).items():
            key = derived_problem_key(cluster, problem)
            self._unchecked_problems.discard(key)
            self._commit.problems[key] = (with_time(problem, since),) if since is not None else ()

    def _track_wildcard(self, name: str, answer: Answer | None) -> None:
        if name.startswith("*."):
            (self._wildcards.discard if answer is None else self._wildcards.add)(name)

    def _row(self, answer: Answer, encoded_rows: dict[_RowContent, bytes]) -> bytes:
        """The row of an answer; names with the same addresses, ports and clusters share one of `encoded_rows`."""
        static = answer.level is Level.STATIC
        served = (
            (answer.outcome, answer.level, answer.ttl, answer.ipv4, answer.ipv6),
            (answer.clusters, answer.parts, answer.services, answer.records),
        )
        row = encoded_rows.get(served)
        if row is None:
            row = encoded_rows[served] = self._encode_row(answer, static=static)
        return row

    def _encode_row(self, answer: Answer, *, static: bool) -> bytes:
        rrsets = _address_rrsets(answer.ipv4, answer.ipv6)
        for own in answer.records:
            rtype, rdata = records.encode_rdata(own.type, own.value)
            rrsets.setdefault(rtype, []).append(rdata)
        addresses = answer.outcome is AnswerKind.ADDRESSES
        ttl = answer.ttl if addresses or not answer.records else answer.records[0].ttl
        return row_format.encode_row(
            RowStatus.DATA if rrsets else _ROW_STATUS[answer.outcome],
            rrsets,
            ttl=ttl,
            clusters=[self._cluster_id(name) for name in answer.clusters if name],
            static=static,
            level=answer.level or 0,
            synthesis=self._blocks(answer) if answer.parts or answer.services else None,
        )

    def _blocks(self, answer: Answer) -> SynthesisData:
        """What further names are made of: by cluster, and SRV."""
        return SynthesisData(
            parts=tuple(
                ClusterPart(
                    self._cluster_label(part.cluster),
                    part.port,
                    {
                        rtype: (len(rdatas), b"".join(record(rtype, answer.ttl, rdata) for rdata in rdatas))
                        for rtype, rdatas in _address_rrsets(part.ipv4, part.ipv6).items()
                    },
                )
                for part in answer.parts
                if self._cluster_label(part.cluster)
            ),
            services=tuple(
                RowService(
                    service.name.lower().encode(),
                    service.protocol.encode(),
                    answer.ttl,
                    tuple(
                        (port, self._cluster_label(cluster) if cluster else b"") for port, cluster in service.targets
                    ),
                )
                for service in answer.services
            ),
        )

    def _cluster_label(self, cluster: str) -> bytes:
        """The label of a cluster in names: ``dnsName`` of its settings, else its name where that is a label."""
        label = self._settings.cluster(cluster).dns_name or cluster.lower()
        return label.encode() if "." not in label and not names.invalid_reason(label) else b""

    def _cluster_id(self, cluster: str) -> int:
        """The number of a cluster in rows; it never changes while the name database exists."""
        return self._cluster_ids.setdefault(cluster, len(self._cluster_ids))


def _address_rrsets(ipv4: Sequence[str], ipv6: Sequence[str]) -> dict[int, list[bytes]]:
    return {
        rtype: [address.packed for text in texts if (address := parse_address(text)) is not None]
        for rtype, texts in ((TYPE_A, ipv4), (TYPE_AAAA, ipv6))
        if texts
    }
