"""What is read of Gateways, Nodes and Pods, and what of it changes with a heartbeat: nothing."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from meshdns.mesh.objects.declarations import (
    AnyDeclaration,
    GatewayListener,
    GatewayServer,
    IstioGateway,
    KubernetesGateway,
    Node,
    ObjectKind,
    Pod,
    Service,
    key_of,
)
from tests.mesh.scene import parse_declaration, service

PLACE = {"name": "thing", "namespace": "prod"}


def problems(found: AnyDeclaration) -> list[str]:
    """The problems of a declaration for people."""
    return [f"{problem.object} {problem.field}: {problem.reason}" for problem in found.problems]


def gateway(spec: object, status: object = None, **metadata: Any) -> KubernetesGateway:
    """A Gateway of the Gateway API, as read."""
    found = parse_declaration(ObjectKind.GATEWAY, {"metadata": {**PLACE, **metadata}, "spec": spec, "status": status})
    assert isinstance(found, KubernetesGateway)
    return found


def istio_gateway(spec: object) -> IstioGateway:
    """An Istio Gateway, as read."""
    found = parse_declaration(ObjectKind.ISTIO_GATEWAY, {"metadata": PLACE, "spec": spec})
    assert isinstance(found, IstioGateway)
    return found


def pod(status: object, **more: Any) -> Pod:
    """A Pod, as read."""
    found = parse_declaration(
        ObjectKind.POD, {"metadata": {**PLACE, "labels": {"app": "db"}, **more}, "status": status}
    )
    assert isinstance(found, Pod)
    return found


def test_a_gateway_of_the_gateway_api_is_read_whole() -> None:
    """Class, addresses of both kinds, listeners with their TLS, and the labels that name network and port."""
    found = gateway(
        {
            "gatewayClassName": "istio",
            "addresses": [{"value": "203.0.113.1"}, {"type": "Hostname", "value": "GW.example.com."}],
            "listeners": [
                {"port": 15443, "protocol": "TLS", "hostname": "*.Local", "tls": {"mode": "Passthrough"}},
                {"port": 15008, "protocol": "HBONE", "tls": {"mode": "Terminate"}},
                {"port": 80, "protocol": "HTTP"},
            ],
        },
        {"addresses": [{"type": "IPAddress", "value": "2001:DB8::1"}, {"type": "IPAddress", "value": "2001:db8::1"}]},
        labels={"topology.istio.io/network": "n", "networking.istio.io/gatewayPort": "443", "app": "x"},
    )
    assert key_of(found) == (ObjectKind.GATEWAY, "prod", "thing")
    assert found.gateway_class == "istio"
    assert found.spec_addresses == ("203.0.113.1", "gw.example.com")
    assert found.status_addresses == ("2001:db8::1",)
    assert found.labels == (("networking.istio.io/gatewayPort", "443"), ("topology.istio.io/network", "n"))
    assert found.listeners == (
        GatewayListener(15443, "TLS", "*.local", "Passthrough"),
        GatewayListener(15008, "HBONE", "", "Terminate"),
        GatewayListener(80, "HTTP"),
    )
    assert not found.problems


def test_a_listener_says_by_an_option_that_it_passes_tls_through_by_itself() -> None:
    """Istio's listener option makes of a Passthrough listener an AUTO_PASSTHROUGH one."""
    options = {"gateway.istio.io/listener-protocol": "auto-passthrough"}
    listener = {"port": 15443, "protocol": "TLS", "tls": {"mode": "Passthrough", "options": options}}
    assert [each.tls for each in gateway({"listeners": [listener]}).listeners] == ["AUTO_PASSTHROUGH"]


def test_what_a_gateway_holds_wrongly_is_named_and_the_rest_kept() -> None:
    """An address that is none, one that is still to be chosen, one of a cloud's own type, a listener without port."""
    found = gateway(
        {
            "addresses": [
                {"value": "not an address"},
                {"value": ""},
                {"type": "NamedAddress", "value": "my-ip"},
                7,
                {"value": "203.0.113.1"},
            ],
            "listeners": [{"protocol": "TLS"}, {"port": 15443, "protocol": "TLS", "tls": 7}],
        },
        {"addresses": "203.0.113.9"},
    )
    assert found.spec_addresses == ("203.0.113.1",)
    assert found.listeners == (GatewayListener(15443, "TLS"),)
    assert problems(found) == [
        "Gateway spec.addresses[0].value: 'not an address' is neither address nor host name",
        "Gateway status.addresses: is not a list",
        "Gateway spec.listeners[0]: has no port from 1 to 65535",
    ]


def test_an_istio_gateway_is_read_with_its_selector_and_servers() -> None:
    """Hosts keep the namespace before their slash; names are compared in lower case."""
    found = istio_gateway(
        {
            "selector": {"istio": "eastwestgateway"},
            "servers": [
                {
                    "port": {"number": 15443, "name": "tls", "protocol": "TLS"},
                    "hosts": ["*.Local", "prod/*.global", "./a.example", "*"],
                    "tls": {"mode": "AUTO_PASSTHROUGH"},
                },
                {"port": {"number": 80}, "hosts": ["a.example"]},
            ],
        }
    )
    assert key_of(found) == (ObjectKind.ISTIO_GATEWAY, "prod", "thing")
    assert found.selector == (("istio", "eastwestgateway"),)
    assert found.servers == (
        GatewayServer(15443, ("*.local", "prod/*.global", "./a.example", "*"), "AUTO_PASSTHROUGH"),
        GatewayServer(80, ("a.example",)),
    )


def test_what_an_istio_gateway_holds_wrongly_is_named_and_the_rest_kept() -> None:
    """A host that is none, a server without port, servers that are no mappings."""
    servers = [{"port": {"number": 15443}, "hosts": ["a b", 7, "ok.global"]}, {"hosts": ["x.global"]}, "server"]
    found = istio_gateway({"selector": {"istio": "eastwestgateway"}, "servers": servers})
    assert found.servers == (GatewayServer(15443, ("ok.global",)),)
    assert [problem.field for problem in found.problems] == [
        "spec.servers[0].hosts[0]",
        "spec.servers[0].hosts[1]",
        "spec.servers[1].port",
        "spec.servers[2].port",
    ]


def node(status: Mapping[str, Any], **metadata: Any) -> Node:
    """A Node, as read."""
    found = parse_declaration(
        ObjectKind.NODE, {"metadata": {"name": "n1", "labels": {"zone": "a"}, **metadata}, "status": status}
    )
    assert isinstance(found, Node)
    return found


ADDRESSES = [
    {"type": "InternalIP", "address": "10.0.0.1"},
    {"type": "ExternalIP", "address": "203.0.113.1"},
    {"type": "ExternalIP", "address": "2001:DB8::1"},
    {"type": "ExternalIP", "address": ""},
    {"type": "Hostname", "address": "n1"},
]


def test_a_node_is_its_external_addresses_and_its_labels() -> None:
    """It lives in no namespace."""
    found = node({"addresses": ADDRESSES})
    assert key_of(found) == (ObjectKind.NODE, "", "n1")
    assert found.addresses == ("203.0.113.1", "2001:db8::1")
    assert found.labels == (("zone", "a"),)


def test_a_heartbeat_changes_nothing_of_a_node() -> None:
    """Conditions, images and resource versions are not kept, so that the declaration is equal."""
    later = {"addresses": ADDRESSES, "conditions": [{"type": "Ready", "lastHeartbeatTime": "2026-03-02T09:00:00Z"}]}
    assert node({"addresses": ADDRESSES}, resourceVersion="1") == node(later, resourceVersion="2")


READY = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}]

PODS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...], bool]] = {
    "ready, dual stack": (
        {"podIP": "10.1.0.1", "podIPs": [{"ip": "10.1.0.1"}, {"ip": "fd00::1"}], "conditions": READY},
        {},
        ("10.1.0.1", "fd00::1"),
        True,
    ),
    "by its one address": ({"podIP": "10.1.0.1", "conditions": READY}, {}, ("10.1.0.1",), True),
    "not ready": ({"podIP": "10.1.0.1", "conditions": READY[:1]}, {}, ("10.1.0.1",), False),
    "no longer ready": (
        {"podIP": "10.1.0.1", "conditions": [{"type": "Ready", "status": "False"}]},
        {},
        ("10.1.0.1",),
        False,
    ),
    "ending": (
        {"podIP": "10.1.0.1", "conditions": READY},
        {"deletionTimestamp": "2026-03-02T09:00:00Z"},
        ("10.1.0.1",),
        False,
    ),
    "without an address": ({}, {}, (), False),
}


@pytest.mark.parametrize("case", PODS)
def test_a_pod_is_its_addresses_and_whether_it_is_ready(case: str) -> None:
    """All addresses of ready and other pods."""
    status, metadata, addresses, ready = PODS[case]
    found = pod(status, **metadata)
    assert (found.addresses, found.ready, found.labels) == (addresses, ready, (("app", "db"),))


def test_a_pod_names_its_host_name_and_network() -> None:
    """The network is its label's."""
    raw = {"metadata": {**PLACE, "labels": {"topology.istio.io/network": "n"}}, "spec": {"hostname": "db-0"}}
    found = parse_declaration(ObjectKind.POD, raw)
    assert isinstance(found, Pod)
    assert (found.hostname, found.network) == ("db-0", "n")


SELECTORS: dict[str, tuple[tuple[tuple[str, str], ...] | None, bool]] = {
    '{"zone": "a", "n": 7}': ((("n", "7"), ("zone", "a")), False),
    '{"zone": "a", "n": null}': (None, False),
    '{"zone": "a", "n": ["7"]}': (None, False),
    "{}": ((), True),
    "[]": (None, False),
    "zone=a": (None, False),
    "[" * 100_000: (None, False),
}


@pytest.mark.parametrize("text", SELECTORS, ids=lambda text: text[:20])
def test_only_an_object_of_labels_selects_nodes(text: str) -> None:
    """Anything else selects none, not all, and is named."""
    selector, is_good = SELECTORS[text]
    found = service(annotations={"traffic.istio.io/nodeSelector": text})
    assert isinstance(found, Service)
    assert (found.node_selector, not found.problems) == (selector, is_good)


@pytest.mark.parametrize("kind", [ObjectKind.GATEWAY, ObjectKind.ISTIO_GATEWAY, ObjectKind.NODE, ObjectKind.POD])
@pytest.mark.parametrize("junk", [None, 7, "text", [], [7], {}, {"x": [None]}, "\ud800"], ids=str)
def test_junk_is_read_without_harm(kind: ObjectKind, junk: object) -> None:
    """Whatever a field holds, the object is known by its name, and survives being stored."""
    fields = (
        "addresses", "listeners", "servers", "selector", "podIPs", "conditions", "gatewayClassName", "hostname", "ports"
    )  # fmt: skip
    for value in (junk, dict.fromkeys(fields, junk), {key: [junk] for key in fields}):
        found = parse_declaration(kind, {"metadata": {**PLACE, "labels": junk}, "spec": value, "status": value})
        assert found.name == "thing"
        assert msgspec.json.decode(msgspec.json.encode(found), type=AnyDeclaration) == found
