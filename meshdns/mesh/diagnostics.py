"""Problems of declarations that can be read: those of an answer, and those of a declaration by itself.

Rules:
- `check_answer` finds the problems that show only when a name is judged: what became of its endpoints, and what DNS
  alone cannot say of them. Their reasons and advice do not hold the name, so that a fault of one endpoint of a
  declaration with many hosts is one problem.
- `check_declaration` finds endpoints that are served as written although Istio would not serve them, or that are never
  served. These problems rest on the declaration alone, neither on the settings nor on other declarations.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from meshdns.mesh.addresses import Scope, is_servable_vip, parse_address, scope_of
from meshdns.mesh.answer import Answer
from meshdns.mesh.candidates import GATEWAY_RULES, Candidate, EndpointRule, Level, clusters_without_gateway
from meshdns.mesh.endpoint_list import MAX_CANDIDATES, MAX_ENDPOINTS, has_more_endpoints, most_ports
from meshdns.mesh.inventory import Inventory
from meshdns.mesh.objects.declarations import (
    AnyDeclaration,
    Endpoint,
    ObjectKind,
    Resolution,
    Service,
    ServiceEntry,
    WorkloadEntry,
)
from meshdns.mesh.objects.foreign import MAX_SHOWN, bounded_text, counted
from meshdns.mesh.objects.labels import ANSWER_ANNOTATION, TTL_ANNOTATION
from meshdns.mesh.objects.problems import (
    UNRESOLVED_ADVICE,
    Problem,
    ProblemKind,
    cluster_cause,
    host_name_cause,
    network_cause,
    object_cause,
)
from meshdns.mesh.objects.references import (
    ADDRESSES_FIELD,
    ENDPOINTS_FIELD,
    HOSTS_FIELD,
    SELECTOR_FIELD,
    FieldRef,
    ObjectRef,
    problem_ref,
)
from meshdns.mesh.own_name_problems import own_name_problems
from meshdns.mesh.service_ports import unserved_ports
from meshdns.mesh.topology import Topology, cluster_gateway_problem

ClusterProblem = tuple[str, Problem]
"""A problem with the cluster of its object."""


class CandidateFault(NamedTuple):
    """A fault of a candidate: a `Problem` without its object."""

    kind: ProblemKind
    reason: str
    advice: str
    cause: str = ""


_FAULTS: Final = {
    EndpointRule.PRIVATE_UNREACHABLE: CandidateFault(
        ProblemKind.UNREACHABLE,
        "is a private address of another network, and MESH_EXTERNAL cannot be carried by gateways",
        "set location: MESH_INTERNAL, or name its prefix under networks",
    ),
    EndpointRule.SERVICE: CandidateFault(
        ProblemKind.UNREACHABLE,
        "names a Service that its cluster does not have, and no gateway may carry it",
        "create the Service, or correct the address",
    ),
}
_LACKS: Final = {
    EndpointRule.HOST_NAME: (ProblemKind.UNREACHABLE, "give that name an address, or correct the endpoint"),
    EndpointRule.NO_ENDPOINTS: (ProblemKind.NO_ENDPOINTS, "add endpoints, or workloads that it selects"),
    EndpointRule.FOREIGN_DOMAIN: (ProblemKind.UNREACHABLE, "correct the address, or set clusters.<name>.domain"),
    EndpointRule.CLUSTER_IP: (ProblemKind.UNREACHABLE, "apply the manifest, or read the object from its API server"),
    EndpointRule.HAIRPIN: (ProblemKind.UNREACHABLE, "apply the manifest, or read the object from its API server"),
    EndpointRule.LOAD_BALANCER: (ProblemKind.UNREACHABLE, "set location: MESH_INTERNAL, or give it a load balancer"),
}
"""Rules whose candidates say themselves what they lack: kind of problem and advice."""
_SERVICE_FIELDS: Final = {
    EndpointRule.CLUSTER_IP: "spec.clusterIP",
    EndpointRule.LOAD_BALANCER: "status.loadBalancer.ingress",
}
"""The field of a Service that holds no address, by the rule that wants one."""
_SELF_REFERENCE: Final = CandidateFault(
    ProblemKind.NO_ENDPOINTS,
    "has no endpoints, so the host itself would have to be resolved, and that is declared here",
    "add endpoints, or a forward zone that takes the host",
)
_ALL_ADDRESSES: Final = FieldRef(ADDRESSES_FIELD)  # of an entry in mode vip
_VIP_ADVICE: Final = "use an address of 240.0.0.0/4"
_DIALLED_AS_WRITTEN: Final = frozenset(
    {
        EndpointRule.PUBLIC,
        EndpointRule.PRIVATE_DIRECT,
        EndpointRule.NETWORK_OWN,
        EndpointRule.NETWORK_PUBLIC,
        EndpointRule.HOST_NAME,
    }
)
"""The rows that serve an endpoint's own address: a client that dials it needs the endpoint's own port."""

_MAX_FOUND_PER_OBJECT: Final = 64  # problems of one object in one answer, before equal ones are put together
MAX_PROBLEMS_PER_OBJECT: Final = 8
"""Problems of one object that one name may show; more say nothing new, and the name database must stay small."""


def check_answer(name: str, answer: Answer, inventory: Inventory, topology: Topology) -> Iterator[ClusterProblem]:
    """Return the problems of the declarations behind the answer of `name`, each once, with its cluster.

    Of one object no more than some `_MAX_FOUND_PER_OBJECT` are looked for.
    """
    yield from dict.fromkeys(_answer_problems(name, answer, inventory, topology))


def limit_per_object(problems: Iterable[ClusterProblem]) -> Iterator[ClusterProblem]:
    """Return the first `MAX_PROBLEMS_PER_OBJECT` problems of each object."""
    seen: Counter[tuple[str, str, str, str]] = Counter()
    for cluster, problem in problems:
        key = (cluster, problem.object, problem.namespace, problem.name)
        seen[key] += 1
        if seen[key] <= MAX_PROBLEMS_PER_OBJECT:
            yield cluster, problem


def with_locations(problems: Iterable[ClusterProblem], inventory: Inventory) -> Iterator[ClusterProblem]:
    """Return the problems; those without a place get the place of their object."""
    for cluster, problem in problems:
        declaration = _find_declaration(inventory, cluster, problem_ref(problem))
        if problem.where or declaration is None:
            yield cluster, problem
        else:
            yield cluster, msgspec.structs.replace(problem, where=declaration.where)


def _answer_problems(name: str, answer: Answer, inventory: Inventory, topology: Topology) -> Iterator[ClusterProblem]:
    found: dict[tuple[str, ObjectRef], set[ClusterProblem]] = {}
    for candidate in answer.candidates:
        known = found.setdefault((candidate.cluster, candidate.origin), set())
        if len(known) < _MAX_FOUND_PER_OBJECT:
            problems = [*_candidate_problems(name, candidate, answer, inventory, topology)]
            known.update(problems)
            yield from problems
    for cluster in sorted(clusters_without_gateway(answer.candidates)):
        problem = cluster_gateway_problem(cluster, topology)
        if problem is not None:
            yield cluster, problem
    yield from _unserved_port_problems(answer, inventory)
    yield from _bound_problems(name, answer, inventory)
    yield from _contradictions(name, inventory)
    yield from own_name_problems(name, answer, inventory)


def _candidate_problems(
    name: str, candidate: Candidate, answer: Answer, inventory: Inventory, topology: Topology
) -> Iterator[ClusterProblem]:
    fault = _address_fault(candidate, inventory, topology)
    if fault is not None:
        yield candidate.cluster, _candidate_problem(candidate, name, inventory, fault)
    yield from _vip_problems(candidate, inventory)
    if candidate.level is answer.level:
        yield from _port_problems(candidate, inventory)
        yield from _passthrough_problems(candidate, name, inventory)


def _vip_problems(candidate: Candidate, inventory: Inventory) -> Iterator[ClusterProblem]:
    """A virtual address, as mode vip has it, that leads nowhere by itself: what a sidecar takes is served."""
    if candidate.rule is EndpointRule.VIP and is_never_served(candidate.address):
        reason = f"{candidate.address} is loopback or multicast: it leads somewhere only where a sidecar takes it"
        fault = CandidateFault(ProblemKind.MALFORMED, f"{reason}; mode vip serves it as written", _VIP_ADVICE)
        yield candidate.cluster, _candidate_problem(candidate, "", inventory, fault)
    elif candidate.rule is EndpointRule.NEVER_SERVED and candidate.field == _ALL_ADDRESSES:
        entry = _find_declaration(inventory, candidate.cluster, candidate.origin)
        vips = (
            (*entry.addresses, *(vip for _, vip in entry.status_addresses)) if isinstance(entry, ServiceEntry) else ()
        )
        for address in vips:
            if not is_servable_vip(address):
                fault = CandidateFault(ProblemKind.NEVER_SERVED, f"{address} {_NEVER_SERVED_REASON}", _VIP_ADVICE)
                yield candidate.cluster, _candidate_problem(candidate, "", inventory, fault)


def _bound_problems(name: str, answer: Answer, inventory: Inventory) -> Iterator[ClusterProblem]:
    """What of the declarations was not judged, for there is more of it than the bounds allow."""
    last: dict[tuple[str, Level], Candidate] = {}
    counts: Counter[tuple[str, Level]] = Counter()
    for candidate in answer.candidates:
        counts[candidate.cluster, candidate.level] += 1
        last[candidate.cluster, candidate.level] = candidate
    for step, candidate in last.items():
        if counts[step] >= MAX_CANDIDATES:
            reason = f"gives {name} {MAX_CANDIDATES} possible addresses, the most that are judged of a cluster"
            fault = CandidateFault(ProblemKind.OVER_BOUND, reason, "give the name fewer endpoints")
            yield candidate.cluster, _candidate_problem(candidate, name, inventory, fault)
    of_objects = Counter((each.cluster, each.origin) for each in answer.candidates)
    for (cluster, ref), count in of_objects.items():
        entry = _find_declaration(inventory, cluster, ref) if count >= MAX_ENDPOINTS else None
        if isinstance(entry, ServiceEntry) and has_more_endpoints(entry, inventory.clusters[cluster]):
            reason = f"has more than {MAX_ENDPOINTS} endpoints, of which the first are judged"
            advice = "divide it into several ServiceEntries"
            yield cluster, _declaration_problem(entry, ProblemKind.OVER_BOUND, ("spec", entry.where), reason, advice)


def _passthrough_problems(candidate: Candidate, name: str, inventory: Inventory) -> Iterator[ClusterProblem]:
    """A gateway that is known not to pass the name's TLS through: the address is right, and nothing gets past it."""
    if candidate.address and candidate.passes_tls is False:
        reason = f"the gateways of cluster {candidate.via_cluster} pass no TLS through for this host"
        advice = f"add an AUTO_PASSTHROUGH server for {name} to a Gateway there"
        fault = CandidateFault(ProblemKind.NO_GATEWAY, reason, advice, cluster_cause(candidate.via_cluster))
        yield candidate.cluster, _candidate_problem(candidate, name, inventory, fault)


# ---------------------------------------------------------------------------------------------- no address


def _address_fault(candidate: Candidate, inventory: Inventory, topology: Topology) -> CandidateFault | None:
    if candidate.address:
        return None
    if candidate.rule is EndpointRule.SELF_REFERENCE:
        return (
            _SELF_REFERENCE if candidate.pending else None
        )  # else it is forwarded, or another cluster's and counts nothing
    if candidate.gateway:
        return None  # the gateway's object has the problem
    if candidate.dead_host:
        return CandidateFault(
            ProblemKind.UNRESOLVED, candidate.lack, UNRESOLVED_ADVICE, host_name_cause(candidate.dead_host)
        )
    if candidate.pending:
        return None  # an address is still to come
    if candidate.rule in GATEWAY_RULES and candidate.rule is not EndpointRule.SERVICE:
        return _gateway_fault(candidate)
    if candidate.rule is EndpointRule.NO_ENDPOINTS and _has_selector_problem(candidate, inventory):
        return None  # it says that the selector selects nothing, and why
    if candidate.rule in _LACKS and candidate.lack:
        kind, advice = _LACKS[candidate.rule]
        return CandidateFault(kind, candidate.lack, advice)
    if candidate.rule is EndpointRule.NETWORK_UNREACHABLE:
        return _network_fault(_endpoint_of(candidate, inventory).network, topology)
    return _FAULTS.get(candidate.rule)


def _has_selector_problem(candidate: Candidate, inventory: Inventory) -> bool:
    declaration = _find_declaration(inventory, candidate.cluster, candidate.origin)
    return isinstance(declaration, ServiceEntry) and any(
        problem.field.startswith(f"{SELECTOR_FIELD}.") for problem in declaration.problems
    )


def _gateway_fault(candidate: Candidate) -> CandidateFault | None:
    """Why gateways do not carry an endpoint. Of the names of Services their cluster tells, once for all of them."""
    if candidate.origin.kind is ObjectKind.SERVICE:
        return None
    cluster = candidate.via_cluster or candidate.cluster
    return CandidateFault(
        ProblemKind.NO_GATEWAY,
        f"cluster {cluster} has no gateway that could carry it",
        "give it one, or set clusters.<name>.gateways",
        cluster_cause(cluster),
    )


def _network_fault(network: str, topology: Topology) -> CandidateFault | None:
    """Why an endpoint of `network` has no address here. On the own network one without address says nothing: normal."""
    if network in ("", topology.vantage_network):
        return None
    text = bounded_text(network, MAX_SHOWN)
    if topology.gateways_of_network(network).members:
        reason = f"is on network {text}, and MESH_EXTERNAL cannot be carried by its gateways"
        advice = "set location: MESH_INTERNAL, or give it a public address"
        return CandidateFault(ProblemKind.UNREACHABLE, reason, advice)
    reason = f"is on network {text}, which has no gateways"
    advice = "label a gateway with the network, or set clusters.<name>.gateways"
    return CandidateFault(ProblemKind.UNREACHABLE, reason, advice, network_cause(network))


def _candidate_problem(candidate: Candidate, name: str, inventory: Inventory, fault: CandidateFault) -> Problem:
    """A problem of what a candidate was made of."""
    ref = _object_of(candidate)
    declaration = _find_declaration(inventory, candidate.cluster, ref)
    field, where = str(candidate.field), declaration.where if declaration is not None else ""
    if isinstance(declaration, WorkloadEntry):
        field = "spec.address"
    elif isinstance(declaration, ServiceEntry):
        field, where = _field_of(declaration, name, candidate.field)
    elif isinstance(declaration, Service):
        field = _SERVICE_FIELDS.get(candidate.rule, field)
    return Problem(
        fault.kind, ref.kind_text, ref.namespace, ref.name, field, fault.reason, fault.advice, where, fault.cause
    )


def _object_of(candidate: Candidate) -> ObjectRef:
    """What a candidate was made of: a selected WorkloadEntry, else its declaration."""
    selected = candidate.field.selected
    return selected if selected is not None and selected.kind is ObjectKind.WORKLOAD_ENTRY else candidate.origin


def _endpoint_of(candidate: Candidate, inventory: Inventory) -> Endpoint:
    """The endpoint that a candidate was made of; an empty one where it was made of something else."""
    declaration = _find_declaration(inventory, candidate.cluster, _object_of(candidate))
    if isinstance(declaration, WorkloadEntry):
        return declaration.endpoint
    if isinstance(declaration, ServiceEntry) and _names_endpoint(candidate.field, declaration):
        return declaration.endpoints[candidate.field.index]
    return Endpoint("")


def _field_of(entry: ServiceEntry, name: str, field: FieldRef) -> tuple[str, str]:
    """The field that a candidate names, and its place, as they were written."""
    if field.path == HOSTS_FIELD:
        covering = (at for at, host in enumerate(entry.hosts) if host.startswith("*.") and name.endswith(host[1:]))
        at = entry.hosts.index(name) if name in entry.hosts else next(covering, -1)
        return entry.host_field(at) if at >= 0 else (str(field), entry.where)
    return entry.endpoint_field(field.index) if _names_endpoint(field, entry) else (str(field), entry.where)


def _names_endpoint(field: FieldRef, entry: ServiceEntry) -> bool:
    """Whether it is one of the endpoints that an entry has now."""
    return field.path == ENDPOINTS_FIELD and 0 <= field.index < len(entry.endpoints)


# --------------------------------------------------------------------------------------------- wrong port


def _port_problems(candidate: Candidate, inventory: Inventory) -> Iterator[ClusterProblem]:
    """An address that is dialled directly, at another port than the Service's: an address record cannot say so."""
    if not candidate.address or candidate.rule not in _DIALLED_AS_WRITTEN:
        return
    entry = _find_declaration(inventory, candidate.cluster, candidate.origin)
    if not isinstance(entry, ServiceEntry | Service):
        return
    if all(theirs.number == port.number for theirs, port in zip(entry.ports, candidate.ports, strict=False)):
        return  # a candidate has the ports of its entry, in their order
    services = {port.name: port.number for port in entry.ports}
    for port in candidate.ports:
        number = services.get(port.name, port.number)
        if number != port.number:
            label, protocol = (bounded_text(text, MAX_SHOWN) for text in (port.name, port.protocol))
            reason = f"port {label} is {port.number} here, but clients dial {number}: an address record cannot say so"
            advice = f"listen on {number}, or let clients ask for SRV _{label}._{protocol}.<host>"
            fault = CandidateFault(ProblemKind.PORT_MISMATCH, reason, advice)
            problem = _candidate_problem(candidate, "", inventory, fault)
            # written at the endpoint (a WorkloadEntry's is its spec), else as targetPort of the ServiceEntry's port
            at_endpoint = (
                port.name in dict(_endpoint_of(candidate, inventory).ports) and problem.object != "WorkloadEntry"
            )
            field = f"{problem.field}.ports" if at_endpoint else "spec.ports"
            yield candidate.cluster, msgspec.structs.replace(problem, field=field)


def _unserved_port_problems(answer: Answer, inventory: Inventory) -> Iterator[ClusterProblem]:
    """A port that only some of the addresses have, where SRV records cannot name these alone."""
    for candidate in (answer.candidates[index] for index in answer.chosen):
        for port in unserved_ports(answer.services, candidate):
            label, protocol = (bounded_text(text, MAX_SHOWN) for text in (port.name, port.protocol))
            reason = f"only some addresses have port {label} at {port.number}: SRV _{label}._{protocol}.<host> omits it"
            advice = "let all listen on one port, or write hosts that no wildcard covers, outside fallback zones"
            fault = CandidateFault(ProblemKind.PORT_MISMATCH, reason, advice)
            problem = _candidate_problem(candidate, "", inventory, fault)
            yield candidate.cluster, msgspec.structs.replace(problem, field="spec.ports")


# ------------------------------------------------------------------------------------------ contradictions


def _contradictions(name: str, inventory: Inventory) -> Iterator[ClusterProblem]:
    """ServiceEntries of one cluster for one host that differ in TTL or mode: the oldest wins, the others are told."""
    for cluster in inventory.entries_by_host.get(name, {}):
        ttl: tuple[str, int] | None = None
        mode: tuple[str, str] | None = None
        for entry in inventory.entries(name, cluster):
            if entry.ttl >= 0:
                ttl = ttl or (f"{entry.namespace}/{entry.name}", entry.ttl)
                if ttl[1] != entry.ttl:
                    yield cluster, _contradiction(cluster, entry, TTL_ANNOTATION, str(entry.ttl), ttl)
            if entry.answer:
                mode = mode or (f"{entry.namespace}/{entry.name}", entry.answer)
                if mode[1] != entry.answer:
                    yield cluster, _contradiction(cluster, entry, ANSWER_ANNOTATION, entry.answer, mode)


def _contradiction(
    cluster: str, entry: ServiceEntry, annotation: str, value: str, winner: tuple[str, str | int]
) -> Problem:
    other, winning = winner
    reason = f"{value} contradicts {winning} of ServiceEntry {other}, which wins (the oldest, then the first by name)"
    field = f"metadata.annotations.{annotation}"
    advice = "make the two equal, or set it in one of them only"
    kind = ObjectKind.SERVICE_ENTRY.value
    cause = object_cause(cluster, kind, *other.split("/", 1))
    return Problem(ProblemKind.CONFLICT, kind, entry.namespace, entry.name, field, reason, advice, entry.where, cause)


def _find_declaration(inventory: Inventory, cluster: str, ref: ObjectRef) -> AnyDeclaration | None:
    """The object that `ref` means in a cluster."""
    known = inventory.clusters.get(cluster)
    if known is None or ref.kind is None:
        return None
    return known.declarations.get((ref.kind, ref.namespace, ref.name))


_NEVER_SERVED_REASON = (
    "means nothing to anybody else (loopback, link-local, unspecified or multicast), so it is never served"
)
_NEVER_SERVED_ADVICE = "use an address of a network"


def check_declaration(declaration: AnyDeclaration) -> Iterator[Problem]:
    """Return the problems of the endpoints of `declaration`."""
    match declaration:
        case ServiceEntry():
            yield from _entry_problems(declaration)
        case WorkloadEntry() if is_never_served(declaration.endpoint.address):
            reason = f"{declaration.endpoint.address} {_NEVER_SERVED_REASON}"
            yield _declaration_problem(
                declaration, ProblemKind.NEVER_SERVED, ("spec.address", declaration.where), reason
            )


def is_never_served(text: str) -> bool:
    """Whether `text` is an address that is never served."""
    return scope_of(text) is Scope.NEVER_SERVED


def _entry_problems(entry: ServiceEntry) -> Iterator[Problem]:
    if len(entry.ports) > most_ports(len(entry.endpoints)):
        most = most_ports(len(entry.endpoints))
        points = counted(len(entry.endpoints), "endpoint")
        reason = f"has {len(entry.ports)} ports at {points}: the first {most} are told apart"
        advice = "divide it into several ServiceEntries"
        yield _declaration_problem(entry, ProblemKind.OVER_BOUND, ("spec.ports", entry.where), reason, advice)
    for at, endpoint in enumerate(entry.endpoints):
        field, where = entry.endpoint_field(at)
        if is_never_served(endpoint.address):
            reason = f"{endpoint.address} {_NEVER_SERVED_REASON}"
            yield _declaration_problem(entry, ProblemKind.NEVER_SERVED, (f"{field}.address", where), reason)
        elif entry.resolution is Resolution.STATIC and _is_host_name(endpoint.address):
            reason = f"{endpoint.address} is a host name, which Istio refuses under STATIC; it is served as written"
            advice = "set resolution: DNS, or write an IP address"
            yield _declaration_problem(entry, ProblemKind.MALFORMED, (f"{field}.address", where), reason, advice)
    if entry.resolution is not Resolution.NONE:
        return
    is_unread = any(problem.field == "spec.resolution" for problem in entry.problems)  # and that is reported
    if entry.endpoints and not is_unread:
        reason = "are ignored by Istio under resolution NONE, the default; they are served as written"
        advice = "set resolution: STATIC, or DNS where they are host names"
        _, where = entry.endpoint_field(0)
        yield _declaration_problem(entry, ProblemKind.MALFORMED, ("spec.endpoints", where), reason, advice)
    for address in filter(is_never_served, entry.addresses):
        place = ("spec.addresses", entry.where)
        yield _declaration_problem(entry, ProblemKind.NEVER_SERVED, place, f"{address} {_NEVER_SERVED_REASON}")


def _is_host_name(address: str) -> bool:
    return bool(address) and not address.startswith("unix:") and parse_address(address) is None


def _declaration_problem(
    declaration: ServiceEntry | WorkloadEntry,
    kind: ProblemKind,
    place: tuple[str, str],
    reason: str,
    advice: str = _NEVER_SERVED_ADVICE,
) -> Problem:
    field, where = place
    named = "ServiceEntry" if isinstance(declaration, ServiceEntry) else "WorkloadEntry"
    return Problem(kind, named, declaration.namespace, declaration.name, field, reason, advice, where)
