"""A VM in the mesh: the VM demo on two real API servers, asked from each cluster, from the VM and from elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import boutique
from tests.e2e.instance import Instance
from tests.rig.apiserver import ApiServer
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

CLUSTER1, CLUSTER2 = boutique.VM_GATEWAYS["cluster1"], boutique.VM_GATEWAYS["cluster2"]
VM = "10.128.0.7"
PRODUCTS = "productcatalogservice.default.global"
PRODUCTS_AT_HOME = "productcatalogservice.default.svc.cluster.local"

SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "productcatalogservice"},
    "spec": {"ports": [{"name": "grpc", "port": 3550}]},
}
ENTRY: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "productcatalogservice"},
    "spec": {
        "hosts": [PRODUCTS_AT_HOME],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"name": "grpc", "number": 3550, "protocol": "GRPC"}],
        "endpoints": [{"address": VM, "ports": {"grpc": 3550}}],
    },
}


@pytest.fixture(scope="module")
def kubeconfigs(
    east_server: ApiServer, west_server: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The VM demo on both clusters, the VM added as the demo's scripts do."""
    folder: Path = tmp_path_factory.mktemp("kubeconfigs")
    paths = []
    for server, cluster in ((east_server, "cluster1"), (west_server, "cluster2")):
        boutique.install(server, cluster, demo="vm-migration", gateways=boutique.VM_GATEWAYS)
        server.apply(SERVICE)
        server.apply(ENTRY)
        paths.append(str(server.write_kubeconfig(folder / f"{cluster}.yaml", cluster)))
    yield ":".join(paths)
    east_server.clear()
    west_server.clear()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Unbound]:
    """A cluster DNS that knows one Service of the own cluster, and nothing of the others."""
    with Unbound(["adservice.default.svc.cluster.local. 60 IN A 10.96.1.1"]) as unbound:
        yield unbound


def ask(kubeconfigs: str, upstream: Unbound, vantage: dict[str, str], *names: str) -> dict[str, list[str]]:
    """The addresses of names as an instance with this vantage gives them."""
    server = f"{upstream.address}:{upstream.port}"
    settings = {
        "sources": [{"kind": "kubeconfig", "path": kubeconfigs, "contexts": ["cluster1", "cluster2"]}],
        "vantage": vantage,
        "networks": {"vm-net": {"cidrs": ["10.128.0.0/16"]}, "elsewhere": {"cidrs": ["10.200.0.0/16"]}},
        "forward": [{"zone": ".", "to": [server]}],
        "fallback": [{"zone": "cluster.local", "upstream": [server]}],
    }
    with Instance(settings) as instance:
        eventually(lambda: instance.ask("nosuch.default.global").status == "NXDOMAIN", what="both clusters synced")
        return {name: instance.addresses(name) for name in names}


@pytest.mark.parametrize("cluster", ["cluster1", "cluster2"])
def test_each_cluster_reaches_the_vm_by_its_address(kubeconfigs: str, upstream: Unbound, cluster: str) -> None:
    """The ServiceEntry for the svc host supplies what the Service without endpoints can't."""
    found = ask(kubeconfigs, upstream, {"cluster": cluster}, PRODUCTS, PRODUCTS_AT_HOME)
    assert found == {PRODUCTS: [VM], PRODUCTS_AT_HOME: [VM]}


def test_an_asker_on_the_vm_network_gets_the_vm(kubeconfigs: str, upstream: Unbound) -> None:
    """A VM is in no cluster; its network's prefixes say that the address is reached from there."""
    names = (PRODUCTS, PRODUCTS_AT_HOME, "adservice.default.global", "cartservice.default.global")
    found = ask(kubeconfigs, upstream, {"network": "vm-net"}, *names)
    assert found == {
        PRODUCTS: [VM],
        PRODUCTS_AT_HOME: [VM],
        "adservice.default.global": [CLUSTER1],
        "cartservice.default.global": [CLUSTER2],
    }


def test_an_asker_elsewhere_gets_the_gateways(kubeconfigs: str, upstream: Unbound) -> None:
    """From another network the VM is behind the gateways of the clusters that declare it."""
    found = ask(kubeconfigs, upstream, {"network": "elsewhere"}, PRODUCTS)
    assert found == {PRODUCTS: sorted([CLUSTER1, CLUSTER2])}


def test_upstream_answers_kubernetes_names_first(kubeconfigs: str, upstream: Unbound) -> None:
    """With `fallback` a name that the cluster DNS knows is its own; one that nobody knows is denied as it denied it."""
    known, unknown = "adservice.default.svc.cluster.local", "nosuch.default.svc.cluster.local"
    found = ask(kubeconfigs, upstream, {"cluster": "cluster2"}, known, unknown, "cartservice.default.svc.cluster.local")
    assert found[known] == ["10.96.1.1"]
    assert found[unknown] == ["NXDOMAIN"]
    assert len(found["cartservice.default.svc.cluster.local"]) == 1


def test_srv_carries_the_true_port(kubeconfigs: str, upstream: Unbound) -> None:
    """An A record cannot carry a port: SRV says 15443 for what is behind a gateway, and the VM's own for the VM."""
    settings = {
        "sources": [{"kind": "kubeconfig", "path": kubeconfigs, "contexts": ["cluster1", "cluster2"]}],
        "vantage": {"cluster": "cluster1"},
    }
    with Instance(settings) as instance:
        eventually(lambda: instance.ask("nosuch.default.global").status == "NXDOMAIN", what="both clusters synced")
        cart = instance.ask("_grpc._tcp.cartservice.default.global", "SRV")
        assert cart.rdata == ("0 1 15443 cartservice.default.global.",)
        assert instance.ask(f"_grpc._tcp.{PRODUCTS}", "SRV").rdata == (f"0 1 3550 {PRODUCTS}.",)
        assert instance.ask("_grpc._tcp.cartservice.default.global").status == "NOERROR"
        assert instance.ask("_tcp.cartservice.default.global").status == "NOERROR"
        assert instance.ask("_http._tcp.cartservice.default.global", "SRV").status == "NXDOMAIN"
        assert instance.addresses("cluster2.cartservice.default.global") == [CLUSTER2]
        assert instance.addresses("cluster3.cartservice.default.global") == ["NXDOMAIN"]
