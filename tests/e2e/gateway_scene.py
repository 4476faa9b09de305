"""Gateways that die and return, seen by dig; run in a network namespace of its own, which owns their addresses.

``unshare --net python -m tests.e2e.gateway_scene`` prints one line for each thing it saw and ends with status 0.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.e2e.instance import Instance
from tests.rig.packages import program
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

GATEWAYS = ("203.0.113.10", "203.0.113.20")
NAME = "shop.default.global"
BALANCED = "balanced.default.global"
INTERVAL = 0.2  # seconds between probes


def own(*addresses: str) -> None:
    """Give this namespace's loopback interface the addresses."""
    ip = program("ip")
    subprocess.run([ip, "link", "set", "lo", "up"], check=True)
    for address in addresses:
        subprocess.run([ip, "address", "add", f"{address}/32", "dev", "lo"], check=True)


@contextlib.contextmanager
def gateway(address: str) -> Iterator[None]:
    """Something that accepts connections on the gateway port."""
    with socket.create_server((address, 15443)):
        yield


def cluster(name: str, ingress: dict[str, str], service: str) -> list[dict[str, Any]]:
    """A cluster with a gateway and one Service."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "gateway", "namespace": "istio-system", "labels": {"istio": "eastwestgateway"}},
            "spec": {"type": "LoadBalancer", "ports": [{"name": "tls", "port": 15443}]},
            "status": {"loadBalancer": {"ingress": [ingress]}},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": service, "namespace": "default"},
            "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]},
        },
    ]


def scene(folder: Path, upstream: Unbound) -> None:
    """Two gateways for one name, and one known by a host name."""
    for name, ingress, service in (
        ("east", {"ip": GATEWAYS[0]}, "shop"),
        ("west", {"ip": GATEWAYS[1]}, "shop"),
        ("north", {"hostname": "lb.cloud.example"}, "balanced"),
    ):
        (folder / name).mkdir()
        (folder / name / "all.yaml").write_text(yaml.safe_dump_all(cluster(name, ingress, service)))
    settings = {
        "sources": [{"kind": "manifests", "path": str(folder)}],
        "forward": [{"zone": ".", "to": [f"{upstream.address}:{upstream.port}"]}],
        "probe": {"type": "tcp", "interval": f"{INTERVAL}s"},
    }
    with contextlib.ExitStack() as alive, Instance(settings) as instance:
        first, second = (alive.enter_context(contextlib.ExitStack()) for _ in GATEWAYS)
        first.enter_context(gateway(GATEWAYS[0]))
        second.enter_context(gateway(GATEWAYS[1]))
        eventually(lambda: instance.addresses(NAME) == list(GATEWAYS), what="both gateways answer")
        say("both gateways are answered")
        eventually(lambda: instance.addresses(BALANCED) == ["203.0.113.50", "203.0.113.51"], what="it is resolved")
        say("a gateway's host name is flattened")
        first.close()
        eventually(lambda: instance.addresses(NAME) == [GATEWAYS[1]], what="the dead gateway leaves", within=30)
        say("a dead gateway leaves the answer")
        second.close()
        eventually(lambda: instance.addresses(NAME) == list(GATEWAYS), what="all dead: all answered", within=30)
        say("with all dead the level fails open")
        alive.enter_context(gateway(GATEWAYS[0]))
        eventually(lambda: instance.addresses(NAME) == [GATEWAYS[0]], what="one returns", within=30)
        say("a gateway that returns is answered alone")
        upstream.stop()
        (controller,) = instance.children()["controller"]
        instance.kill(controller)
        eventually(lambda: instance.children().get("controller", [controller]) != [controller], what="a new controller")
        assert instance.addresses(BALANCED) == ["203.0.113.50", "203.0.113.51"]
        say("a new controller knows what a host name resolved to though the upstream is dead")


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Play the scene."""
    own(*GATEWAYS)
    records = [f"lb.cloud.example. 60 IN A 203.0.113.{n}" for n in (50, 51)]
    with TemporaryDirectory() as folder, Unbound(records) as upstream:
        scene(Path(folder), upstream)


if __name__ == "__main__":
    main()
