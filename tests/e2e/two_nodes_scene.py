"""Two clusters of one node each, and a client on the first that needs a service of the second.

Run in network and mount namespaces of its own: ``unshare --net --mount python -m tests.e2e.two_nodes_scene`` prints one
line for each thing it saw and ends with status 0. What is real: both API servers, CoreDNS with its `kubernetes` plugin
as the cluster's DNS, meshdns as the chart starts it (arguments, settings, user, mounts, token), getaddrinfo. Played by
`tests.e2e.relay`: kube-proxy in front of meshdns, the gateways, and the service behind them.

    client ─► CoreDNS 10.96.0.10 ─► kube-proxy 10.96.0.53 ─► meshdns       node1, 10.0.1.2: cluster1
    client ─► gateway 203.0.113.20 or .21 ─► frontend                      node2, 10.0.2.2: cluster2
"""

import base64
import contextlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import yaml

from tests.deploy.helm import rendered
from tests.deploy.places import CHECKOUT
from tests.deploy.pod import Pod, install, token
from tests.rig.apiserver import ApiServer
from tests.rig.build import built_program
from tests.rig.component import Component
from tests.rig.dig import NoReply, dig
from tests.rig.etcd import Etcd
from tests.rig.kubernetes import KubernetesClient
from tests.rig.packages import program
from tests.rig.seeded import seeded_data
from tests.rig.waiting import eventually

OUTSIDE = {"node1": "10.0.1.1", "node2": "10.0.2.1"}
NODES = {"node1": "10.0.1.2", "node2": "10.0.2.2"}
GATEWAYS = ("203.0.113.20", "203.0.113.21")
CLUSTER_DNS, MESH_DNS = "10.96.0.10", "10.96.0.53"
RESOLV_CONF = f"""\
nameserver {CLUSTER_DNS}
search default.svc.cluster.local svc.cluster.local cluster.local global default.global
options ndots:5
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 80), timeout=5) as there:
    print(there.getpeername()[0], there.makefile().readline().strip())
"""


class InNode(Component):
    """A program in a node's network namespace."""

    title: ClassVar[str] = "a program of a node"

    def __init__(self, node: str, command: Callable[[Path], Sequence[str]], ready: Callable[[], bool]) -> None:
        super().__init__()
        self._node = node
        self._command = command
        self._ready = ready

    def command(self) -> Sequence[str]:
        """The program, entered into the namespace."""
        return [*within(self._node), "env", f"PYTHONPATH={CHECKOUT}", *self._command(self.folder)]

    def ready(self) -> bool:
        """Whether it serves, as seen from here."""
        return self._ready()


def within(node: str) -> list[str]:
    """The words before a command that runs on a node."""
    return [program("ip"), "netns", "exec", node]


def relay(node: str, *words: str) -> InNode:
    """Carry on a node what the words say; ready when all of its TCP addresses are listened on."""
    listening = [word.partition("/")[2].partition("=")[0].rpartition(":") for word in words if word[:3] != "udp"]

    def ready() -> bool:
        look = [*within(node), program("ss"), "-Hltn"]
        shown = subprocess.run(look, capture_output=True, text=True, check=True).stdout
        return all(f"{host}:{port} " in shown for host, _, port in listening)

    return InNode(node, lambda _: [sys.executable, "-m", "tests.e2e.relay", *words], ready)


def cluster_dns(server: ApiServer, folder: Path) -> InNode:
    """CoreDNS as the cluster's DNS, with the stub domain."""
    kubeconfig = server.write_kubeconfig(folder / "coredns.kubeconfig")
    corefile = folder / "Corefile"
    corefile.write_text(
        f"global:53 {{\n bind {CLUSTER_DNS}\n errors\n cache 30\n forward . {MESH_DNS}\n}}\n"
        f".:53 {{\n bind {CLUSTER_DNS}\n errors\n"
        f" kubernetes cluster.local {{\n  kubeconfig {kubeconfig}\n }}\n cache 30\n}}\n"
    )
    command = [str(built_program("coredns")), "-conf", str(corefile)]
    return InNode("node1", lambda _: command, lambda: resolves("kubernetes.default.svc.cluster.local"))


def resolves(name: str) -> bool:
    """Whether the cluster's DNS has an answer."""
    try:
        return bool(dig(name, server=CLUSTER_DNS, port=53).answer)
    except NoReply:
        return False


def client(name: str, folder: Path) -> str:
    """What a pod of node1 gets that connects to port 80 of a name: the address and what is said there."""
    (folder / "resolv.conf").write_text(RESOLV_CONF)
    enter = f'mount --bind {folder / "resolv.conf"} /etc/resolv.conf && exec "$@"'
    command = [program("unshare"), "--mount", "sh", "-c", enter, "pod", sys.executable, "-c", CLIENT, name]
    done = subprocess.run([*within("node1"), *command], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


def build_network() -> None:
    """Two nodes, each behind a wire of its own, and this namespace as the network between them."""
    Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)
    _ip("link", "set", "lo", "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for node, address in NODES.items():
        _ip("netns", "add", node)
        _ip("link", "add", node, "type", "veth", "peer", "name", "eth0", "netns", node)
        _ip("address", "add", f"{OUTSIDE[node]}/24", "dev", node)
        _ip("link", "set", node, "up")
        for device in ("lo", "eth0"):
            _ip("-n", node, "link", "set", device, "up")
        _ip("-n", node, "address", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", node, "route", "add", "default", "via", OUTSIDE[node])
    for node, own in (("node1", (CLUSTER_DNS, MESH_DNS)), ("node2", GATEWAYS)):
        for address in own:
            _ip("-n", node, "address", "add", f"{address}/32", "dev", "lo")
            _ip("route", "add", f"{address}/32", "via", NODES[node])


def _ip(*arguments: str) -> None:
    subprocess.run([program("ip"), *arguments], check=True)


def service(name: str, port: int, **spec: Any) -> dict[str, Any]:
    """A Service in namespace default."""
    ports = [{"name": "http", "port": port}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports, **spec}}


def fill(first: KubernetesClient, second: KubernetesClient) -> None:
    """The demo's shop in small: cluster1 declares that `frontend` is behind the gateways of cluster2, where it runs."""
    for server in (first, second):
        server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})
    entry = {
        "hosts": ["frontend.default.global"],
        "location": "MESH_INTERNAL",
        "ports": [{"name": "http", "number": 80, "protocol": "HTTP"}],
        "resolution": "STATIC",
        "endpoints": [{"address": each, "ports": {"http": 15443}} for each in GATEWAYS],
    }
    kind = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry"}
    first.apply({**kind, "metadata": {"name": "frontend"}, "spec": entry})
    second.apply(service("frontend", 80))
    slices = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "frontend-1", "labels": {"kubernetes.io/service-name": "frontend"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["10.4.0.9"], "conditions": {"ready": True}}],
    }
    second.apply(slices)
    labels = {"istio": "eastwestgateway"}
    gateway = service("gateway", 15443, type="LoadBalancer")
    gateway["metadata"] = {"name": "gateway", "namespace": "istio-system", "labels": labels}
    second.apply(gateway)
    second.patch_status(gateway, {"loadBalancer": {"ingress": [{"ip": address} for address in GATEWAYS]}})


def chart_objects(**more: Any) -> list[dict[str, Any]]:
    """The chart as cluster1's operator installs it."""
    settings = {
        "probe": {"type": "tcp", "interval": "0.2s"},
        "zones": [{"name": "global", "ttl": 5}],
        "lameduck": "0s",
    }
    values: Mapping[str, Any] = {
        "cluster": "cluster1",
        "namespace": {"create": True},
        "service": {"clusterIP": MESH_DNS},
        "kubeconfig": {"secretName": "clusters", "contexts": ["cluster2"]},
        "settings": settings,
        **more,
    }
    return rendered(values)


def reader_kubeconfig(server: ApiServer) -> str:
    """A kubeconfig with nothing but the rights of the chart, which is installed there for them."""
    install(server, chart_objects())
    config = server.kubeconfig("cluster2")
    config["users"][0]["user"] = {"token": token(server)}
    assert base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    return yaml.safe_dump(config)


def scene(first: ApiServer, second: ApiServer, folder: Path) -> None:
    """Resolve and connect; then one gateway dies."""
    fill(first, second)
    objects = chart_objects()
    install(first, objects)
    secrets = {"clusters": {"kubeconfig": reader_kubeconfig(second)}}
    pod = Pod(objects, first, http=(NODES["node1"], 9153), within=within("node1"), secrets=secrets)
    target = f"{NODES['node1']}:1053"
    with contextlib.ExitStack() as alive:
        alive.enter_context(relay("node2", f"say/{NODES['node2']}:8080=frontend of cluster2"))
        doors = [
            alive.enter_context(relay("node2", *(f"tcp/{each}:{port}={NODES['node2']}:8080" for port in (80, 15443))))
            for each in GATEWAYS
        ]
        alive.enter_context(pod)
        say("meshdns is ready as the chart starts it")
        alive.enter_context(relay("node1", f"udp/{MESH_DNS}:53={target}", f"tcp/{MESH_DNS}:53={target}"))
        alive.enter_context(cluster_dns(first, folder))
        say("CoreDNS answers for cluster1")
        reached = {f"{each} frontend of cluster2" for each in GATEWAYS}
        for name in ("frontend.default.global", "frontend.default", "frontend"):
            eventually(lambda name=name: client(name, folder) in reached, what=f"{name} is reached", within=30)  # type: ignore[misc]
            say(f"{name} is reached through a gateway of cluster2")
        doors[0].stop()
        eventually(lambda: answer() == (GATEWAYS[1],), what="the name moves", within=60)
        say("its gateway dies and the name moves")
        assert client("frontend.default", folder) == f"{GATEWAYS[1]} frontend of cluster2"
        say("frontend.default is reached through the other gateway")


def answer() -> tuple[str, ...]:
    """What the cluster's DNS says of the name."""
    return dig("frontend.default.global", server=CLUSTER_DNS, port=53).rdata


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Play the scene."""
    build_network()
    with TemporaryDirectory() as folder, Etcd(seeded_data()) as etcd:
        servers = [ApiServer(etcd, cluster) for cluster in ("cluster1", "cluster2")]
        with contextlib.ExitStack() as running:
            for server, node in zip(servers, OUTSIDE, strict=True):
                server.address = OUTSIDE[node]
                running.enter_context(server)
                server.install_crds()
            scene(servers[0], servers[1], Path(folder))


if __name__ == "__main__":
    main()
