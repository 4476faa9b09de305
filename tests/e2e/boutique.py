"""Online Boutique on two real API servers, with what its demo's scripts make at run time.

The manifests are those of the two-control-plane demo, applied unchanged where they lie beside the checkout, else those
of `zones/online-boutique`. No controllers run, so gateways get their address and Services their endpoints from here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.rig.apiserver import ApiServer

ROOT = Path(__file__).parents[2]
DEMOS = ROOT.parent / "shared" / "data" / "online-boutique"
ZONE = ROOT / "zones" / "online-boutique" / "clusters"

GATEWAYS = {"cluster1": "34.70.9.157", "cluster2": "35.193.92.27"}
"""The gateways' addresses in the files of the two-control-plane demo."""

VM_GATEWAYS = {"cluster1": "34.83.181.176", "cluster2": "34.75.176.213"}
"""Those in the files of the VM demo."""

_MOVED = {"vm-migration": "productcatalogservice"}
"""What runs on a VM in a demo, and in a cluster in the zone that stands for the demo."""


def install(
    server: ApiServer, cluster: str, *, demo: str = "dual-control-plane", gateways: Mapping[str, str] = GATEWAYS
) -> None:
    """Make `server` the `cluster` of a demo."""
    server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})
    install_gateway(server, gateways[cluster])
    number = 0
    for manifest in manifests(cluster, demo, gateways):
        server.apply(manifest)
        if manifest["kind"] == "Service":
            number += 1
            server.apply(endpoints(manifest["metadata"]["name"], f"10.4.0.{number}"))


def manifests(cluster: str, demo: str, gateways: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The Services and ServiceEntries of a cluster."""
    folder = (DEMOS / demo if DEMOS.is_dir() else ZONE) / cluster
    for file in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            for item in (document or {}).get("items", [document] if document else []):
                name, namespace = item["metadata"]["name"], item["metadata"].get("namespace")
                if item["kind"] not in ("Service", "ServiceEntry") or namespace == "istio-system":
                    continue
                if DEMOS.is_dir():
                    yield item
                elif name.removesuffix("-entry") != _MOVED.get(demo):
                    yield _appliable(item, cluster, gateways)


def endpoints(service: str, *addresses: str, ready: bool = True, namespace: str = "default") -> dict[str, Any]:
    """An EndpointSlice for a Service, as the endpoint slice controller would write it."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
        "ports": [{"name": "grpc", "port": 8080, "protocol": "TCP"}],
    }


def install_gateway(server: ApiServer, address: str) -> None:
    """The ingress gateway with the address that its load balancer would get."""
    gateway = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "istio-ingressgateway",
            "namespace": "istio-system",
            "labels": {"istio": "ingressgateway"},
        },
        "spec": {
            "type": "LoadBalancer",
            "ports": [{"name": "http2", "port": 80}, {"name": "tls", "port": 15443}],
            "selector": {"istio": "ingressgateway"},
        },
    }
    server.apply(gateway)
    server.patch_status(gateway, {"loadBalancer": {"ingress": [{"ip": address}]}})


def _appliable(item: dict[str, Any], cluster: str, gateways: Mapping[str, str]) -> dict[str, Any]:
    """A manifest as it can be applied to any server: the sample's own ClusterIPs and gateways give way."""
    spec = {key: value for key, value in item["spec"].items() if key not in ("clusterIP", "clusterIPs")}
    other = next(address for name, address in gateways.items() if name != cluster)
    if "endpoints" in spec:
        spec["endpoints"] = [{**endpoint, "address": other} for endpoint in spec["endpoints"]]
    return {**item, "spec": spec}
