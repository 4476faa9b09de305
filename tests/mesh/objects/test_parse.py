"""From raw objects to declarations: the good parts are kept, the bad ones are problems that name their field."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.mesh.objects.declarations import (
    AnyDeclaration,
    EndpointSlice,
    Namespace,
    ObjectKind,
    Service,
    ServiceEntry,
    UnreadableObject,
    WorkloadEntry,
    key_of,
)
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.objects.problems import ProblemKind

GOOD_HOST = "good.prod.global"
GOOD_ENDPOINT = {"address": "198.51.100.1"}


def read_entry(spec: object, **metadata: Any) -> AnyDeclaration:
    """A ServiceEntry ``prod/reviews`` with this spec."""
    raw = {"metadata": {"name": "reviews", "namespace": "prod", **metadata}, "spec": spec}
    found = parse_object(ObjectKind.SERVICE_ENTRY, raw)
    assert found is not None
    return found


def the_entry(spec: object, **metadata: Any) -> ServiceEntry:
    """The same where it can be read."""
    found = read_entry(spec, **metadata)
    assert isinstance(found, ServiceEntry)
    return found


def fields(declaration: AnyDeclaration) -> list[str]:
    """The fields that its problems name; each says why and what to do."""
    assert all(problem.reason and problem.advice for problem in declaration.problems)
    return [problem.field for problem in declaration.problems]


BAD_HOSTS: dict[str, object] = {
    "300 characters": "x." * 149 + "xx",
    "a label of 64": "x" * 64 + ".global",
    "empty": "",
    "two dots": "..",
    "an empty label": "a..global",
    "a leading dot": ".global",
    "unicode": "bücher.global",
    "a letter that lower-cases into ASCII": "\u212aube.global",
    "half a surrogate pair": "\ud800.global",
    "an IPv4 address": "192.0.2.1",
    "an IPv6 address": "2001:db8::1",
    "a network": "192.0.2.0/24",
    "a bare star": "*",
    "a star and a dot": "*.",
    "a star inside": "a.*.global",
    "two stars": "*.*.global",
    "half a star": "*a.global",
    "a number": 7,
    "null": None,
    "true": True,
    "a list": ["a.global"],
    "a mapping": {"a": "global"},
    "a blank inside": "a b.global",
    "a zero octet": "a\0b.global",
    "a line break": "a\nb.global",
    "a URL": "https://a.global",
    "with a port": "a.global:80",
}


@pytest.mark.parametrize("case", BAD_HOSTS)
def test_a_bad_host_costs_only_itself(case: str) -> None:
    """The host beside it is kept, and the problem names the index."""
    found = the_entry({"hosts": [BAD_HOSTS[case], GOOD_HOST], "endpoints": [GOOD_ENDPOINT]})
    assert (found.hosts, fields(found)) == ((GOOD_HOST,), ["spec.hosts[0]"])
    assert len(found.endpoints) == 1


GOOD_HOSTS = {
    "reviews.prod.global": "reviews.prod.global",
    "Reviews.PROD.global.": "reviews.prod.global",
    "*.Prod.global.": "*.prod.global",
    "_grpc._tcp.a.global": "_grpc._tcp.a.global",
    "1.2.global": "1.2.global",
    ".".join(["x" * 63] * 3 + ["x" * 61]): ".".join(["x" * 63] * 3 + ["x" * 61]),
}


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_hosts_are_kept_as_they_are_compared(host: str) -> None:
    """Lower-case, without trailing dot."""
    found = the_entry({"hosts": [host]})
    assert (found.hosts, fields(found)) == ((GOOD_HOSTS[host],), [])


def test_a_host_named_twice_counts_once() -> None:
    """Letter case and a trailing dot make no difference."""
    assert the_entry({"hosts": ["a.global", "A.global", "a.GLOBAL."]}).hosts == ("a.global",)


BAD_ENDPOINTS: dict[str, tuple[object, str]] = {
    "a text": ("198.51.100.9", ""),
    "a number": (7, ""),
    "null": (None, ""),
    "a list": ([], ""),
    "no address and no network": ({}, ".address"),
    "an address that is a number": ({"address": 1}, ".address"),
    "an address that is a list": ({"address": ["198.51.100.9"]}, ".address"),
    "two dots": ({"address": ".."}, ".address"),
    "unicode": ({"address": "bücher.example"}, ".address"),
    "300 characters": ({"address": "x" * 300}, ".address"),
    "a CIDR": ({"address": "198.51.100.0/24"}, ".address"),
    "an address with a port": ({"address": "198.51.100.1:80"}, ".address"),
    "a wildcard": ({"address": "*.example.com"}, ".address"),
    "an address with a zone": ({"address": "fe80::1%eth0"}, ".address"),
}


@pytest.mark.parametrize("case", BAD_ENDPOINTS)
def test_a_bad_endpoint_costs_only_itself(case: str) -> None:
    """The endpoint beside it is kept, and the problem names index and field."""
    bad, field = BAD_ENDPOINTS[case]
    found = the_entry({"hosts": [GOOD_HOST], "resolution": "DNS", "endpoints": [bad, GOOD_ENDPOINT]})
    assert [point.address for point in found.endpoints] == ["198.51.100.1"]
    assert fields(found) == [f"spec.endpoints[0]{field}"]


@pytest.mark.parametrize("case", BAD_ENDPOINTS)
def test_an_entry_whose_endpoints_are_all_unreadable_has_endpoints(case: str) -> None:
    """None of them can be used, and there are as many as were written."""
    bad, _ = BAD_ENDPOINTS[case]
    found = the_entry({"hosts": [GOOD_HOST], "resolution": "DNS", "endpoints": [bad, bad]})
    assert (found.endpoints, found.unread_endpoints, found.has_unread_endpoints) == ((), 2, True)


@pytest.mark.parametrize("endpoints", ["198.51.100.9", {"address": "198.51.100.9"}, 7, False, 0, ""])
def test_what_is_no_list_of_endpoints_is_one_that_cannot_be_read(endpoints: object) -> None:
    """It was meant to be something; null is absence."""
    assert the_entry({"hosts": [GOOD_HOST], "endpoints": endpoints}).unread_endpoints == 1


@pytest.mark.parametrize("spec", [{}, {"endpoints": None}, {"endpoints": []}, {"endpoints": [GOOD_ENDPOINT]}])
def test_without_unreadable_endpoints_none_is_counted(spec: dict[str, object]) -> None:
    """An entry may have no endpoints, or none but good ones."""
    found = the_entry({"hosts": [GOOD_HOST], **spec})
    assert (found.unread_endpoints, found.has_unread_endpoints) == (0, False)


@pytest.mark.parametrize("port", [0, 65536, -1, "80", None, True, 1.5, {}])
def test_a_bad_endpoint_port_costs_only_itself(port: object) -> None:
    """The endpoint and its other ports are kept."""
    ports = [{"name": name, "number": number} for name, number in (("a", 80), ("b", 81))]
    endpoints = [{"address": "198.51.100.1", "ports": {"a": port, "b": 1}}]
    found = the_entry({"hosts": [GOOD_HOST], "ports": ports, "endpoints": endpoints})
    assert (found.endpoints[0].ports, fields(found)) == ((("b", 1),), ["spec.endpoints[0].ports"])


@pytest.mark.parametrize("port", [{"number": 0}, {"number": 65536}, {"number": "80"}, {}, 80, None, {"number": True}])
def test_a_bad_port_costs_only_itself(port: object) -> None:
    """A port needs a number from 1 to 65535."""
    found = the_entry({"hosts": [GOOD_HOST], "ports": [port, {"name": "http", "number": 80, "protocol": "http"}]})
    assert [(each.name, each.number, each.protocol) for each in found.ports] == [("http", 80, "HTTP")]
    assert fields(found) == ["spec.ports[0]"]


def test_endpoints_keep_address_ports_and_network() -> None:
    """Addresses in canonical text, host names normal, the network from field, label or the object's label."""
    label = {"topology.istio.io/network": "net-l"}
    points = [
        {"address": " 2001:DB8:0::1 ", "network": "net-f", "labels": label},
        {"address": "Origin.Example.com.", "labels": label},
        {"address": "198.51.100.1"},
        {"network": "net-x"},
        {"address": "unix:///var/run/x.sock"},
    ]
    found = the_entry(
        {"hosts": [GOOD_HOST], "endpoints": points}, labels={"topology.istio.io/network": "net-o"}
    ).endpoints
    assert [(point.address, point.network) for point in found] == [
        ("2001:db8::1", "net-f"),
        ("origin.example.com", "net-l"),
        ("198.51.100.1", "net-o"),
        ("", "net-x"),
        ("unix:///var/run/x.sock", "net-o"),
    ]


WRONG_TYPES: dict[str, tuple[object, list[str]]] = {
    # spec: the fields that are named
    "spec is a text": ("x", ["spec"]),
    "spec is a list": ([], ["spec"]),
    "spec is null": (None, ["spec.hosts"]),
    "spec is empty": ({}, ["spec.hosts"]),
    "no hosts": ({"hosts": []}, ["spec.hosts"]),
    "hosts is a text": ({"hosts": "a.global"}, ["spec.hosts"]),
    "addresses is a text": ({"hosts": [GOOD_HOST], "addresses": "10.0.0.1"}, ["spec.addresses"]),
    "an address is a name": ({"hosts": [GOOD_HOST], "addresses": ["a", "10.0.0.1"]}, ["spec.addresses[0]"]),
    "an address is a number": ({"hosts": [GOOD_HOST], "addresses": [1]}, ["spec.addresses[0]"]),
    "a CIDR under DNS": (
        {"hosts": [GOOD_HOST], "resolution": "DNS", "addresses": ["10.0.0.0/8"]},
        ["spec.addresses[0]"],
    ),
    "a CIDR under NONE": ({"hosts": [GOOD_HOST], "resolution": "NONE", "addresses": ["10.0.0.0/8"]}, []),
    "endpoints is a mapping": ({"hosts": [GOOD_HOST], "endpoints": {"address": "a"}}, ["spec.endpoints"]),
    "endpoint ports is a list": (
        {"hosts": [GOOD_HOST], "endpoints": [{"address": "198.51.100.1", "ports": [80]}]},
        ["spec.endpoints[0].ports"],
    ),
    "ports is a number": ({"hosts": [GOOD_HOST], "ports": 80}, ["spec.ports"]),
    "resolution is unknown": ({"hosts": [GOOD_HOST], "resolution": "MAYBE"}, ["spec.resolution"]),
    "resolution is a list": ({"hosts": [GOOD_HOST], "resolution": []}, ["spec.resolution"]),
    "exportTo is a text": ({"hosts": [GOOD_HOST], "exportTo": "*"}, ["spec.exportTo"]),
    "exportTo holds a number": ({"hosts": [GOOD_HOST], "exportTo": [1]}, ["spec.exportTo[0]"]),
    "workloadSelector is a text": ({"hosts": [GOOD_HOST], "workloadSelector": "app"}, ["spec.workloadSelector"]),
}


@pytest.mark.parametrize("case", WRONG_TYPES)
def test_wrong_types_name_their_field(case: str) -> None:
    """Each wrong type is a problem of its field; nothing else of the object is lost."""
    spec, named = WRONG_TYPES[case]
    found = the_entry(spec)
    assert fields(found) == named
    assert all(problem.kind is ProblemKind.MALFORMED for problem in found.problems)


ANNOTATIONS: dict[str, tuple[dict[str, Any], str, int, list[str]]] = {
    "none": ({}, "", -1, []),
    "a mode": ({"meshdns.io/answer": "vip"}, "vip", -1, []),
    "an unknown mode": ({"meshdns.io/answer": "VIP"}, "", -1, ["metadata.annotations.meshdns.io/answer"]),
    "a TTL": ({"meshdns.io/ttl": "0"}, "", 0, []),
    "the longest TTL": ({"meshdns.io/ttl": "86400"}, "", 86400, []),
    "a TTL too long": ({"meshdns.io/ttl": "86401"}, "", -1, ["metadata.annotations.meshdns.io/ttl"]),
    "a negative TTL": ({"meshdns.io/ttl": "-1"}, "", -1, ["metadata.annotations.meshdns.io/ttl"]),
    "a TTL with a unit": ({"meshdns.io/ttl": "30s"}, "", -1, ["metadata.annotations.meshdns.io/ttl"]),
    "a TTL in other digits": ({"meshdns.io/ttl": "٣٠"}, "", -1, ["metadata.annotations.meshdns.io/ttl"]),
    "an empty TTL": ({"meshdns.io/ttl": ""}, "", -1, ["metadata.annotations.meshdns.io/ttl"]),
    "a TTL that is a number": ({"meshdns.io/ttl": 30}, "", 30, ["metadata.annotations.meshdns.io/ttl"]),
    "no text at all": (
        {"meshdns.io/ttl": {}, "meshdns.io/answer": []},
        "",
        -1,
        ["metadata.annotations.meshdns.io/ttl", "metadata.annotations.meshdns.io/answer"],
    ),
    "null": ({"meshdns.io/ttl": None, "meshdns.io/answer": None}, "", -1, []),
}


@pytest.mark.parametrize("case", ANNOTATIONS)
def test_annotations(case: str) -> None:
    """A bad annotation is a problem and as good as none."""
    annotations, mode, ttl, named = ANNOTATIONS[case]
    found = the_entry({"hosts": [GOOD_HOST]}, annotations=annotations)
    assert (found.answer, found.ttl, fields(found)) == (mode, ttl, named)


def test_location_is_external_where_it_is_unset() -> None:
    """Istio's default is MESH_EXTERNAL."""
    locations: list[object] = [None, "MESH_EXTERNAL", [], "MESH_INTERNAL"]
    found = [the_entry({"hosts": [GOOD_HOST], "location": location}).internal for location in locations]
    assert found == [False, False, False, True]


def test_vips_are_single_addresses() -> None:
    """A /32 or /128 is single; allocated addresses come with their host."""
    found = the_entry({"hosts": [GOOD_HOST], "addresses": ["240.0.0.1", "240.0.0.2/32", "FD00::1/128", "240.0.0.1"]})
    assert found.addresses == ("240.0.0.1", "240.0.0.2", "fd00::1")
    raw = {
        "metadata": {"name": "a"},
        "spec": {"hosts": [GOOD_HOST]},
        "status": {"addresses": [{"value": "240.240.0.1", "host": "Good.prod.global"}, {"value": "x"}, 7]},
    }
    allocated = parse_object(ObjectKind.SERVICE_ENTRY, raw)
    assert isinstance(allocated, ServiceEntry)
    assert allocated.status_addresses == ((GOOD_HOST, "240.240.0.1"),)


NAMELESS: list[object] = [
    None,
    7,
    "x",
    [],
    {},
    *({"metadata": each} for each in (None, {}, {"name": ["x"]}, {"name": ""})),
]


@pytest.mark.parametrize("raw", NAMELESS)
@pytest.mark.parametrize("kind", ObjectKind)
def test_an_object_without_a_name_is_nothing(kind: ObjectKind, raw: object) -> None:
    """It cannot even be pointed at."""
    assert parse_object(kind, raw) is None


def test_a_workload_without_an_address_is_unreadable() -> None:
    """It serves nothing and says why; it stays known under its own kind."""
    found = parse_object(ObjectKind.WORKLOAD_ENTRY, {"metadata": {"name": "vm", "namespace": "prod"}, "spec": {}})
    assert isinstance(found, UnreadableObject)
    assert (key_of(found), fields(found)) == ((ObjectKind.WORKLOAD_ENTRY, "prod", "vm"), ["spec.address"])


def test_a_workload_has_the_labels_of_object_and_spec() -> None:
    """``spec.labels`` come over the object's own."""
    raw = {
        "metadata": {"name": "vm", "labels": {"app": "old", "tier": "db"}},
        "spec": {"address": "10.9.0.1", "labels": {"app": "vm"}},
    }
    found = parse_object(ObjectKind.WORKLOAD_ENTRY, raw)
    assert isinstance(found, WorkloadEntry)
    assert (found.namespace, found.labels) == ("default", (("app", "vm"), ("tier", "db")))


def test_a_service_keeps_what_names_need() -> None:
    """ClusterIPs of both families, load balancer addresses in their order; bad ones are problems."""
    raw = {
        "metadata": {"name": "a", "labels": {"app": "a", "istio": "eastwestgateway"}},
        "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "FD00::1"], "externalIPs": ["192.0.2.1", "x"]},
        "status": {"loadBalancer": {"ingress": [{"hostname": "LB.example.com."}, {"ip": "192.0.2.2"}, {}, 7]}},
    }
    found = parse_object(ObjectKind.SERVICE, raw)
    assert isinstance(found, Service)
    assert (found.cluster_ips, found.external_ips) == (("10.96.0.1", "fd00::1"), ("192.0.2.1",))
    assert found.ingress == ("lb.example.com", "192.0.2.2")
    assert found.labels == (("istio", "eastwestgateway"),)
    assert sorted(fields(found)) == [
        "spec.externalIPs[1]",
        "status.loadBalancer.ingress[2]",
        "status.loadBalancer.ingress[3]",
    ]


def test_a_headless_service_has_no_cluster_ip() -> None:
    """``clusterIP: None`` is a word, not an address."""
    found = parse_object(
        ObjectKind.SERVICE, {"metadata": {"name": "a"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}}
    )
    assert isinstance(found, Service)
    assert (found.headless, found.cluster_ips) == (True, ())


def test_an_unknown_readiness_counts_as_ready() -> None:
    """discovery.k8s.io/v1: an unset condition is to be read as true; only false is not ready."""
    conditions: list[object] = [None, {}, {"ready": None}, {"ready": False}]
    points = [{"addresses": [f"10.0.0.{i}"], "conditions": each} for i, each in enumerate(conditions)]
    found = parse_object(ObjectKind.ENDPOINT_SLICE, {"metadata": {"name": "a"}, "endpoints": points})
    assert isinstance(found, EndpointSlice)
    assert [point.ready for point in found.endpoints] == [True, True, True, False]


def test_a_slice_without_a_list_names_its_field() -> None:
    """The fields of an EndpointSlice stand at the root."""
    found = parse_object(ObjectKind.ENDPOINT_SLICE, {"metadata": {"name": "a"}, "endpoints": "x", "ports": 7})
    assert found is not None
    assert fields(found) == ["endpoints", "ports"]


def test_a_namespace_has_network_and_control_planes() -> None:
    """The network label; the governing cluster by annotation or label."""
    labels = {"topology.istio.io/network": "net-e", "topology.istio.io/controlPlaneClusters": "east, west"}
    found = parse_object(ObjectKind.NAMESPACE, {"metadata": {"name": "istio-system", "uid": "u", "labels": labels}})
    assert isinstance(found, Namespace)
    assert (found.network, found.control_planes, found.namespace) == ("net-e", ("east", "west"), "")


def test_problems_say_where() -> None:
    """A manifest's problem points at file and line."""
    raw = {"metadata": {"name": "a"}, "spec": {"hosts": ["*"]}}
    found = parse_object(ObjectKind.SERVICE_ENTRY, raw, where=lambda field: f"a.yaml:{len(field)}")
    assert found is not None
    assert [problem.where for problem in found.problems] == ["a.yaml:13"]


# ------------------------------------------------------------------------------------------ whatever an object holds

ODD_TEXT = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(codec=None), max_size=5),
    st.sampled_from(["None", "DNS", "10.0.0.1", "10.0.0.0/8", "a.global", "*.global", "*", "unix:\ud800", "{}"]),
    st.just("x" * 300),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXT, inner, max_size=3),
    max_leaves=8,
)
KNOWN = [
    "hosts", "addresses", "ports", "location", "resolution", "endpoints", "workloadSelector", "exportTo", "address",
    "network", "labels", "clusterIP", "clusterIPs", "externalIPs", "type", "externalName",
]  # fmt: skip
ANNOTATED = st.dictionaries(
    st.sampled_from(
        [
            "meshdns.io/answer",
            "meshdns.io/ttl",
            "networking.istio.io/exportTo",
            "traffic.istio.io/nodeSelector",
            "topology.istio.io/network",
            "topology.istio.io/controlPlaneClusters",
            "kubernetes.io/service-name",
        ]
    ),
    ODD_TEXT | JSON,
    max_size=4,
)
OBJECT = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"name": ODD_TEXT}, optional={
        "namespace": JSON, "labels": ANNOTATED | JSON, "annotations": ANNOTATED | JSON, "creationTimestamp": JSON,
        "uid": JSON,
    })},
    optional={
        "spec": st.dictionaries(st.sampled_from(KNOWN), st.lists(JSON, max_size=2) | JSON, max_size=6) | JSON,
        "status": st.fixed_dictionaries({}, optional={
            "addresses": JSON, "loadBalancer": JSON | st.fixed_dictionaries({"ingress": JSON}),
        }) | JSON,
        "endpoints": JSON | st.lists(st.fixed_dictionaries({"addresses": JSON, "conditions": JSON}), max_size=2),
        "ports": JSON,
    },
)  # fmt: skip


@given(st.sampled_from(ObjectKind), OBJECT | JSON)
def test_any_object_is_read_without_raising_and_can_be_written_down(kind: ObjectKind, raw: object) -> None:
    """`parse_object` never raises; its results survive msgspec's JSON unchanged, half surrogate pairs included."""
    found = parse_object(kind, raw)
    if found is not None:
        decoded: object = msgspec.json.decode(msgspec.json.encode(found), type=AnyDeclaration)
        assert decoded == found
        assert key_of(found)[0] is kind
