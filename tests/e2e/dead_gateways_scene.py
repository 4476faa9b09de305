"""Forty clusters in folders, five of which have a gateway whose host name is dead, and the upstream that says so."""

import contextlib
import socketserver
import struct
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import yaml

from tests.rig.ports import LOOPBACK

CLUSTERS: Final = tuple(f"c{number:02}" for number in range(1, 41))
DEAD: Final = CLUSTERS[4:25:5]
"""The clusters whose gateway has a host name: c05, c10, c15, c20, c25."""
SERVICES: Final = ("cart", "stock", "web")
ADDRESS: Final = "203.0.113.77"
"""The address of every gateway host name, once the upstream answers."""


class ScriptedUpstream:
    """A name server on loopback over UDP and TCP: NXDOMAIN to everything, or, once it `answers`, `ADDRESS` to A."""

    def __init__(self) -> None:
        self.answers = False
        self._answered: set[str] = set()  # names that were answered with the address
        self._changed = threading.Condition()

    def wait_for_answers(self, hosts: Iterable[str], within: float) -> None:
        """Wait without work until all these names were answered with the address; raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._answered.issuperset(hosts), within):
                raise TimeoutError(f"not asked again within {within:g} s: {set(hosts) - self._answered}")

    def reply(self, wire: bytes) -> bytes:
        """The reply to one query."""
        query = dns.message.from_wire(wire)
        reply = dns.message.make_response(query, recursion_available=True)
        name, rtype = query.question[0].name, query.question[0].rdtype
        if self.answers and rtype == dns.rdatatype.A:
            reply.answer.append(dns.rrset.from_text(name, 5, "IN", "A", ADDRESS))
            with self._changed:
                self._answered.add(name.to_text(omit_final_dot=True).lower())
                self._changed.notify_all()
            return reply.to_wire()
        soa = "ns.example. hostmaster.example. 1 7200 900 86400 1"
        reply.authority.append(dns.rrset.from_text("example.", 1, "IN", "SOA", soa))
        if not self.answers:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()

    @contextlib.contextmanager
    def serving(self) -> Iterator[int]:
        """Serve inside the block; gives the port."""
        upstream = self

        class Datagrams(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, socket = self.request
                socket.sendto(upstream.reply(data), self.client_address)

        class Streams(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while len(head := self.rfile.read(2)) == 2:
                    reply = upstream.reply(self.rfile.read(struct.unpack(">H", head)[0]))
                    self.wfile.write(struct.pack(">H", len(reply)) + reply)

        with (
            socketserver.ThreadingUDPServer((LOOPBACK, 0), Datagrams) as udp,
            _Streams((LOOPBACK, udp.server_address[1]), Streams) as tcp,
        ):
            for server in (udp, tcp):
                server.daemon_threads = True
                threading.Thread(target=server.serve_forever, name="scripted upstream", daemon=True).start()
            yield udp.server_address[1]
            for server in (udp, tcp):
                server.shutdown()


class _Streams(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


def write_clusters(folder: Path) -> None:
    """Write the folders of all clusters."""
    for number, cluster in enumerate(CLUSTERS, 1):
        ingress = {"hostname": host_name(cluster)} if cluster in DEAD else {"ip": f"198.51.100.{number}"}
        (folder / cluster).mkdir(parents=True)
        (folder / cluster / "all.yaml").write_text(yaml.safe_dump_all(_objects(cluster, number, ingress)))


def host_name(cluster: str) -> str:
    """The host name of the gateway of a cluster of `DEAD`."""
    return f"gw.{cluster}.example"


def _objects(cluster: str, number: int, ingress: dict[str, str]) -> Iterator[dict[str, Any]]:
    network = {"topology.istio.io/network": f"net-{cluster}"}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system", "labels": network}}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "gateway", "namespace": "istio-system", "labels": {"istio": "eastwestgateway"}},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.96.9.9", "ports": [{"name": "tls", "port": 15443}]},
        "status": {"loadBalancer": {"ingress": [ingress]}},
    }
    for at, name in enumerate(SERVICES):
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": f"shop-{cluster}"},
            "spec": {"clusterIP": f"10.{number}.0.{at + 1}", "ports": [{"name": "http", "port": 80}]},
        }
