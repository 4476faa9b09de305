"""What changes in a cluster is served at once; what goes wrong in one costs nobody else."""

import secrets
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import boutique
from tests.e2e.instance import Instance
from tests.rig.apiserver import ApiServer
from tests.rig.waiting import eventually

ENTRIES = "/apis/networking.istio.io/v1/namespaces/default/serviceentries"


def service_entry(name: str, host: str, address: str = "203.0.113.9") -> dict[str, Any]:
    """A ServiceEntry with one public endpoint."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "hosts": [host],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{"address": address}],
        },
    }


@pytest.fixture
def pair(east: ApiServer, west: ApiServer, tmp_path: Path) -> Iterator[Instance]:
    """An instance in east that reads both clusters and has synced."""
    first = east.write_kubeconfig(tmp_path / "east.yaml", "east")
    second = west.write_kubeconfig(tmp_path / "west.yaml", "west")
    settings = {
        "sources": [{"kind": "kubeconfig", "path": f"{first}:{second}", "contexts": ["east", "west"]}],
        "vantage": {"cluster": "east"},
    }
    with Instance(settings) as instance:
        eventually(lambda: instance.ask("nosuch.default.global").status == "NXDOMAIN", what="both clusters synced")
        yield instance


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Instance]:
    """An instance on a folder of clusters at `folder.clusters`."""
    shutil.copytree(boutique.ZONE, tmp_path / "clusters")
    settings = {
        "sources": [{"kind": "manifests", "path": str(tmp_path / "clusters")}],
        "vantage": {"cluster": "cluster1"},
    }
    with Instance(settings) as instance:
        eventually(lambda: instance.ask("nosuch.default.global").status == "NXDOMAIN", what="the folder is read")
        yield instance


def test_service_entry_comes_and_goes(pair: Instance, east: ApiServer, west: ApiServer) -> None:
    """A ServiceEntry of either cluster is answered once its POST has returned, and denied once it is deleted."""
    for server in (east, west):
        host = f"fresh-{server.prefix}.default.global"
        server.post(ENTRIES, service_entry("fresh", host))
        eventually(lambda host=host: pair.addresses(host) == ["203.0.113.9"], what=f"{host} is served")  # type: ignore[misc]
        server.delete(f"{ENTRIES}/fresh")
        eventually(lambda host=host: pair.addresses(host) == ["NXDOMAIN"], what=f"{host} is gone")  # type: ignore[misc]


def test_readiness_moves_a_name(pair: Instance, east: ApiServer, west: ApiServer) -> None:
    """A Service answers from the own cluster while it has a ready endpoint there, else from where it runs."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "moving"},
        "spec": {"ports": [{"name": "grpc", "port": 80}], "selector": {"app": "moving"}},
    }
    for server in (east, west):
        server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})
        server.apply(boutique.endpoints("other", "10.9.0.1"))  # without any slice readiness is unknown
        server.apply(service)
    boutique.install_gateway(west, "198.51.100.7")
    west.apply(boutique.endpoints("moving", "10.4.0.1"))
    eventually(lambda: pair.addresses("moving.default.global") == ["198.51.100.7"], what="it runs in west")
    own = str(east.apply(service)["spec"]["clusterIP"])
    east.apply(boutique.endpoints("moving", "10.3.0.1"))
    eventually(lambda: pair.addresses("moving.default.global") == [own], what="it runs in east")
    east.apply(boutique.endpoints("moving", "10.3.0.1", ready=False))
    eventually(lambda: pair.addresses("moving.default.global") == ["198.51.100.7"], what="it is not ready in east")


def test_one_dead_api_server_disturbs_nobody(pair: Instance, east: ApiServer, west: ApiServer) -> None:
    """With one API server stopped its names are still answered and the other's changes still arrive."""
    west.post(ENTRIES, service_entry("kept", "kept.default.global"))
    eventually(lambda: pair.addresses("kept.default.global") == ["203.0.113.9"], what="west's name is served")
    west.stop()
    east.post(ENTRIES, service_entry("fresh", "fresh.default.global"))
    eventually(lambda: pair.addresses("fresh.default.global") == ["203.0.113.9"], what="east's change arrives")
    assert pair.addresses("kept.default.global") == ["203.0.113.9"]
    west.start()
    west.post(ENTRIES, service_entry("back", "back.default.global"))
    eventually(lambda: pair.addresses("back.default.global") == ["203.0.113.9"], what="west is followed again")


def test_malformed_entry_costs_only_itself(pair: Instance, east: ApiServer) -> None:
    """A host that is no name is left out; its neighbours in the object and in the list are served."""
    bad = service_entry("bad", "good-neighbour.default.global")
    bad["spec"]["hosts"].append("no..name.global")
    east.post(ENTRIES, bad)
    east.post(ENTRIES, service_entry("fine", "fine.default.global"))
    eventually(lambda: pair.addresses("fine.default.global") == ["203.0.113.9"], what="the neighbour is served")
    assert pair.addresses("good-neighbour.default.global") == ["203.0.113.9"]


def test_folder_is_followed(folder: Instance, tmp_path: Path) -> None:
    """A file added to a cluster's folder is served; a broken one keeps what it said last; a removed one is gone."""
    file = tmp_path / "clusters" / "cluster2" / "extra.yaml"
    file.write_text(yaml.safe_dump(service_entry("extra", "extra.default.global")))
    eventually(lambda: folder.addresses("extra.default.global") == ["203.0.113.9"], what="the new file is served")
    file.write_text("spec: {hosts: [")
    marker = tmp_path / "clusters" / "cluster2" / "marker.yaml"
    marker.write_text(yaml.safe_dump(service_entry("marker", "marker.default.global")))
    eventually(lambda: folder.addresses("marker.default.global") == ["203.0.113.9"], what="the folder was read again")
    assert folder.addresses("extra.default.global") == ["203.0.113.9"]
    file.unlink()
    eventually(lambda: folder.addresses("extra.default.global") == ["NXDOMAIN"], what="the removed file is gone")


def test_junk_on_both_ports_is_survived_in_silence(folder: Instance) -> None:
    """Random octets, cut and altered queries never end a worker, never stop answers, and never write a log line."""
    before = folder.log()
    query = bytes.fromhex("123401000001000000000000") + b"\x08frontend\x07default\x06global\0\0\1\0\1"
    messages = [secrets.token_bytes(secrets.randbelow(600)) for _ in range(500)]
    messages += [query[:length] for length in range(len(query))]
    messages += [query[:at] + secrets.token_bytes(1) + query[at + 1 :] for at in range(len(query)) for _ in range(8)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((folder.address, folder.port))
        for message in messages:
            udp.send(message)
    for message in messages[::10]:
        with socket.create_connection((folder.address, folder.port), timeout=5) as tcp:
            tcp.sendall(len(message).to_bytes(2, "big") + message + secrets.token_bytes(3))
    workers = folder.children()["worker"]
    assert folder.addresses("frontend.default.global") == ["203.0.113.20"]
    assert folder.children()["worker"] == workers
    assert folder.log() == before


def test_it_ends_cleanly(folder: Instance) -> None:
    """SIGTERM ends supervisor, controller and workers; nothing is left."""
    children = folder.children()
    folder.stop()
    for pid in (*children["worker"], *children["controller"]):
        assert not Path(f"/proc/{pid}").exists()
