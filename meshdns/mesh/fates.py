"""What became of each candidate of an answer: it answers, or it lost, and to what.

The answer says which addresses were chosen; the order of the candidates, which is that of the levels, says the rest.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from meshdns.mesh.addresses import parsed
from meshdns.mesh.answer import MAX_PER_FAMILY, Answer
from meshdns.mesh.candidates import Candidate, Level, Rule
from meshdns.mesh.declarations import AnyDeclaration, Kind, ServiceEntry, WorkloadEntry
from meshdns.mesh.explanation import (
    ExplainedDeclaration,
    ExplainedEndpoint,
    Fate,
    GatewayState,
    Surroundings,
    ZoneTerms,
)
from meshdns.mesh.problems import Problem

SOURCES: Final = {
    Level.STATIC: "a static record of the settings",
    Level.OWN_ENTRY: "a ServiceEntry of the own cluster",
    Level.OWN_SERVICE: "the own cluster's Service",
    Level.REMOTE_ENTRY: "a ServiceEntry of another cluster",
    Level.NEAR_SERVICE: "a Service of another cluster on the same network",
    Level.FAR_SERVICE: "a Service of a cluster on another network",
}
"""The levels in words."""

REACHES: Final = ("runs in the own cluster", "reached directly", "reached through a gateway")
"""The groups of a level in words, nearest first (`Reach`)."""

BY_GATEWAY: Final = (Rule.GATEWAY_OF, Rule.NETWORK_GATEWAYS, Rule.PRIVATE_GATEWAY, Rule.CLUSTER_GATEWAYS, Rule.SERVICE)

_SELECTED: Final = (Kind.WORKLOAD_ENTRY.value, Kind.POD.value)


class Account:
    """The candidates of one answer, told apart: which of them answer, and what the others lost to."""

    def __init__(self, answer: Answer, zone: ZoneTerms | None, around: Surroundings) -> None:
        self._answer = answer
        self._order = zone.order if zone is not None else ()
        self._around = around
        self._chosen = _chosen(answer)

    def declarations(self) -> tuple[ExplainedDeclaration, ...]:
        """Every declaration in the order in which it may answer, with its endpoints."""
        groups: dict[tuple[Level, str, str, str], list[int]] = {}
        for index, candidate in enumerate(self._answer.considered):
            key = (candidate.level, candidate.cluster, candidate.origin, candidate.host)
            groups.setdefault(key, []).append(index)
        return tuple(self._declaration(*key, indexes) for key, indexes in groups.items())

    def _declaration(
        self, level: Level, cluster: str, origin: str, host: str, indexes: Sequence[int]
    ) -> ExplainedDeclaration:
        kind, namespace, name = split_origin(origin)
        declaration = self._around.declaration(cluster, kind, namespace, name)
        return ExplainedDeclaration(
            level=level,
            source=SOURCES[level],
            cluster=cluster,
            kind=kind,
            namespace=namespace,
            name=name,
            host=host,
            created=declaration.created if declaration is not None else "",
            endpoints=tuple(dict.fromkeys(self._endpoint(index, declaration) for index in indexes)),
            problems=tuple(dict.fromkeys(self._problems(cluster, origin, indexes))),
        )

    def _problems(self, cluster: str, origin: str, indexes: Sequence[int]) -> Iterator[Problem]:
        """What is wrong with the declaration, and with the workloads and pods that it selects."""
        fields = (self._answer.considered[index].field for index in indexes)
        selected = (field for field in fields if split_origin(field)[0] in _SELECTED)
        for named in (origin, *selected):
            yield from self._around.problems(cluster, *split_origin(named))

    def _endpoint(self, index: int, declaration: AnyDeclaration | None) -> ExplainedEndpoint:
        candidate = self._answer.considered[index]
        fate, reason = self._fate(index)
        return ExplainedEndpoint(
            field=candidate.field,
            written=self._written(candidate, declaration),
            rule=candidate.rule.value,
            fate=fate,
            address=candidate.address,
            reason=reason,
            reach=REACHES[candidate.reach] if candidate.address else "",
            ready=candidate.ready,
            gateway=self._gateway(candidate),
            host=candidate.host,
        )

    def _written(self, candidate: Candidate, declaration: AnyDeclaration | None) -> str:
        """The endpoint as its object spells it; empty where that is nothing but the object itself."""
        if candidate.field.startswith("WorkloadEntry "):
            kind, namespace, name = split_origin(candidate.field)
            workload = self._around.declaration(candidate.cluster, kind, namespace, name)
            return workload.endpoint.address if isinstance(workload, WorkloadEntry) else ""
        if not isinstance(declaration, ServiceEntry):
            return ""
        field, _, rest = candidate.field.partition("[")
        index = int(rest[:-1]) if rest[:-1].isdigit() else 0
        if field == "spec.endpoints" and index < len(declaration.endpoints):
            endpoint = declaration.endpoints[index]
            return endpoint.address or f"network {endpoint.network}"
        if field == "spec.addresses" and index < len(declaration.addresses):
            return declaration.addresses[index]
        return ""

    def _gateway(self, candidate: Candidate) -> GatewayState | None:
        """The gateway that a candidate's address belongs to."""
        if not candidate.via:
            return None
        place = (candidate.gateway, candidate.port)
        known = (each for each in self._around.gateways(candidate.via) if (each.address, each.port) == place)
        state = next(known, GatewayState(candidate.via, *place))
        return state if candidate.healthy else msgspec.structs.replace(state, healthy=False)

    def _fate(self, index: int) -> tuple[Fate, str]:
        """What became of a candidate, and why where it does not answer."""
        candidate = self._answer.considered[index]
        if candidate.forwarded:
            return Fate.FORWARDED, "a forward zone of the settings takes the name"
        if candidate.pending:
            return Fate.PENDING, _PENDING.get(candidate.rule, "a gateway has no address yet")
        if not candidate.address:
            lacks = candidate.rule in BY_GATEWAY
            return Fate.NOTHING, "no gateway is known for it; set clusters.<name>.gateways" if lacks else ""
        if index in self._chosen:
            return Fate.ANSWERS, "" if candidate.ready else "nothing anywhere is ready, so readiness is ignored"
        return Fate.LOST, self._loss(index, candidate)

    def _loss(self, index: int, candidate: Candidate) -> str:
        """What a candidate with an address lost to."""
        if not self._chosen:
            return "an earlier level decides, and is still without an address"
        best = self._answer.considered[self._chosen[0]]
        if not candidate.ready and best.ready:
            return "not ready"
        if candidate.level is not best.level and index > self._chosen[-1]:
            return f"level {best.level.value} answered first: {_object(best)}"
        if not candidate.healthy and best.healthy:
            return "its gateway is unhealthy"
        if candidate.host != best.host and any(each.host.startswith("*.") for each in (candidate, best)):
            return f"a more specific host answered first: {_object(best)}"
        if candidate.reach > best.reach:
            return f"a nearer one answers: {_object(best)}, {REACHES[best.reach]}"
        if self._order and candidate.runs_in != best.runs_in:
            return f"the zone's order prefers {best.runs_in}"
        return f"at most {MAX_PER_FAMILY} addresses of a family are answered"


_PENDING: Final = {
    Rule.HOST_NAME: "the host name is still to be resolved",
    Rule.ITSELF: "the host itself would have to be resolved; add an endpoint, or a forward zone for it",
}


def _chosen(answer: Answer) -> tuple[int, ...]:
    """The places of the candidates whose addresses are the answer."""
    served = {*answer.ipv4, *answer.ipv6}
    same = [
        (index, each)
        for index, each in enumerate(answer.considered)
        if each.level is answer.level and str(parsed(each.address) or "") in served
    ]
    ready = [(index, each) for index, each in same if each.ready] or same
    ready = [(index, each) for index, each in ready if _wildcard(each) == _wildcard(ready[0][1])]  # of the same step
    healthy = [(index, each) for index, each in ready if each.healthy] or ready
    nearest_reach = min((each.reach for _, each in healthy), default=None)
    return tuple(index for index, each in healthy if each.reach is nearest_reach)


def _wildcard(candidate: Candidate) -> str:
    """The wildcard through which a candidate came; empty for exact names."""
    return candidate.host if candidate.host.startswith("*.") else ""


def _object(candidate: Candidate) -> str:
    return f"{candidate.origin} of {candidate.cluster}" if candidate.cluster else candidate.origin


def split_origin(origin: str) -> tuple[str, str, str]:
    """Kind, namespace and name of an object written as ``Kind namespace/name``; other text is the name."""
    kind, _, rest = origin.partition(" ")
    namespace, slash, name = rest.partition("/")
    return (kind, namespace, name) if slash else ("", "", origin)
