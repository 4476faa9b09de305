"""Five clusters on one etcd, filled by parallel POSTs to real API servers."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tests.bench.population import service_entry
from tests.bench.queries import query
from tests.rig.apiserver import ApiServer
from tests.rig.etcd import Etcd
from tests.rig.kubernetes import Refused

NAMES = ("east", "west", "north", "south", "centre")
OWN = NAMES[0]
"""The cluster that meshdns stands in."""

NAMESPACE = "shop"
ENTRIES = "/apis/networking.istio.io/v1/namespaces/default/serviceentries"
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
_CONNECTIONS = 4  # to each API server
_ATTEMPTS = 5
_BLOCK = 1 << 14  # addresses that each cluster has for its ServiceEntries
_FIRST = IPv4Address("203.1.0.0")  # public, so that they are served as they are
_FIRST_POD = IPv4Address("10.64.0.0")


@dataclass(frozen=True)
class Size:
    """How many objects there are in all clusters together; each has a fifth of them."""

    entries: int = 50_000
    services: int = 10_000

    @property
    def entries_each(self) -> int:
        """ServiceEntries of one cluster."""
        return self.entries // len(NAMES)

    @property
    def services_each(self) -> int:
        """Services of one cluster, each with an EndpointSlice of two endpoints."""
        return self.services // len(NAMES)

    @property
    def text(self) -> str:
        """For people."""
        return (
            f"{self.entries:,} ServiceEntries, {self.services:,} Services, {self.services:,} EndpointSlices "
            f"in {len(NAMES)} kube-apiservers on one etcd"
        )


class Member:
    """One cluster of the mesh."""

    def __init__(self, server: ApiServer, number: int, size: Size) -> None:
        self.server = server
        self.name = server.prefix
        self._number = number
        self._size = size

    @property
    def gateway(self) -> str:
        """The address of its gateway."""
        return f"198.51.100.{self._number + 1}"

    def host(self, number: int) -> str:
        """The host of a ServiceEntry."""
        return f"e{number:05d}.{self.name}.global"

    def address(self, number: int) -> str:
        """The address of a ServiceEntry."""
        return str(_FIRST + self._number * _BLOCK + number)

    def derived(self, number: int) -> str:
        """The name of a Service in the mesh."""
        return f"s{number:04d}-{self.name}.{NAMESPACE}.global"

    def sample(self, step: int) -> Iterator[tuple[bytes, list[str]]]:
        """Questions and what they are answered with: the last of each kind, and one name in `step`."""
        for number in {*range(0, self._size.entries_each, step), self._size.entries_each - 1}:
            yield query(self.host(number)), [self.address(number)]
        if self.name != OWN:  # in its own cluster a Service has the address that its API server chose
            for number in {*range(0, self._size.services_each, step), self._size.services_each - 1}:
                yield query(self.derived(number)), [self.gateway]

    def fill(self) -> None:
        """Create all objects; runs in a process of its own."""
        self.server.disconnect()
        self.server.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self.server.post(SERVICES, self._gateway())
        with ThreadPoolExecutor(_CONNECTIONS) as writers:
            for _ in writers.map(lambda item: self._create(*item), self._objects()):
                pass

    def _create(self, path: str, body: dict[str, Any]) -> None:
        """Create an object, again where a server that stood still did not answer in time."""
        for _ in range(_ATTEMPTS):
            try:
                self.server.post(path, body)
            except Refused as refusal:
                if refusal.status == HTTPStatus.CONFLICT:  # the attempt before was successful after all
                    return
                if refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
            except (OSError, HTTPException):
                continue
            else:
                return
        raise RuntimeError(f"{path} took no object in {_ATTEMPTS} attempts: see the API server's log")

    def _objects(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for number in range(self._size.services_each):
            name = f"s{number:04d}-{self.name}"
            yield SERVICES, {"metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": 80}]}}
            yield SLICES, self._slice(name, number)
        for number in range(self._size.entries_each):
            yield ENTRIES, service_entry(f"e{number:05d}", self.host(number), [self.address(number)])

    def _gateway(self) -> dict[str, Any]:
        labels = {"istio": "eastwestgateway"}
        spec = {"ports": [{"name": "tls", "port": 15443}], "externalIPs": [self.gateway]}
        return {"metadata": {"name": "gateway", "labels": labels}, "spec": spec}

    def _slice(self, service: str, number: int) -> dict[str, Any]:
        first = _FIRST_POD + (self._number * _BLOCK + number) * 2
        pods = [{"addresses": [str(first + pod)], "conditions": {"ready": True}} for pod in range(2)]
        metadata = {"name": f"{service}-1", "labels": {"kubernetes.io/service-name": service}}
        ports = [{"name": "http", "port": 8080}]
        return {"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": pods}


@contextmanager
def mesh(size: Size) -> Iterator[list[Member]]:
    """The five clusters, filled."""
    with Etcd() as etcd:
        servers = [ApiServer(etcd, name, f"10.{96 + rank}.0.0/16") for rank, name in enumerate(NAMES)]
        with _all(servers):
            members = [Member(server, rank, size) for rank, server in enumerate(servers)]
            fork = multiprocessing.get_context("fork")
            fillers = [fork.Process(target=member.fill, name=member.name) for member in members]
            for filler in fillers:
                filler.start()
            for filler in fillers:
                filler.join()
            failed = [filler.name for filler in fillers if filler.exitcode]
            if failed:
                raise RuntimeError(f"{', '.join(failed)} could not be filled: see the API servers' logs")
            yield members


@contextmanager
def _all(servers: list[ApiServer]) -> Iterator[None]:
    if not servers:
        yield
        return
    with servers[0]:
        servers[0].install_crds()
        with _all(servers[1:]):
            yield


def kubeconfigs(members: list[Member], folder: Path) -> str:
    """Paths of one kubeconfig per cluster, as ``KUBECONFIG`` has them."""
    return ":".join(str(each.server.write_kubeconfig(folder / f"{each.name}.yaml", each.name)) for each in members)
