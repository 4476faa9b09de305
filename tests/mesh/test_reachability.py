"""The endpoint table of the design, row by row and in its order, the first that fits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import pytest

from meshdns.mesh.candidates import EndpointRule
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.objects.references import ObjectRef
from meshdns.mesh.settings import ClusterSettings, MeshSettings
from tests.mesh.scene import answers, endpoint_slice, entry, gateway, mesh, on_networks, service

NETWORKS = on_networks(east="net-e", near="net-e", west="net-w", bare="net-b", waiting="net-q", private="net-p")
PREFIXES = {"vm-net": (ip_network("10.128.0.0/16"),), "net-e": (ip_network("198.18.0.0/24"),)}

WORLD: dict[str, tuple[AnyDeclaration, ...]] = {
    # east is L; near is on its network; all others are elsewhere
    "east": (gateway("203.0.113.10"),),
    "near": (gateway("203.0.113.15"),),
    "west": (gateway("203.0.113.20", "203.0.113.21"),),
    "named": (gateway("gw.named.example"),),
    "bare": (),
    "waiting": (gateway(),),
    "private": (gateway("10.200.0.1"),),
}


def settings(**more: Any) -> MeshSettings:
    """Seen from east on net-e, unless something else is said."""
    return mesh(**{"clusters": NETWORKS, "networks": PREFIXES, **more})


OUTSIDE = {"vantage_cluster": ""}
ON_VM_NET = {"vantage_cluster": "", "vantage_network": "vm-net"}


@dataclass(frozen=True)
class Case:
    """An endpoint of `cluster`'s ServiceEntry ``reviews.prod.global``, and what it is from the vantage.

    `seen` are addresses, ``waits`` or ``nothing``; `beside` are further declarations of clusters.
    """

    cluster: str
    endpoint: str | Mapping[str, Any]
    seen: str
    rule: EndpointRule
    vantage: Mapping[str, Any] | None = None
    spec: Mapping[str, Any] | None = None
    beside: Mapping[str, Iterable[AnyDeclaration]] | None = None


SVC = "reviews.prod.svc.cluster.local"
READY = (service(), endpoint_slice("10.40.0.1", "10.40.0.2"))
NOT_READY = (service(), endpoint_slice("10.40.0.1", ready=False))
HEADLESS = (service(ip="None"), endpoint_slice("10.40.0.1"), endpoint_slice("10.40.0.9", ready=False, suffix="down"))
EXTERNAL = {"location": "MESH_EXTERNAL"}
UNSET = {"location": None}


def at(address: str, network: str = "", **ports: int) -> dict[str, Any]:
    """An endpoint with a network and ports."""
    return {"address": address, "network": network, "ports": ports}


TABLE: dict[str, Case] = {
    # --------------------------------------------------------------------------------- row 1
    "a unix socket is not in DNS": Case("east", "unix:///run/x.sock", "nothing", EndpointRule.UNIX),
    # --------------------------------------------------------------------------------- row 2
    "C's own gateway, from elsewhere: all of C's gateways": Case(
        "west", "203.0.113.20", "203.0.113.20 203.0.113.21", EndpointRule.REMOTE_GATEWAYS
    ),
    "G's gateway in a third cluster: all of G's gateways": Case(
        "bare", "203.0.113.21", "203.0.113.20 203.0.113.21", EndpointRule.REMOTE_GATEWAYS
    ),
    "G's gateway as L itself writes it: that address": Case(
        "east", "203.0.113.21", "203.0.113.21", EndpointRule.REMOTE_GATEWAY_AS_WRITTEN
    ),
    "hairpin without a Service: the address": Case("west", "203.0.113.10", "203.0.113.10", EndpointRule.OWN_GATEWAY),
    "hairpin with a ready Service: the Service": Case(
        "west", "203.0.113.10", "10.96.0.7", EndpointRule.HAIRPIN, beside={"east": READY}
    ),
    "hairpin with a headless Service: its ready pods": Case(
        "west", "203.0.113.10", "10.40.0.1", EndpointRule.HAIRPIN, beside={"east": HEADLESS}
    ),
    "hairpin with a Service that is not ready: the address": Case(
        "west", "203.0.113.10", "203.0.113.10", EndpointRule.OWN_GATEWAY, beside={"east": NOT_READY}
    ),
    "hairpin declared by L itself": Case(
        "east", "203.0.113.10", "10.96.0.7", EndpointRule.HAIRPIN, beside={"east": READY}
    ),
    "from outside no gateway is the own one": Case(
        "west", "203.0.113.10", "203.0.113.10", EndpointRule.REMOTE_GATEWAYS, OUTSIDE
    ),
    "a gateway's host name is compared before resolution": Case(
        "bare", "GW.named.example.", "waits", EndpointRule.REMOTE_GATEWAYS
    ),
    "a gateway's host name as L writes it waits to be resolved": Case(
        "east", "gw.named.example", "waits", EndpointRule.REMOTE_GATEWAY_AS_WRITTEN
    ),
    "the own gateway's host name waits to be resolved": Case(
        "west", "gw.named.example", "waits", EndpointRule.OWN_GATEWAY, {"vantage_cluster": "named"}
    ),
    "a private gateway by its port": Case(
        "near", at("10.200.0.1", tls=15443), "10.200.0.1", EndpointRule.REMOTE_GATEWAYS
    ),
    "a private address at another port is no gateway": Case(
        "near", at("10.200.0.1", tls=443), "10.200.0.1", EndpointRule.PRIVATE_DIRECT
    ),
    "a private address without a port is no gateway": Case(
        "west", "10.200.0.1", "203.0.113.20 203.0.113.21", EndpointRule.PRIVATE_GATEWAY
    ),
    "a private gateway on C's own network, at any port": Case(
        "private", at("10.200.0.1", tls=443), "10.200.0.1", EndpointRule.REMOTE_GATEWAYS
    ),
    "a gateway comes before the network": Case(
        "bare", at("203.0.113.10", "net-w"), "203.0.113.10", EndpointRule.OWN_GATEWAY
    ),
    # --------------------------------------------------------------------------------- row 3
    "another network: its gateways": Case(
        "near", at("10.1.1.1", "net-w"), "203.0.113.20 203.0.113.21", EndpointRule.NETWORK_GATEWAYS
    ),
    "another network without an address: its gateways": Case(
        "near", at("", "net-w"), "203.0.113.20 203.0.113.21", EndpointRule.NETWORK_GATEWAYS
    ),
    "another network by label": Case(
        "near",
        {"address": "10.1.1.1", "labels": {"topology.istio.io/network": "net-w"}},
        "203.0.113.20 203.0.113.21",
        EndpointRule.NETWORK_GATEWAYS,
    ),
    "another network, declared by L itself": Case(
        "east", at("10.1.1.1", "net-w"), "203.0.113.20 203.0.113.21", EndpointRule.NETWORK_GATEWAYS
    ),
    "another network, a public address: its gateways all the same": Case(
        "near", at("198.51.100.1", "net-w"), "203.0.113.20 203.0.113.21", EndpointRule.NETWORK_GATEWAYS
    ),
    "another network whose gateway has no address yet": Case(
        "near", at("198.51.100.1", "net-q"), "waits", EndpointRule.NETWORK_GATEWAYS
    ),
    "another network without gateways, a public address": Case(
        "near", at("198.51.100.1", "net-b"), "198.51.100.1", EndpointRule.NETWORK_PUBLIC
    ),
    "another network without gateways, a private address": Case(
        "near", at("10.1.1.1", "net-b"), "nothing", EndpointRule.NETWORK_UNREACHABLE
    ),
    "another network without gateways, an address that settings make private": Case(
        "near", at("198.18.0.1", "net-b"), "nothing", EndpointRule.NETWORK_UNREACHABLE
    ),
    "a network nobody is on": Case("near", at("10.1.1.1", "net-x"), "nothing", EndpointRule.NETWORK_UNREACHABLE),
    "another network, MESH_EXTERNAL: no gateways": Case(
        "near", at("10.1.1.1", "net-w"), "nothing", EndpointRule.NETWORK_UNREACHABLE, spec=EXTERNAL
    ),
    "another network, MESH_EXTERNAL, a public address": Case(
        "near", at("198.51.100.1", "net-w"), "198.51.100.1", EndpointRule.NETWORK_PUBLIC, spec=EXTERNAL
    ),
    "from outside every network is another one": Case(
        "east", at("10.1.1.1", "net-e"), "203.0.113.10 203.0.113.15", EndpointRule.NETWORK_GATEWAYS, OUTSIDE
    ),
    "from another network: all gateways of the network": Case(
        "west", at("10.1.1.1", "net-e"), "203.0.113.10 203.0.113.15", EndpointRule.NETWORK_GATEWAYS, {"vantage_cluster":
        "bare"}
    ),
    # --------------------------------------------------------------------------------- row 4
    "the own network: the address": Case("west", at("10.1.1.1", "net-e"), "10.1.1.1", EndpointRule.NETWORK_OWN),
    "the own network without an address": Case("west", at("", "net-e"), "nothing", EndpointRule.NETWORK_UNREACHABLE),
    "the own network, a loopback address": Case("west", at("127.0.0.1", "net-e"), "nothing", EndpointRule.NEVER_SERVED),
    "the own network, a host name waits to be resolved": Case(
        "west", at("vm.corp.example", "net-e"), "waits", EndpointRule.HOST_NAME
    ),
    "the own network as a vantage without cluster": Case(
        "west", at("10.1.1.1", "vm-net"), "10.1.1.1", EndpointRule.NETWORK_OWN, ON_VM_NET
    ),
    # --------------------------------------------------------------------------------- row 5
    "L's Service": Case("east", SVC, "10.96.0.7", EndpointRule.CLUSTER_IP, beside={"east": READY}),
    "L's headless Service": Case("east", SVC, "10.40.0.1", EndpointRule.CLUSTER_IP, beside={"east": HEADLESS}),
    "a Service of the own network": Case("near", SVC, "10.40.0.1 10.40.0.2", EndpointRule.PODS, beside={"near": READY}),
    "a Service of the own network whose endpoints are not known": Case(
        "near", SVC, "203.0.113.15", EndpointRule.CLUSTER_GATEWAYS, beside={"near": (service(),)}
    ),
    "a Service of another network": Case(
        "west", SVC, "203.0.113.20 203.0.113.21", EndpointRule.CLUSTER_GATEWAYS, beside={"west": READY}
    ),
    "a Service of another network without gateways": Case(
        "bare", SVC, "198.51.100.44", EndpointRule.LOAD_BALANCER, beside={"bare": (service(ingress=["198.51.100.44"]),)}
    ),
    "a Service with IPv6": Case(
        "east",
        SVC,
        "10.96.0.7 fd00::7",
        EndpointRule.CLUSTER_IP,
        beside={"east": (service(clusterIPs=["10.96.0.7", "FD00:0::7"]),)},
    ),
    "L's Service that is not there": Case("east", SVC, "nothing", EndpointRule.SERVICE),
    # --------------------------------------------------------------------------------- row 6
    "another host name": Case("west", "origin.example.com", "waits", EndpointRule.HOST_NAME),
    "a svc host of another domain is a host name": Case(
        "west", "reviews.prod.svc.other.local", "waits", EndpointRule.HOST_NAME
    ),
    # --------------------------------------------------------------------------------- row 7
    "L's private address": Case("east", "10.1.1.1", "10.1.1.1", EndpointRule.PRIVATE_DIRECT),
    "a private address of a cluster on the own network": Case(
        "near", "10.1.1.1", "10.1.1.1", EndpointRule.PRIVATE_DIRECT
    ),
    "a private address in the vantage's CIDRs": Case(
        "west", "10.128.3.4", "10.128.3.4", EndpointRule.PRIVATE_DIRECT, ON_VM_NET
    ),
    "a private address elsewhere: C's gateways": Case(
        "west", "10.1.1.1", "203.0.113.20 203.0.113.21", EndpointRule.PRIVATE_GATEWAY
    ),
    "a private address elsewhere, gateway without address": Case(
        "waiting", "10.1.1.1", "waits", EndpointRule.PRIVATE_GATEWAY
    ),
    "a private address elsewhere, gateway with a host name": Case(
        "named", "10.1.1.1", "waits", EndpointRule.PRIVATE_GATEWAY
    ),
    "a private address elsewhere, no gateway": Case("bare", "10.1.1.1", "nothing", EndpointRule.PRIVATE_GATEWAY),
    "from outside a private address is elsewhere": Case(
        "east", "10.1.1.1", "203.0.113.10", EndpointRule.PRIVATE_GATEWAY, OUTSIDE
    ),
    "MESH_EXTERNAL is never replaced by gateways": Case(
        "west", "10.1.1.1", "nothing", EndpointRule.PRIVATE_UNREACHABLE, spec=EXTERNAL
    ),
    "an unset location is MESH_EXTERNAL": Case(
        "west", "10.1.1.1", "nothing", EndpointRule.PRIVATE_UNREACHABLE, spec=UNSET
    ),
    "a CIDR of the settings makes an address private": Case(
        "bare", "198.18.0.1", "nothing", EndpointRule.PRIVATE_GATEWAY, ON_VM_NET
    ),
    "a CIDR of the settings: reached from its network": Case(
        "west", "198.18.0.1", "198.18.0.1", EndpointRule.PRIVATE_DIRECT
    ),
    "a CIDR of the settings: not reached from another": Case(
        "west", "198.18.0.1", "203.0.113.20 203.0.113.21", EndpointRule.PRIVATE_GATEWAY, ON_VM_NET
    ),
    # --------------------------------------------------------------------------------- row 8
    "a public address": Case("west", "198.51.100.1", "198.51.100.1", EndpointRule.PUBLIC),
    "a public address from outside": Case("west", "2001:db8::1", "2001:db8::1", EndpointRule.PUBLIC, OUTSIDE),
    "a public address, MESH_EXTERNAL": Case("west", "198.51.100.1", "198.51.100.1", EndpointRule.PUBLIC, spec=EXTERNAL),
}  # fmt: skip

PRIVATE = [
    "10.0.0.1",
    "10.255.255.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "100.64.0.1",
    "100.127.255.254",
    "240.0.0.1",
    "255.255.255.254",
    "fc00::1",
    "fdff:ffff::1",
    "::ffff:10.0.0.1",
]
PUBLIC = [
    "9.255.255.255",
    "11.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "192.167.255.255",
    "203.0.113.200",
    "2001:db8::1",
    "fe00::1",
]
NEVER = [
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "0.0.0.0",  # noqa: S104 — an address that is refused
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "ff02::1",
    "::ffff:127.0.0.1",
]


REVIEWS = ObjectRef(ObjectKind.SERVICE_ENTRY, "prod", "reviews")


def seen_as(case: Case) -> tuple[str, set[EndpointRule]]:
    """What the ServiceEntry's endpoint of a case yields, and by which rules."""
    clusters = {name: [*found, *(case.beside or {}).get(name, ())] for name, found in WORLD.items()}
    clusters[case.cluster].append(entry(case.endpoint, **(case.spec or {})))
    answer = answers(settings(**(case.vantage or {})), clusters)["reviews.prod.global"]
    found = [c for c in answer.candidates if c.cluster == case.cluster and c.origin == REVIEWS]
    addresses = " ".join(candidate.address for candidate in found if candidate.address)
    nothing = "waits" if any(candidate.pending for candidate in found) else "nothing"
    return addresses or nothing, {candidate.rule for candidate in found}


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    """Each endpoint is what its row says, and the row is named as the reason."""
    case = TABLE[name]
    assert seen_as(case) == (case.seen, {case.rule})


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    """RFC 1918, RFC 6598, class E and RFC 4193 mean something only where they are."""
    case = Case("west", address, "203.0.113.20 203.0.113.21", EndpointRule.PRIVATE_GATEWAY)
    assert seen_as(case) == (case.seen, {case.rule})


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    """What lies just beside a private block is public."""
    assert seen_as(Case("west", address, address, EndpointRule.PUBLIC)) == (address, {EndpointRule.PUBLIC})


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("cluster", ["east", "near", "west"])
def test_addresses_that_are_never_served(cluster: str, address: str) -> None:
    """Loopback, link-local, unspecified and multicast mean nothing to anybody else, not even to L."""
    assert seen_as(Case(cluster, address, "nothing", EndpointRule.NEVER_SERVED)) == (
        "nothing",
        {EndpointRule.NEVER_SERVED},
    )


def test_an_endpoint_that_is_not_ready_counts_only_where_nothing_is() -> None:
    """A ``cluster.local`` endpoint includes the Service's readiness."""
    clusters = {**WORLD, "east": [*NOT_READY, entry(SVC, "198.51.100.1")]}
    assert answers(settings(), clusters)["reviews.prod.global"].ipv4 == ("198.51.100.1",)
    clusters["east"] = [*NOT_READY, entry(SVC)]
    assert answers(settings(), clusters)["reviews.prod.global"].ipv4 == ("10.96.0.7",)


def test_explicit_gateways_are_known_gateways() -> None:
    """An address of the settings is a gateway, whatever the source."""
    clusters = {"west": ClusterSettings(network="net-w", gateways=("192.0.2.1", "192.0.2.2"))}
    found = answers(settings(clusters=clusters), {"east": [], "west": [], "far": [entry("192.0.2.2")]})
    assert found["reviews.prod.global"].ipv4 == ("192.0.2.1", "192.0.2.2")
