"""Names of clusters and networks in the settings that nothing brings."""

from typing import Any, Final

import pytest

from meshdns.config.unknown_names import named_clusters, unknown_clusters, unknown_networks
from meshdns.mesh.objects.problems import ProblemKind
from meshdns.mesh.settings import ClusterSettings, MeshZone
from tests.mesh.scene import entry, mesh, name_table, remote_gateway, system_namespace, workload_entry

MISSING: Final = "correct the name, or add the source that brings it; the clusters are east, west"
MEANT: Final = "did you mean 'east'? the clusters are east, west"
ORDER: Final = (MeshZone("global"), MeshZone("shop.example", order=("west", "nort", "east")))
CASES: Final[dict[str, tuple[dict[str, Any], list[str]]]] = {
    "nothing is named": ({"vantage_cluster": ""}, []),
    "all that is named is there": (
        {
            "zones": (MeshZone("global", order=("west", "east")),),
            "clusters": {"east": ClusterSettings(), "west": ClusterSettings(config_cluster="east")},
            "vantage_network": "net-w",
        },
        [],
    ),
    "the vantage": (
        {"vantage_cluster": "easd"},
        ["vantage.cluster: no source brings a cluster 'easd'; did you mean 'east'? the clusters are east, west"],
    ),
    "a cluster's section": (
        {"clusters": {"EAST": ClusterSettings(), "north": ClusterSettings()}},
        [
            "clusters.EAST: no source brings a cluster 'EAST'; did you mean 'east'? the clusters are east, west",
            "clusters.north: no source brings a cluster 'north'; " + MISSING,
        ],
    ),
    "an order": (
        {"zones": ORDER},
        [
            "zones[1].order[1]: no source brings a cluster 'nort'; " + MISSING,
        ],
    ),
    "a control plane": (
        {"clusters": {"west": ClusterSettings(config_cluster="eats")}},
        ["clusters.west.configCluster: no source brings a cluster 'eats'; " + MEANT],
    ),
    "the vantage's network": (
        {"vantage_network": "net-x"},
        [
            (
                "vantage.network: nothing is on a network 'net-x', and no gateway leads there; "
                "did you mean 'net-w'? Else list it under networks"
            )
        ],
    ),
    "a network that the settings list": ({"vantage_network": "net-x", "networks": {"net-x": ()}}, []),
    "the default network": ({"vantage_network": "net-x", "default_network": "net-x"}, []),
    "a network of a cluster's settings": (
        {"vantage_network": "net-x", "clusters": {"west": ClusterSettings(network="net-x")}},
        [],
    ),
    "a network that only a gateway leads into": ({"vantage_network": "net-vm"}, []),
    "a network of an endpoint": ({"vantage_network": "net-e1"}, []),
    "a network of a WorkloadEntry": ({"vantage_network": "net-e2"}, []),
    "a cluster's own network, which has its name": ({"vantage_network": "only east"}, []),
}
OBJECTS: Final = (
    remote_gateway("net-vm", "203.0.113.9"),
    entry({"address": "10.8.0.7", "network": "net-e1"}),
    workload_entry("vm", "10.8.0.8", app="vm", network="net-e2"),
)


@pytest.mark.parametrize("case", CASES)
def test_what_nothing_brings_is_named_with_its_key(case: str) -> None:
    """The nearest name that is there is proposed, else those that are there are listed."""
    changes, expected = CASES[case]
    made = name_table(mesh(**changes), {"east": OBJECTS, "west": [system_namespace("net-w")]})
    made.refresh()
    clusters = {"east", "west"}
    found = [*unknown_clusters(made.inventory.settings, clusters)]
    found += unknown_networks(made.inventory, made.topology, clusters)
    assert [f"{each.problem.field}: {each.problem.reason}; {each.problem.advice}" for each in found] == expected
    assert all(each.problem.kind is ProblemKind.NOT_FOUND for each in found)


def test_many_clusters_are_not_all_listed() -> None:
    """Five are named, the rest counted."""
    (found,) = unknown_clusters(mesh(vantage_cluster="mars"), {f"c{number:03}" for number in range(100)})
    assert found.problem.advice.endswith("the clusters are c000, c001, c002, c003, c004 and 95 more")


def test_a_key_is_a_path_into_the_settings() -> None:
    """Its parts are those by which a settings file is searched, whatever they hold."""
    made = mesh(zones=ORDER, clusters={"a.b": ClusterSettings()})
    paths = [path for path, _ in named_clusters(made)]
    assert paths == [
        ("vantage", "cluster"),
        ("clusters", "a.b"),
        *(("zones", 1, "order", at) for at in range(3)),
    ]
