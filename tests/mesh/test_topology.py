"""Networks of clusters, and the gateways of a cluster: the first kind that yields an address."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from meshdns.mesh.objects.declarations import AnyDeclaration
from meshdns.mesh.settings import ClusterSettings, MeshSettings
from meshdns.mesh.topology import Topology
from tests.mesh.scene import gateway, mesh, name_table, on_networks, service, system_namespace

ON_NET_C = {"topology.istio.io/network": "net-c"}
EAST_WEST = {"istio": "eastwestgateway"}
INGRESS = {"istio": "ingressgateway"}
NETWORKS = on_networks(c="net-c", same="net-c", other="net-o")


def topology_of(settings: MeshSettings, clusters: Mapping[str, Iterable[AnyDeclaration]]) -> Topology:
    """The topology after everything arrived."""
    made = name_table(settings, clusters)
    made.refresh()
    return made.topology


@dataclass(frozen=True)
class Case:
    """What clusters hold, and the gateways of cluster c: ``address:port`` each, or ``pending`` or ``none``."""

    clusters: Mapping[str, Iterable[AnyDeclaration]]
    gateways: str
    settings: Mapping[str, Any] | None = None


ALL_KINDS = (
    gateway("198.51.100.1", name="labelled", labels=ON_NET_C),
    gateway("198.51.100.3", name="eastwest", labels=EAST_WEST),
    gateway("198.51.100.4", name="ingress", labels=INGRESS),
)
OF_THE_SAME = (gateway("198.51.100.2", name="labelled", labels=ON_NET_C),)
EXPLICIT = {"clusters": {**NETWORKS, "c": ClusterSettings(network="net-c", gateways=("203.0.113.7", "gw.example"))}}
NO_GATEWAYS = {"clusters": {**NETWORKS, "c": ClusterSettings(network="net-c", gateways=())}}

TABLE: dict[str, Case] = {
    "the setting first": Case({"c": ALL_KINDS, "same": OF_THE_SAME}, "203.0.113.7:15443 gw.example:15443", EXPLICIT),
    "an empty setting means none": Case({"c": ALL_KINDS, "same": OF_THE_SAME}, "none", NO_GATEWAYS),
    "labelled with the network, in the cluster": Case({"c": ALL_KINDS, "same": OF_THE_SAME}, "198.51.100.1:15443"),
    "labelled with the network, in another cluster of it": Case(
        {"c": ALL_KINDS[1:], "same": OF_THE_SAME}, "198.51.100.2:15443"
    ),
    "labelled in a cluster of another network: not ours": Case(
        {"c": ALL_KINDS[1:], "other": OF_THE_SAME}, "198.51.100.3:15443"
    ),
    "istio=eastwestgateway": Case({"c": ALL_KINDS[1:]}, "198.51.100.3:15443"),
    "istio=ingressgateway last": Case({"c": ALL_KINDS[2:]}, "198.51.100.4:15443"),
    "conventional gateways of another cluster count for nothing": Case({"c": (), "same": ALL_KINDS[1:]}, "none"),
    "no gateway at all": Case({"c": (service(),)}, "none"),
    "a kind without an address yields to the next": Case(
        {"c": (gateway(name="labelled", labels=ON_NET_C), *ALL_KINDS[1:])}, "198.51.100.3:15443"
    ),
    "an address is still to come": Case({"c": (gateway(),)}, "pending"),
    "a ClusterIP Service has no address and waits for none": Case({"c": (gateway(type="ClusterIP"),)}, "none"),
    "external IPs after the load balancer's": Case(
        {"c": (gateway("198.51.100.9", externalIPs=["198.51.100.8"]),)}, "198.51.100.8:15443 198.51.100.9:15443"
    ),
    "every ingress address and host name": Case(
        {"c": (gateway("lb.example.com", "198.51.100.9", "2001:db8::9"),)},
        "198.51.100.9:15443 2001:db8::9:15443 lb.example.com:15443",
    ),
    "several Services of one kind": Case(
        {"c": (gateway("198.51.100.9", name="b"), gateway("198.51.100.8", name="a"))},
        "198.51.100.8:15443 198.51.100.9:15443",
    ),
    "without the gateway port it is no gateway": Case({"c": (gateway("198.51.100.9", ports=(80, 443)),)}, "none"),
    "HBONE alone": Case({"c": (gateway("198.51.100.9", ports=(15008,)),)}, "198.51.100.9:15008"),
    "15443 before HBONE": Case({"c": (gateway("198.51.100.9", ports=(15008, 15443)),)}, "198.51.100.9:15443"),
    "the port by label": Case(
        {
            "c": (
                gateway(
                    "198.51.100.9", labels={**EAST_WEST, "networking.istio.io/gatewayPort": "443"}, ports=(443, 15443)
                ),
            )
        },
        "198.51.100.9:443",
    ),
    "a port by label that is not offered": Case(
        {"c": (gateway("198.51.100.9", labels={**EAST_WEST, "networking.istio.io/gatewayPort": "444"}),)}, "none"
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_gateways_of_a_cluster(name: str) -> None:
    """The first kind that yields an address, all its addresses, each with its port."""
    case = TABLE[name]
    found = topology_of(mesh(**(case.settings or {"clusters": NETWORKS})), case.clusters).gateways["c"]
    listed = " ".join(f"{each.address}:{each.port}" for each in found.members)
    assert (listed or ("pending" if found.pending else "none")) == case.gateways


def test_a_network_is_its_setting_its_label_the_default_or_its_own() -> None:
    """In this order; clusters without any share nothing."""
    clusters = {
        "set": [system_namespace("label")],
        "labelled": [system_namespace("label")],
        "plain": [],
        "bare": [service()],
    }
    settings = mesh(clusters=on_networks(set="setting"))
    networks = topology_of(settings, clusters).networks
    assert (networks["set"], networks["labelled"]) == ("setting", "label")
    assert len({networks["plain"], networks["bare"], "label", "setting"}) == 4
    networks = topology_of(mesh(default_network="flat", clusters=on_networks(set="setting")), clusters).networks
    assert networks == {"set": "setting", "labelled": "label", "plain": "flat", "bare": "flat"}


def test_the_system_namespace_can_be_set() -> None:
    """Another namespace's label says nothing."""
    settings = mesh(system_namespace="mesh-system", default_network="flat")
    assert topology_of(settings, {"c": [system_namespace("label")]}).networks == {"c": "flat"}


@pytest.mark.parametrize(
    ("vantage", "network"),
    [
        ({"vantage_cluster": "c"}, "net-c"),
        ({"vantage_cluster": "c", "vantage_network": "vm-net"}, "vm-net"),
        ({"vantage_cluster": "", "vantage_network": "net-o"}, "net-o"),
        ({"vantage_cluster": ""}, ""),
        ({"vantage_cluster": "not heard of yet"}, ""),
    ],
)
def test_the_vantage_network_defaults_to_the_cluster_s(vantage: dict[str, str], network: str) -> None:
    """As set, else that of the vantage's cluster, else none."""
    assert topology_of(mesh(clusters=NETWORKS, **vantage), {"c": [], "other": []}).vantage_network == network


def test_all_gateways_of_a_network_are_those_of_its_clusters() -> None:
    """An endpoint on network N is reached through the gateways of every cluster of N."""
    clusters = {"c": [gateway("198.51.100.1")], "same": [gateway("198.51.100.2")], "other": [gateway("198.51.100.3")]}
    found = topology_of(mesh(clusters=NETWORKS), clusters).gateways_of_network("net-c").members
    assert [each.address for each in found] == ["198.51.100.1", "198.51.100.2"]
