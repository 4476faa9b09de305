"""Gateways, Istio Gateways and Nodes on a real API server with their own CRDs, and a reader that may not see them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from meshdns.mesh.objects.declarations import (
    GatewayListener,
    GatewayServer,
    IstioGateway,
    KubernetesGateway,
    Node,
    ObjectKey,
    ObjectKind,
)
from meshdns.sources import apiservers
from meshdns.sources.kube.resources import RESOURCES
from meshdns.sources.registry import ClusterRegistry
from meshdns.sources.settings import KubeconfigSource
from tests.rig.apiserver import ApiServer
from tests.rig.kubernetes import Refused
from tests.sources.real_clusters import ENDS_CLIENTS
from tests.sources.recording_sink import RecordedCluster, RecordingSink

pytestmark = ENDS_CLIENTS

GATEWAY: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "east-west", "labels": {"topology.istio.io/network": "net-east"}},
    "spec": {
        "gatewayClassName": "istio-east-west",
        "listeners": [
            {"name": "mesh", "port": 15008, "protocol": "HBONE"},
            {
                "name": "tls",
                "port": 15443,
                "protocol": "TLS",
                "hostname": "*.local",
                "tls": {"mode": "Passthrough", "options": {"gateway.istio.io/listener-protocol": "auto-passthrough"}},
            },
        ],
    },
}
ISTIO_GATEWAY: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "cross-network"},
    "spec": {
        "selector": {"istio": "eastwestgateway"},
        "servers": [
            {
                "port": {"number": 15443, "name": "tls", "protocol": "TLS"},
                "tls": {"mode": "AUTO_PASSTHROUGH"},
                "hosts": ["*.local", "*.global"],
            }
        ],
    },
}
NODE: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"zone": "a"}}}
ACCOUNT = {"kind": "ServiceAccount", "name": "reader", "namespace": "default"}
ROLE = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"}}
RULES = (
    ("networking.istio.io", ["serviceentries", "workloadentries"]),
    ("", ["services", "namespaces"]),
    ("discovery.k8s.io", ["endpointslices"]),
)


@pytest.fixture
def cluster(east: ApiServer) -> ApiServer:
    """Cluster east with the CRDs of the Gateway API, which stay."""
    try:
        east.get("/apis/gateway.networking.k8s.io/v1")
    except Refused:
        east.install_crds("gateway-api")
    return east


def follow(config: Path, steps: Any) -> None:
    """Play `steps` against the source at work on a kubeconfig with the context east."""

    async def play() -> None:
        sink = RecordingSink()
        async with asyncio.TaskGroup() as group:
            source = KubeconfigSource((config,))
            task = group.create_task(
                apiservers.watch_api_servers(source=source, sink=sink, draw=lambda: 0.0, registry=ClusterRegistry()),
                name="kubeapi",
            )
            await sink.wait_until(lambda: sink.clusters)
            await sink.wait_until(lambda: sink.clusters["east"].synced == set(RESOURCES), seconds=60)
            await steps(sink, sink.clusters["east"])
            task.cancel()

    asyncio.run(play())


def test_gateways_and_nodes_are_listed_and_watched(cluster: ApiServer, tmp_path: Path) -> None:
    """What is there is listed; a status that a controller writes later, and a removal, are reported."""
    for manifest in (GATEWAY, ISTIO_GATEWAY, NODE):
        cluster.apply(manifest)
    listed: dict[ObjectKey, Any] = {}

    async def steps(sink: RecordingSink, east: RecordedCluster) -> None:
        listed.update(east.declarations)
        await asyncio.to_thread(
            cluster.patch_status, GATEWAY, {"addresses": [{"type": "IPAddress", "value": "203.0.113.7"}]}
        )
        await asyncio.to_thread(
            cluster.patch_status, NODE, {"addresses": [{"type": "ExternalIP", "address": "203.0.113.8"}]}
        )

        def arrived() -> bool:
            gateway = east.declarations[ObjectKind.GATEWAY, "default", "east-west"]
            node = east.declarations[ObjectKind.NODE, "", "n1"]
            assert isinstance(gateway, KubernetesGateway)
            assert isinstance(node, Node)
            return (gateway.status_addresses, node.addresses) == (("203.0.113.7",), ("203.0.113.8",))

        await sink.wait_until(arrived)
        await asyncio.to_thread(cluster.remove, ISTIO_GATEWAY)
        await sink.wait_until(lambda: (ObjectKind.ISTIO_GATEWAY, "default", "cross-network") not in east.declarations)
        assert east.failures == []

    follow(cluster.write_kubeconfig(tmp_path / "east"), steps)
    gateway = listed[ObjectKind.GATEWAY, "default", "east-west"]
    assert isinstance(gateway, KubernetesGateway)
    assert gateway.listeners == (
        GatewayListener(15008, "HBONE"),
        GatewayListener(15443, "TLS", "*.local", "AUTO_PASSTHROUGH"),
    )
    istio = listed[ObjectKind.ISTIO_GATEWAY, "default", "cross-network"]
    assert isinstance(istio, IstioGateway)
    assert istio.servers == (GatewayServer(15443, ("*.local", "*.global"), "AUTO_PASSTHROUGH"),)
    assert listed[ObjectKind.NODE, "", "n1"].labels == (("zone", "a"),)


def test_a_reader_without_rights_to_gateways_and_nodes_syncs(cluster: ApiServer, tmp_path: Path) -> None:
    """All kinds count as listed, those three as empty, and each keeps a reason that names the missing right."""
    cluster.apply(GATEWAY)
    cluster.apply(NODE)
    cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}})
    rules = [{"apiGroups": [group], "resources": kinds, "verbs": ["list", "watch"]} for group, kinds in RULES]
    cluster.apply(ROLE | {"rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"}
    cluster.apply(ROLE | {"kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [ACCOUNT]})
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = cluster.post("/api/v1/namespaces/default/serviceaccounts/reader/token", request)["status"]["token"]
    config = cluster.write_kubeconfig(tmp_path / "east")
    config.write_text(config.read_text().replace("rig-admin", token))

    async def steps(sink: RecordingSink, east: RecordedCluster) -> None:
        await sink.wait_until(lambda: len(east.failures) == 3)
        assert (ObjectKind.NAMESPACE, "", "default") in east.declarations
        assert not {key[0] for key in east.declarations} & {
            ObjectKind.GATEWAY,
            ObjectKind.ISTIO_GATEWAY,
            ObjectKind.NODE,
        }

        assert sorted(reason.partition("; ")[2] for reason in east.failures) == [
            'grant the verbs list and watch on gateways in API group "gateway.networking.k8s.io" by a ClusterRole',
            'grant the verbs list and watch on gateways in API group "networking.istio.io" by a ClusterRole',
            'grant the verbs list and watch on nodes in API group "" by a ClusterRole',
        ]

    follow(config, steps)
