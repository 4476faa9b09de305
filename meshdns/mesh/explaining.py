"""Why a name is answered the way it is: from its answer and what stands around it to one value that can be shown.

Rules:
- What is explained is what is served: the answer of the view, and the reply that the authority built from it. Nothing
  is decided here a second time; only what lost, and to what, is read from the order of the candidates.
- Nothing here does I/O. Whoever asks brings the `Surroundings` and the reply.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Final

from meshdns.dns import names
from meshdns.dns.presentation import ShownReply
from meshdns.mesh.answer import Answer, Outcome
from meshdns.mesh.explanation import (
    Carriage,
    Explanation,
    Forwarding,
    GatewayProblem,
    GatewayState,
    Match,
    MatchKind,
    Standing,
    Surroundings,
    ZoneTerms,
)
from meshdns.mesh.fates import BY_GATEWAY, Account, split_origin

NEAREST_AMONG: Final = 10_000
"""Names that are compared with an unknown one: a tenth of a second at most."""

_NEAREST: Final = 3


def explain(
    name: str, rtype: str, *, standing: Standing, around: Surroundings, reply: ShownReply | None
) -> Explanation:
    """The explanation of a normal name; `reply` is the authority's, None where the question is forwarded."""
    zone = standing.zone_of(name)
    match = _match(name, zone, around, exists=reply is not None and reply.rcode == "NOERROR")
    found = around.answer(match.owner) if match.owner else None
    answer = found if found is not None else Answer(Outcome.NODATA)
    declarations = Account(answer, zone, around).declarations()
    gateways, carriage = tuple(_gateways(answer, around)), tuple(_carriage(answer, around))
    forwarded = reply is None or answer.outcome is Outcome.FORWARD or (zone is not None and zone.fallback)
    unknown = match.kind in (MatchKind.NONE, MatchKind.OUTSIDE)
    return Explanation(
        name=name,
        type=rtype,
        vantage=standing,
        zone=zone,
        match=match,
        forwarding=_forwarding(name, zone, standing) if forwarded else None,
        declarations=declarations,
        gateways=gateways,
        carriage=carriage,
        gateway_problems=tuple(dict.fromkeys(_gateway_problems(gateways, carriage, around))),
        refusals=tuple(around.refusals(name)) if unknown else (),
        reason=_reason(match, answer, zone, rtype, reply),
        level=answer.level or 0,
        reply=reply,
    )


def nearest(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three known names that look most like an unknown one; no more than `NEAREST_AMONG` are compared."""
    alike = (each for each in known if abs(len(each) - len(name)) <= 8)
    return tuple(get_close_matches(name, list(islice(alike, NEAREST_AMONG)), n=_NEAREST, cutoff=0.75))


# ---------------------------------------------------------------------------------------------------- the match


def _match(name: str, zone: ZoneTerms | None, around: Surroundings, *, exists: bool) -> Match:
    """The owner name that speaks for `name`, in the order of the authority, which knows whether it exists."""
    if zone is None:
        return Match(MatchKind.OUTSIDE)
    answer = around.answer(name)
    tried = tuple(_covering(name, zone, around))
    wildcards = tuple(owner for owner in tried if around.answer(owner) is not None)
    hollow = answer is not None and _hollow(answer)
    if answer is not None and not hollow:
        return Match(MatchKind.EXACT, name, less_specific=wildcards)
    if name == zone.name:
        return Match(MatchKind.APEX, name)
    if wildcards and not (hollow and zone.closest_encloser):
        before = (name, *tried[: tried.index(wildcards[0])])
        return Match(MatchKind.WILDCARD, wildcards[0], () if hollow else before, wildcards[1:])
    if hollow:
        return Match(MatchKind.EMPTY_NON_TERMINAL, name)
    if name == f"ns.{zone.name}":
        return Match(MatchKind.ZONE)
    owner = _made_of(name, zone, around) if exists else ""
    return Match(MatchKind.MADE, owner) if owner else Match(MatchKind.NONE)


def _made_of(name: str, zone: ZoneTerms, around: Surroundings) -> str:
    """The owner name that a name without a row of its own follows from; its first two labels are made up at most."""
    for host in islice(names.parents(name), 2):
        for owner in (host, *(_covering(host, zone, around) if name.startswith("_") else ())):
            answer = around.answer(owner)
            if answer is not None and not _hollow(answer):
                return owner
    return ""


def _hollow(answer: Answer) -> bool:
    """Whether nobody declares the name itself."""
    return not answer.considered and not answer.records


def _covering(name: str, zone: ZoneTerms, around: Surroundings) -> Iterable[str]:
    """The wildcard owner names that could cover `name`, longest first; a service label is covered by none."""
    if zone.fallback or name == zone.name or name.startswith("_"):
        return
    for parent in names.parents(name):
        if f"*.{parent}" != name:
            yield f"*.{parent}"
        if parent == zone.name or (zone.closest_encloser and around.answer(parent) is not None):
            return


def _reason(match: Match, answer: Answer, zone: ZoneTerms | None, rtype: str, reply: ShownReply | None) -> str:
    """Why there is nothing to answer; empty where there is."""
    if reply is None:
        return _why_forwarded(match, answer, zone)
    if reply.records:
        return ""
    if reply.rcode == "SERVFAIL" and answer.outcome is not Outcome.PENDING:
        return reply.error or "the mesh is not ready"
    if match.kind is MatchKind.NONE:
        return "no cluster declares it and no wildcard covers it"
    if match.kind is MatchKind.EMPTY_NON_TERMINAL:
        return "names exist below it, but nobody declares the name itself"
    if answer.outcome is Outcome.PENDING:
        return "an address is still to come: a host name to be resolved, or a gateway that has no address yet"
    if answer.ipv4 or answer.ipv6 or match.kind in (MatchKind.APEX, MatchKind.ZONE, MatchKind.MADE):
        return f"the name exists, but has no record of type {rtype}"
    return "it is declared, but nothing of it can be reached from here"


def _forwarding(name: str, zone: ZoneTerms | None, standing: Standing) -> Forwarding | None:
    """Who is asked; nobody in a fallback zone whose asker has asked already."""
    if zone is None or not zone.fallback:
        return standing.forwarding_of(name)
    return Forwarding(zone.name, zone.upstream) if zone.upstream else None


def _why_forwarded(match: Match, answer: Answer, zone: ZoneTerms | None) -> str:
    if match.kind is MatchKind.OUTSIDE:
        return "the name is in none of the zones"
    if zone is not None and zone.fallback:
        return "its upstream is asked first, and the mesh has nothing to add"
    if answer.outcome is Outcome.FORWARD:
        return "its own cluster declares it, and a forward zone takes it"
    return "nobody declares it, and the zone lets unknown names fall through"


def _through(answer: Answer) -> list[str]:
    """Every cluster that a candidate leads through, or would."""
    clusters = {c.via for c in answer.considered if c.via}
    clusters |= {c.cluster for c in answer.considered if not c.address and c.rule in BY_GATEWAY and c.cluster}
    return sorted(clusters)


def _gateways(answer: Answer, around: Surroundings) -> Iterator[GatewayState]:
    """Their gateways; of those that lead into other networks only the ones that a candidate goes through."""
    used = {(c.via, c.gateway, c.port) for c in answer.considered}
    for cluster in _through(answer):
        for gateway in around.gateways(cluster):
            if not gateway.network or (cluster, gateway.address, gateway.port) in used:
                yield gateway


def _carriage(answer: Answer, around: Surroundings) -> Iterator[Carriage]:
    """What their gateways can carry, and whether the name is part of it."""
    passes = {c.via: c.passes for c in answer.considered if c.via}
    for cluster in _through(answer):
        known = around.passage(cluster)
        yield Carriage(cluster, passes.get(cluster), known.openings if known is not None else None)


def _gateway_problems(
    gateways: Iterable[GatewayState], carriage: Iterable[Carriage], around: Surroundings
) -> Iterator[GatewayProblem]:
    """What is wrong with the objects that an explanation names as gateways, and with those that should be some."""
    origins = [(each.cluster, each.origin) for each in gateways]
    for through in carriage:
        yield from (GatewayProblem(through.cluster, each) for each in around.gateway_problems(through.cluster))
        origins += [(through.cluster, opening.origin) for opening in through.openings or ()]
    for cluster, origin in origins:
        yield from (GatewayProblem(cluster, each) for each in around.problems(cluster, *split_origin(origin)))
