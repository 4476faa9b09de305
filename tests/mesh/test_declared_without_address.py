"""Declared names without an address: each is known, says why, and is never taken for an empty non-terminal."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from meshdns.mesh.answer import Answer, AnswerKind
from meshdns.mesh.candidates import EndpointRule, clusters_without_gateway
from meshdns.mesh.diagnostics import check_answer
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.settings import AnswerMode, ClusterSettings, MeshZone
from meshdns.mesh.topology import topology_problems
from meshdns.mesh.unserved_reasons import decisive_candidate, extended_error, unreachable_reason
from tests.mesh.scene import (
    answer_text,
    endpoint_slice,
    entry,
    gateway,
    mesh,
    name_table,
    on_networks,
    parse_declaration,
    service,
    workload_entry,
)

HOST: Final = "reviews.prod.global"
NETWORKS: Final = on_networks(east="net-e", near="net-e", west="net-w")
DEAD, LIVE = "gone.lb.example", "lb.example"
GATEWAY_NAME: Final = "gw.west.example"


@dataclass(frozen=True)
class Case:
    """A mesh seen from east, and why ``reviews.prod.global`` (or another name) has no address there.

    `resolved` are replies to look-ups, `failing` host names whose look-ups fail; the name waits where it is `pending`.
    `problems` are those that the mesh shows of it, as kind and object.
    """

    clusters: Mapping[str, Iterable[AnyDeclaration]]
    reason: str
    problems: tuple[str, ...]
    resolved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failing: frozenset[str] = frozenset()
    pending: bool = False
    name: str = HOST
    settings: Mapping[str, Any] = field(default_factory=dict)


def table_of(case: Case) -> NameTable:
    """The mesh of a case, not judged yet."""
    clusters = {"east": (), "west": (), **case.clusters}
    made = name_table(mesh(**{"clusters": NETWORKS, **case.settings}), clusters)
    for host, addresses in case.resolved.items():
        made.set_resolved_addresses(host, addresses)
    for host in case.failing:
        made.set_failing(host, failing=True)
    return made


def judged(case: Case) -> tuple[Answer, list[str]]:
    """The answer of the case's name, and the problems that the mesh shows."""
    made = table_of(case)
    answers = made.refresh()
    found = [*topology_problems(made.inventory, made.topology)]
    for name, answer in answers.items():
        if answer is not None:
            found += check_answer(name, answer, made.inventory, made.topology)
    texts = (
        f"{problem.kind.value}: {'/'.join(filter(None, (problem.object, cluster, problem.namespace, problem.name)))}"
        for cluster, problem in found
    )
    answer = answers[case.name]
    assert answer is not None
    return answer, list(dict.fromkeys(texts))


def named(target: str, *more: str, **spec: Any) -> AnyDeclaration:
    """A ServiceEntry whose endpoints are host names."""
    return entry(target, *more, resolution="DNS", **spec)


ENTRY = "ServiceEntry/west/prod/reviews"
GATEWAY = "Service/west/istio-system/gateway"
CLUSTER = "Cluster/west/west"
ELSEWHERE = service(ip="10.97.0.7")
DOMAIN = {"clusters": {**NETWORKS, "east": ClusterSettings(network="net-e", domain="test-env")}}
FAR_NAME = "reviews.prod.svc.cluster.local"

CASES: dict[str, Case] = {
    # -------------------------------------------------------------------------------- host names of endpoints
    "an endpoint that resolves to nothing": Case(
        {"west": (named(DEAD),)}, f"{DEAD} resolves to nothing", (f"unresolved: {ENTRY}",), {DEAD: ()}
    ),
    "an endpoint that resolves to loopback": Case(
        {"west": (named(DEAD),)},
        f"{DEAD} resolves to 127.0.0.1, which is never served",
        (f"unresolved: {ENTRY}",),
        {DEAD: ("127.0.0.1",)},
    ),
    "an endpoint that has no reply yet": Case({"west": (named(DEAD),)}, f"no reply yet for {DEAD}", (), pending=True),
    "an endpoint whose look-ups fail": Case(
        {"west": (named(DEAD),)},
        f"look-ups of {DEAD} fail",
        (f"unresolved: {ENTRY}",),
        failing=frozenset({DEAD}),
        pending=True,
    ),
    "two endpoints, one of which has no reply yet": Case(
        {"west": (named(DEAD, LIVE),)},
        f"no reply yet for {LIVE}",
        (f"unresolved: {ENTRY}",),
        {DEAD: ()},
        pending=True,
    ),
    "a name of ours without an address": Case(
        {"west": (named("nobody.prod.global"),)},
        "nobody.prod.global has no address",
        (f"unreachable: {ENTRY}",),
    ),
    "a Service under another domain than its cluster's": Case(
        {"east": (named(FAR_NAME, host="alias.prod.global"), service())},
        "an endpoint is of domain cluster.local, cluster east is of test-env",
        ("unreachable: ServiceEntry/east/prod/reviews",),
        settings=DOMAIN,
        name="alias.prod.global",
    ),
    "the same where a forward zone takes that domain": Case(
        {"east": (named(FAR_NAME, host="alias.prod.global"), service())},
        f"no reply yet for {FAR_NAME}",
        (),
        settings={**DOMAIN, "forward_zones": ("cluster.local",)},
        name="alias.prod.global",
        pending=True,
    ),
    # -------------------------------------------------------------------------------- endpoints
    "an endpoint that cannot be read": Case(
        {"west": (named("198.51.100.20:15443"),)},
        "an endpoint cannot be read",
        (),
    ),
    "an endpoint that is no mapping": Case(
        {"west": (entry(endpoints=["198.51.100.20"]),)}, "an endpoint cannot be read", ()
    ),
    "two endpoints that cannot be read": Case(
        {"west": (entry("a b", "198.51.100.20:15443"),)}, "2 of its endpoints cannot be read", ()
    ),
    "endpoints that are no list": Case(
        {"west": (entry(endpoints={"address": "198.51.100.20"}, resolution="DNS"),)},
        "an endpoint cannot be read",
        (),
    ),
    "the same in the own cluster, whose host would be resolved": Case(
        {"east": (entry(endpoints="198.51.100.20", resolution="DNS"),)},
        "an endpoint cannot be read",
        (),
        settings={"zones": (MeshZone("prod.global"),), "forward_zones": ("global",)},
    ),
    "only virtual addresses": Case(
        {"west": (entry(addresses=["240.0.0.9"]),)},
        "it has no endpoints, only virtual addresses",
        (f"no endpoints: {ENTRY}",),
    ),
    "neither endpoints nor addresses": Case(
        {"west": (entry(),)}, "it has no endpoints", (f"no endpoints: {ENTRY}",)
    ),
    "a selector that matches nothing": Case(
        {"west": (entry(workloadSelector={"labels": {"app": "none"}}), workload_entry("vm", "10.9.9.9", app="other"))},
        "its workloadSelector selects nothing",
        (f"no endpoints: {ENTRY}",),
    ),
    "a selector without a label": Case(
        {"west": (entry(workloadSelector={"labels": {}}, resolution="DNS"),)},
        "its workloadSelector selects nothing",
        (f"no endpoints: {ENTRY}",),
    ),
    "another cluster's host itself": Case(
        {"west": (entry(resolution="DNS"),)}, "no endpoints, and the host itself is for another cluster to resolve", ()
    ),
    "the own cluster's host itself": Case(
        {"east": (entry(resolution="DNS"),)},
        "the host itself would have to be resolved; add an endpoint, or a forward zone for it",
        ("no endpoints: ServiceEntry/east/prod/reviews",),
        pending=True,
    ),
    "a wildcard": Case(
        {"west": (named(DEAD, host="*.prod.global"),)},
        f"{DEAD} resolves to nothing",
        (f"unresolved: {ENTRY}",),
        {DEAD: ()},
        name="*.prod.global",
    ),
    # -------------------------------------------------------------------------------- Services
    "a Service that was never applied": Case(
        {"east": (service(ip=""),)},
        "the Service has no clusterIP: it was never applied",
        ("unreachable: Service/east/prod/reviews",),
    ),
    "a headless Service without endpoints": Case(
        {"east": (service(ip="None"),)},
        "the headless Service has no endpoints",
        (),
    ),
    "a Service that an endpoint names, never applied": Case(
        {"east": (named(FAR_NAME, host="alias.prod.global"), service(ip=""))},
        "the Service has no clusterIP: it was never applied",
        ("unreachable: ServiceEntry/east/prod/reviews", "unreachable: Service/east/prod/reviews"),
        name="alias.prod.global",
    ),
    "a Service that is not there": Case(
        {"east": (named(FAR_NAME, host="alias.prod.global"),)},
        "no Service prod/reviews in cluster east",
        ("unreachable: ServiceEntry/east/prod/reviews",),
        name="alias.prod.global",
    ),
    "a Service elsewhere, no gateway and no load balancer": Case(
        {"west": (ELSEWHERE,)}, "cluster west has no gateway", (f"no gateway: {CLUSTER}",)
    ),
    "a Service elsewhere that is not ready, and no gateway": Case(
        {"west": (ELSEWHERE, endpoint_slice("10.9.9.9", ready=False))},
        "cluster west has no gateway",
        (f"no gateway: {CLUSTER}",),
    ),
    "a Service elsewhere whose load balancer resolves to nothing": Case(
        {"west": (service(ingress=[DEAD]),)},
        f"{DEAD} resolves to nothing",
        ("unresolved: Service/west/prod/reviews",),
        {DEAD: ()},
    ),
    "a Service that a ServiceEntry for its own host hides": Case(
        {
            "east": (
                service(ip="None"),
                endpoint_slice("10.40.9.9", service_name="other"),
                entry(FAR_NAME, host=FAR_NAME, resolution="DNS"),
            )
        },
        "the Service has no ready endpoint",
        (),
    ),
    "a VM's ServiceEntry for its svc host, without endpoints": Case(
        {"west": (entry(host=FAR_NAME),)}, "it has no endpoints", (f"no endpoints: {ENTRY}",)
    ),
    # -------------------------------------------------------------------------------- gateways
    "a cluster without gateways": Case(
        {"west": (entry("10.9.9.9"),)},
        "cluster west has no gateway",
        (f"no gateway: {ENTRY}", f"no gateway: {CLUSTER}"),
    ),
    "a gateway that resolves to nothing": Case(
        {"west": (ELSEWHERE, gateway(GATEWAY_NAME))},
        f"{GATEWAY_NAME} resolves to nothing",
        (f"unresolved: {GATEWAY}", f"no gateway: {CLUSTER}"),
        {GATEWAY_NAME: ()},
    ),
    "a gateway that resolves to loopback": Case(
        {"west": (entry("10.9.9.9"), gateway(GATEWAY_NAME))},
        f"{GATEWAY_NAME} resolves to ::1, which is never served",
        (f"unresolved: {GATEWAY}", f"no gateway: {CLUSTER}"),
        {GATEWAY_NAME: ("::1",)},
    ),
    "a gateway that has no reply yet": Case(
        {"west": (ELSEWHERE, gateway(GATEWAY_NAME))}, f"no reply yet for {GATEWAY_NAME}", (), pending=True
    ),
    "a gateway whose look-ups fail": Case(
        {"west": (ELSEWHERE, gateway(GATEWAY_NAME))},
        f"look-ups of {GATEWAY_NAME} fail",
        (f"unresolved: {GATEWAY}", f"no gateway: {CLUSTER}"),
        failing=frozenset({GATEWAY_NAME}),
        pending=True,
    ),
    "a gateway object without an address yet": Case(
        {"west": (ELSEWHERE, gateway())},
        "Service istio-system/gateway of cluster west has no address yet",
        (f"no gateway: {GATEWAY}", f"no gateway: {CLUSTER}"),
        pending=True,
    ),
    "a dead gateway and an object without an address yet": Case(
        {"west": (ELSEWHERE, gateway(GATEWAY_NAME), gateway(name="second"))},
        "Service istio-system/second of cluster west has no address yet",
        (
            "no gateway: Service/west/istio-system/second",
            f"unresolved: {GATEWAY}",
            f"no gateway: {CLUSTER}",
        ),
        {GATEWAY_NAME: ()},
        pending=True,
    ),
    "a gateway of the settings that resolves to nothing": Case(
        {"west": (ELSEWHERE,)},
        f"{GATEWAY_NAME} resolves to nothing",
        (f"no gateway: {CLUSTER}",),
        {GATEWAY_NAME: ()},
        settings={"clusters": {**NETWORKS, "west": ClusterSettings(network="net-w", gateways=(GATEWAY_NAME,))}},
    ),
    "a dead gateway as an endpoint of its own cluster": Case(
        {"west": (named(GATEWAY_NAME), gateway(GATEWAY_NAME))},
        f"{GATEWAY_NAME} resolves to nothing",
        (f"unresolved: {GATEWAY}", f"no gateway: {CLUSTER}"),
        {GATEWAY_NAME: ()},
    ),
    "a dead gateway of another network": Case(
        {"near": (entry({"network": "net-w"}),), "west": (gateway(GATEWAY_NAME),)},
        f"{GATEWAY_NAME} resolves to nothing",
        (f"unresolved: {GATEWAY}", f"no gateway: {CLUSTER}"),
        {GATEWAY_NAME: ()},
    ),
    # -------------------------------------------------------------------------------- modes
    "answer: vip without a VIP": Case(
        {"east": (named(DEAD),)},
        f"{DEAD} resolves to nothing",
        ("unresolved: ServiceEntry/east/prod/reviews",),
        {DEAD: ()},
        settings={"zones": (MeshZone("global", answer=AnswerMode.VIP),)},
    ),
    "answer: endpoints": Case(
        {"west": (named(DEAD),)},
        f"{DEAD} resolves to nothing",
        (f"unresolved: {ENTRY}",),
        {DEAD: ()},
        settings={"zones": (MeshZone("global", answer=AnswerMode.ENDPOINTS),)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_declared_name_without_an_address_says_why(case: str) -> None:
    """It has a candidate with the reason, waits or has none, and its problems name the object and the cluster."""
    row = CASES[case]
    answer, problems = judged(row)
    assert answer.outcome is (AnswerKind.PENDING if row.pending else AnswerKind.NODATA)
    found = decisive_candidate(answer)
    assert found is not None
    assert (found.reason, found.pending) == (row.reason, row.pending)
    assert sorted(problems) == sorted(row.problems)


@pytest.mark.parametrize("case", CASES)
def test_the_reason_is_told_by_an_extended_error(case: str) -> None:
    """EDE 22 while something is awaited, else EDE 0, with the cluster; without it for those who may not see it."""
    row = CASES[case]
    answer, _ = judged(row)
    kept = unreachable_reason(answer)
    assert kept is not None
    code, text = extended_error(kept, show_cluster=True)
    assert code == (22 if row.pending else 0)
    shown = re.fullmatch(r"known in cluster (?:east|near|west): (.+); see meshdns explain", text.decode())
    assert shown is not None
    assert row.reason.startswith(shown[1])
    code, text = extended_error(kept, show_cluster=False)
    assert b"west" not in text


HALF_DEAD: dict[str, tuple[Case, tuple[str, ...], str]] = {
    "a dead host name beside an address": (
        Case({"west": (named(DEAD, "203.0.113.8"),)}, "", (f"unresolved: {ENTRY}",), {DEAD: ()}),
        (f"{DEAD} resolves to nothing",),
        "203.0.113.8",
    ),
    "an unreadable endpoint beside an address": (
        Case({"west": (entry({"address": 7}, "203.0.113.8"),)}, "", ()),
        ("an endpoint cannot be read",),
        "203.0.113.8",
    ),
    "a dead gateway beside one with an address": (
        Case(
            {"west": (ELSEWHERE, gateway(GATEWAY_NAME, "203.0.113.20"))},
            "",
            (f"unresolved: {GATEWAY}", f"unresolved: {CLUSTER}"),
            {GATEWAY_NAME: ()},
        ),
        (f"{GATEWAY_NAME} resolves to nothing",),
        "203.0.113.20",
    ),
    "a dead exact host, and the wildcard next": (
        Case(
            {"west": (named(DEAD), entry("203.0.113.9", host="*.prod.global", name="all"))},
            "",
            (f"unresolved: {ENTRY}",),
            {DEAD: ()},
        ),
        (f"{DEAD} resolves to nothing",),
        "203.0.113.9",
    ),
    "the own Service never applied, and another cluster's": (
        Case(
            {"east": (service(ip=""),), "west": (entry("203.0.113.9"),)},
            "",
            ("unreachable: Service/east/prod/reviews",),
        ),
        ("the Service has no clusterIP: it was never applied",),
        "203.0.113.9",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HALF_DEAD)
def test_a_dead_endpoint_shows_beside_a_live_one(case: str) -> None:
    """The live one answers; the dead one is a candidate with its reason, and a problem."""
    row, lacks, addresses = HALF_DEAD[case]
    answer, problems = judged(row)
    assert answer_text(answer) == addresses
    assert tuple(each.lack for each in answer.candidates if each.lack) == lacks
    assert sorted(problems) == sorted(row.problems)
    assert unreachable_reason(answer) is None
    assert clusters_without_gateway(answer.candidates) == set()


def test_a_dead_gateway_that_resolves_again_answers_again() -> None:
    """All that was said of it goes away with the reply."""
    row = CASES["a gateway that resolves to nothing"]
    made = table_of(row)
    made.refresh()
    made.set_resolved_addresses(GATEWAY_NAME, ("203.0.113.20",))
    changed = made.refresh()
    assert answer_text(changed[HOST]) == "203.0.113.20"
    assert list(topology_problems(made.inventory, made.topology)) == []


def test_a_look_up_that_fails_again_changes_nothing_of_what_is_known() -> None:
    """The last good addresses are kept."""
    made = table_of(Case({"west": (named(LIVE),)}, "", (), {LIVE: ("203.0.113.8",)}))
    made.refresh()
    made.set_failing(LIVE, failing=True)
    assert made.refresh() == {}


def test_the_host_names_of_all_gateways_are_looked_up() -> None:
    """Those that no name leads through, too: a dead one is a problem of its cluster for everybody else."""
    made = name_table(mesh(clusters=NETWORKS), {"east": (gateway("gw.east.example"),)})
    made.refresh()
    assert made.hosts_to_resolve == {"gw.east.example"}
    made.set_resolved_addresses("gw.east.example", ())
    made.refresh()
    found = [(cluster, each.object) for cluster, each in topology_problems(made.inventory, made.topology)]
    assert found == [("east", "Service"), ("east", "Cluster")]


def test_many_names_behind_a_dead_gateway_are_one_problem_of_its_cluster() -> None:
    """However many names lead there, the object and the cluster are named once each."""
    services = [service(f"s{number}", f"10.97.0.{number}") for number in range(1, 41)]
    case = Case({"west": (*services, gateway(GATEWAY_NAME))}, "", (), {GATEWAY_NAME: ()}, name="s1.prod.global")
    _, problems = judged(case)
    assert problems == [f"unresolved: {GATEWAY}", f"no gateway: {CLUSTER}"]


def test_a_pod_name_of_a_fallback_zone_is_not_known() -> None:
    """Only Services are answered there, so that their pods' names leave no row without a reason."""
    zones = (MeshZone("cluster.local", fallback=True),)
    pods = (service(ip="None"), endpoint_slice("10.40.0.1", hostname="web-0"))
    made = name_table(mesh(zones=zones), {"east": pods})
    made.upsert("east", endpoint_slice("10.40.0.2", hostname="web-0"))
    assert "web-0.reviews.prod.svc.cluster.local" not in made.refresh()


def test_an_external_name_that_an_endpoint_names_has_no_address() -> None:
    """A Service of type ExternalName is no endpoint."""
    external = parse_declaration(
        ObjectKind.SERVICE,
        {
            "metadata": {"name": "reviews", "namespace": "prod"},
            "spec": {"type": "ExternalName", "externalName": "www.example"},
        },
    )
    case = Case({"east": (named(FAR_NAME, host="alias.prod.global"), external)}, "", (), name="alias.prod.global")
    answer, _ = judged(case)
    assert [(each.rule, each.lack) for each in answer.candidates] == [
        (EndpointRule.CLUSTER_IP, "a Service of type ExternalName")
    ]
