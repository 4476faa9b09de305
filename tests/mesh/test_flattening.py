"""Endpoints that are host names: resolved in the background, or names of our own, and judged by what they come to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from meshdns.mesh.name_table import MAX_DEPTH
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from tests.mesh.scene import (
    answer_text,
    answers,
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
ALIAS = "vm.corp.example"
PODS = (service(ip="None"), endpoint_slice("10.40.0.1"))


@dataclass(frozen=True)
class Case:
    """A mesh seen from east, what host names resolve to, and what ``reviews.prod.global`` means."""

    clusters: Mapping[str, Iterable[AnyDeclaration]]
    meaning: str
    resolved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def named(target: str, **more: str) -> AnyDeclaration:
    """A ServiceEntry whose endpoint is a host name."""
    return entry({"address": target, **more}, resolution="DNS")


GATEWAY = gateway("203.0.113.20")

CASES: dict[str, Case] = {
    "not resolved yet": Case({"west": (named(ALIAS),)}, "PENDING"),
    "a public address": Case({"west": (named(ALIAS),)}, "198.51.100.7", {ALIAS: ("198.51.100.7",)}),
    "both families": Case(
        {"west": (named(ALIAS),)}, "198.51.100.7 2001:db8::7", {ALIAS: ("198.51.100.7", "2001:db8::7")}
    ),
    "an empty answer removes": Case({"west": (named(ALIAS),)}, "NODATA", {ALIAS: ()}),
    "loopback is never served": Case({"west": (named(ALIAS),)}, "NODATA", {ALIAS: ("127.0.0.1",)}),
    "a private address elsewhere: the gateways": Case(
        {"west": (named(ALIAS), GATEWAY)}, "203.0.113.20", {ALIAS: ("10.1.1.1",)}
    ),
    "a private address of the own cluster": Case({"east": (named(ALIAS),)}, "10.1.1.1", {ALIAS: ("10.1.1.1",)}),
    "what resolves to a gateway is not compared again": Case(
        {"near": (named(ALIAS), gateway("203.0.113.15"))}, "203.0.113.15", {ALIAS: ("203.0.113.15",)}
    ),
    "on the own network every address means what it says": Case(
        {"west": (named(ALIAS, network="net-e"), GATEWAY)}, "10.1.1.1", {ALIAS: ("10.1.1.1",)}
    ),
    "on the own network loopback is never served": Case(
        {"west": (named(ALIAS, network="net-e"),)}, "NODATA", {ALIAS: ("127.0.0.1",)}
    ),
    "a gateway's host name in place of its address": Case(
        {"west": (gateway("gw.example.com"), entry("10.1.1.1"))},
        "198.51.100.8 2001:db8::8",
        {"gw.example.com": ("198.51.100.8", "2001:db8::8")},
    ),
    "a load balancer's host name": Case(
        {"west": (service(ingress=["lb.example.com"]), endpoint_slice("10.1.1.1"))},
        "198.51.100.9",
        {"lb.example.com": ("198.51.100.9",)},
    ),
    "a load balancer's host name, not resolved yet": Case(
        {"west": (service(ingress=["lb.example.com"]), endpoint_slice("10.1.1.1"))}, "PENDING"
    ),
    "a name of ours": Case(
        {"west": (named("b.prod.global"), entry("198.51.100.2", host="b.prod.global", name="b"))}, "198.51.100.2"
    ),
    "a name of ours that a wildcard covers": Case(
        {"west": (named("b.test.global"), entry("198.51.100.2", host="*.test.global", name="b"))}, "198.51.100.2"
    ),
    "a derived name of ours": Case(
        {"east": (service("b"),), "west": (named("b.prod.global"),)}, "10.96.0.7"
    ),
    "a name of ours that nobody declares": Case({"west": (named("nobody.prod.global"),)}, "NODATA"),
    "a name of ours that is still to come": Case(
        {"west": (named("b.prod.global"), entry(ALIAS, host="b.prod.global", name="b", resolution="DNS"))}, "PENDING"
    ),
    "a name of ours that leads back": Case(
        {"west": (named("b.prod.global"), entry(HOST, host="b.prod.global", name="b", resolution="DNS"))}, "NODATA"
    ),
    "itself": Case({"west": (named(HOST),)}, "NODATA"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_host_name_is_flattened(name: str) -> None:
    """Addresses only, whatever the chain of names, and each judged for itself."""
    case = CASES[name]
    made = name_table(mesh(clusters=NETWORKS), {"east": (), **case.clusters})
    for host, addresses in case.resolved.items():
        made.set_resolved_addresses(host, addresses)
    assert answer_text(made.refresh()[HOST]) == case.meaning


@pytest.mark.parametrize(("links", "expected"), [(MAX_DEPTH, "198.51.100.2"), (MAX_DEPTH + 1, "NODATA")])
def test_a_chain_of_our_names_is_followed_so_far_and_no_farther(links: int, expected: str) -> None:
    """Whoever may write ServiceEntries cannot make an answer take long."""
    chain = [
        entry(f"n{at + 1}.prod.global", host=f"n{at}.prod.global", name=f"n{at}", resolution="DNS")
        for at in range(links)
    ]
    last = entry("198.51.100.2", host=f"n{links}.prod.global", name="last")
    assert answer_text(answers(mesh(), {"east": [*chain, last]})["n0.prod.global"]) == expected


def test_a_name_that_leads_to_pods_lives_no_longer_than_they_do() -> None:
    """5 s, as the name it leads to."""
    found = answers(mesh(), {"east": [*PODS, entry(HOST, host="alias.prod.global", name="alias", resolution="DNS")]})
    assert (found[HOST].ttl, found["alias.prod.global"].ttl) == (5, 5)


def test_a_change_follows_the_chain() -> None:
    """The name that leads there is answered anew with the name that it leads to."""
    made = name_table(mesh(), {"east": [named("b.prod.global"), entry("198.51.100.2", host="b.prod.global", name="b")]})
    made.refresh()
    made.upsert("east", entry("198.51.100.3", host="b.prod.global", name="b"))
    assert {name: answer_text(answer) for name, answer in made.refresh().items()} == {
        HOST: "198.51.100.3",
        "b.prod.global": "198.51.100.3",
    }


def pod(name: str, address: str, *, ready: bool = True, network: str = "", app: str = "db") -> AnyDeclaration:
    """A Pod with the label ``app``."""
    labels = {"app": app, **({"topology.istio.io/network": network} if network else {})}
    status = {"podIP": address, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return parse_declaration(
        ObjectKind.POD, {"metadata": {"name": name, "namespace": "prod", "labels": labels}, "status": status}
    )


SELECTING = entry(workloadSelector={"labels": {"app": "db"}})

SELECTED: dict[str, tuple[Mapping[str, Iterable[AnyDeclaration]], str, int]] = {
    "a ready pod": ({"east": (SELECTING, pod("a", "10.40.0.1"))}, "10.40.0.1", 5),
    "a pod that is not ready": ({"east": (SELECTING, pod("a", "10.40.0.1", ready=False))}, "NODATA", 0),
    "a pod of another label": ({"east": (SELECTING, pod("a", "10.40.0.1", app="web"))}, "NODATA", 0),
    "of a cluster on the own network": ({"near": (SELECTING, pod("a", "10.40.0.1"))}, "10.40.0.1", 5),
    "of a cluster elsewhere: its gateways": (
        {"west": (SELECTING, pod("a", "10.40.0.1"), GATEWAY)},
        "203.0.113.20",
        30,
    ),
    "labelled for another network": (
        {"east": (SELECTING, pod("a", "10.40.0.1", network="net-w")), "west": (GATEWAY,)},
        "203.0.113.20",
        30,
    ),
}


@pytest.mark.parametrize("name", SELECTED)
def test_selected_pods_are_endpoints(name: str) -> None:
    """They are judged as any endpoint, and their own addresses live as short as pods do."""
    clusters, expected, ttl = SELECTED[name]
    answer = answers(mesh(clusters=NETWORKS), {"east": (), **clusters})[HOST]
    assert (answer_text(answer), answer.ttl) == (expected, ttl)


def test_an_endpoint_without_address_has_its_network_s_gateways_even_where_all_networks_are_one() -> None:
    """``answer: endpoints`` has no address to answer with there."""
    flat = entry({"network": "net-w"}, annotations={"meshdns.io/answer": "endpoints"})
    found = answers(mesh(clusters=NETWORKS), {"east": (flat,), "west": (GATEWAY,)})
    assert answer_text(found[HOST]) == "203.0.113.20"
