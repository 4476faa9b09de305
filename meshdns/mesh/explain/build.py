"""Builder of explanations: from an answer and its context to one value that can be shown.

Rules:
- What is explained is what is served: the answer of the name database, and the reply that the authority built from it.
  Nothing is decided here a second time; only which candidate lost, and to what, is read from the order of the
  candidates.
- Nothing here does I/O. The caller brings the `ExplainContext` and the reply.
"""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice, takewhile
from typing import Final

import msgspec

from meshdns.dns import names
from meshdns.dns.presentation import PresentationReply
from meshdns.mesh.answer import MAX_PER_FAMILY, Answer, AnswerKind
from meshdns.mesh.candidates import GATEWAY_RULES, Candidate, Level
from meshdns.mesh.explain.model import (
    EndpointResult,
    ExplainContext,
    ExplainedDeclaration,
    ExplainedEndpoint,
    ExplainedPassthrough,
    ExplainedZone,
    Explanation,
    ForwardZone,
    GatewayProblem,
    GatewayState,
    Match,
    MatchKind,
    Vantage,
)
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind, ServiceEntry, WorkloadEntry
from meshdns.mesh.objects.problems import Problem
from meshdns.mesh.objects.references import ADDRESSES_FIELD, ENDPOINTS_FIELD, ObjectRef
from meshdns.mesh.unserved_reasons import decisive_candidate

MAX_COMPARED_NAMES: Final = 10_000
"""Names that are compared with an unknown one: a tenth of a second at most."""

_MAX_RULES: Final = 100  # of the Gateways of a cluster: more say nothing new to a reader
_MAX_NEAREST: Final = 3


def explain(
    name: str,
    rtype: str,
    *,
    vantage: Vantage,
    context: ExplainContext,
    reply: PresentationReply | None,
    is_of_zone: bool = False,
) -> Explanation:
    """Return the explanation of a normal name; `reply` is the authority's, None if the question is forwarded.

    `is_of_zone` says that it exists because of the zones alone (`Authority.is_of_zone`).
    """
    zone = vantage.zone_of(name)
    exists = reply is not None and reply.rcode == "NOERROR"
    match = _find_match(name, zone, context, exists=exists, is_of_zone=is_of_zone)
    found = context.answer(match.owner) if match.owner else None
    answer = found if found is not None else Answer(AnswerKind.NODATA)
    declarations = DeclarationExplainer(answer, zone, context).declarations()
    gateways, passthrough = tuple(_gateway_states(answer, context)), tuple(_passthrough(answer, context))
    forwarded = reply is None or answer.outcome is AnswerKind.FORWARD or (zone is not None and zone.fallback)
    unknown = match.kind in (MatchKind.NONE, MatchKind.OUTSIDE, MatchKind.ZONE)
    return Explanation(
        name=name,
        type=rtype,
        vantage=vantage,
        zone=zone,
        match=match,
        forwarding=_forward_zone(name, zone, vantage) if forwarded else None,
        declarations=declarations,
        gateways=gateways,
        passthrough=passthrough,
        gateway_problems=tuple(dict.fromkeys(_gateway_problems(gateways, passthrough, context))),
        refusals=tuple(context.refusals(name)) if unknown else (),
        reason=_no_answer_reason(match, answer, zone, rtype, reply),
        level=answer.level or 0,
        reply=reply,
    )


def nearest_names(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three known names that look most like an unknown one; no more than `MAX_COMPARED_NAMES` are compared."""
    alike = (each for each in known if abs(len(each) - len(name)) <= 8)
    return tuple(get_close_matches(name, list(islice(alike, MAX_COMPARED_NAMES)), n=_MAX_NEAREST, cutoff=0.75))


# ---------------------------------------------------------------------------------------------------- the match


def _find_match(
    name: str, zone: ExplainedZone | None, context: ExplainContext, *, exists: bool, is_of_zone: bool
) -> Match:
    """The owner name that speaks for `name`, in the order of the authority, which knows whether it exists.

    `meshdns.authority` stands above this package, reads rows of bytes and is on the path of every query: the order of
    the cases stands in both, and a test compares the two. The rule of wildcards is `names.up_to_closest_encloser`.
    """
    if zone is None:
        return Match(MatchKind.OUTSIDE)
    answer = context.answer(name)
    tried = tuple(_covering_wildcards(name, zone, context))
    wildcards = tuple(owner for owner in tried if context.answer(owner) is not None)
    is_empty_nonterminal = answer is not None and not answer.is_declared
    if answer is not None and not is_empty_nonterminal:
        return Match(MatchKind.EXACT, name, less_specific=wildcards)
    if name == zone.name:
        return Match(MatchKind.APEX, name)
    if is_of_zone:
        return Match(MatchKind.ZONE)
    if wildcards and not (is_empty_nonterminal and zone.closest_encloser):
        before = (name, *tried[: tried.index(wildcards[0])])
        return Match(MatchKind.WILDCARD, wildcards[0], () if is_empty_nonterminal else before, wildcards[1:])
    if is_empty_nonterminal:
        return Match(MatchKind.EMPTY_NON_TERMINAL, name)
    owner = _synthesized_from(name, zone, context) if exists else ""
    return Match(MatchKind.SYNTHESIZED, owner) if owner else Match(MatchKind.NONE)


def _synthesized_from(name: str, zone: ExplainedZone, context: ExplainContext) -> str:
    """The owner name that a name without a row of its own follows from; its first two labels are made up at most."""
    for host in islice(names.parents(name), 2):
        for owner in (host, *(_covering_wildcards(host, zone, context) if name.startswith("_") else ())):
            answer = context.answer(owner)
            if answer is not None and answer.is_declared:
                return owner
    return ""


def _covering_wildcards(name: str, zone: ExplainedZone, context: ExplainContext) -> Iterable[str]:
    """The wildcard owner names that could cover `name`, longest first; a service label is covered by none."""
    if zone.fallback or name == zone.name or name.startswith("_"):
        return
    above: Iterable[str] = takewhile(lambda parent: names.is_subdomain(parent, zone.name), names.parents(name))
    if zone.closest_encloser:
        above = names.up_to_closest_encloser(above, lambda parent: context.answer(parent) is not None)
    for parent in above:
        if f"*.{parent}" != name:
            yield f"*.{parent}"


def _no_answer_reason(
    match: Match, answer: Answer, zone: ExplainedZone | None, rtype: str, reply: PresentationReply | None
) -> str:
    """Why there is nothing to answer; empty where there is."""
    if reply is None:
        return _forwarded_reason(match, answer, zone)
    if reply.records:
        return ""
    if reply.rcode == "SERVFAIL" and answer.outcome is not AnswerKind.PENDING:
        return reply.error or "the mesh is not ready"
    if match.kind is MatchKind.NONE:
        return "no cluster declares it and no wildcard covers it"
    if match.kind is MatchKind.EMPTY_NON_TERMINAL:
        return "names exist below it, but nobody declares the name itself"
    if answer.outcome is AnswerKind.PENDING:
        return f"an address is still to come: {_lack(answer) or 'a host name, or a gateway without an address yet'}"
    if answer.ipv4 or answer.ipv6 or match.kind in (MatchKind.APEX, MatchKind.ZONE, MatchKind.SYNTHESIZED):
        return f"the name exists, but has no record of type {rtype}"
    return f"it is declared, but nothing of it can be reached from here: {_lack(answer)}".removesuffix(": ")


def _lack(answer: Answer) -> str:
    """What an answer lacks, with the cluster; empty where no candidate says."""
    found = decisive_candidate(answer)
    return f"cluster {found.cluster}: {found.reason}" if found is not None else ""


def _forward_zone(name: str, zone: ExplainedZone | None, vantage: Vantage) -> ForwardZone | None:
    """Who is asked; nobody in a fallback zone whose asker has asked already."""
    if zone is None or not zone.fallback:
        return vantage.forward_zone_of(name)
    return ForwardZone(zone.name, zone.upstream) if zone.upstream else None


def _forwarded_reason(match: Match, answer: Answer, zone: ExplainedZone | None) -> str:
    if match.kind is MatchKind.OUTSIDE:
        return "the name is in none of the zones"
    if zone is not None and zone.fallback:
        return "its upstream is asked first, and the mesh has nothing to add"
    if answer.outcome is AnswerKind.FORWARD:
        return "its own cluster declares it, and a forward zone takes it"
    return "nobody declares it, and the zone lets unknown names fall through"


def _gateway_clusters(answer: Answer) -> list[str]:
    """Every cluster that a candidate leads through, or would."""
    clusters = {c.via_cluster for c in answer.candidates if c.via_cluster}
    wanted = (c for c in answer.candidates if not c.address and not c.via_cluster and c.rule in GATEWAY_RULES)
    clusters |= {c.cluster for c in wanted if c.cluster}  # version 0.1 did not record whose gateways were wanted
    return sorted(clusters)


def _gateway_states(answer: Answer, context: ExplainContext) -> Iterator[GatewayState]:
    """Their gateways; of those that lead into other networks only the ones that a candidate goes through."""
    used = {(c.via_cluster, c.gateway, c.port) for c in answer.candidates}
    for cluster in _gateway_clusters(answer):
        for gateway in context.gateways(cluster):
            if not gateway.network or (cluster, gateway.address, gateway.port) in used:
                yield gateway


def _passthrough(answer: Answer, context: ExplainContext) -> Iterator[ExplainedPassthrough]:
    """What their gateways can carry, and whether the name is part of it."""
    passes = {c.via_cluster: c.passes_tls for c in answer.candidates if c.via_cluster and c.address}
    for cluster in _gateway_clusters(answer):
        known = context.passthrough(cluster)
        if known is None:
            yield ExplainedPassthrough(cluster, passes.get(cluster))
        else:
            more = max(len(known.rules) - _MAX_RULES, 0)
            yield ExplainedPassthrough(cluster, passes.get(cluster), known.rules[:_MAX_RULES], more)


def _gateway_problems(
    gateways: Iterable[GatewayState], passthrough: Iterable[ExplainedPassthrough], context: ExplainContext
) -> Iterator[GatewayProblem]:
    """What is wrong with the objects that an explanation names as gateways, and with those that should be some."""
    origins = [(each.cluster, each.origin) for each in gateways]
    for through in passthrough:
        yield from (GatewayProblem(through.cluster, each) for each in context.gateway_problems(through.cluster))
        origins += [(through.cluster, rule.origin) for rule in through.rules or ()]
    for cluster, origin in dict.fromkeys(origins):
        yield from (GatewayProblem(cluster, each) for each in context.problems(cluster, ObjectRef.parse(origin)))


LEVEL_TEXT: Final = {
    Level.STATIC: "a static record of the settings",
    Level.OWN_ENTRY: "a ServiceEntry of the own cluster",
    Level.OWN_SERVICE: "the own cluster's Service",
    Level.REMOTE_ENTRY: "a ServiceEntry of another cluster",
    Level.NEAR_SERVICE: "a Service of another cluster on the same network",
    Level.FAR_SERVICE: "a Service of a cluster on another network",
    Level.ZONE: "the zone's own name for the gateways of a cluster",
}
"""The levels in words."""

REACH_TEXT: Final = ("runs in the own cluster", "reached directly", "reached through a gateway")
"""The groups of a level in words, nearest first (`Reach`)."""


class DeclarationExplainer:
    """Result of each candidate of one answer: it answers, or it lost, and to what.

    The answer says which candidates were chosen; the order of the candidates, which is that of the levels, says the
    rest.
    """

    def __init__(self, answer: Answer, zone: ExplainedZone | None, context: ExplainContext) -> None:
        self._answer = answer
        self._order = zone.order if zone is not None else ()
        self._context = context
        self._chosen = answer.chosen

    def declarations(self) -> tuple[ExplainedDeclaration, ...]:
        """Return every declaration in the order in which it may answer, with its endpoints."""
        groups: dict[tuple[Level, str, ObjectRef, str], list[int]] = {}
        for index, candidate in enumerate(self._answer.candidates):
            key = (candidate.level, candidate.cluster, candidate.origin, candidate.host)
            groups.setdefault(key, []).append(index)
        return tuple(self._declaration(*key, indexes) for key, indexes in groups.items())

    def _declaration(
        self, level: Level, cluster: str, origin: ObjectRef, host: str, indexes: Sequence[int]
    ) -> ExplainedDeclaration:
        declaration = self._context.declaration(cluster, origin)
        return ExplainedDeclaration(
            level=level,
            source=LEVEL_TEXT[level],
            cluster=cluster,
            kind=origin.kind_text,
            namespace=origin.namespace,
            name=origin.name,
            host=host,
            created=declaration.created if declaration is not None else "",
            endpoints=tuple(dict.fromkeys(self._endpoint(index, declaration) for index in indexes)),
            problems=tuple(dict.fromkeys(self._problems(cluster, origin, indexes))),
        )

    def _problems(self, cluster: str, origin: ObjectRef, indexes: Sequence[int]) -> Iterator[Problem]:
        """What is wrong with the declaration, and with the workloads and pods that it selects."""
        selected = (self._answer.candidates[index].field.selected for index in indexes)
        for ref in (origin, *selected):
            if ref is not None:
                yield from self._context.problems(cluster, ref)

    def _endpoint(self, index: int, declaration: AnyDeclaration | None) -> ExplainedEndpoint:
        candidate = self._answer.candidates[index]
        result, reason = self._result(index)
        return ExplainedEndpoint(
            field=str(candidate.field),
            written=self._written_endpoint(candidate, declaration),
            rule=candidate.rule.value,
            result=result,
            address=candidate.address,
            reason=reason,
            reach=REACH_TEXT[candidate.reach] if candidate.address else "",
            ready=candidate.ready,
            gateway=self._gateway(candidate),
            host=candidate.host,
        )

    def _written_endpoint(self, candidate: Candidate, declaration: AnyDeclaration | None) -> str:
        """The endpoint as its object spells it; empty where that is nothing but the object itself."""
        field = candidate.field
        if field.selected is not None:
            workload = self._context.declaration(candidate.cluster, field.selected)
            return workload.endpoint.address if isinstance(workload, WorkloadEntry) else ""
        if not isinstance(declaration, ServiceEntry):
            return ""
        index = max(field.index, 0)
        if field.path == ENDPOINTS_FIELD and 0 <= field.index < len(declaration.endpoints):
            endpoint = declaration.endpoints[index]
            return endpoint.address or f"network {endpoint.network}"
        if field.path == ADDRESSES_FIELD and index < len(declaration.addresses):
            return declaration.addresses[index]
        return ""

    def _gateway(self, candidate: Candidate) -> GatewayState | None:
        """The gateway that a candidate's address belongs to."""
        if not candidate.gateway:
            return None
        place = (candidate.gateway, candidate.port)
        known = (each for each in self._context.gateways(candidate.via_cluster) if (each.address, each.port) == place)
        state = next(known, GatewayState(candidate.via_cluster, *place))
        return state if candidate.healthy else msgspec.structs.replace(state, healthy=False)

    def _result(self, index: int) -> tuple[EndpointResult, str]:
        """What became of a candidate, and why where it does not answer."""
        candidate = self._answer.candidates[index]
        if candidate.forwarded:
            return EndpointResult.FORWARDED, "a forward zone of the settings takes the name"
        if candidate.pending:
            return EndpointResult.PENDING, candidate.lack or "an address is still to come"
        if not candidate.address:
            advice = "set clusters.<name>.gateways" if candidate.via_cluster and not candidate.gateway else ""
            return EndpointResult.NO_ADDRESS, "; ".join(filter(None, (candidate.lack, advice)))
        if index in self._chosen:
            return (
                EndpointResult.CHOSEN,
                "" if candidate.ready else "nothing anywhere is ready, so readiness is ignored",
            )
        return EndpointResult.LOST, self._lost_reason(index, candidate)

    def _lost_reason(self, index: int, candidate: Candidate) -> str:
        """What a candidate with an address lost to."""
        if not self._chosen:
            return "an earlier level decides, and is still without an address"
        best = self._answer.candidates[self._chosen[0]]
        if not candidate.ready and best.ready:
            selected = candidate.field.selected
            is_workload = selected is not None and selected.kind is ObjectKind.WORKLOAD_ENTRY
            return "not healthy, by its condition Healthy" if is_workload else "not ready"
        if candidate.level is not best.level and index > self._chosen[-1]:
            return f"level {best.level.value} answered first: {_object_text(best)}"
        if not candidate.healthy and best.healthy:
            return "its gateway is unhealthy"
        if candidate.host != best.host and any(each.host.startswith("*.") for each in (candidate, best)):
            return f"a more specific host answered first: {_object_text(best)}"
        if candidate.reach > best.reach:
            return f"a nearer one answers: {_object_text(best)}, {REACH_TEXT[best.reach]}"
        if self._order and candidate.target_cluster != best.target_cluster:
            return f"the zone's order prefers {best.target_cluster}"
        return f"at most {MAX_PER_FAMILY} addresses of a family are answered"


def _object_text(candidate: Candidate) -> str:
    return f"{candidate.origin} of {candidate.cluster}" if candidate.cluster else str(candidate.origin)
