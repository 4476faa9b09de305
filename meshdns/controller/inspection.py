"""What people and tools may see of a view: explanations and lists.

Rules:
- Each question is one short transaction: what it needs is copied out, and only then decoded and put together.
- The running server and the stopped one are looked at in the same way; what only a running one knows comes in as
  `contacts`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import islice

import msgspec

from meshdns.authority import state as view_state
from meshdns.authority.authority import Authority, Verdict
from meshdns.authority.state import ViewState
from meshdns.config import Settings
from meshdns.controller.description import ClusterDescription
from meshdns.controller.listing import (
    AnyItem,
    ClusterItem,
    GatewayItem,
    Listing,
    NameItem,
    NetworkItem,
    ProblemItem,
    ServiceItem,
    ZoneItem,
    kind_of_list,
)
from meshdns.controller.overview import ClusterGlance, Counts, Overview, ProblemCount, ZoneGlance
from meshdns.controller.publishing import decode_declaration
from meshdns.controller.searching import Selection, matching
from meshdns.controller.settings import mesh_settings, vantage_cluster
from meshdns.controller.surroundings import Around, descriptions, stored_problems
from meshdns.controller.zones import served_zones
from meshdns.dns import names, query
from meshdns.dns.presentation import ShownReply, question, shown, type_number
from meshdns.mesh.answer import Answer, unpack
from meshdns.mesh.declarations import AnyDeclaration, EndpointSlice, Service
from meshdns.mesh.explaining import explain, nearest
from meshdns.mesh.explanation import (
    Explanation,
    Forwarding,
    MatchKind,
    Standing,
    ZoneTerms,
)
from meshdns.mesh.fates import SOURCES
from meshdns.mesh.problems import NORMAL, Problem
from meshdns.view.environment import Transaction
from meshdns.view.reader import Look

Read = Callable[[], AbstractContextManager[Transaction]]
"""Begins a look at the view."""

_Item = tuple[bytes, bytes]


class Inspection:
    """Looks at one view under the settings it was made with."""

    def __init__(self, settings: Settings, read: Read, *, unwritten: Callable[[], Sequence[Problem]] = tuple) -> None:
        """`unwritten` gives the problems of the running controller itself, which a view that is full cannot hold."""
        self._settings = settings
        self._mesh = mesh_settings(settings)
        self._read = read
        self._unwritten = unwritten
        self._authority = Authority(list(served_zones(settings)))
        self._lists: dict[str, Callable[[Mapping[str, float]], Iterable[AnyItem]]] = {
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
        with self._read() as txn:
            around = Around(txn, self._mesh)
            standing = self._standing(around.clusters)
            reply = self._reply(name, rtype, txn)
            explanation = explain(name, rtype, standing=standing, around=around, reply=reply)
            unknown = explanation.match.kind is MatchKind.NONE
            known = [key for key, _ in txn.items(b"rows")] if unknown else []
        zone = explanation.zone
        if zone is None or not known:
            return explanation
        inside = (text for key in known if names.within(text := names.text(key), zone.name) and text[0] != "*")
        return msgspec.structs.replace(explanation, nearest=nearest(name, inside))

    def listing(self, word: str, contacts: Mapping[str, float] | None = None) -> Listing[AnyItem]:
        """The list that `word` (a key of `LISTS`) asks for; `contacts` is seconds since each cluster was heard of."""
        return Listing(kind=kind_of_list(word), items=tuple(self._lists[word](contacts or {})))

    def search(self, wanted: Selection) -> Listing[NameItem]:
        """The names that a selection wants, best ones first."""
        (reasons,) = self._copy(b"reasons")
        found = self._answers(matching(reasons, wanted))
        items = (_item(name, answer) for name, answer in found if wanted.cluster in ("", *answer.clusters))
        return Listing(kind=kind_of_list("names"), items=tuple(islice(items, wanted.limit)))

    def worst_problems(self, limit: int) -> Listing[ProblemItem]:
        """So many problems, those that alarm first."""
        items = sorted(self._problems(), key=lambda item: item.normal)
        return Listing(kind=kind_of_list("problems"), items=tuple(items[:limit]))

    def overview(self, contacts: Mapping[str, float], counts: Counts) -> Overview:
        """The instance at a glance; `counts` is what the running controller has counted."""
        with self._read() as txn:
            serial, state, clusters = txn.number, _state(txn), descriptions(txn.items(b"clusters"))
        standing = self._standing(clusters)
        own = Counter((problem.name, problem.kind) for problem in self._unwritten())
        return Overview(
            cluster=standing.cluster,
            network=standing.network,
            zones=tuple(ZoneGlance(zone.name, serial, state.ready, state.complete) for zone in self._settings.zones),
            clusters=tuple(
                ClusterGlance(
                    name=name,
                    source=each.source,
                    status=each.status,
                    since=_moment(each.since),
                    network=each.network,
                    own=name == standing.cluster,
                    last_contact=contacts.get(name),
                    reason=each.reason,
                )
                for name, each in sorted(clusters.items())
            ),
            networks=tuple(self._networks()),
            gateways=tuple(self._gateways()),
            names=counts.names,
            problems=(
                *(ProblemCount(name, kind.value, count, kind in NORMAL) for (name, kind), count in own.items()),
                *counts.problems,
            ),
        )

    # ------------------------------------------------------------------------------------------ explain

    def _reply(self, name: str, rtype: str, txn: Transaction) -> ShownReply | None:
        """What the authority replies now; None where it forwards."""
        asked = query.parse(question(name, type_number(rtype)))
        if asked is None:
            return None
        look = Look(txn, txn.number, _state(txn))
        reply = self._authority.respond(asked, look, tcp=True)
        if reply is Verdict.FALLBACK:
            found = self._authority.after_denial(asked, look, tcp=True)
            return shown(found) if found is not None else None
        return None if isinstance(reply, Verdict) else shown(reply)

    def _standing(self, clusters: Mapping[str, ClusterDescription]) -> Standing:
        own = vantage_cluster(self._settings)
        network = clusters[own].network if own in clusters else ""
        return Standing(
            cluster=own,
            network=self._settings.vantage.network or network,
            zones=tuple(_terms(self._settings)),
            forward=tuple(Forwarding(each.zone, each.to) for each in self._settings.forward),
        )

    # ------------------------------------------------------------------------------------------ lists

    def _copy(self, *databases: bytes) -> list[list[_Item]]:
        """Whole databases, of one commit."""
        with self._read() as txn:
            return [list(txn.items(database)) for database in databases]

    def _named(self, reasons: Iterable[_Item]) -> Iterator[tuple[str, Answer]]:
        return self._answers((names.text(key), value) for key, value in reasons)

    def _answers(self, reasons: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, Answer]]:
        """The names that somebody declares; empty non-terminals are left out."""
        for name, value in reasons:
            answer = unpack(value)
            if answer.considered or answer.records:
                yield name, answer

    def _names(self) -> Iterator[NameItem]:
        (reasons,) = self._copy(b"reasons")
        for name, answer in sorted(self._named(reasons)):
            yield _item(name, answer)

    def _services(self) -> Iterator[ServiceItem]:
        declared, rows = self._copy(b"declarations", b"rows")
        owners = {key for key, _ in rows}
        slices: dict[tuple[str, str, str], list[EndpointSlice]] = defaultdict(list)
        services: list[tuple[str, Service]] = []
        for cluster, declaration in _declarations(declared, "Service", "EndpointSlice"):
            if isinstance(declaration, EndpointSlice):
                slices[cluster, declaration.namespace, declaration.service].append(declaration)
            elif isinstance(declaration, Service):
                services.append((cluster, declaration))
        for cluster, service in sorted(services, key=lambda each: (each[0], each[1].namespace, each[1].name)):
            yield self._service(cluster, service, slices.get((cluster, service.namespace, service.name), []), owners)

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
            names=tuple(name for name in derived if names.wire(name) in owners),
            created=service.created,
        )

    def _clusters(self, contacts: Mapping[str, float]) -> Iterator[ClusterItem]:
        described, reasons = self._copy(b"clusters", b"reasons")
        rests = Counter(cluster for _, answer in self._named(reasons) for cluster in answer.clusters)
        objects = self._objects()
        own = vantage_cluster(self._settings)
        for name, each in sorted(descriptions(described).items()):
            yield ClusterItem(
                name=name,
                source=each.source,
                status=each.status,
                since=_moment(each.since),
                network=each.network,
                objects=objects[name],
                own=name == own,
                names=rests[name],
                gateways=len(each.gateways) if each.gateways is not None else -1,
                last_contact=contacts.get(name),
                reason=each.reason,
            )

    def _objects(self) -> Counter[str]:
        """How many objects are known of each cluster; only their keys are read."""
        with self._read() as txn:
            return Counter(key.partition(b"\0")[0].decode() for key, _ in txn.items(b"declarations"))

    def _gateways(self) -> Iterator[GatewayItem]:
        (described,) = self._copy(b"clusters")
        for name, each in sorted(descriptions(described).items()):
            for gateway in each.gateways or ():
                owner = f"{gateway.owner}/{gateway.origin}" if gateway.owner not in ("", name) else gateway.origin
                network = gateway.network or each.network
                yield GatewayItem(name, network, gateway.address, gateway.port, gateway.healthy, owner)

    def _networks(self) -> Iterator[NetworkItem]:
        (described,) = self._copy(b"clusters")
        clusters = descriptions(described)
        own = self._standing(clusters).network
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
        (stored,) = self._copy(b"problems")
        own = (("", problem) for problem in self._unwritten())
        for cluster, problem in (*own, *stored_problems(stored)):
            yield ProblemItem(
                cluster=cluster,
                kind=problem.kind.value,
                object=problem.object,
                namespace=problem.namespace,
                name=problem.name,
                field=problem.field,
                reason=problem.reason,
                advice=problem.advice,
                where=problem.where,
                normal=problem.kind in NORMAL,
            )

    def _zones(self) -> Iterator[ZoneItem]:
        with self._read() as txn:
            serial, state, reasons = txn.number, _state(txn), list(txn.items(b"reasons"))
        known = [name for name, _ in self._named(reasons)]
        for zone in self._settings.zones:
            inside = sum(names.within(name, zone.name) for name in known)
            yield ZoneItem(zone.name, serial, inside, zone.ttl, zone.negative_ttl, state.ready, state.complete)


def _item(name: str, answer: Answer) -> NameItem:
    served = [c for c in answer.considered if c.level is answer.level]
    return NameItem(
        name,
        answer.outcome.value,
        (*answer.ipv4, *answer.ipv6),
        answer.ttl,
        answer.level or 0,
        SOURCES[answer.level] if answer.level is not None else "",
        answer.clusters,
        tuple(dict.fromkeys("/".join(filter(None, (c.cluster, c.origin))) for c in served)),
    )


def _terms(settings: Settings) -> Iterator[ZoneTerms]:
    for zone in settings.zones:
        yield ZoneTerms(
            zone.name,
            zone.answer,
            zone.ttl,
            zone.negative_ttl,
            zone.fallthrough,
            zone.wildcards == "dns",
            zone.order,
        )
    for fallback in settings.fallback:
        yield ZoneTerms(fallback.zone, fallback=True, upstream=fallback.upstream)


def _state(txn: Transaction) -> ViewState:
    found = txn.get(b"meta", b"state")
    return view_state.decode(found) if found is not None else ViewState()


def _declarations(items: Iterable[_Item], *kinds: str) -> Iterator[tuple[str, AnyDeclaration]]:
    """The declarations of some kinds with their clusters."""
    for key, value in items:
        cluster, kind, _ = key.split(b"\0", 2)
        if kind.decode() in kinds:
            yield cluster.decode(), decode_declaration(value)


def _moment(seconds: float) -> str:
    """A time of the wall clock in RFC 3339; empty for none."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""
