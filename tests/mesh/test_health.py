"""Health and order: which of the addresses of one level answer, and when a level is left."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pytest

from meshdns.mesh.objects.declarations import AnyDeclaration
from meshdns.mesh.settings import MeshZone
from tests.mesh.scene import answer_text, endpoint_slice, entry, gateway, mesh, name_table, on_networks, service

NETWORKS = on_networks(east="net-e", near="net-e", west="net-w", far="net-f")
WEST = (gateway("203.0.113.20", "203.0.113.21"), entry("10.41.0.1"))
FAR = (gateway("203.0.113.30"), entry("10.42.0.1"))
FAR_SERVICE = (gateway("203.0.113.30"), service(), endpoint_slice("10.42.0.1"))
OWN = (entry("10.41.0.1", network="net-w"),)
VIA_WEST = (entry({"address": "", "network": "net-w"}),)
GLOBAL = MeshZone("global")
ALL_OF_WEST = ("203.0.113.20", "203.0.113.21")


@dataclass(frozen=True)
class Case:
    """A mesh seen from east, the gateways that are not healthy, and what ``reviews.prod.global`` means."""

    clusters: Mapping[str, Iterable[AnyDeclaration]]
    sick: Collection[str]
    meaning: str
    zone: MeshZone = GLOBAL


CASES: dict[str, Case] = {
    "a sick gateway leaves the answer": Case({"west": WEST}, ("203.0.113.20",), "203.0.113.21"),
    "all are sick: they answer all the same": Case({"west": WEST}, ALL_OF_WEST, "203.0.113.20 203.0.113.21"),
    "another cluster of the same level takes over": Case({"west": WEST, "far": FAR}, ALL_OF_WEST, "203.0.113.30"),
    "a farther group takes over where the nearer is sick": Case(
        {"west": (*WEST, entry("198.51.100.7", name="direct"))}, (), "198.51.100.7"
    ),
    "the own gateways are a group of their own": Case(
        {"east": (gateway("203.0.113.10"),), "west": (entry("203.0.113.10"), *FAR[:1], entry("10.1.1.1", name="b"))},
        ("203.0.113.10",),
        "203.0.113.30",
    ),
    "health does not cross from declared to derived names": Case(
        {"east": VIA_WEST, "west": WEST[:1], "far": FAR_SERVICE}, ALL_OF_WEST, "203.0.113.20 203.0.113.21"
    ),
    "nor from one declared level to the next": Case(
        {"east": VIA_WEST, "west": WEST[:1], "far": FAR}, ALL_OF_WEST, "203.0.113.20 203.0.113.21"
    ),
    "unless failover: any": Case(
        {"east": VIA_WEST, "west": WEST[:1], "far": FAR_SERVICE},
        ALL_OF_WEST,
        "203.0.113.30",
        MeshZone("global", cross_levels=True),
    ),
    "failover: any, and all levels are sick: the first answers": Case(
        {"east": VIA_WEST, "west": WEST[:1], "far": FAR_SERVICE},
        (*ALL_OF_WEST, "203.0.113.30"),
        "203.0.113.20 203.0.113.21",
        MeshZone("global", cross_levels=True),
    ),
    "failover: any, and one of the level is healthy: it answers": Case(
        {"east": VIA_WEST, "west": WEST[:1], "far": FAR_SERVICE},
        ("203.0.113.20",),
        "203.0.113.21",
        MeshZone("global", cross_levels=True),
    ),
    "ordered: the first cluster alone": Case(
        {"west": WEST, "far": FAR}, (), "203.0.113.30", MeshZone("global", order=("far", "west"))
    ),
    "ordered: the first is sick, the next answers": Case(
        {"west": WEST, "far": FAR},
        ("203.0.113.30",),
        "203.0.113.20 203.0.113.21",
        MeshZone("global", order=("far", "west")),
    ),
    "ordered: clusters that are not in the order come last": Case(
        {"west": WEST, "far": FAR}, ("203.0.113.30",), "203.0.113.20 203.0.113.21", MeshZone("global", order=("far",))
    ),
    "ordered: a nearer group comes first all the same": Case(
        {"near": (entry("10.40.0.1"),), "far": FAR}, (), "10.40.0.1", MeshZone("global", order=("far", "near"))
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_health_and_order_inside_a_level(name: str) -> None:
    """The nearest group that has a healthy address answers, in the order of the zone."""
    case = CASES[name]
    made = name_table(mesh(zones=(case.zone,), clusters=NETWORKS), {"east": (), **case.clusters})
    for address in case.sick:
        made.set_health(address, 15443, healthy=False)
    assert answer_text(made.refresh()["reviews.prod.global"]) == case.meaning


def test_a_gateway_s_health_is_that_of_its_port() -> None:
    """A probe of another port of the same address says nothing."""
    made = name_table(mesh(clusters=NETWORKS), {"east": (), "west": WEST})
    made.set_health("203.0.113.20", 15008, healthy=False)
    assert answer_text(made.refresh()["reviews.prod.global"]) == "203.0.113.20 203.0.113.21"


def test_health_changes_only_the_names_behind_the_gateway() -> None:
    """Sick and healthy again, each time the one name, that of the gateways, and no other."""
    made = name_table(
        mesh(clusters=NETWORKS), {"east": (), "west": (*WEST, entry("198.51.100.3", host="a.test.global", name="a"))}
    )
    made.refresh()
    made.set_health("203.0.113.20", 15443, healthy=False)
    assert {name: answer_text(answer) for name, answer in made.refresh().items()} == {
        "reviews.prod.global": "203.0.113.21",
        "west.gateways.global": "203.0.113.21",
    }
    made.set_health("203.0.113.20", 15443, healthy=True)
    assert set(made.refresh()) == {"reviews.prod.global", "west.gateways.global"}


def test_a_gateway_known_by_name_is_healthy_while_one_of_its_addresses_is() -> None:
    """What people are shown of a host name is what its addresses add up to; the answer leaves the sick one out."""
    made = name_table(mesh(clusters=NETWORKS), {"east": (), "west": (gateway("gw.example.com"), entry("10.41.0.1"))})
    made.set_resolved_addresses("gw.example.com", ALL_OF_WEST)
    made.refresh()
    (found,) = made.topology.gateways["west"].members
    made.set_health("203.0.113.20", 15443, healthy=False)
    assert made.is_healthy(found)
    assert answer_text(made.refresh()["reviews.prod.global"]) == "203.0.113.21"
    made.set_health("203.0.113.21", 15443, healthy=False)
    assert made.is_healthy(found) is False
    made.set_resolved_addresses("gw.example.com", ())
    made.refresh()
    assert made.is_healthy(found) is None  # it has no address that could be probed
