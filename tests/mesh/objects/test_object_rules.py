"""Rules of Istio and Kubernetes that an object breaks by itself: each is a problem of its field, with advice."""

from typing import Any, Final

import pytest

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.parse import parse_object

STATIC: Final = {"hosts": ["a.global"], "resolution": "STATIC"}
HTTP: Final = {"name": "http", "number": 80, "protocol": "HTTP"}
AT: Final = {"address": "198.51.100.2"}
ENTRIES: Final[dict[str, tuple[dict[str, Any], list[str]]]] = {
    "a sound one": ({"ports": [HTTP], "endpoints": [{**AT, "ports": {"http": 8080}}]}, []),
    "an endpoint's port under another name": (
        {"ports": [HTTP], "endpoints": [AT, {**AT, "ports": {"http": 8080, "htpp": 81}}]},
        ["spec.endpoints[1].ports: names port 'htpp', which spec.ports lacks, so it is not served"],
    ),
    "an endpoint's port in other case": (
        {"ports": [HTTP], "endpoints": [{**AT, "ports": {"HTTP": 8080}}]},
        ["spec.endpoints[0].ports: names port 'HTTP', which spec.ports lacks, so it is not served"],
    ),
    "an endpoint's port of an entry without ports": (
        {"endpoints": [{**AT, "ports": {"http": 8080}}]},
        ["spec.endpoints[0].ports: names port 'http', which spec.ports lacks, so it is not served"],
    ),
    "an endpoint without ports": ({"ports": [HTTP], "endpoints": [AT, {**AT, "ports": None}, {**AT, "ports": {}}]}, []),
    "a port of an entry whose ports are no list": (
        {"ports": "http", "endpoints": [{**AT, "ports": {"http": 8080}}]},
        ["spec.ports: is not a list"],
    ),
    "one number twice": (
        {"ports": [HTTP, {**HTTP, "name": "http-2"}], "endpoints": [AT]},
        ["spec.ports[1].number: 80 is the number of spec.ports[0] too, which Istio refuses"],
    ),
    "one number twice, by UDP and TCP": (
        {"ports": [{"name": "dns", "number": 53, "protocol": p} for p in ("UDP", "TCP")], "endpoints": [AT]},
        [
            "spec.ports[1].number: 53 is the number of spec.ports[0] too, which Istio refuses",
            "spec.ports[1].name: 'dns' is the name of spec.ports[0] too, which Istio refuses",
        ],
    ),
    "one name thrice": (
        {"ports": [{**HTTP, "number": number} for number in (80, 81, 82)], "endpoints": [AT]},
        [
            "spec.ports[1].name: 'http' is the name of spec.ports[0] too, which Istio refuses",
            "spec.ports[2].name: 'http' is the name of spec.ports[0] too, which Istio refuses",
        ],
    ),
    "ports without a number or a name": (
        {"ports": [{"name": "a"}, {"name": "b"}, {"number": 80}], "endpoints": [AT]},
        [
            "spec.ports[0]: has no number from 1 to 65535",
            "spec.ports[1]: has no number from 1 to 65535",
        ],
    ),
    "two ports": ({"ports": [HTTP, {"name": "grpc", "number": 81, "protocol": "GRPC"}], "endpoints": [AT]}, []),
    "a selector": ({"ports": [HTTP], "workloadSelector": {"labels": {"app": "vm"}}}, []),
    "a selector with an empty value": ({"workloadSelector": {"labels": {"app": ""}}}, []),
    "a selector beside no endpoints": ({"endpoints": [], "workloadSelector": {"labels": {"app": "vm"}}}, []),
    "a selector that is null beside endpoints": ({"endpoints": [AT], "workloadSelector": None}, []),
    "a selector beside endpoints": (
        {"endpoints": [AT], "workloadSelector": {"labels": {"app": "vm"}}},
        ["spec.workloadSelector: stands beside spec.endpoints, which Istio refuses; both are served"],
    ),
    "an empty key": (
        {"workloadSelector": {"labels": {"": "vm", "app": "vm"}}},
        ["spec.workloadSelector.labels: has an empty key, which no label has, so it selects nothing"],
    ),
    "a star": (
        {"workloadSelector": {"labels": {"app": "vm-*"}}},
        ["spec.workloadSelector.labels.app: 'vm-*' holds a *, which no label has, so it selects nothing"],
    ),
    "a star for a key": (
        {"workloadSelector": {"labels": {"*": "vm"}}},
        ["spec.workloadSelector.labels.*: '*' holds a *, which no label has, so it selects nothing"],
    ),
    **{
        f"the targetPort {target!r}": (
            {"ports": [{**HTTP, "targetPort": target}], "endpoints": [AT]},
            [f"spec.ports[0].targetPort: {target!r} is no port from 1 to 65535; the port's own number is used"],
        )
        for target in (65536, 0, -1, "http", True, 8080.5)
    },
    "a targetPort": ({"ports": [{**HTTP, "targetPort": 65535}], "endpoints": [AT]}, []),
    "a targetPort that is null": ({"ports": [{**HTTP, "targetPort": None}], "endpoints": [AT]}, []),
    **{
        f"a wildcard under {resolution}": (
            {"hosts": ["b.global", "*.a.global"], "resolution": resolution},
            [f"spec.hosts[1]: '*.a.global' is a wildcard, which Istio refuses under {resolution} without endpoints"],
        )
        for resolution in ("DNS", "DNS_ROUND_ROBIN")
    },
    "a wildcard under DNS with endpoints": ({"hosts": ["*.a.global"], "resolution": "DNS", "endpoints": [AT]}, []),
    "a wildcard under DNS with a selector": (
        {"hosts": ["*.a.global"], "resolution": "DNS", "workloadSelector": {"labels": {"app": "vm"}}},
        [],
    ),
    "a wildcard under NONE": ({"hosts": ["*.a.global"], "resolution": "NONE"}, []),
    "a wildcard under DYNAMIC_DNS": ({"hosts": ["*.a.global"], "resolution": "DYNAMIC_DNS"}, []),
    "two endpoints under DNS_ROUND_ROBIN": (
        {"resolution": "DNS_ROUND_ROBIN", "endpoints": [AT, AT]},
        ["spec.endpoints: are more than Istio takes under DNS_ROUND_ROBIN; they are served as written"],
    ),
    "an endpoint under DNS_ROUND_ROBIN": ({"resolution": "DNS_ROUND_ROBIN", "endpoints": [AT]}, []),
    "an endpoint under DYNAMIC_DNS": (
        {"resolution": "DYNAMIC_DNS", "endpoints": [AT]},
        ["spec.endpoints: are more than Istio takes under DYNAMIC_DNS; they are served as written"],
    ),
    "hosts that are no list": ({"hosts": "a.global"}, ["spec.hosts: is not a list"]),
    "no hosts": ({"hosts": None}, ["spec.hosts: names no host"]),
    "an empty list of hosts": ({"hosts": []}, ["spec.hosts: names no host"]),
    **{
        f"the socket {path}": (
            {"endpoints": [{"address": path}]},
            [f"spec.endpoints[0].address: '{path}' names no Unix socket, so that Istio refuses it"],
        )
        for path in ("unix:///dir/", "unix://relative", "unix:/one", "unix://", "unix:")
    },
    **{
        f"an endpoint's port with the name {name!r}": (
            {"ports": [{**HTTP, "name": name}], "endpoints": [{**AT, "ports": {name: 8080}}]},
            [f"spec.endpoints[0].ports: {name!r} is no name of a port, so that Istio refuses it"],
        )
        for name in ("@", "", "a.b", "a-", "a" * 64)
    },
    "endpoints' ports with names of all characters": (
        {"ports": [{**HTTP, "name": "h-2-A"}], "endpoints": [{**AT, "ports": {"h-2-A": 8080}}]},
        [],
    ),
    "a socket with ports": (
        {"ports": [HTTP], "endpoints": [{"address": "unix://@abstract", "ports": {"http": 80}}]},
        ["spec.endpoints[0].address: is a Unix socket and has ports, which Istio refuses"],
    ),
    "sockets": ({"endpoints": [{"address": "unix:///run/a"}, {"address": "unix://@a"}]}, []),
    "a name under DNS": ({"hosts": ["a.global"], "resolution": "DNS"}, []),
}

SERVICES: Final[dict[str, tuple[list[dict[str, Any]], list[str]]]] = {
    "named and numbered targets": (
        [{"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 81, "targetPort": 8080}],
        [],
    ),
    "one number, two protocols": ([{"name": "a", "port": 53}, {"name": "b", "port": 53, "protocol": "UDP"}], []),
    "one number twice": (
        [{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "TCP"}],
        ["spec.ports[1].port: 80/TCP is the number of spec.ports[0] too, which Kubernetes refuses"],
    ),
    "one name twice": (
        [{"name": "a", "port": 80}, {"name": "a", "port": 81}],
        ["spec.ports[1].name: 'a' is the name of spec.ports[0] too, which Kubernetes refuses"],
    ),
    **{
        f"the targetPort {target!r}": (
            [{"port": 80, "targetPort": target}],
            [f"spec.ports[0].targetPort: {target!r} is neither a port from 1 to 65535 nor a port's name"],
        )
        for target in (65536, 0, -1, "8080", "", True)
    },
    "a targetPort that is null": ([{"port": 80, "targetPort": None}], []),
}


def found(kind: ObjectKind, spec: dict[str, Any]) -> list[str]:
    """The problems of an object: field and reason; each has advice."""
    read = parse_object(kind, {"metadata": {"name": "a", "namespace": "prod"}, "spec": spec})
    assert read is not None
    assert all(each.advice for each in read.problems)
    return [f"{each.field}: {each.reason}" for each in read.problems]


@pytest.mark.parametrize("case", ENTRIES)
def test_what_a_service_entry_breaks_is_named(case: str) -> None:
    """Each broken rule is one problem of its field; what is sound is none."""
    spec, expected = ENTRIES[case]
    assert sorted(found(ObjectKind.SERVICE_ENTRY, {**STATIC, **spec})) == sorted(expected)


def test_an_object_without_a_spec_that_can_be_read_has_one_problem() -> None:
    """Nothing is said of what the spec would hold."""
    read = parse_object(ObjectKind.SERVICE_ENTRY, {"metadata": {"name": "a", "namespace": "prod"}, "spec": []})
    assert read is not None
    assert [each.field for each in read.problems] == ["spec"]


@pytest.mark.parametrize("case", SERVICES)
def test_what_a_service_breaks_is_named(case: str) -> None:
    """As for a ServiceEntry; a target may have a name, and one number may serve two protocols."""
    ports, expected = SERVICES[case]
    assert found(ObjectKind.SERVICE, {"clusterIP": "10.96.0.7", "ports": ports}) == expected


def test_the_selector_of_an_istio_gateway_is_held_to_the_same_rules() -> None:
    """A star selects no gateway."""
    expected = ["spec.selector.istio: '*' holds a *, which no label has, so it selects nothing"]
    assert found(ObjectKind.ISTIO_GATEWAY, {"selector": {"istio": "*"}, "servers": []}) == expected


def test_a_broken_rule_has_the_place_of_its_field() -> None:
    """The line is that of the field, not that of the object."""
    spec = {**STATIC, "endpoints": [AT], "ports": [HTTP, HTTP]}
    raw = {"metadata": {"name": "a"}, "spec": spec}
    read = parse_object(ObjectKind.SERVICE_ENTRY, raw, where=lambda field: f"a.yaml {field}")
    assert read is not None
    assert [each.where for each in read.problems] == ["a.yaml spec.ports[1].number", "a.yaml spec.ports[1].name"]
