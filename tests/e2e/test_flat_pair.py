"""Two clusters on one network, and on two: pod addresses are for those who can reach them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import boutique
from tests.e2e.instance import Instance
from tests.rig.apiserver import ApiServer
from tests.rig.waiting import eventually

NAME = "cartservice.default.global"
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "cartservice"},
    "spec": {"ports": [{"name": "grpc", "port": 7070}], "selector": {"app": "cartservice"}},
}


def system_namespace(network: str) -> dict[str, Any]:
    """The namespace whose label says which network a cluster is on."""
    labels = {"topology.istio.io/network": network}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system", "labels": labels}}


def instance(east: ApiServer, west: ApiServer, folder: Path) -> Instance:
    """An instance in east that reads both clusters."""
    first = east.write_kubeconfig(folder / "east.yaml", "east")
    second = west.write_kubeconfig(folder / "west.yaml", "west")
    sources = [{"kind": "kubeconfig", "path": f"{first}:{second}", "contexts": ["east", "west"]}]
    return Instance({"sources": sources, "vantage": {"cluster": "east"}})


def pair(east: ApiServer, west: ApiServer, folder: Path, networks: tuple[str, str]) -> Iterator[Instance]:
    """Cartservice runs in west; east has a stub Service without endpoints."""
    for server, network in zip((east, west), networks, strict=True):
        server.apply(system_namespace(network))
        server.apply(SERVICE)
    east.apply(boutique.endpoints("other", "10.3.0.9"))
    boutique.install_gateway(west, "203.0.113.20")
    west.apply(boutique.endpoints("cartservice", "10.4.0.1", "10.4.0.2"))
    with instance(east, west, folder) as running:
        eventually(lambda: running.ask("nosuch.default.global").status == "NXDOMAIN", what="both clusters synced")
        yield running


@pytest.fixture
def flat(east: ApiServer, west: ApiServer, tmp_path: Path) -> Iterator[Instance]:
    """Both clusters on one network."""
    yield from pair(east, west, tmp_path, ("one", "one"))


@pytest.fixture
def apart(east: ApiServer, west: ApiServer, tmp_path: Path) -> Iterator[Instance]:
    """The clusters on two networks."""
    yield from pair(east, west, tmp_path, ("east-net", "west-net"))


def test_flat_pair_follows_readiness(flat: Instance, west: ApiServer) -> None:
    """On one network a remote Service is its ready endpoints, and never the own cluster's stub without any."""
    assert flat.addresses(NAME) == ["10.4.0.1", "10.4.0.2"]
    west.apply(boutique.endpoints("cartservice", "10.4.0.2", "10.4.0.3"))
    eventually(lambda: flat.addresses(NAME) == ["10.4.0.2", "10.4.0.3"], what="readiness is followed")
    assert flat.ask(NAME).answer[0].split()[1] == "5"


def test_other_network_is_its_gateway_and_no_pod_is_kept(apart: Instance, west: ApiServer) -> None:
    """On another network a Service is its cluster's gateway; nothing on this side remembers a pod's address."""
    assert apart.addresses(NAME) == ["203.0.113.20"]
    west.apply(boutique.endpoints("cartservice", "10.4.0.77"))
    west.apply(boutique.endpoints("marker", "10.4.0.78"))
    apart.stop()  # the snapshot is written on the way out
    kept = (apart.state_dir / "snapshot").read_text()
    assert "cartservice" in kept
    for address in ("10.4.0.1", "10.4.0.2", "10.4.0.77"):
        assert f'"{address}"' not in kept


def test_a_cluster_that_joins_the_network_is_read_again(apart: Instance, west: ApiServer) -> None:
    """When west's label moves it onto the own network its pod addresses are needed after all, and found."""
    assert apart.addresses(NAME) == ["203.0.113.20"]
    west.apply(system_namespace("east-net"))
    eventually(lambda: apart.addresses(NAME) == ["10.4.0.1", "10.4.0.2"], what="west is read again", within=60)
