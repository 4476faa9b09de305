"""Problems that show only when a name is judged: what its endpoints became, and what DNS alone cannot say of them."""

from collections.abc import Iterator
from typing import Final

from meshdns.mesh.answer import Answer
from meshdns.mesh.candidates import Candidate, Reach, Rule
from meshdns.mesh.problems import Problem, ProblemKind

_CAUSES: Final = {
    Rule.NEVER: (ProblemKind.NEVER_SERVED, "its address means nothing to anybody else", "use an address of a network"),
    Rule.NETWORK_NOTHING: (
        ProblemKind.UNREACHABLE,
        "its network has no gateways",
        "label a gateway Service with the network, or set clusters.<name>.gateways",
    ),
    Rule.PRIVATE_NOTHING: (
        ProblemKind.UNREACHABLE,
        "a private address of another network, and MESH_EXTERNAL cannot be carried by gateways",
        "set location: MESH_INTERNAL, or name its prefix under networks",
    ),
    Rule.ITSELF: (
        ProblemKind.NO_ENDPOINTS,
        "it has no endpoints, so the host itself would have to be resolved",
        "add endpoints, or a forward zone that takes the host",
    ),
}
_NEEDS_GATEWAYS: Final = frozenset(
    {Rule.GATEWAY_OF, Rule.PRIVATE_GATEWAY, Rule.CLUSTER_GATEWAYS, Rule.NETWORK_GATEWAYS, Rule.SERVICE}
)


def consequences(name: str, answer: Answer) -> Iterator[tuple[str, Problem]]:
    """What is wrong with the declarations behind an answer, each with its cluster."""
    for candidate in answer.considered:
        cause = _cause(candidate)
        if cause is not None:
            kind, reason, advice = cause
            yield candidate.cluster, _problem(candidate, kind, f"{name}: {reason}", advice)
    yield from _ports(name, answer)


def _cause(candidate: Candidate) -> tuple[ProblemKind, str, str] | None:
    if candidate.address:
        return None
    if candidate.rule is Rule.ITSELF and not candidate.pending:
        return None
    if candidate.rule in _NEEDS_GATEWAYS and not candidate.pending:
        return (
            ProblemKind.NO_GATEWAY,
            f"cluster {candidate.cluster} has no gateway that could carry it",
            "give it one, or set clusters.<name>.gateways",
        )
    return _CAUSES.get(candidate.rule)


def _ports(name: str, answer: Answer) -> Iterator[tuple[str, Problem]]:
    """An address that is dialled directly at another port than the one declared: an A record cannot say so."""
    declared = {(port.name, port.protocol) for c in answer.considered for port in c.ports}
    for port_name, protocol in sorted(declared):
        direct = [
            (c, port.number)
            for c in answer.considered
            for port in c.ports
            if c.reach is not Reach.GATEWAY and not c.pod and (port.name, port.protocol) == (port_name, protocol)
        ]
        numbers = {number for _, number in direct}
        if len(numbers) > 1:
            candidate, _ = direct[0]
            reason = f"{name}: port {port_name} differs between its addresses, which an A record cannot say"
            advice = f"ask for SRV _{port_name}._{protocol}.{name}"
            yield candidate.cluster, _problem(candidate, ProblemKind.PORT_MISMATCH, reason, advice)


def _problem(candidate: Candidate, kind: ProblemKind, reason: str, advice: str) -> Problem:
    object_kind, _, named = candidate.origin.partition(" ")
    namespace, _, object_name = named.partition("/")
    return Problem(kind, object_kind, namespace, object_name, candidate.field, reason, advice)
