"""Bounds on the work for one name and one declaration, counted in judged endpoints and candidates."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from meshdns.mesh.answer import AnswerKind
from meshdns.mesh.candidates import EndpointRule
from meshdns.mesh.diagnostics import check_answer, check_declaration
from meshdns.mesh.endpoint_list import MAX_CANDIDATES, MAX_ENDPOINTS
from meshdns.mesh.host_states import MAX_RESOLVED
from meshdns.mesh.name_table import MAX_CHAIN_CANDIDATES, MAX_LOOKUPS, NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, IstioGateway, ServiceEntry
from meshdns.mesh.objects.istio import MAX_GATEWAY_HOSTS
from meshdns.mesh.objects.problems import ProblemKind
from meshdns.mesh.passthrough import MAX_RULES, Passthrough, PassthroughRule
from meshdns.mesh.reachability import Reachability
from meshdns.mesh.topology import MAX_GATEWAYS, topology_problems
from tests.mesh.scene import (
    answer_text,
    endpoint_slice,
    entry,
    gateway,
    mesh,
    name_table,
    on_networks,
    passthrough_gateway,
    service,
    workload_entry,
)

FAR = mesh(clusters=on_networks(east="net-e", west="net-w"))


def addresses(number: int, first: int = 20) -> list[str]:
    """So many addresses."""
    return [f"{first}.{index >> 16}.{index >> 8 & 255}.{index & 255}" for index in range(number)]


def hosts(number: int, label: str = "a") -> list[str]:
    """So many hosts in the zone."""
    return [f"h{index}.{label}.global" for index in range(number)]


def kinds(declaration: AnyDeclaration) -> list[tuple[ProblemKind, str]]:
    """What is wrong with a declaration by itself."""
    return [(each.kind, each.field) for each in (*declaration.problems, *check_declaration(declaration))]


def derived(made: NameTable, name: str) -> list[ProblemKind]:
    """What shows in a name."""
    answer = made.refresh()[name]
    assert answer is not None
    return [problem.kind for _, problem in check_answer(name, answer, made.inventory, made.topology)]


def test_endpoints_are_judged_once_for_a_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each of its hosts; each host has the answer that it would have alone."""
    judged = []
    judge = Reachability.endpoint_candidates

    def count(self: Reachability, declared: Any) -> Any:
        judged.append(declared.endpoint.address)
        return judge(self, declared)

    monkeypatch.setattr(Reachability, "endpoint_candidates", count)
    made = name_table(
        FAR, {"east": [], "west": [entry(*addresses(100, 10), hosts=hosts(200)), gateway("198.51.100.1")]}
    )
    found = made.refresh()
    assert {answer_text(found[host]) for host in hosts(200)} == {"198.51.100.1"}
    assert len(judged) == 100
    assert {answer.candidates[0].host for host in hosts(200) if (answer := found[host])} == set(hosts(200))


def test_endpoints_over_the_bound_are_a_problem_and_not_absent() -> None:
    """The first are judged. Where none of these can be read the host is not resolved as one without endpoints."""
    many = entry(*addresses(MAX_ENDPOINTS + 1))
    assert isinstance(many, ServiceEntry)
    assert len(many.endpoints) == MAX_ENDPOINTS
    assert (ProblemKind.OVER_BOUND, "spec.endpoints") in kinds(many)
    assert not entry(*addresses(MAX_ENDPOINTS)).problems
    bad = entry(*["a b"] * MAX_ENDPOINTS, "20.0.0.1", resolution="DNS")
    answer = name_table(mesh(), {"east": [bad]}).refresh()["reviews.prod.global"]
    assert answer is not None
    assert {candidate.rule for candidate in answer.candidates} == {EndpointRule.UNREADABLE}


def test_selected_workloads_over_the_bound_are_a_problem() -> None:
    """As many are judged as a declaration may write down."""
    selecting = entry(workloadSelector={"labels": {"app": "a"}})
    selected = [workload_entry(f"w{index}", text, app="a") for index, text in enumerate(addresses(MAX_ENDPOINTS + 1))]
    assert ProblemKind.OVER_BOUND in derived(
        name_table(mesh(), {"east": [selecting, *selected]}), "reviews.prod.global"
    )
    answer = name_table(mesh(), {"east": [selecting, *selected]}).refresh()["reviews.prod.global"]
    assert answer is not None
    assert len(answer.candidates) == MAX_ENDPOINTS
    made = name_table(mesh(), {"east": [selecting, *selected[:-1]]})
    assert ProblemKind.OVER_BOUND not in derived(made, "reviews.prod.global")


def test_a_turn_is_counted_in_candidates() -> None:
    """Large names end it early, and none of them is lost."""
    made = name_table(mesh(), {"east": [entry(*addresses(100), hosts=hosts(50))]})
    turns = [made.refresh(1000, 500)]
    while made.has_pending_names:
        turns.append(made.refresh(1000, 500))
    assert len(turns) >= 10
    assert {name for turn in turns for name in turn} >= set(hosts(50))


def test_ports_are_told_apart_up_to_a_bound() -> None:
    """The work for a name grows with the ports of a declaration, not with their square."""
    ports = [{"number": 1000 + index, "name": f"p{index}"} for index in range(256)]
    points = [
        {"address": text, "ports": {f"p{port}": 1 + index * 100 + port for port in range(100)}}
        for index, text in enumerate(addresses(200))
    ]
    many = entry(*points, ports=ports)
    assert (ProblemKind.OVER_BOUND, "spec.ports") in kinds(many)
    answer = name_table(mesh(), {"east": [many]}).refresh()["reviews.prod.global"]
    assert answer is not None
    assert sum(len(candidate.ports) for candidate in answer.candidates) <= 8192
    assert (ProblemKind.OVER_BOUND, "spec.ports") not in kinds(entry(*addresses(200), ports=ports[:40]))


def test_one_host_has_a_bounded_number_of_candidates() -> None:
    """However many declarations a cluster has for it; those of other clusters are judged all the same."""
    same = [entry(*addresses(MAX_ENDPOINTS), name=f"e{index}") for index in range(MAX_CANDIDATES // MAX_ENDPOINTS + 1)]
    made = name_table(mesh(), {"east": [], "west": same, "south": [entry("20.9.9.9", name="south")]})
    answer = made.refresh()["reviews.prod.global"]
    assert answer is not None
    assert len(answer.candidates) == MAX_CANDIDATES + 1
    found = list(check_answer("reviews.prod.global", answer, made.inventory, made.topology))
    assert [cluster for cluster, problem in found if problem.kind is ProblemKind.OVER_BOUND] == ["west"]


@pytest.mark.slow
def test_names_that_lead_to_names_have_a_bound() -> None:
    """A declaration whose endpoints are its own hosts: each name waits, and costs a bounded number of candidates."""
    circle = hosts(66)
    made = name_table(mesh(), {"east": [entry(*circle, hosts=circle, resolution="DNS")]})
    found = made.refresh()
    assert len(circle) < MAX_LOOKUPS + 3
    assert made.judged_candidates < len(circle) * (MAX_CHAIN_CANDIDATES + 12 * len(circle))
    assert {answer.outcome for name in circle if (answer := found[name])} == {AnswerKind.PENDING}


def test_a_host_name_has_a_bounded_number_of_addresses() -> None:
    """Whoever answers for the host name says how many there are."""
    made = name_table(mesh(), {"east": [entry("lb.example.com", resolution="DNS")]})
    made.set_resolved_addresses("lb.example.com", tuple(addresses(1000)))
    answer = made.refresh()["reviews.prod.global"]
    assert answer is not None
    assert len(answer.candidates) == MAX_RESOLVED


def test_gateways_of_a_cluster_have_a_bound() -> None:
    """Further addresses are a problem of the cluster."""
    two = [gateway(*addresses(200, 30 + index), name=f"g{index}") for index in range(2)]
    made = name_table(FAR, {"east": [], "west": [*two, entry("10.0.0.7")]})
    answer = made.refresh()["reviews.prod.global"]
    assert answer is not None
    assert len(answer.candidates) == MAX_GATEWAYS
    found = [problem.kind for _, problem in topology_problems(made.inventory, made.topology)]
    assert found == [ProblemKind.OVER_BOUND]


def test_hosts_of_a_gateway_are_found_by_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is compared with its ancestors, whatever the number of rules."""
    rules = Passthrough(tuple(PassthroughRule(f"h{index}.x.global", "", 15443, "") for index in range(40_000)))
    assert rules.allows("h7.x.global", set())
    read = 0

    class Counting(dict[str, set[str]]):
        def get(self, key: str, default: Any = None) -> Any:
            nonlocal read
            read += 1
            return super().get(key, default)

    monkeypatch.setitem(rules.__dict__, "_limits", Counting(rules._limits))
    assert rules.allows("h39999.x.global", set())
    assert not rules.allows("other.x.global", set())
    assert read <= 10


@pytest.mark.parametrize(
    ("rules", "host", "namespaces", "expected"),
    [
        pytest.param([("*", "")], "a.global", {"x"}, True, id="any host"),
        pytest.param([("*.global", "")], "a.b.global", set(), True, id="a suffix covers any depth"),
        pytest.param([("*.global", "")], "global", set(), False, id="not its apex"),
        pytest.param([("a.global", "p")], "a.global", {"q"}, False, id="another namespace"),
        pytest.param([("a.global", "p")], "a.global", set(), True, id="an unknown namespace"),
        pytest.param([("a.global", "p"), ("*.global", "q")], "a.global", {"q"}, True, id="any of several rules"),
    ],
)
def test_rules_of_passthrough(
    rules: list[tuple[str, str]],
    host: str,
    namespaces: set[str],
    expected: bool,  # noqa: FBT001 — of the table
) -> None:
    """The host by itself or by a suffix, and one of its namespaces."""
    made = Passthrough(tuple(PassthroughRule(pattern, namespace, 15443, "") for pattern, namespace in rules))
    assert made.allows(host, namespaces) is expected


def test_of_a_host_beyond_the_bound_of_a_gateway_nothing_is_known() -> None:
    """It is neither passed nor refused, and no problem says that it gets no further."""
    listed = [f"g{index}.prod.global" for index in range(MAX_GATEWAY_HOSTS + 1)]
    many = passthrough_gateway(*listed)
    assert isinstance(many, IstioGateway)
    assert sum(len(server.hosts) for server in many.servers) == MAX_GATEWAY_HOSTS < MAX_RULES
    made = name_table(FAR, {"east": [], "west": [many, gateway("198.51.100.1"), entry("10.0.0.7")]})
    answer = made.refresh()["reviews.prod.global"]
    assert answer is not None
    assert [candidate.passes_tls for candidate in answer.candidates] == [None]
    few = name_table(
        FAR, {"east": [], "west": [passthrough_gateway(*listed[:2]), gateway("198.51.100.1"), entry("10.0.0.7")]}
    )
    answer = few.refresh()["reviews.prod.global"]
    assert answer is not None
    assert [candidate.passes_tls for candidate in answer.candidates] == [False]


LISTS: Final[dict[str, tuple[Callable[[int], AnyDeclaration], str, int]]] = {
    "hosts of a ServiceEntry": (lambda n: entry("20.0.0.1", hosts=hosts(n)), "spec.hosts", 256),
    "addresses of a ServiceEntry": (lambda n: entry("20.0.0.1", addresses=addresses(n)), "spec.addresses", 256),
    "ports of a ServiceEntry": (
        lambda n: entry("20.0.0.1", ports=[{"number": 1 + i, "name": f"p{i}"} for i in range(n)]),
        "spec.ports",
        256,
    ),
    "exportTo of a ServiceEntry": (lambda n: entry("20.0.0.1", exportTo=["*"] * n), "spec.exportTo", 256),
    "labels of a selector": (
        lambda n: entry(workloadSelector={"labels": {f"l{i}": "v" for i in range(n)}}),
        "spec.workloadSelector.labels",
        256,
    ),
    "ports of an endpoint": (
        lambda n: entry(
            {"address": "20.0.0.1", "ports": {f"p{i}": 1 + i for i in range(n)}},
            ports=[{"name": f"p{i}", "number": 1 + i} for i in range(n)],
        ),
        "spec.endpoints[0].ports",
        128,
    ),
    "ports of a Service": (lambda n: service(ports=[{"port": 1 + i} for i in range(n)]), "spec.ports", 256),
    "external IPs of a Service": (lambda n: service(externalIPs=addresses(n)), "spec.externalIPs", 256),
    "balancer addresses of a Service": (lambda n: service(ingress=addresses(n)), "status.loadBalancer.ingress", 256),
    "endpoints of an EndpointSlice": (lambda n: endpoint_slice(*addresses(n)), "endpoints", 1000),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_read_up_to_its_bound(name: str) -> None:
    """One more is a problem that names the bound; as many are none."""
    make, field, most = LISTS[name]
    (problem,) = [each for each in make(most + 1).problems if each.kind is ProblemKind.OVER_BOUND]
    assert (problem.field, str(most) in problem.reason) == (field, True)
    assert not make(most).problems
