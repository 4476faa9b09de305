"""WorkloadEntries whose health is checked, and Services that select WorkloadEntries."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from meshdns.mesh.diagnostics import check_answer
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind, WorkloadEntry, key_of
from meshdns.mesh.service_ports import ServicePort
from meshdns.mesh.settings import AnswerMode, MeshZone
from tests.mesh.scene import (
    answer_for,
    answer_text,
    endpoint_slice,
    entry,
    gateway,
    mesh,
    name_table,
    on_networks,
    parse_declaration,
    service,
)

NETWORKS = on_networks(east="net-e", near="net-e", west="net-w")
HOST = "reviews.prod.global"
CHECKED = "proxy.istio.io/health-checks-enabled"


def workload(
    name: str,
    address: str,
    *conditions: object,
    checked: object = None,
    app: str = "reviews",
    namespace: str = "prod",
    **spec: object,
) -> AnyDeclaration:
    """A WorkloadEntry with the label ``app``, its annotation of health checks and its conditions."""
    annotations = {} if checked is None else {CHECKED: checked}
    metadata = {"name": name, "namespace": namespace, "annotations": annotations, "labels": {"app": app}}
    raw = {"metadata": metadata, "spec": {"address": address, **spec}, "status": {"conditions": list(conditions)}}
    return parse_declaration(ObjectKind.WORKLOAD_ENTRY, raw)


def healthy(status: object = "True") -> dict[str, object]:
    """A condition Healthy."""
    return {"type": "Healthy", "status": status}


SELECTING = entry(workloadSelector={"labels": {"app": "reviews"}})
SERVICE = service(selector={"app": "reviews"})


def seen(declarations: Iterable[AnyDeclaration], cluster: str = "east", **more: Any) -> str:
    """What reviews.prod.global means from east."""
    clusters = {"east": (), cluster: tuple(declarations)}
    return answer_for(mesh(**{"clusters": NETWORKS, **more}), clusters, HOST)


# ---------------------------------------------------------------------------------------------------- health

READY: Mapping[str, tuple[object, tuple[object, ...], bool]] = {
    "not checked": (None, (), True),
    "not checked, and unhealthy": (None, (healthy("False"),), True),
    "checked and healthy": ("true", (healthy(),), True),
    "checked and unhealthy": ("true", (healthy("False"),), False),
    "checked, of unknown health": ("true", (healthy("Unknown"),), False),
    "checked, without a condition yet": ("true", (), False),
    "checked, with another condition": ("true", ({"type": "Ready", "status": "True"},), False),
    "checked, with a status of another type": ("true", (healthy(True),), False),
    "checked, with conditions of other types": ("true", (None, "Healthy", ["Healthy"]), False),
    "Go's 1 is true": ("1", (), False),
    "Go's T is true": ("T", (), False),
    "Go's 0 is false": ("0", (), True),
    "a word that Go does not know is false": ("yes", (), True),
    "an unquoted true": (True, (), False),
    "an annotation that cannot be read": ([True], (), False),
}


@pytest.mark.parametrize("case", READY)
def test_a_workload_is_ready_unless_its_checked_health_is_not_good(case: str) -> None:
    """Go's booleans say whether health is checked; then the condition alone makes it ready."""
    checked, conditions, expected = READY[case]
    found = workload("vm", "10.40.0.1", *conditions, checked=checked)
    assert isinstance(found, WorkloadEntry)
    assert found.ready is expected


def test_a_word_that_is_no_boolean_is_a_problem() -> None:
    """It is named with its field."""
    found = workload("vm", "10.40.0.1", checked="yes")
    assert [(each.field, each.reason) for each in found.problems] == [
        (f"metadata.annotations.{CHECKED}", "'yes' is no boolean of Go, so that health is not checked")
    ]


HEALTH: Mapping[str, tuple[tuple[AnyDeclaration, ...], str]] = {
    "the healthy one alone": (
        (
            SELECTING,
            workload("vm-1", "10.40.0.1", healthy(), checked="true"),
            workload("vm-2", "10.40.0.2", healthy("False"), checked="true"),
            workload("vm-3", "10.40.0.3", checked="true"),
        ),
        "10.40.0.1",
    ),
    "beside one whose health nobody checks": (
        (SELECTING, workload("vm-1", "10.40.0.1"), workload("vm-2", "10.40.0.2", checked="true")),
        "10.40.0.1",
    ),
    "all of them where none is healthy": (
        (
            SELECTING,
            workload("vm-1", "10.40.0.1", healthy("False"), checked="true"),
            workload("vm-2", "10.40.0.2", checked="true"),
        ),
        "10.40.0.1 10.40.0.2",
    ),
    "a ready Service before an unhealthy workload": (
        (SELECTING, workload("vm", "10.40.0.1", checked="true"), service(), endpoint_slice("10.40.9.9")),
        "10.96.0.7",
    ),
}


@pytest.mark.parametrize("case", HEALTH)
def test_an_unhealthy_workload_answers_only_if_nothing_is_ready(case: str) -> None:
    """It is the last resort, as a pod that is not ready."""
    declarations, expected = HEALTH[case]
    assert seen(declarations) == expected


# ------------------------------------------------------------------------------------------------- selection

VM = workload("vm", "10.40.0.1")
SICK = workload("vm", "10.40.0.1", checked="true")
OTHER_SLICE = endpoint_slice("10.40.0.9", service_name="other", suffix="o")  # so that readiness is known
WEST_GATEWAY = gateway("203.0.113.20")
OWN: Mapping[str, tuple[tuple[AnyDeclaration, ...], str]] = {
    "a workload, and no pod": ((SERVICE, VM, OTHER_SLICE), "10.40.0.1"),
    "a workload, and pods that are not ready": ((SERVICE, VM, endpoint_slice("10.40.0.8", ready=False)), "10.40.0.1"),
    "a workload beside a ready pod": ((SERVICE, VM, endpoint_slice("10.40.0.8")), "10.96.0.7"),
    "a workload where no slices are read": ((SERVICE, VM), "10.40.0.1"),
    "an unhealthy workload as the last resort": ((SERVICE, SICK, OTHER_SLICE), "10.40.0.1"),
    "the healthy one of two": ((SERVICE, SICK, workload("vm2", "10.40.0.2"), OTHER_SLICE), "10.40.0.2"),
    "a headless Service": ((service(ip="None", selector={"app": "reviews"}), VM, OTHER_SLICE), "10.40.0.1"),
    "no workload of another namespace": (
        (SERVICE, workload("vm", "10.40.0.1", namespace="test")),
        "10.96.0.7",
    ),
    "no workload with another label": ((SERVICE, workload("vm", "10.40.0.1", app="ratings")), "10.96.0.7"),
    "no workload with one label of two": (
        (service(selector={"app": "reviews", "tier": "vm"}), VM),
        "10.96.0.7",
    ),
    "an empty selector selects nothing": ((service(selector={}), VM), "10.96.0.7"),
    "a selector that cannot be read selects nothing": ((service(selector={"app": ["reviews"]}), VM), "10.96.0.7"),
    "a workload on another network, by its gateways": (
        (SERVICE, workload("vm", "10.200.0.1", network="net-w"), OTHER_SLICE),
        "203.0.113.20",
    ),
    "a cluster.local endpoint that names the Service": (
        (
            entry("reviews.prod.svc.cluster.local", host="shop.prod.global", name="shop"),
            service(selector={"app": "reviews"}),
            VM,
            OTHER_SLICE,
        ),
        "10.40.0.1",
    ),
    "a workload that names the Service itself": (
        (SERVICE, workload("vm", "reviews.prod.svc.cluster.local"), OTHER_SLICE),
        "NODATA",
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_a_service_of_the_own_cluster_selects_workloads(case: str) -> None:
    """Where no pod is ready the workloads answer, not the ClusterIP, which nothing serves."""
    declarations, expected = OWN[case]
    name = "shop.prod.global" if case.startswith("a cluster.local") else HOST
    clusters = {"east": declarations, "west": (WEST_GATEWAY,)}
    assert answer_for(mesh(clusters=NETWORKS), clusters, name) == expected


ELSEWHERE: Mapping[str, tuple[str, dict[str, object], tuple[AnyDeclaration, ...], str]] = {
    "on the own network": ("near", {}, (SERVICE, VM, OTHER_SLICE), "10.40.0.1"),
    "on another network": ("west", {}, (SERVICE, VM, OTHER_SLICE, WEST_GATEWAY), "203.0.113.20"),
    "on another network, all networks being one": (
        "west",
        {"zones": (MeshZone("global", answer=AnswerMode.ENDPOINTS),)},
        (SERVICE, VM, OTHER_SLICE, WEST_GATEWAY),
        "10.40.0.1",
    ),
    "on another network, not healthy": ("west", {}, (SERVICE, SICK, OTHER_SLICE, WEST_GATEWAY), "203.0.113.20"),
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_a_service_of_another_cluster_selects_workloads(case: str) -> None:
    """They make it ready, and are its endpoints on the own network."""
    cluster, more, declarations, expected = ELSEWHERE[case]
    assert seen(declarations, cluster, **more) == expected


def test_the_own_gateway_leads_to_the_workloads_of_the_service() -> None:
    """A hairpin ends at what serves the Service, even if a workload has the gateway's own address."""
    hairpin = entry("203.0.113.10")
    for address, expected in (("10.40.0.1", "10.40.0.1"), ("203.0.113.10", "203.0.113.10")):
        own = (hairpin, SERVICE, workload("vm", address), OTHER_SLICE, gateway("203.0.113.10"))
        assert seen(own) == expected


# --------------------------------------------------------------------------------------------------- changes


def updated(table: NameTable, name: str = HOST) -> str:
    """The answer that the last change led to; empty where the name was not computed again."""
    changed = table.refresh()
    return answer_text(changed[name]) if name in changed else ""


def test_each_change_of_a_workload_is_followed() -> None:
    """Its coming, its health, its labels and its going, and the selector and going of the Service."""
    table = name_table(mesh(clusters=NETWORKS), {"east": (SERVICE, OTHER_SLICE)})
    assert updated(table) == "10.96.0.7"
    steps = [
        (workload("vm", "10.40.0.1"), "10.40.0.1"),
        (workload("vm2", "10.40.0.2"), "10.40.0.1 10.40.0.2"),
        (workload("vm2", "10.40.0.2", checked="true"), "10.40.0.1"),
        (workload("vm", "10.40.0.1", app="ratings"), "10.40.0.2"),
        (service(selector={"app": "ratings"}), "10.40.0.1"),
        (service(selector={"app": "none"}), "10.96.0.7"),
        (SERVICE, "10.40.0.2"),
    ]
    for declaration, expected in steps:
        table.upsert("east", declaration)
        assert updated(table) == expected
    table.remove("east", key_of(workload("vm2", "10.40.0.2")))
    assert updated(table) == "10.96.0.7"
    table.remove("east", key_of(SERVICE))
    assert updated(table) == "absent"


def test_a_workload_touches_the_services_that_select_it_alone() -> None:
    """A change of health computes the names of no other Service again."""
    others = [service(f"s{number}", f"10.96.1.{number}", selector={"app": f"s{number}"}) for number in range(1, 100)]
    narrower = service("narrower", "10.96.2.1", selector={"app": "reviews", "tier": "web"})
    table = name_table(mesh(clusters=NETWORKS), {"east": (SERVICE, VM, narrower, *others)})
    table.refresh()
    table.upsert("east", SICK)
    assert [name for name, answer in table.refresh().items() if answer is not None] == [HOST]


def test_a_port_that_an_address_record_cannot_carry_is_a_problem() -> None:
    """Of a workload that a Service selects as of one that a ServiceEntry does."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    clusters = {"east": (service(selector={"app": "reviews"}, ports=ports), VM, OTHER_SLICE)}
    table = name_table(mesh(clusters=NETWORKS), clusters)
    answer = table.refresh()[HOST]
    assert answer is not None
    assert answer.services == (ServicePort("http", "tcp", ((8080, ""),)),)
    found = [problem.reason for _, problem in check_answer(HOST, answer, table.inventory, table.topology)]
    assert found == ["port http is 8080 here, but clients dial 80: an address record cannot say so"]


WRITTEN: Mapping[str, tuple[dict[str, int], int]] = {
    "the Service's port": ({}, 80),
    "a port that is written at the endpoint": ({"http": 8081}, 8081),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_a_port_written_at_a_service_endpoint_is_the_true_port(case: str) -> None:
    """Also where the endpoint is a Service of the cluster."""
    ports, number = WRITTEN[case]
    point = {"address": "web.prod.svc.cluster.local", "ports": ports}
    declared = entry(point, ports=[{"name": "http", "number": 80, "protocol": "HTTP"}])
    web = service("web", "10.96.0.3", ports=[{"name": "http", "port": 80}])
    answer = name_table(mesh(clusters=NETWORKS), {"east": (declared, web)}).refresh()[HOST]
    assert answer is not None
    assert answer.services == (ServicePort("http", "tcp", ((number, ""),)),)
