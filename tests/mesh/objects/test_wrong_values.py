"""Values that are not what they should be, field by field: text that was not quoted, null, unknown words, typos."""

import difflib
from collections.abc import Iterable
from typing import Any

import pytest

from meshdns.mesh.objects.declarations import (
    AnyDeclaration,
    EndpointSlice,
    IstioGateway,
    KubernetesGateway,
    Namespace,
    ObjectKind,
    Pod,
    Resolution,
    Service,
    ServiceEntry,
    UnreadableObject,
    WorkloadEntry,
)
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.objects.problems import MAX_PROBLEMS, ProblemKind
from meshdns.mesh.objects.raw import MAX_ITEMS
from meshdns.sources.documents import parse_documents

NETWORK = "topology.istio.io/network"


def read(kind: ObjectKind, text: str) -> AnyDeclaration:
    """The object of a manifest."""
    documents, lines = parse_documents(text)
    obj = documents[0].value
    found = parse_object(kind, obj, where=lambda field: f"a.yaml:{lines.line_of(obj, field)}", written=lines.text_of)
    assert found is not None
    return found


def read_entry(spec: str) -> ServiceEntry:
    """A ServiceEntry with this spec, in flow style."""
    found = read(
        ObjectKind.SERVICE_ENTRY, f"metadata: {{name: a, namespace: n}}\nspec: {{hosts: [a.global], {spec}}}\n"
    )
    assert isinstance(found, ServiceEntry)
    return found


def named(declaration: AnyDeclaration) -> list[str]:
    """The fields of its problems, each of which has reason, advice and place."""
    assert all(problem.reason and problem.advice for problem in declaration.problems)
    return [problem.field for problem in declaration.problems]


# ------------------------------------------------------------------------------------------ text that is not quoted

UNQUOTED = {
    "1.10": "1.10",
    "60": "60",
    "0x10": "0x10",
    "1e3": "1e3",
    "TRUE": "TRUE",
    "false": "false",
    "yes": "yes",
    ".5": ".5",
    "-0": "-0",
    ".inf": ".inf",
    "0o17": "0o17",
    "'7'": "7",
}
"""As written, and the text."""


@pytest.mark.parametrize("written", UNQUOTED)
def test_a_scalar_counts_as_the_text_of_the_file(written: str) -> None:
    """In labels, annotations and selectors, whatever value YAML makes of it; a problem says to quote it."""
    text = UNQUOTED[written]
    vm = read(
        ObjectKind.WORKLOAD_ENTRY,
        f"metadata: {{name: {written}, labels: {{tier: {written}}}}}\n"
        f"spec: {{address: 192.0.2.1, network: {written}, labels: {{app: {written}}}}}\n",
    )
    assert isinstance(vm, WorkloadEntry)
    assert (vm.name, vm.endpoint.network, vm.labels) == (text, text, (("app", text), ("tier", text)))
    entry = read_entry(f"workloadSelector: {{labels: {{app: {written}}}}}")
    assert entry.selector == (("app", text),)
    quoted = written in ("yes", "'7'")
    places = ["metadata.name", "metadata.labels.tier", "spec.labels.app", "spec.network"]
    assert [each.field for each in vm.problems if each.advice == f'quote it: "{text}"'] == ([] if quoted else places)
    assert named(entry) == ([] if quoted else ["spec.workloadSelector.labels.app"])


@pytest.mark.parametrize(("value", "text"), [(1.1, "1.1"), (60, "60"), (True, "true"), (1e22, "1e+22")])
def test_without_a_file_the_text_of_json_counts(value: object, text: str) -> None:
    """An API server sends JSON."""
    found = parse_object(ObjectKind.NAMESPACE, {"metadata": {"name": "a", "labels": {NETWORK: value}}})
    assert isinstance(found, Namespace)
    assert (found.network, named(found)) == (text, [f"metadata.labels.{NETWORK}"])


def test_an_alias_is_written_as_what_it_names() -> None:
    """The text is that of the anchor."""
    found = read(
        ObjectKind.WORKLOAD_ENTRY,
        "metadata: {name: a, annotations: {v: &v 1.10}}\nspec: {address: 192.0.2.1, labels: {version: *v}}\n",
    )
    assert isinstance(found, WorkloadEntry)
    assert found.labels == (("version", "1.10"),)


def test_the_problem_says_where_the_value_stands() -> None:
    """File and line of the key."""
    found = read(ObjectKind.NAMESPACE, f"metadata:\n  name: a\n  labels:\n    a: b\n    {NETWORK}: 7\n")
    assert [(problem.where, problem.advice) for problem in found.problems] == [("a.yaml:5", 'quote it: "7"')]


def test_a_number_of_any_length_is_read_in_bounded_text() -> None:
    """What no label can hold cannot be read."""
    found = parse_object(ObjectKind.NAMESPACE, {"metadata": {"name": "a", "labels": {NETWORK: 10**5000}}})
    assert isinstance(found, Namespace)
    assert (found.network, named(found)) == ("", [f"metadata.labels.{NETWORK}"])


@pytest.mark.parametrize("value", [b"net", Ellipsis, ["net"], {"net": "net"}])
def test_only_scalars_count_as_what_they_are_written_as(value: object) -> None:
    """A loader may make a value of its own of some scalars."""
    raw = {"metadata": {"name": "a", "labels": {NETWORK: value}}}
    found = parse_object(ObjectKind.NAMESPACE, raw, written=lambda *_: "net")
    assert isinstance(found, Namespace)
    assert (found.network, named(found)) == ("", [f"metadata.labels.{NETWORK}"])


@pytest.mark.parametrize("kind", ObjectKind)
def test_an_object_whose_namespace_cannot_be_read_is_unreadable(kind: ObjectKind) -> None:
    """In which namespace it speaks is not known; it is not that of the namespace default."""
    found = parse_object(kind, {"metadata": {"name": "a", "namespace": ["n"]}, "spec": {"hosts": ["a.global"]}})
    assert found is not None
    assert isinstance(found, UnreadableObject) == (kind not in (ObjectKind.NAMESPACE, ObjectKind.NODE))
    assert found.namespace != "default"
    assert "metadata.namespace" in named(found)


# ------------------------------------------------------------------------------------------------------------ null

NULLS = (
    "addresses: null, ports: null, location: null, resolution: null, endpoints: null, workloadSelector: null, "
    "exportTo: null"
)


def test_null_is_absence() -> None:
    """A ServiceEntry of nulls is one of defaults."""
    assert read_entry(NULLS) == read_entry("")
    found = read_entry("resolution: null")
    assert (found.resolution, found.selector, found.export_to, found.problems) == (Resolution.NONE, None, (), ())


@pytest.mark.parametrize("kind", ObjectKind)
def test_an_object_of_nulls_has_no_values_of_a_wrong_type(kind: ObjectKind) -> None:
    """Each part of it is absent; what must be there is missing, and nothing is of a wrong type."""
    parts = ["labels", "annotations", "namespace", "creationTimestamp", "uid", "deletionTimestamp"]
    raw = {"metadata": {"name": "a", **dict.fromkeys(parts)}, **dict.fromkeys(["spec", "status", "endpoints", "ports"])}
    found = parse_object(kind, raw)
    absent = parse_object(kind, {"metadata": {"name": "a"}})
    assert found == absent


def test_a_null_address_with_a_network_is_that_network() -> None:
    """Its gateways are meant."""
    found = read_entry("endpoints: [{address: null, network: net-b, ports: null, labels: null}]")
    assert [(point.address, point.network) for point in found.endpoints] == [("", "net-b")]
    assert named(found) == []


NULL_ITEMS = {
    "hosts: [null, b.global]": "spec.hosts[0]",
    "addresses: [null]": "spec.addresses[0]",
    "ports: [null]": "spec.ports[0]",
    "endpoints: [null]": "spec.endpoints[0]",
    "exportTo: [null]": "spec.exportTo[0]",
    "workloadSelector: {labels: {app: null}}": "spec.workloadSelector.labels.app",
}


@pytest.mark.parametrize("spec", NULL_ITEMS)
def test_a_null_item_cannot_be_read(spec: str) -> None:
    """An item was meant to be something."""
    found = read(ObjectKind.SERVICE_ENTRY, f"metadata: {{name: a}}\nspec: {{{spec}}}\n")
    assert NULL_ITEMS[spec] in named(found)


# -------------------------------------------------------------------------------------------------------- selectors

NO_SELECTOR = [
    "x",
    7,
    [],
    {"labels": "x"},
    {"labels": ["app"]},
    {"labels": {"app": "a", "v": []}},
    {"labels": {"v": {}}},
]


@pytest.mark.parametrize("selector", NO_SELECTOR)
def test_a_selector_that_cannot_be_read_selects_nothing(selector: object) -> None:
    """With the pairs that can be read it would select more."""
    raw = {"metadata": {"name": "a"}, "spec": {"hosts": ["a.global"], "workloadSelector": selector}}
    found = parse_object(ObjectKind.SERVICE_ENTRY, raw)
    assert isinstance(found, ServiceEntry)
    assert found.selector == ()
    assert [each.startswith("spec.workloadSelector") for each in named(found)] == [True]


def test_a_selector_over_its_bound_selects_nothing() -> None:
    """With the pairs that are read it would select more."""
    labels = {f"l{number}": "x" for number in range(MAX_ITEMS + 1)}
    raw = {"metadata": {"name": "a"}, "spec": {"hosts": ["a.global"], "workloadSelector": {"labels": labels}}}
    found = parse_object(ObjectKind.SERVICE_ENTRY, raw)
    assert isinstance(found, ServiceEntry)
    assert (found.selector, [each.kind for each in found.problems]) == ((), [ProblemKind.OVER_BOUND])
    del labels["l0"]
    found = parse_object(ObjectKind.SERVICE_ENTRY, raw)
    assert isinstance(found, ServiceEntry)
    assert (found.selector, found.problems) == (tuple(sorted(labels.items())), ())


def test_a_gateway_whose_selector_cannot_be_read_passes_nothing_on() -> None:
    """It selects no gateway pods."""
    servers = [{"port": {"number": 15443}, "hosts": ["*"], "tls": {"mode": "AUTO_PASSTHROUGH"}}]
    raw = {"metadata": {"name": "a"}, "spec": {"selector": {"istio": ["x"]}, "servers": servers}}
    found = parse_object(ObjectKind.ISTIO_GATEWAY, raw)
    assert isinstance(found, IstioGateway)
    assert (found.selector, found.servers, named(found)) == ((), (), ["spec.selector.istio"])


@pytest.mark.parametrize("label", [[], {}, ["vm"]])
def test_a_label_of_the_spec_that_cannot_be_read_is_not_that_of_the_object(label: object) -> None:
    """The spec's was meant to replace it."""
    raw = {
        "metadata": {"name": "a", "labels": {"app": "vm"}},
        "spec": {"address": "192.0.2.1", "labels": {"app": label}},
    }
    found = parse_object(ObjectKind.WORKLOAD_ENTRY, raw)
    assert isinstance(found, WorkloadEntry)
    assert (found.labels, named(found)) == ((), ["spec.labels.app"])


@pytest.mark.parametrize("part", [{"network": []}, {"labels": "x"}, {"labels": {NETWORK: {}}}])
def test_an_endpoint_whose_network_cannot_be_read_is_unreadable(part: dict[str, Any]) -> None:
    """Its address may mean something else there."""
    raw = {"metadata": {"name": "a"}, "spec": {"hosts": ["a.global"], "endpoints": [{"address": "10.0.0.1", **part}]}}
    found = parse_object(ObjectKind.SERVICE_ENTRY, raw)
    assert isinstance(found, ServiceEntry)
    assert (found.endpoints, found.unread_endpoints, len(found.problems)) == ((), 1, 1)
    alone = parse_object(
        ObjectKind.WORKLOAD_ENTRY, {"metadata": {"name": "a"}, "spec": {"address": "10.0.0.1", **part}}
    )
    assert isinstance(alone, UnreadableObject)


# -------------------------------------------------------------------------------------------------------- readiness

UNREADABLE_READINESS: list[object] = ["false", "true", "maybe", 0, 1, 1.0, [], {}, ""]


@pytest.mark.parametrize("ready", UNREADABLE_READINESS)
def test_an_unreadable_readiness_is_not_ready(ready: object) -> None:
    """A text is none, whatever it says."""
    points = [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]
    found = parse_object(ObjectKind.ENDPOINT_SLICE, {"metadata": {"name": "a"}, "endpoints": points})
    assert isinstance(found, EndpointSlice)
    assert ([point.ready for point in found.endpoints], named(found)) == ([False], ["endpoints[0].conditions.ready"])


@pytest.mark.parametrize("conditions", ["x", [], 7, True])
def test_conditions_that_are_no_mapping_are_not_ready(conditions: object) -> None:
    """They were meant to say something."""
    points = [{"addresses": ["10.0.0.1"], "conditions": conditions}]
    found = parse_object(ObjectKind.ENDPOINT_SLICE, {"metadata": {"name": "a"}, "endpoints": points})
    assert isinstance(found, EndpointSlice)
    assert ([point.ready for point in found.endpoints], named(found)) == ([False], ["endpoints[0].conditions"])


@pytest.mark.parametrize("addresses", ["10.0.0.1", [], [None], [7], ["a.example"], None, {}])
def test_an_endpoint_of_a_slice_without_an_address_is_named(addresses: object) -> None:
    """It serves nothing, and does so by a mistake, unless the slice holds host names."""
    raw = {"metadata": {"name": "a"}, "endpoints": [{"addresses": addresses}]}
    for kind, fields in (("IPv4", ["endpoints[0].addresses"]), ("FQDN", [])):
        found = parse_object(ObjectKind.ENDPOINT_SLICE, {**raw, "addressType": kind})
        assert isinstance(found, EndpointSlice)
        assert (found.endpoints, named(found)) == ((), fields)


@pytest.mark.parametrize(("status", "ready"), [("'True'", True), ("True", True), ("true", False), ("1", False)])
def test_a_condition_of_a_pod_is_the_text_that_is_written(status: str, ready: object) -> None:
    """Kubernetes writes ``"True"``."""
    text = (
        f"metadata: {{name: a, deletionTimestamp: null}}\nstatus: {{conditions: [{{type: Ready, status: {status}}}]}}"
    )
    found = read(ObjectKind.POD, text)
    assert isinstance(found, Pod)
    assert found.ready is ready


# ------------------------------------------------------------------------------------------------------------ words

WORDS: dict[str, tuple[bool, Resolution, list[str]]] = {
    # spec: internal, resolution, advice
    "location: MESH_INTERNAL, resolution: DNS": (True, Resolution.DNS, []),
    "location: 1, resolution: 0": (True, Resolution.NONE, []),
    "location: 0, resolution: 3": (False, Resolution.DNS_ROUND_ROBIN, []),
    "location: MESH_INTERNL": (False, Resolution.NONE, ["write MESH_INTERNAL"]),
    "location: mesh_internal": (False, Resolution.NONE, ["write MESH_INTERNAL"]),
    "location: 2": (False, Resolution.NONE, ["use MESH_EXTERNAL or MESH_INTERNAL"]),
    "location: [MESH_INTERNAL]": (False, Resolution.NONE, ["use MESH_EXTERNAL or MESH_INTERNAL"]),
    "location: true": (False, Resolution.NONE, ["use MESH_EXTERNAL or MESH_INTERNAL"]),
    "resolution: static": (False, Resolution.NONE, ["write STATIC"]),
    "resolution: STATIK": (False, Resolution.NONE, ["write STATIC"]),
    "resolution: dns-round-robin": (False, Resolution.NONE, ["write DNS_ROUND_ROBIN"]),
    "resolution: ''": (False, Resolution.NONE, ["use NONE, STATIC, DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS"]),
    "resolution: 9": (False, Resolution.NONE, ["use NONE, STATIC, DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS"]),
    "resolution: -1": (False, Resolution.NONE, ["use NONE, STATIC, DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS"]),
    "resolution: {}": (False, Resolution.NONE, ["use NONE, STATIC, DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS"]),
}


@pytest.mark.parametrize("spec", WORDS)
def test_an_unknown_word_is_a_problem_and_the_default(spec: str) -> None:
    """That of the protocol buffers; numbers are read as ProtoJSON reads them, other cases are not."""
    internal, resolution, advice = WORDS[spec]
    found = read_entry(spec)
    assert (found.internal, found.resolution, [each.advice for each in found.problems]) == (
        internal,
        resolution,
        advice,
    )


PROTOCOLS: list[tuple[ObjectKind, object, list[str], int]] = [
    # kind and protocol; protocols of the ports that are read, and how many problems there are
    (ObjectKind.SERVICE_ENTRY, "http", ["HTTP"], 0),
    (ObjectKind.SERVICE_ENTRY, "grpc-Web", ["GRPC-WEB"], 0),
    (ObjectKind.SERVICE_ENTRY, "sctp", ["SCTP"], 0),
    (ObjectKind.SERVICE_ENTRY, None, ["TCP"], 0),
    (ObjectKind.SERVICE_ENTRY, "", ["TCP"], 0),
    (ObjectKind.SERVICE_ENTRY, "HTPP", ["TCP"], 1),
    (ObjectKind.SERVICE_ENTRY, 6, [], 1),
    (ObjectKind.SERVICE, "SCTP", ["SCTP"], 0),
    (ObjectKind.SERVICE, None, ["TCP"], 0),
    (ObjectKind.SERVICE, "udp", ["TCP"], 1),
    (ObjectKind.SERVICE, ["UDP"], [], 1),
    (ObjectKind.ENDPOINT_SLICE, "SCTP", ["SCTP"], 0),
    (ObjectKind.ENDPOINT_SLICE, "Tcp", ["TCP"], 1),
]


@pytest.mark.parametrize(("kind", "protocol", "protocols", "problems"), PROTOCOLS)
def test_protocols(kind: ObjectKind, protocol: object, protocols: list[str], problems: int) -> None:
    """Istio's in any case, Kubernetes' as it writes them; a port whose protocol is no word at all is left out."""
    port = {"name": "a", "number": 80, "port": 80, "protocol": protocol}
    raw = {"metadata": {"name": "a"}, "spec": {"hosts": ["a.global"], "ports": [port]}, "ports": [port]}
    found = parse_object(kind, raw)
    assert isinstance(found, ServiceEntry | Service | EndpointSlice)
    assert ([each.protocol for each in found.ports], len(found.problems)) == (protocols, problems)


@pytest.mark.parametrize(("ip", "count"), [("none", 1), ("None", 0), ("", 0), (None, 0), (7, 1), ("10.0.0.256", 1)])
def test_a_cluster_ip_that_is_none_is_named(ip: object, count: int) -> None:
    """``None`` alone is the word for a headless Service."""
    found = parse_object(ObjectKind.SERVICE, {"metadata": {"name": "a"}, "spec": {"clusterIP": ip}})
    assert isinstance(found, Service)
    assert (found.headless, found.cluster_ips, len(found.problems)) == (ip == "None", (), count)


@pytest.mark.parametrize("value", ["true", "false", 1, 0, [], ""])
def test_pods_that_are_not_ready_are_published_by_a_true_truth_value_alone(value: object) -> None:
    """What cannot be read publishes nothing."""
    raw = {"metadata": {"name": "a"}, "spec": {"publishNotReadyAddresses": value}}
    found = parse_object(ObjectKind.SERVICE, raw)
    assert isinstance(found, Service)
    assert (found.publish_not_ready, named(found)) == (False, ["spec.publishNotReadyAddresses"])


ODD_KEYS = [f"meshdns.io/x{number}" for number in range(2000)]
MANY = {
    "own keys": {"metadata": {"name": "a", "labels": dict.fromkeys(ODD_KEYS, "x")}},
    "fields": {"metadata": {"name": "a"}, "spec": {"hosts": ["a.global"], **dict.fromkeys(ODD_KEYS)}},
    "protocols": {
        "metadata": {"name": "a"},
        "spec": {"hosts": ["a.global"], "ports": [{"number": 1, "protocol": each} for each in ODD_KEYS]},
    },
}


@pytest.mark.parametrize("case", MANY)
def test_a_bounded_number_of_hints_is_looked_for(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To compare a text with others takes long, and whoever writes an object decides how many there are."""
    compared: list[str] = []
    compare = difflib.get_close_matches

    def count(word: str, known: Iterable[str], n: int, cutoff: float) -> list[str]:
        compared.append(word)
        return compare(word, list(known), n, cutoff)

    monkeypatch.setattr(difflib, "get_close_matches", count)
    parse_object(ObjectKind.SERVICE_ENTRY, MANY[case])
    assert 0 < len(compared) <= 2 * MAX_PROBLEMS


@pytest.mark.parametrize("kind", [7, [], {}, True])
def test_a_service_whose_type_cannot_be_read_is_hidden(kind: object) -> None:
    """It may be an ExternalName, which has no derived names."""
    found = parse_object(ObjectKind.SERVICE, {"metadata": {"name": "a"}, "spec": {"type": kind}})
    assert isinstance(found, Service)
    assert (dict(found.labels), named(found)) == ({"meshdns.io/export": "false"}, ["spec.type"])


@pytest.mark.parametrize("item", [" * ", "Prod", "a.b", "*,prod", ""])
def test_what_no_namespace_can_be_called_exports_to_nobody(item: str) -> None:
    """A problem says so, for it was meant to export to somebody."""
    found = parse_object(
        ObjectKind.SERVICE_ENTRY, {"metadata": {"name": "a"}, "spec": {"hosts": ["a.global"], "exportTo": [item]}}
    )
    assert isinstance(found, ServiceEntry)
    assert ("*" in found.export_to, len(found.export_to), named(found)) == (False, 1, ["spec.exportTo[0]"])


FIELD_NAMES = {
    "endpoint: [{address: 192.0.2.1}]": ["write endpoints"],
    "adresses: [192.0.2.1]": ["write addresses"],
    "workload_selector: {}": ["write workloadSelector"],
    "exportto: [.]": ["write exportTo"],
    "endpoint: [], endpoints: []": [],
    "subjectAltNames: [], weight: 3, x: 1": [],
}


@pytest.mark.parametrize("spec", FIELD_NAMES)
def test_a_field_that_is_much_like_a_missing_one_is_named(spec: str) -> None:
    """Others are left alone, as Kubernetes clients leave what they do not know."""
    found = read_entry(spec)
    assert [each.advice for each in found.problems] == FIELD_NAMES[spec]
    vm = parse_object(ObjectKind.WORKLOAD_ENTRY, {"metadata": {"name": "a"}, "spec": {"adress": "192.0.2.1"}})
    assert vm is not None
    assert vm.problems[0].advice == "write address"


@pytest.mark.parametrize(
    ("port", "advice"), [("80", "write it without quotes"), ("http", "set number"), (0, "set number")]
)
def test_a_quoted_port_is_told_from_no_port(port: object, advice: str) -> None:
    """A number stands without quotes."""
    raw = {"metadata": {"name": "a"}, "spec": {"hosts": ["a.global"], "ports": [{"number": port}]}}
    found = parse_object(ObjectKind.SERVICE_ENTRY, raw)
    assert found is not None
    assert [each.advice for each in found.problems] == [advice]


@pytest.mark.parametrize(
    ("label", "kept"), [("15008", True), ("0", False), ("99999", False), ("tls", False), ("1e3", False)]
)
@pytest.mark.parametrize("kind", [ObjectKind.SERVICE, ObjectKind.GATEWAY])
def test_a_gateway_port_that_is_none_is_the_usual_one(kind: ObjectKind, label: str, kept: object) -> None:
    """As istiod takes it; a problem says so."""
    key = "networking.istio.io/gatewayPort"
    found = parse_object(kind, {"metadata": {"name": "a", "labels": {key: label}}})
    assert isinstance(found, Service | KubernetesGateway)
    assert (key in dict(found.labels), named(found)) == (kept, [] if kept else [f"metadata.labels.{key}"])


# -------------------------------------------------------------------------------------------------------- addresses

NO_ADDRESS = {
    "10.0.0.256": "write an IPv4 address: each of its numbers is at most 255",
    "203.0.113.300": "write an IPv4 address: each of its numbers is at most 255",
    "203.0.113.010": "write the numbers of the IPv4 address without zeros before them",
    "203.0.113": "write the four numbers of an IPv4 address",
    "203.0.113.1.5": "write the four numbers of an IPv4 address",
    "3405803777": "write the four numbers of an IPv4 address",
    "db.example.5": "use an IP address or a DNS name",
    "198.51.100.20:15443": "write 198.51.100.20, and the port under ports",
    "db.example.com:5432": "write db.example.com, and the port under ports",
    "[2001:db8::1]": "write 2001:db8::1",
    "[2001:db8::1]:15443": "write 2001:db8::1, and the port under ports",
    "2001:db8::1:15443": "write 2001:db8::1, and the port under ports",
    "https://db.example.com": "write db.example.com",
    "https://db.example.com:8443/v1": "write db.example.com, and the port under ports",
    "tcp://203.0.113.7:80": "write 203.0.113.7, and the port under ports",
    "http://[2001:db8::1]:80/": "write 2001:db8::1, and the port under ports",
    "db.example.com/v1": "write db.example.com",
    "db.example.com/": "write db.example.com",
    "user@db.example.com": "write db.example.com",
    "postgres://user:secret@db.example.com:5432/x": "write db.example.com, and the port under ports",
    "203.0.113.0/24": "write 203.0.113.0",
    "fe80::1%eth0": "write fe80::1",
    "*.example.com": "write a DNS name without *, or an IP address",
    "a..b": "use an IP address or a DNS name",
    "https://": "write an IP address or a DNS name alone",
    "https://10.0.0.256/": "write an IP address or a DNS name alone",
    "x" * 5000: "use an IP address or a DNS name",
}


@pytest.mark.parametrize("address", NO_ADDRESS, ids=lambda address: address[:40])
def test_what_is_neither_address_nor_host_name_is_an_unreadable_endpoint(address: str) -> None:
    """The advice names what was meant, where that can be told."""
    found = parse_object(
        ObjectKind.SERVICE_ENTRY,
        {"metadata": {"name": "a"}, "spec": {"hosts": ["a.global"], "endpoints": [{"address": address}]}},
    )
    assert isinstance(found, ServiceEntry)
    assert (found.endpoints, found.unread_endpoints) == ((), 1)
    assert [(each.field, each.advice) for each in found.problems] == [
        ("spec.endpoints[0].address", NO_ADDRESS[address])
    ]
    alone = parse_object(ObjectKind.WORKLOAD_ENTRY, {"metadata": {"name": "a"}, "spec": {"address": address}})
    assert isinstance(alone, UnreadableObject)


TYPOS = ["10.0.0.256", "203.0.113.010", "203.0.113", "lb.example.7"]


@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_of_an_address_is_a_name_nowhere(typo: str) -> None:
    """Neither as a host nor as the host name of a load balancer or gateway, so that no upstream is asked for it."""
    raw = {"metadata": {"name": "a"}, "spec": {"hosts": [typo, f"*.{typo}"]}}
    declared = parse_object(ObjectKind.SERVICE_ENTRY, raw)
    assert isinstance(declared, ServiceEntry)
    assert (declared.hosts, named(declared)) == ((), ["spec.hosts[0]", "spec.hosts[1]"])
    balancer = {"ingress": [{"hostname": typo}, {"ip": typo}]}
    service = parse_object(ObjectKind.SERVICE, {"metadata": {"name": "a"}, "status": {"loadBalancer": balancer}})
    assert isinstance(service, Service)
    assert (service.ingress, len(service.problems)) == ((), 2)
    raw = {"metadata": {"name": "a"}, "spec": {"addresses": [{"type": "Hostname", "value": typo}, {"value": typo}]}}
    gateway = parse_object(ObjectKind.GATEWAY, raw)
    assert gateway is not None
    assert named(gateway) == ["spec.addresses[0].value", "spec.addresses[1].value"]


@pytest.mark.parametrize("text", ["::ffff:203.0.113.9", "::FFFF:CB00:7109", "::ffff:203.0.113.9/128"])
def test_an_ipv4_mapped_address_is_the_ipv4_address(text: str) -> None:
    """Wherever an address is read."""
    spec = {"hosts": ["a.global"], "endpoints": [{"address": text}], "addresses": [text]}
    raw = {"metadata": {"name": "a"}, "spec": spec, "status": {"addresses": [{"value": text}]}}
    found = parse_object(ObjectKind.SERVICE_ENTRY, raw)
    assert isinstance(found, ServiceEntry)
    assert (found.endpoints[0].address, found.addresses, found.status_addresses) == (
        "203.0.113.9",
        ("203.0.113.9",),
        (("", "203.0.113.9"),),
    )
    raw = {"metadata": {"name": "a"}, "spec": {"clusterIP": text, "externalIPs": [text]}}
    status = {"loadBalancer": {"ingress": [{"ip": text}]}}
    service = parse_object(ObjectKind.SERVICE, {**raw, "status": status})
    assert isinstance(service, Service)
    assert {*service.cluster_ips, *service.external_ips, *service.ingress} == {"203.0.113.9"}


@pytest.mark.parametrize(
    ("spec", "unread"),
    [
        ("addresses: [203.0.113.1]", 0),
        ("addresses: [10.0.0.0/8]", 0),
        ("addresses: [10.0.0.256]", 1),
        ("addresses: [10.0.0.256, 203.0.113.1, null]", 2),
        ("addresses: x", 1),
        ("resolution: [], addresses: [203.0.113.1]", 2),
        ("resolution: STATIC, addresses: [10.0.0.256]", 0),
    ],
)
def test_addresses_without_resolution_are_endpoints(spec: str, unread: int) -> None:
    """One that cannot be read is an endpoint that cannot be used; a virtual address is none."""
    found = read_entry(spec)
    assert found.unread_endpoints == unread
    assert (found.addresses == ("203.0.113.1",)) == ("203.0.113.1" in spec and "resolution" not in spec)
