"""Which declaration answers: the levels in their order, the nearest group, readiness, visibility and modes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from meshdns.mesh.objects.declarations import AnyDeclaration
from meshdns.mesh.settings import AnswerMode, ClusterSettings, MeshSettings, MeshZone
from tests.mesh.scene import (
    answer_for,
    answers,
    endpoint_slice,
    entry,
    gateway,
    mesh,
    on_networks,
    service,
    static,
    workload_entry,
)

NETWORKS = on_networks(east="net-e", near="net-e", west="net-w", far="net-f")
GATEWAYS = {"west": gateway("203.0.113.20"), "far": gateway("203.0.113.30")}
HOST = "reviews.prod.global"
STATIC = (static(HOST, "192.0.2.1", 60),)
UP = (service(), endpoint_slice("10.40.0.1"))
DOWN = (service(), endpoint_slice("10.40.0.1", ready=False))
OTHER = (endpoint_slice("10.40.9.9", service_name="other"),)  # readiness is known in a cluster that has slices
WEST_UP = (service(ip="10.96.1.7"), endpoint_slice("10.41.0.1"))
NEAR_UP = (service(ip="10.96.2.7"), endpoint_slice("10.42.0.1", "10.42.0.2"))

Scene = Mapping[str, Iterable[AnyDeclaration]]


@dataclass(frozen=True)
class Case:
    """A mesh seen from east, and what ``reviews.prod.global`` (or another name) means there."""

    clusters: Scene
    meaning: str
    settings: Mapping[str, Any] | None = None
    name: str = HOST


def settings(**more: Any) -> MeshSettings:
    """Four clusters on three networks, seen from east."""
    return mesh(**{"clusters": NETWORKS, **more})


def answer_of(case: Case) -> str:
    """What the name of a case means."""
    clusters = {name: list(found) for name, found in case.clusters.items()}
    for name, each in GATEWAYS.items():
        clusters.setdefault(name, []).append(each)
    return answer_for(settings(**(case.settings or {})), {"east": [], "near": [], **clusters}, case.name)


OWN = entry("198.51.100.2")
REMOTE = entry("198.51.100.4")
ALL = {"east": (OWN, *UP), "near": NEAR_UP, "west": (REMOTE, *WEST_UP)}

LEVELS: dict[str, Case] = {
    "1 a static record": Case(ALL, "192.0.2.1", {"records": STATIC}),
    "2 the own ServiceEntry": Case(ALL, "198.51.100.2"),
    "3 the own Service": Case({**ALL, "east": UP}, "10.96.0.7"),
    "4 another cluster's ServiceEntry": Case({**ALL, "east": ()}, "198.51.100.4"),
    "5 a Service on the own network": Case({"near": NEAR_UP, "west": WEST_UP}, "10.42.0.1 10.42.0.2"),
    "6 a Service on another network": Case({"west": WEST_UP}, "203.0.113.20"),
    "nothing at all": Case({"west": ()}, "absent"),
    "2 without an address: 3": Case({**ALL, "east": (entry("127.0.0.1"), *UP)}, "10.96.0.7"),
    "2 without an address: 4": Case({**ALL, "east": (entry("127.0.0.1"),)}, "198.51.100.4"),
    "3 not ready: 4": Case({**ALL, "east": DOWN}, "198.51.100.4"),
    "3 not ready, a ServiceEntry for its svc host supplies a VM": Case(
        {"east": (*DOWN, entry("10.9.9.9", host="reviews.prod.svc.cluster.local"))}, "10.9.9.9"
    ),
    "3 a stub Service without endpoints and the remote one": Case(
        {"east": (service(), *OTHER), "west": WEST_UP}, "203.0.113.20"
    ),
    "3 without slices readiness is unknown and counts": Case({"east": (service(),), "west": (REMOTE,)}, "10.96.0.7"),
    "3 slices of the API server alone say nothing": Case(
        {
            "east": (service(), endpoint_slice("192.168.0.1", service_name="kubernetes", namespace="default")),
            "west": (REMOTE,),
        },
        "10.96.0.7",
    ),
    "3 readiness switched off": Case(
        {"east": DOWN, "west": (REMOTE,)},
        "10.96.0.7",
        {"clusters": {**NETWORKS, "east": ClusterSettings(network="net-e", readiness=False)}},
    ),
    "3 headless: the ready pods": Case({"east": (service(ip="None"), endpoint_slice("10.40.0.1"))}, "10.40.0.1"),
    "5 not ready: 6": Case(
        {"near": (service(), endpoint_slice("10.42.0.1", ready=False)), "west": WEST_UP}, "203.0.113.20"
    ),
    "5 endpoints not known, no gateway": Case({"near": (service(ingress=["198.51.100.44"]),)}, "198.51.100.44"),
    "6 without gateway: the load balancer": Case(
        {"bare": (service(ingress=["198.51.100.44"]), endpoint_slice("10.43.0.1"))}, "198.51.100.44"
    ),
    "6 without gateway and load balancer": Case({"bare": (service(), endpoint_slice("10.43.0.1"))}, "NODATA"),
    "6 two clusters": Case({"west": WEST_UP, "far": UP}, "203.0.113.20 203.0.113.30"),
    "6 one of two is ready": Case({"west": WEST_UP, "far": DOWN}, "203.0.113.20"),
    "nothing ready anywhere: readiness is ignored": Case({"west": DOWN}, "203.0.113.20"),
    "nothing ready anywhere: the first level all the same": Case({"east": DOWN, "west": DOWN}, "10.96.0.7"),
    "nothing ready anywhere: pods that are not": Case(
        {"near": (service(), endpoint_slice("10.42.0.1", ready=False))}, "10.42.0.1"
    ),
    "a stub Service and nothing ready anywhere": Case(
        {"east": (service(ip="None"), *OTHER), "west": DOWN}, "203.0.113.20"
    ),
    "a gateway without an address yet": Case({"late": (gateway(), service(), endpoint_slice("10.43.0.1"))}, "PENDING"),
    "no level yields an address": Case({"east": (entry("127.0.0.1"),)}, "NODATA"),
    # -------------------------------------------------------------------------------- the nearest group
    "own before direct before gateways": Case(
        {"east": (entry("10.40.0.1", "198.51.100.2", "203.0.113.20"),)}, "10.40.0.1"
    ),
    "what is direct answers without the gateways": Case(
        {"near": (entry("10.42.0.1"),), "west": (entry("10.41.0.1"),)}, "10.42.0.1"
    ),
    "gateways of two clusters are merged": Case(
        {"west": (entry("10.41.0.1"),), "far": (entry("10.41.0.1"),)}, "203.0.113.20 203.0.113.30"
    ),
    "duplicates are removed": Case({"west": (REMOTE,), "far": (REMOTE,)}, "198.51.100.4"),
    "the group is chosen once over both families": Case(
        {"near": (entry("10.42.0.1"),), "west": (entry("fd00::1", "2001:db8::1"),)}, "10.42.0.1 2001:db8::1"
    ),
    "a level has one family: the other is not taken from below": Case(
        {"east": (OWN,), "west": (entry("2001:db8::1"),)}, "198.51.100.2"
    ),
    "several ServiceEntries of one cluster all count": Case(
        {"west": (REMOTE, entry("198.51.100.5", name="second"))}, "198.51.100.4 198.51.100.5"
    ),
    # -------------------------------------------------------------------------------- wildcards
    "an exact remote host before an own wildcard": Case(
        {"east": (entry("198.51.100.9", host="*.prod.global"),), "west": (REMOTE,)}, "198.51.100.4"
    ),
    "an own wildcard before a Service of level 5": Case(
        {"east": (entry("198.51.100.9", host="*.prod.global"),), "near": NEAR_UP}, "198.51.100.9"
    ),
    "an own Service before an own wildcard": Case(
        {"east": (entry("198.51.100.9", host="*.prod.global"), *UP)}, "10.96.0.7"
    ),
    "a Service of level 6 before another cluster's wildcard": Case(
        {"west": WEST_UP, "far": (entry("198.51.100.9", host="*.prod.global"),)}, "203.0.113.20"
    ),
    "another cluster's wildcard last": Case(
        {"east": (entry("127.0.0.1"),), "far": (entry("198.51.100.9", host="*.prod.global"),)}, "198.51.100.9"
    ),
    "the longest own wildcard": Case(
        {
            "east": (
                entry("127.0.0.1"),
                entry("198.51.100.8", host="*.global", name="a"),
                entry("198.51.100.9", host="*.prod.global", name="b"),
            )
        },
        "198.51.100.9",
    ),
    "a shorter wildcard where the longer has nothing": Case(
        {
            "east": (
                entry("127.0.0.1"),
                entry("198.51.100.8", host="*.global", name="a"),
                entry("127.0.0.1", host="*.prod.global", name="b"),
            )
        },
        "198.51.100.8",
    ),
    "a static wildcard before an own one": Case(
        {"east": (entry("198.51.100.9", host="*.prod.global"),), "near": NEAR_UP},
        "192.0.2.9",
        {"records": (static("*.prod.global", "192.0.2.9", 30),)},
    ),
    "a static wildcard before a Service of level 6": Case(
        {"west": WEST_UP}, "192.0.2.9", {"records": (static("*.prod.global", "192.0.2.9", 30),)}
    ),
    "a wildcard does not cover its own apex": Case(
        {"east": (entry("198.51.100.9", host="*.prod.global"),)}, "NODATA", name="prod.global"
    ),
    "a wildcard owner name by itself": Case(
        {"far": (entry("198.51.100.9", host="*.prod.global"),)}, "198.51.100.9", name="*.prod.global"
    ),
    # -------------------------------------------------------------------------------- workloads
    "a selector selects workloads of its namespace": Case(
        {
            "east": (
                entry(workloadSelector={"labels": {"app": "vm"}}),
                workload_entry("a", "10.9.0.1", app="vm"),
                workload_entry("b", "10.9.0.2", app="other"),
                workload_entry("c", "10.9.0.3", app="vm", namespace="test"),
            )
        },
        "10.9.0.1",
    ),
    "an empty selector selects nothing": Case(
        {"east": (entry(workloadSelector={"labels": {}}), workload_entry("a", "10.9.0.1", app="vm"))}, "NODATA"
    ),
    "a workload of another network": Case(
        {
            "east": (
                entry(workloadSelector={"labels": {"app": "vm"}}),
                workload_entry("a", "10.9.0.1", app="vm", network="net-w"),
            )
        },
        "203.0.113.20",
    ),
    "a selected VM for a svc host": Case(
        {
            "east": (
                entry(host="reviews.prod.svc.cluster.local", workloadSelector={"labels": {"app": "vm"}}),
                workload_entry("a", "10.9.0.1", app="vm"),
            )
        },
        "10.9.0.1",
    ),
    # -------------------------------------------------------------------------------- resolution NONE and DNS
    "NONE: single addresses are destinations": Case(
        {"east": (entry(resolution="NONE", addresses=["10.5.0.1", "10.5.0.2/32"]),)}, "10.5.0.1 10.5.0.2"
    ),
    "NONE: a CIDR is none": Case(
        {"east": (entry(resolution="NONE", addresses=["10.5.0.0/24", "10.5.0.1"]),)}, "10.5.0.1"
    ),
    "NONE: judged as endpoints": Case({"west": (entry(resolution="NONE", addresses=["10.5.0.1"]),)}, "203.0.113.20"),
    "NONE: endpoints are served as written": Case(
        {"west": (entry("198.51.100.4", resolution="NONE"),)}, "198.51.100.4"
    ),
    "DNS with nothing to go by is the host itself": Case({"east": (entry(resolution="DNS"),)}, "PENDING"),
    "another cluster's such entry counts for nothing": Case({"west": (entry(resolution="DNS"),)}, "NODATA"),
    "STATIC with a VIP and no endpoints": Case({"west": (entry(addresses=["240.0.0.1"]),)}, "NODATA"),
    "a VIP never leaves its cluster": Case({"west": (entry("10.41.0.1", addresses=["240.0.0.1"]),)}, "203.0.113.20"),
    # -------------------------------------------------------------------------------- modes
    "the own VIP stays out by default": Case({"east": (entry("10.40.0.1", addresses=["240.0.0.1"]),)}, "10.40.0.1"),
    "vip by annotation": Case(
        {"east": (entry("10.40.0.1", addresses=["240.0.0.1"], annotations={"meshdns.io/answer": "vip"}),)}, "240.0.0.1"
    ),
    "vip by zone": Case(
        {"east": (entry("10.40.0.1", addresses=["240.0.0.1"]),)},
        "240.0.0.1",
        {"zones": (MeshZone("global", answer=AnswerMode.VIP),)},
    ),
    "vip: another cluster's never": Case(
        {"west": (entry("10.41.0.1", addresses=["240.0.0.1"], annotations={"meshdns.io/answer": "vip"}),)},
        "203.0.113.20",
    ),
    "vip without VIPs: the tables": Case(
        {"east": (entry("10.40.0.1", annotations={"meshdns.io/answer": "vip"}),)}, "10.40.0.1"
    ),
    "endpoints: all networks are one": Case(
        {"west": (entry("10.41.0.1", annotations={"meshdns.io/answer": "endpoints"}),)}, "10.41.0.1"
    ),
    "endpoints by zone, for Services too": Case(
        {"west": WEST_UP}, "10.41.0.1", {"zones": (MeshZone("global", answer=AnswerMode.ENDPOINTS),)}
    ),
    "contradicting modes: the oldest wins": Case(
        {
            "east": (
                entry(
                    "10.40.0.1",
                    addresses=["240.0.0.1"],
                    created="2026-03-02T09:00:01Z",
                    annotations={"meshdns.io/answer": "gateway"},
                ),
                entry("10.40.0.2", name="old", addresses=["240.0.0.2"], annotations={"meshdns.io/answer": "vip"}),
            )
        },
        "240.0.0.1 240.0.0.2",
    ),
}


@pytest.mark.parametrize("name", LEVELS)
def test_what_a_name_means(name: str) -> None:
    """Each mesh gives the name the meaning of its row."""
    assert answer_of(LEVELS[name]) == LEVELS[name].meaning


def test_without_a_vantage_there_is_no_own_cluster() -> None:
    """A laptop is in no cluster: ClusterIPs mean nothing there, every Service is behind gateways."""
    outside = settings(vantage_cluster="")
    assert answer_for(outside, {"east": [gateway("203.0.113.10"), *UP], "west": [GATEWAYS["west"], *WEST_UP]}) == (
        "203.0.113.10 203.0.113.20"
    )


def test_a_vantage_network_without_cluster_reaches_pods() -> None:
    """A VM on the clusters' network reaches their pods, but no ClusterIP."""
    outside = settings(vantage_cluster="", vantage_network="net-e")
    assert answer_for(outside, {"near": list(NEAR_UP)}) == "10.42.0.1 10.42.0.2"


def test_on_one_flat_network_pods_answer() -> None:
    """``defaultNetwork`` makes all unlabelled clusters one network."""
    flat = mesh(default_network="flat")
    assert answer_for(flat, {"east": [], "west": list(WEST_UP)}) == "10.41.0.1"


def test_addresses_are_capped_per_family() -> None:
    """At most 15 addresses per family, so that a reply fits 512 octets."""
    found = answers(settings(), {"east": [entry(*[f"198.51.100.{i}" for i in range(40)], *["2001:db8::1"])]})[HOST]
    assert (len(found.ipv4), found.ipv6) == (15, ("2001:db8::1",))


TTLS: dict[str, tuple[Scene, int]] = {
    "the zone's": ({"east": (OWN,)}, 30),
    "by annotation": ({"east": (entry("198.51.100.2", annotations={"meshdns.io/ttl": "7"}),)}, 7),
    "pods": ({"east": (service(ip="None"), endpoint_slice("10.40.0.1"))}, 5),
    "pods of the own network": ({"near": NEAR_UP}, 5),
    "a ClusterIP": ({"east": UP}, 30),
    "contradicting: the oldest wins": (
        {
            "east": (
                entry("198.51.100.2", created="2026-03-02T09:00:01Z", annotations={"meshdns.io/ttl": "7"}),
                entry("198.51.100.3", name="z-old", annotations={"meshdns.io/ttl": "9"}),
            )
        },
        9,
    ),
    "contradicting, of one age: the name comes before the namespace": (
        {
            "east": (
                entry("198.51.100.2", name="b", namespace="a", annotations={"meshdns.io/ttl": "7"}),
                entry("198.51.100.3", name="a", namespace="b", annotations={"meshdns.io/ttl": "9"}),
            )
        },
        9,
    ),
    "contradicting, of one age: the first by name": (
        {
            "east": (
                entry("198.51.100.2", name="b", annotations={"meshdns.io/ttl": "7"}),
                entry("198.51.100.3", name="a", annotations={"meshdns.io/ttl": "9"}),
            )
        },
        9,
    ),
}


@pytest.mark.parametrize("name", TTLS)
def test_ttls(name: str) -> None:
    """The zone's TTL unless an annotation says another; 5 for pod addresses, since pods come and go."""
    clusters, ttl = TTLS[name]
    assert answers(settings(), {"east": [], **clusters})[HOST].ttl == ttl


def test_an_answer_names_the_clusters_it_rests_on() -> None:
    """Declaring cluster and the gateway's cluster: while one of them is stale, the answer is."""
    far = entry({"address": "10.1.1.1", "network": "net-w"})
    found = answers(settings(), {"east": [], "far": [far], "west": [GATEWAYS["west"]]})[HOST]
    assert found.clusters == ("far", "west")
