"""Reports on a name database for people and tools: explanations, lists, search and overview.

Rules:
- Each report is one short transaction: what it needs is copied out, and only then decoded and put together.
- The databases of a running and of a stopped server are read in the same way; what only a running one knows comes in as
  `contact_ages`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Final

import msgspec

from meshdns.authority.authority import Authority, Verdict
from meshdns.config import Settings
from meshdns.config.translate import (
    explained_forward_zones,
    explained_zones,
    mesh_settings,
    served_zones,
    vantage_cluster,
)
from meshdns.config.zone_hashes import forward_zones
from meshdns.controller.admin.api import (
    AnyItem,
    ClusterItem,
    ClusterOverview,
    GatewayItem,
    Listing,
    NameCount,
    NameItem,
    NetworkItem,
    Overview,
    OverviewCounts,
    ProblemCount,
    ProblemItem,
    ServiceItem,
    ZoneItem,
    ZoneOverview,
    kind_of_list,
)
from meshdns.controller.admin.each_alone import each_alone
from meshdns.controller.admin.explain_sources import ExplainSources, decode_summaries
from meshdns.controller.admin.search import NameSelection, select_names
from meshdns.controller.cluster_summary import ClusterSummary
from meshdns.controller.gauges import MeshCounts
from meshdns.dns import names, query
from meshdns.dns.presentation import PresentationReply, build_query, to_presentation, type_number
from meshdns.mesh.answer import Answer, decode_answer
from meshdns.mesh.candidates import clusters_without_gateway
from meshdns.mesh.explain.build import LEVEL_TEXT, explain, nearest_names
from meshdns.mesh.explain.model import Explanation, MatchKind, Vantage
from meshdns.mesh.objects.declarations import EndpointSlice, ObjectKind, Service
from meshdns.mesh.objects.problems import DatedProblem, ProblemKind, Severity, cause_of
from meshdns.mesh.unserved_reasons import decisive_candidate
from meshdns.namedb.tables import Tables, decode_declaration, decode_problems

BeginRead = Callable[[], AbstractContextManager[Tables]]
"""Begins a read of the name database."""


class Reports:
    """Reports on one name database under the settings it was made with."""

    def __init__(
        self,
        settings: Settings,
        begin_read: BeginRead,
        *,
        controller_problems: Callable[[], Sequence[DatedProblem]] = tuple,
    ) -> None:
        """`controller_problems` returns the problems of the running controller, which a full database cannot hold."""
        self._settings = settings
        self._mesh = mesh_settings(settings)
        self._begin_read = begin_read
        self._controller_problems = controller_problems
        self._authority = Authority(list(served_zones(settings)), map(names.to_wire, forward_zones(settings)))
        self._list_builders: dict[str, Callable[[Mapping[str, float]], Iterable[AnyItem]]] = {
            "names": lambda _: self._names(),
            "services": lambda _: self._services(),
            "clusters": self._clusters,
            "gateways": lambda _: self._gateways(),
            "networks": lambda _: self._networks(),
            "problems": lambda _: self._problems(),
            "zone": lambda _: self._zones(),
        }

    def explain(self, name: str, rtype: str) -> Explanation:
        """Why `name` (lower-case, no trailing dot) of type `rtype` (upper-case) is answered the way it is."""
        with self._begin_read() as tables:
            context = ExplainSources(tables, self._mesh)
            vantage = self._vantage(context.clusters)
            explanation = explain(
                name,
                rtype,
                vantage=vantage,
                context=context,
                reply=self._current_reply(name, rtype, tables),
                is_of_zone=self._authority.is_of_zone(names.to_wire(name), tables),
            )
            unknown = explanation.match.kind is MatchKind.NONE
            known = list(tables.rows.owners()) if unknown else []
        zone = explanation.zone
        if zone is None or not known:
            return explanation
        inside = (text for key in known if names.is_subdomain(text := names.to_text(key), zone.name) and text[0] != "*")
        return msgspec.structs.replace(explanation, nearest=nearest_names(name, inside))

    def listing(self, word: str, contact_ages: Mapping[str, float] | None = None) -> Listing[AnyItem]:
        """The list for `word`, a key of `LISTS`; `contact_ages` is seconds since the last contact with each cluster."""
        return Listing(kind=kind_of_list(word), items=tuple(self._list_builders[word](contact_ages or {})))

    def search(self, selection: NameSelection) -> Listing[NameItem]:
        """The names that a selection wants, best ones first."""
        found = self._decode_answers(select_names(self._copy_provenance(), selection))
        wanted = selection.cluster
        items = (_name_item(name, answer) for name, answer in found if wanted in ("", *answer.declaring_clusters))
        return Listing(kind=kind_of_list("names"), items=tuple(islice(items, selection.limit)))

    def worst_problems(self, limit: int) -> Listing[ProblemItem]:
        """So many problems, those that alarm first."""
        items = sorted(self._problems(), key=lambda item: item.normal)
        return Listing(kind=kind_of_list("problems"), items=tuple(items[:limit]))

    def overview(self, contact_ages: Mapping[str, float], counts: OverviewCounts) -> Overview:
        """The instance at a glance; `counts` is what the running controller has counted."""
        with self._begin_read() as tables:
            serial, state, clusters = tables.serial, tables.state, decode_summaries(tables.clusters.items())
        vantage = self._vantage(clusters)
        own = Counter((problem.name, problem.kind) for problem in self._controller_problems())
        return Overview(
            cluster=vantage.cluster,
            network=vantage.network,
            zones=tuple(ZoneOverview(zone.name, serial, state.ready, state.complete) for zone in self._settings.zones),
            clusters=tuple(
                ClusterOverview(
                    name=name,
                    source=each.source,
                    status=each.status,
                    since=_rfc3339(each.since),
                    network=each.network,
                    own=name == vantage.cluster,
                    last_contact=contact_ages.get(name),
                    reason=each.reason,
                )
                for name, each in sorted(clusters.items())
            ),
            networks=tuple(self._networks()),
            gateways=tuple(self._gateways()),
            names=counts.names,
            problems=(
                *(ProblemCount(name, kind.value, count, kind.value in _NORMAL) for (name, kind), count in own.items()),
                *counts.problems,
            ),
        )

    # ------------------------------------------------------------------------------------------ explain

    def _current_reply(self, name: str, rtype: str, tables: Tables) -> PresentationReply | None:
        """What the authority replies now; None where it forwards."""
        asked = query.parse_query(build_query(name, type_number(rtype)))
        if asked is None:
            return None
        reply = self._authority.respond(asked, tables, tcp=True)
        if reply is Verdict.FALLBACK:
            found = self._authority.answer_after_denial(asked, tables, tcp=True)
            return to_presentation(found[0]) if found is not None else None
        return None if isinstance(reply, Verdict) else to_presentation(reply[0])

    def _vantage(self, clusters: Mapping[str, ClusterSummary]) -> Vantage:
        own = vantage_cluster(self._settings)
        network = clusters[own].network if own in clusters else ""
        return Vantage(
            cluster=own,
            network=self._settings.vantage.network or network,
            zones=tuple(explained_zones(self._settings)),
            forward=tuple(explained_forward_zones(self._settings)),
        )

    # ------------------------------------------------------------------------------------------ lists

    def _copy_provenance(self) -> list[tuple[bytes, bytes]]:
        with self._begin_read() as tables:
            return list(tables.provenance.items())

    def _copy_summaries(self) -> list[tuple[str, bytes]]:
        with self._begin_read() as tables:
            return list(tables.clusters.items())

    def _decode_stored(self, provenance: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, Answer]]:
        return self._decode_answers((names.to_text(owner), value) for owner, value in provenance)

    def _decode_answers(self, provenance: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, Answer]]:
        """The names that are declared; empty non-terminals are left out."""
        decoded = each_alone(lambda item: (item[0], decode_answer(item[1])), provenance, what="a name")
        return ((name, answer) for name, answer in decoded if answer.is_declared)

    def _names(self) -> Iterator[NameItem]:
        stored = sorted((names.to_text(owner), value) for owner, value in self._copy_provenance())
        # one answer at a time: decoded, all of them would take many times the memory
        return each_alone(lambda item: _name_item(*item), self._decode_answers(stored), what="a name")

    def _services(self) -> Iterator[ServiceItem]:
        with self._begin_read() as tables:
            declared = list(tables.declarations.encoded((ObjectKind.SERVICE, ObjectKind.ENDPOINT_SLICE)))
            owners = set(tables.rows.owners())
        slices: dict[tuple[str, str, str], list[EndpointSlice]] = defaultdict(list)
        services: list[tuple[str, Service]] = []
        decoded = each_alone(lambda item: (item[0], decode_declaration(item[1])), declared, what="a declaration")
        for cluster, declaration in decoded:
            if isinstance(declaration, EndpointSlice):
                slices[cluster, declaration.namespace, declaration.service].append(declaration)
            elif isinstance(declaration, Service):
                services.append((cluster, declaration))
        services.sort(key=lambda each: (each[0], each[1].namespace, each[1].name))
        yield from each_alone(
            lambda each: self._service(*each, slices.get((each[0], each[1].namespace, each[1].name), []), owners),
            services,
            what="a Service",
        )

    def _service(
        self, cluster: str, service: Service, slices: Sequence[EndpointSlice], owners: set[bytes]
    ) -> ServiceItem:
        points = {point.address: point.ready for part in slices for point in part.endpoints}
        derived = (f"{service.name}.{service.namespace}.{zone.name}" for zone in self._settings.zones)
        return ServiceItem(
            cluster=cluster,
            namespace=service.namespace,
            name=service.name,
            type=service.type,
            cluster_ips=service.cluster_ips or (("None",) if service.headless else ()),
            external=(*service.ingress, *service.external_ips),
            ports=tuple(f"{port.number}/{port.protocol}" for port in service.ports),
            ready=sum(points.values()) if slices else -1,
            endpoints=len(points) if slices else -1,
            names=tuple(name for name in derived if not names.invalid_reason(name) and names.to_wire(name) in owners),
            created=service.created,
        )

    def _clusters(self, contact_ages: Mapping[str, float]) -> Iterator[ClusterItem]:
        with self._begin_read() as tables:
            described, provenance = list(tables.clusters.items()), list(tables.provenance.items())
            objects = tables.declarations.count_by_cluster()
        rests: Counter[str] = Counter()
        lacking: Counter[str] = Counter()
        for _, answer in self._decode_stored(provenance):
            rests.update(answer.declaring_clusters)
            lacking.update(clusters_without_gateway(answer.candidates))
        own = vantage_cluster(self._settings)
        for name, each in sorted(decode_summaries(described).items()):
            yield ClusterItem(
                name=name,
                source=each.source,
                status=each.status,
                since=_rfc3339(each.since),
                network=each.network,
                objects=objects[name],
                own=name == own,
                names=rests[name],
                gateways=len(each.gateways) if each.gateways is not None else -1,
                last_contact=contact_ages.get(name),
                reason=each.reason,
                gateways_without_address=each.gateways_without_address,
                names_without_gateway=lacking[name],
            )

    def _gateways(self) -> Iterator[GatewayItem]:
        for name, each in sorted(decode_summaries(self._copy_summaries()).items()):
            for gateway in each.gateways or ():
                owner = f"{gateway.owner}/{gateway.origin}" if gateway.owner not in ("", name) else gateway.origin
                network = gateway.network or each.network
                yield GatewayItem(name, network, gateway.address, gateway.port, gateway.healthy, owner, gateway.state)

    def _networks(self) -> Iterator[NetworkItem]:
        clusters = decode_summaries(self._copy_summaries())
        own = self._vantage(clusters).network
        configured = self._settings.networks
        leading = [
            (gateway.network or each.network, gateway.address)
            for _, each in sorted(clusters.items())
            for gateway in each.gateways or ()
        ]
        known = {each.network for each in clusters.values()} | {network for network, _ in leading} | set(configured)
        for network in sorted((known | {own}) - {""}):
            members = sorted(name for name, each in clusters.items() if each.network == network)
            found = (address for into, address in leading if into == network)
            cidrs = configured[network].cidrs if network in configured else ()
            yield NetworkItem(network, tuple(members), tuple(dict.fromkeys(found)), cidrs, network == own)

    def _problems(self) -> Iterator[ProblemItem]:
        with self._begin_read() as tables:
            stored = list(tables.problems.encoded())
        own = (("", problem) for problem in self._controller_problems())
        decoded = each_alone(lambda item: list(decode_problems([item])), stored, what="a problem")
        for cluster, problem in chain(own, chain.from_iterable(decoded)):
            yield ProblemItem(
                cluster=cluster,
                kind=problem.kind.value,
                object=problem.object,
                namespace=problem.namespace,
                name=problem.name,
                field=problem.field,
                reason=problem.reason,
                advice=problem.next_step,
                where=problem.where,
                normal=problem.severity is Severity.EXPECTED,
                severity=problem.severity.value,
                since=_rfc3339(problem.since),
                cause=cause_of(cluster, problem),
            )

    def _zones(self) -> Iterator[ZoneItem]:
        with self._begin_read() as tables:
            serial, state, provenance = tables.serial, tables.state, list(tables.provenance.items())
        known = [name for name, _ in self._decode_stored(provenance)]
        for zone in self._settings.zones:
            inside = sum(names.is_subdomain(name, zone.name) for name in known)
            yield ZoneItem(zone.name, serial, inside, zone.ttl, zone.negative_ttl, state.ready, state.complete)


def _name_item(name: str, answer: Answer) -> NameItem:
    served = [c for c in answer.candidates if answer.level in (None, c.level)]
    lacking = decisive_candidate(answer)
    clusters = answer.clusters
    if lacking is not None:
        clusters = tuple(sorted({c.cluster for c in answer.candidates if c.cluster}))
    return NameItem(
        name,
        answer.outcome.value,
        (*answer.ipv4, *answer.ipv6),
        answer.ttl,
        answer.level or 0,
        LEVEL_TEXT[answer.level] if answer.level is not None else "",
        clusters,
        tuple(dict.fromkeys("/".join(filter(None, (c.cluster, str(c.origin)))) for c in served)),
        f"{lacking.cluster}: {lacking.reason}" if lacking is not None else "",
    )


def _rfc3339(seconds: float) -> str:
    """A time of the wall clock in RFC 3339; empty for none."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""


def overview_counts(mesh_counts: MeshCounts) -> OverviewCounts:
    """Return the counts that are not zero, in the order of their labels."""
    return OverviewCounts(tuple(_name_counts(mesh_counts)), tuple(_problem_counts(mesh_counts)))


def _name_counts(mesh_counts: MeshCounts) -> Iterator[NameCount]:
    for (zone, cluster), count in sorted(mesh_counts.names.items()):
        if count > 0:
            yield NameCount(zone.removesuffix("."), cluster, count)


def _problem_counts(mesh_counts: MeshCounts) -> Iterator[ProblemCount]:
    for (cluster, kind), count in sorted(mesh_counts.problems.items()):
        if count > 0:
            yield ProblemCount(cluster, kind, count, kind in _NORMAL)


_NORMAL: Final = frozenset(kind.value for kind in ProblemKind if kind.severity is Severity.EXPECTED)
