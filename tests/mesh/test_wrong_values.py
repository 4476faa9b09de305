"""Values that are not what they should be, as they show in answers: what cannot be read narrows and never widens."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from meshdns.controller.problem_index import problems_of
from meshdns.mesh.answer import Answer, AnswerKind
from meshdns.mesh.diagnostics import check_answer
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.settings import AnswerMode, MeshSettings, MeshZone
from tests.mesh import scene

HOST = "reviews.prod.global"


def forwarding_mesh() -> MeshSettings:
    """Settings with a forward zone that encloses the mesh zone, so that a host can be forwarded by itself."""
    return scene.mesh(forward_zones=("global",))


UNREADABLE: list[object] = [
    ["x y"],
    [7],
    [None],
    "198.51.100.9",
    {"address": "198.51.100.9"},
    [{"address": "198.51.100.9:80"}],
    [{"address": "203.0.113.300"}],
]


@pytest.mark.parametrize("resolution", ["DNS", "NONE", "DYNAMIC_DNS", "STATIC"])
@pytest.mark.parametrize("endpoints", UNREADABLE)
def test_unreadable_endpoints_are_no_reason_to_forward_the_host(resolution: str, endpoints: object) -> None:
    """The entry has an endpoint, so another server does not speak for it."""
    declared = scene.entry(resolution=resolution, endpoints=endpoints)
    found = scene.answers(forwarding_mesh(), {"east": [declared]})[HOST]
    assert found.outcome is AnswerKind.NODATA


@pytest.mark.parametrize("more", [{"addresses": ["10.0.0.256"]}, {"addresses": "x"}, {"resolution": []}])
def test_unreadable_addresses_are_no_reason_either(more: dict[str, Any]) -> None:
    """Without resolution they would be destinations."""
    found = scene.answers(forwarding_mesh(), {"east": [scene.entry(**{"resolution": "NONE", **more})]})[HOST]
    assert found.outcome is AnswerKind.NODATA


@pytest.mark.parametrize("more", [{}, {"endpoints": None}, {"endpoints": []}, {"addresses": ["10.0.0.0/8"]}])
def test_an_entry_without_endpoints_is_forwarded(more: dict[str, Any]) -> None:
    """The host itself is what Istio would resolve."""
    found = scene.answers(forwarding_mesh(), {"east": [scene.entry(resolution="NONE", **more)]})[HOST]
    assert found.outcome is AnswerKind.FORWARD


# ------------------------------------------------------------------------------------------------------- mode vip

VIPS = {
    "240.0.0.1": ("240.0.0.1", 0),
    "10.96.0.9": ("10.96.0.9", 0),
    "127.0.0.2": ("127.0.0.2", 1),
    "127.255.255.254": ("127.255.255.254", 1),
    "224.0.0.1": ("224.0.0.1", 1),
    "239.255.255.255": ("239.255.255.255", 1),
    "ff02::1": ("ff02::1", 1),
    "127.0.0.1": ("203.0.113.1", 1),
    "::1": ("203.0.113.1", 1),
    "::ffff:127.0.0.1": ("203.0.113.1", 1),
    "0.0.0.0": ("203.0.113.1", 1),  # noqa: S104
    "::": ("203.0.113.1", 1),
    "169.254.1.1": ("203.0.113.1", 1),
    "fe80::1": ("203.0.113.1", 1),
    "255.255.255.255": ("203.0.113.1", 1),
}
"""By virtual address, what is answered and how many problems there are."""


@pytest.mark.parametrize("by", ["annotation", "zone"])
@pytest.mark.parametrize("vip", VIPS)
def test_mode_vip_serves_what_a_sidecar_takes(vip: str, by: str) -> None:
    """Loopback and multicast are served and reported, what means nothing is reported and not served."""
    settings = scene.mesh() if by == "annotation" else scene.mesh(zones=(MeshZone("global", answer=AnswerMode.VIP),))
    annotations = {"meshdns.io/answer": "vip"} if by == "annotation" else None
    declared = scene.entry("203.0.113.1", addresses=[vip], annotations=annotations)
    table = scene.name_table(settings, {"east": [declared]})
    answer = table.refresh()[HOST]
    assert answer is not None
    answered, problems = VIPS[vip]
    found = list(check_answer(HOST, answer, table.inventory, table.topology))
    assert (scene.answer_text(answer), len(found)) == (answered, problems)


# ------------------------------------------------------------------------------------------------------ protocols


def test_ports_of_sctp_are_services_over_sctp() -> None:
    """Neither TCP nor UDP; through gateways only TCP passes."""
    ports = [
        {"number": 5060, "name": "sip", "protocol": "SCTP"},
        {"number": 53, "name": "dns", "protocol": "UDP"},
        {"number": 80, "name": "http", "protocol": "HTTP"},
    ]
    declared = scene.entry("203.0.113.1", ports=ports)
    found = scene.answers(scene.mesh(), {"east": [declared]})[HOST]
    assert {(each.name, each.protocol) for each in found.services} == {
        ("sip", "sctp"),
        ("dns", "udp"),
        ("http", "tcp"),
    }
    far = scene.entry("10.9.0.1", ports=ports)
    clusters = {"east": [], "west": [far, scene.gateway("198.51.100.7")]}
    found = scene.answers(scene.mesh(clusters=scene.on_networks(east="e", west="w")), clusters)[HOST]
    assert {(each.name, each.protocol) for each in found.services} == {("http", "tcp")}


def test_a_gateway_port_over_sctp_is_none() -> None:
    """Mesh TLS runs over TCP."""
    port = {"port": 15443, "protocol": "SCTP"}
    gateway = scene.service(
        "gw", "10.96.0.9", labels={"istio": "eastwestgateway"}, ingress=["198.51.100.7"], ports=[port]
    )
    clusters = {"east": [], "west": [scene.entry("10.9.0.1"), gateway]}
    assert scene.answer_for(scene.mesh(clusters=scene.on_networks(east="e", west="w")), clusters) == "NODATA"


# ------------------------------------------------------------------------------------------------------ own keys


@pytest.mark.parametrize("place", ["labels", "annotations"])
@pytest.mark.parametrize("zone", [MeshZone("global"), MeshZone("global", public_only=False)], ids=["public", "ignore"])
def test_an_entry_that_is_hidden_is_not_served(place: str, zone: MeshZone) -> None:
    """Whatever ``exportTo`` says, and whether it counts."""
    key: dict[str, Any] = {place: {"meshdns.io/export": "false"}}
    declared = scene.entry("203.0.113.1", exportTo=["*"], **key)
    settings = scene.mesh(zones=(zone,))
    assert HOST not in scene.answers(settings, {"east": [declared]})
    found = list(problems_of("east", declared, settings))
    assert [problem.reason for problem in found] == [f"{HOST} is hidden by meshdns.io/export"]


@pytest.mark.parametrize("place", ["labels", "annotations"])
def test_an_entry_for_a_service_is_hidden_like_the_service(place: str) -> None:
    """The derived name that the entry would give is hidden."""
    host = "reviews.prod.svc.cluster.local"
    for value, answered in (("false", "absent"), ("true", "203.0.113.1")):
        key: dict[str, Any] = {place: {"meshdns.io/export": value}}
        declared = scene.entry("203.0.113.1", host=host, **key)
        assert scene.answer_for(scene.mesh(), {"east": [declared]}) == answered


# ------------------------------------------------------------------------------------------- unreadable narrows

PORTS = [{"number": 80, "name": "http", "protocol": "HTTP"}]
LABEL = "topology.istio.io/network"
Raw = Mapping[str, Any]


def _entry(name: str, labels: Raw | None = None, **spec: Any) -> tuple[ObjectKind, Raw]:
    usual = {"hosts": [f"{name}.prod.global"], "location": "MESH_INTERNAL", "resolution": "STATIC", "ports": PORTS}
    metadata = {"name": name, "namespace": "prod", "labels": dict(labels or {})}
    return ObjectKind.SERVICE_ENTRY, {"metadata": metadata, "spec": {**usual, **spec}}


def _vm(name: str, address: str, **labels: str) -> tuple[ObjectKind, Raw]:
    spec = {"address": address, "labels": labels, "network": "", "ports": {"http": 80}}
    return ObjectKind.WORKLOAD_ENTRY, {"metadata": {"name": name, "namespace": "prod", "labels": labels}, "spec": spec}


def _service(name: str, **more: Any) -> tuple[ObjectKind, Raw]:
    metadata = {"name": name, "namespace": "prod", **more.pop("metadata", {})}
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return ObjectKind.SERVICE, {"metadata": metadata, "spec": {"type": "ClusterIP", "ports": ports, **more}}


WEST = {
    "public": _entry(
        "public", endpoints=[{"address": "203.0.113.1", "ports": {"http": 80}}, {"address": "203.0.113.2"}]
    ),
    "networked": _entry("networked", endpoints=[{"address": "203.0.113.3", "network": "net-vm"}]),
    "labelled": _entry("labelled", {LABEL: "net-vm"}, endpoints=[{"address": "203.0.113.4"}]),
    "by-label": _entry("by-label", endpoints=[{"address": "203.0.113.5", "labels": {LABEL: "net-vm"}}]),
    "virtual": _entry("virtual", addresses=["203.0.113.60"], endpoints=[{"address": "203.0.113.6"}]),
    "direct": _entry("direct", {LABEL: "net-vm"}, resolution="NONE", addresses=["203.0.113.7", "203.0.113.8"]),
    "unexported": _entry("unexported", exportTo=[".", "shop"], endpoints=[{"address": "203.0.113.9"}]),
    "hidden": _entry("hidden", {"meshdns.io/export": "off"}, endpoints=[{"address": "203.0.113.10"}]),
    "selecting": _entry("selecting", workloadSelector={"labels": {"app": "vm", "version": "v2"}}),
    "vm-1": _vm("vm-1", "203.0.113.11", app="vm", version="v1"),
    "vm-2": _vm("vm-2", "203.0.113.12", app="vm", version="v2"),
    "service": _service("service", clusterIP="10.96.0.1", clusterIPs=["10.96.0.1"]),
    "hidden-service": _service(
        "hidden-service", clusterIP="10.96.0.2", metadata={"annotations": {"meshdns.io/export": "no"}}
    ),
    "external": _service("external", type="ExternalName", externalName="a.example"),
    "private-service": _service(
        "private-service", clusterIP="10.96.0.3", metadata={"annotations": {"networking.istio.io/exportTo": "."}}
    ),
    "labelled-gateway": _service(
        "labelled-gateway", clusterIP="10.96.0.4", metadata={"labels": {"istio": "ingressgateway"}}
    ),
    "headless": _service("headless", clusterIP="None", clusterIPs=["None"], publishNotReadyAddresses=True),
    "slice": (
        ObjectKind.ENDPOINT_SLICE,
        {
            "metadata": {"name": "a", "namespace": "prod", "labels": {"kubernetes.io/service-name": "headless"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": True}, "hostname": "a"}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        },
    ),
}
"""Valid objects of cluster west; each name is declared by one of them."""

JUNK: list[object] = [[], {"x": ["y"]}, 7777, 7.5, "junk"]
KEPT = {
    ("metadata", "name"),  # another name is another object
    ("metadata", "namespace"),
    ("spec", "location"),  # an unknown one is the default by rule, whose endpoints no gateway replaces
}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all parts of a value."""
    if path:
        yield path
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _paths(part, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], junk: object) -> Any:
    if not path:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], junk)
    return copy


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _is_unreadable_for(value: object, junk: object) -> bool:
    """Whether it is of another type: but a scalar in place of text is read as another text."""
    return type(value) is not type(junk) and not (isinstance(value, str) and isinstance(junk, int | float))


def _addresses(answers: Mapping[str, Answer]) -> dict[str, set[str]]:
    return {name: {*answer.ipv4, *answer.ipv6} for name, answer in answers.items()}


def _mesh_answers(vantage: str, west: Mapping[str, AnyDeclaration | None]) -> dict[str, set[str]]:
    around = [scene.system_namespace("net-w"), scene.gateway("198.51.100.7")]
    vms = [scene.remote_gateway("net-vm", "198.51.100.8")]
    declared = [each for each in west.values() if each is not None]
    clusters = {"east": [scene.system_namespace("net-e"), *vms], "west": [*around, *declared]}
    return _addresses(scene.answers(scene.mesh(vantage_cluster=vantage), clusters))


@pytest.mark.parametrize("vantage", ["east", "west"])
@pytest.mark.parametrize("name", WEST)
def test_junk_in_place_of_any_value_adds_no_address_and_no_name(name: str, vantage: str) -> None:
    """Each part of an object in turn becomes something of another type."""
    valid = {each: parse_object(kind, raw) for each, (kind, raw) in WEST.items()}
    before = _mesh_answers(vantage, valid)
    kind, raw = WEST[name]
    grown = []
    for path in _paths(raw):
        for junk in JUNK:
            if path[:2] in KEPT or not _is_unreadable_for(_at(raw, path), junk):
                continue
            after = _mesh_answers(vantage, {**valid, name: parse_object(kind, _replaced(raw, path, junk))})
            more = {each: found - before.get(each, set()) for each, found in after.items()}
            grown += [(path, junk, each, found) for each, found in more.items() if found or each not in before]
    assert grown == []
