"""``python -m tests.scale.joining``: the controller's processor time until folders of 259 objects are served.

The folders have what clusters of one mesh have: Services of the same names in all of them, Services and ServiceEntries
of their own, and hosts that three of them share. It ends with 1 where twice the clusters cost more than `MAX_GROWTH`
times as much.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.bench.processes import usage
from tests.e2e.instance import Instance
from tests.rig.waiting import eventually

MAX_GROWTH: Final = 2.4
"""Of the processor time where the clusters become twice as many; the share of the process itself becomes smaller."""

OWN: Final = "c001"
NAMESPACE: Final = "shop"
SERVICES: Final = 86
SHARED_SERVICES: Final = 40
ENTRIES: Final = 85
OBJECTS: Final = 2 + 2 * SERVICES + ENTRIES
_PATIENCE: Final = 300.0


def cluster_name(number: int) -> str:
    """The name of a cluster; the first one is the own."""
    return f"c{number + 1:03d}"


def objects(number: int) -> Iterator[dict[str, Any]]:
    """The 259 objects of a cluster."""
    cluster = cluster_name(number)
    network = {"topology.istio.io/network": f"net-{cluster}"}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system", "labels": network}}
    yield _service("istio-system", "gateway", {"istio": "eastwestgateway"} | network, 15443) | {
        "status": {"loadBalancer": {"ingress": [{"ip": f"198.51.100.{number + 1}"}]}}
    }
    for each in range(SERVICES):
        name = f"s{each:02d}" if each < SHARED_SERVICES else f"s{each:02d}-{cluster}"
        yield _service(NAMESPACE, name, {}, 80)
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-1", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [{"addresses": [f"10.{number}.{each}.1"], "conditions": {"ready": True}}],
        }
    for each in range(ENTRIES):
        host = f"e{each:02d}.{cluster}.global" if each % 5 else f"e{each:02d}.g{number // 3}.global"
        yield {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": f"e{each:02d}", "namespace": NAMESPACE},
            "spec": {
                "hosts": [host],
                "location": "MESH_INTERNAL",
                "resolution": "STATIC",
                "ports": [{"name": "http", "number": 80, "protocol": "HTTP"}],
                "endpoints": [{"address": f"10.{number}.{100 + each}.1"}],
            },
        }


def _service(namespace: str, name: str, labels: dict[str, str], port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"ports": [{"name": "http", "port": port}], "clusterIP": "10.255.0.1"},
    }


def write_folders(folder: Path, clusters: int) -> None:
    """Write a folder for each cluster, with one file."""
    for number in range(clusters):
        into = folder / cluster_name(number)
        into.mkdir(parents=True)
        (into / "objects.yaml").write_text("---\n".join(json.dumps(each) + "\n" for each in objects(number)))


def processor_time(clusters: int) -> float:
    """Seconds on a core of the controller, from its start without a database until all clusters are served."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_folders(folder, clusters)
        source = {"kind": "manifests", "path": str(folder)}
        with Instance({"sources": [source], "vantage": {"cluster": OWN}}) as instance:
            last = cluster_name(clusters - 1)
            for name in (f"e01.{last}.global", f"s80-{last}.{NAMESPACE}.global"):
                eventually(partial(_is_served, instance, name, clusters), within=_PATIENCE, what=name)
            eventually(lambda: instance.addresses("none.global") == ["NXDOMAIN"], within=_PATIENCE, what="denials")
            return usage(instance.controller).total


def _is_served(instance: Instance, name: str, number: int) -> bool:
    """Whether a name is answered with the gateway of the last of so many clusters."""
    return instance.addresses(name) == [f"198.51.100.{number}"]


def main() -> int:
    """Run; 0 where no doubling costs more than `MAX_GROWTH` times as much."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale.joining", description=__doc__)
    parser.add_argument("clusters", type=int, nargs="*", default=[10, 20, 40, 80], help="how many, in turn")
    asked = parser.parse_args()
    before = 0.0
    growths = []
    for clusters in asked.clusters:  # in turn, each the double of the one before
        spent = processor_time(clusters)
        growths += [spent / before] if before else []
        told = f", {growths[-1]:.2f} times the one before" if before else ""
        sys.stdout.write(f"{clusters} folders of {OBJECTS} objects: {spent:.1f} s on a core{told}\n")
        sys.stdout.flush()
        before = spent
    return 1 if max(growths, default=0.0) > MAX_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
