"""An explanation in words: numbered lines in the order in which the answer came about."""

from collections.abc import Iterator

from meshdns.dns.presentation import PresentationReply, escape_unprintable
from meshdns.mesh.explain.model import (
    ExplainedDeclaration,
    ExplainedEndpoint,
    ExplainedPassthrough,
    Explanation,
    GatewayState,
    MatchKind,
)
from meshdns.mesh.objects.foreign import counted
from meshdns.mesh.objects.problems import Problem
from meshdns.mesh.settings import is_reverse_zone

_MODES = {
    "gateway": "what can be reached from here",
    "vip": "the own cluster's virtual addresses first",
    "endpoints": "endpoint addresses, as if all networks were one",
}


def render_text(explanation: Explanation) -> str:
    """The explanation as text, without a final line feed."""
    lines = [_headline(explanation), _vantage(explanation), ""]
    steps = [
        _zone(explanation),
        _match(explanation),
        *(_declaration(declaration) for declaration in explanation.declarations),
        *_refusals(explanation),
        *_gateways(explanation),
        *_passthrough(explanation),
        *_gateway_problems(explanation),
        _outcome(explanation),
    ]
    for number, step in enumerate(steps, 1):
        lines.append(f"{number:>2}. {step[0]}")
        lines += [f"      {line}" for line in step[1:]]
    return "\n".join(escape_unprintable(line) for line in lines)


def _headline(explanation: Explanation) -> str:
    return f"{_dotted(explanation.name)} {explanation.type}: {_summary(explanation)}"


def _summary(explanation: Explanation) -> str:
    reply = explanation.reply
    if reply is None:
        return _forwarded(explanation)
    if reply.records:
        found = ", ".join(
            record.data if record.type == explanation.type else f"{record.type} {record.data}"
            for record in reply.records
        )
        return f"{found} (TTL {reply.records[0].ttl}, {reply.rcode})"
    return "NODATA (NOERROR, no records)" if reply.rcode == "NOERROR" else reply.rcode


def _forwarded(explanation: Explanation) -> str:
    forwarding = explanation.forwarding
    if forwarding is None:
        return "refused: no forward zone takes it; add one to forward in the settings"
    return f"forwarded to {', '.join(forwarding.servers)} (forward zone {_dotted(forwarding.zone)})"


def _vantage(explanation: Explanation) -> str:
    vantage = explanation.vantage
    where = f"cluster {vantage.cluster}" if vantage.cluster else "no cluster"
    return f"seen from {where}, " + (f"network {vantage.network}" if vantage.network else "no network")


def _zone(explanation: Explanation) -> list[str]:
    zone = explanation.zone
    if zone is None:
        known = ", ".join(_dotted(each.name) for each in explanation.vantage.zones)
        return [f"Zone: none of the mesh ({known})"]
    if zone.fallback:
        upstream = f"{', '.join(zone.upstream)} is asked first" if zone.upstream else "the asker has asked upstream"
        return [f"Zone {_dotted(zone.name)}: {upstream}; where it denies the name, the mesh answers"]
    unknown = "forwarded" if zone.fallthrough else "denied (NXDOMAIN)"
    if is_reverse_zone(zone.name):
        holds = "a reverse zone, which holds PTR records of gateways and of the settings alone"
        return [f"Zone {_dotted(zone.name)}: {holds}; unknown names are {unknown}"]
    mode = _MODES.get(zone.answer, zone.answer)
    return [f"Zone {_dotted(zone.name)}: answers with {mode} (answer: {zone.answer}); unknown names are {unknown}"]


def _match(explanation: Explanation) -> list[str]:
    match = explanation.match
    words = {
        MatchKind.EXACT: f"exact: {_dotted(match.owner)} is known",
        MatchKind.WILDCARD: f"wildcard: {_dotted(match.owner)} covers it",
        MatchKind.EMPTY_NON_TERMINAL: "empty non-terminal: only names below it are known",
        MatchKind.APEX: "the apex of the zone",
        MatchKind.ZONE: "a name that exists because of the zone itself",
        MatchKind.SYNTHESIZED: f"made of {_dotted(match.owner)}",
        MatchKind.NONE: "none: the name is not known",
        MatchKind.OUTSIDE: "none: the name is outside the zones",
    }
    lines = [f"Match: {words[match.kind]}"]
    if match.more_specific:
        lines.append(f"more specific, not known: {', '.join(map(_dotted, match.more_specific))}")
    if match.less_specific:
        lines.append(f"less specific, beaten: {', '.join(map(_dotted, match.less_specific))}")
    return lines


def _declaration(declaration: ExplainedDeclaration) -> list[str]:
    named = "/".join(filter(None, (declaration.cluster, declaration.namespace, declaration.name)))
    host = f", host {declaration.host}" if declaration.host else ""
    named = f"{declaration.kind} {named}".strip()
    lines = [f"{named}: level {declaration.level}, {declaration.source}{host}"]
    for endpoint in declaration.endpoints:
        lines += _endpoint(endpoint)
    for problem in declaration.problems:
        own = (problem.object, problem.namespace, problem.name)
        suffix = f" of {'/'.join(own)}" if own != (declaration.kind, declaration.namespace, declaration.name) else ""
        lines.append(f"problem{suffix}: {_problem(problem)}")
    return lines


def _endpoint(endpoint: ExplainedEndpoint) -> Iterator[str]:
    subject = " ".join(filter(None, (endpoint.field, endpoint.written)))
    yield f"{subject}: {endpoint.rule}" if subject else endpoint.rule
    became = f"{endpoint.address}, {endpoint.reach}: " if endpoint.address else ""
    because = f": {endpoint.reason}" if endpoint.reason else ""
    yield f"  -> {became}{endpoint.result.value}{because}"
    if endpoint.gateway is not None:
        yield f"     gateway of {_gateway(endpoint.gateway)}"


def _gateway(gateway: GatewayState) -> str:
    health = {True: "healthy", False: "unhealthy", None: "not probed"}[gateway.healthy]
    port = f"port {gateway.port}" if gateway.port else ""
    network = f"into network {gateway.network}" if gateway.network else ""
    return ", ".join(filter(None, (f"{gateway.cluster}: {gateway.address}", port, gateway.origin, network, health)))


def _refusals(explanation: Explanation) -> Iterator[list[str]]:
    for refusal in explanation.refusals:
        problem = refusal.problem
        named = f"{refusal.cluster}/{problem.namespace}/{problem.name}"
        yield [
            f"{problem.object} {named} names it, but does not count",
            f"{problem.field}: {problem.reason}; {problem.advice}",
        ]


def _gateways(explanation: Explanation) -> Iterator[list[str]]:
    """Those that no endpoint above has shown."""
    shown = {
        (endpoint.gateway.cluster, endpoint.gateway.address)
        for declaration in explanation.declarations
        for endpoint in declaration.endpoints
        if endpoint.gateway is not None
    }
    others = [each for each in explanation.gateways if (each.cluster, each.address) not in shown]
    if others:
        yield ["Other gateways that could carry it", *(_gateway(each) for each in others)]


def _passthrough(explanation: Explanation) -> Iterator[list[str]]:
    """What the gateways that were named can carry."""
    if explanation.passthrough:
        lines = (line for each in explanation.passthrough for line in _passthrough_lines(each, explanation.name))
        yield ["What the gateways can carry: mesh TLS, passed through, and neither plain text nor UDP", *lines]


def _passthrough_lines(passthrough: ExplainedPassthrough, name: str) -> Iterator[str]:
    if passthrough.rules is None:
        yield f"{passthrough.cluster}: for which hosts is not known: no Gateway of it is read that says so"
        return
    hosts: dict[tuple[int, str], list[str]] = {}
    for each in passthrough.rules:
        hosts.setdefault((each.port, each.origin), []).append("/".join(filter(None, (each.namespace, each.host))))
    for (port, origin), found in hosts.items():
        yield f"{passthrough.cluster}: port {port}, for {', '.join(found)} ({origin})"
    if passthrough.more:
        yield f"{passthrough.cluster}: and for {counted(passthrough.more, 'more host')}"
    if not hosts:
        yield f"{passthrough.cluster}: for no host: no Gateway of it passes TLS through by itself"
    if passthrough.passes is not None:
        yield f"  -> {_dotted(name)} {'is among them' if passthrough.passes else 'is not: clients get no further'}"


def _gateway_problems(explanation: Explanation) -> Iterator[list[str]]:
    if explanation.gateway_problems:
        found = [(each.cluster, each.problem) for each in explanation.gateway_problems]
        lines = [f"{p.object} {cluster}/{p.namespace}/{p.name}: {_problem(p)}" for cluster, p in found]
        yield ["Problems of gateways", *lines]


def _problem(problem: Problem) -> str:
    return f"{problem.field}: {problem.reason}; {problem.advice}".removeprefix(": ").removesuffix("; ")


def _outcome(explanation: Explanation) -> list[str]:
    lines = [f"Answer: {_summary(explanation)}"]
    reply = explanation.reply
    if reply is not None:
        lines += _details(reply)
        if explanation.forwarding is not None and explanation.zone is not None and explanation.zone.fallback:
            lines.append("only where the zone's upstream denies the name")
    if explanation.reason:
        lines.append(f"why: {explanation.reason}")
    if explanation.nearest:
        lines.append(f"the nearest known name: {', '.join(map(_dotted, explanation.nearest))}")
    return lines


def _details(reply: PresentationReply) -> Iterator[str]:
    if reply.negative_ttl >= 0:
        yield f"with SOA; caches may keep the denial for {reply.negative_ttl} s"
    if reply.error_code >= 0:
        yield f"with extended error {reply.error_code}: {reply.error}"


def _dotted(name: str) -> str:
    return name if name.endswith(".") else name + "."
