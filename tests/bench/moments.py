"""Single moments: from a change to its answer, from a start to the first answer, and ``meshdns --help``."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.cluster import SERVICES, Cluster
from tests.bench.cores import Cores
from tests.bench.fleet import Fleet
from tests.bench.moment import Moment
from tests.bench.observed import observed
from tests.bench.population import Population
from tests.bench.queries import ask, is_right, query
from tests.bench.resync import resync
from tests.bench.rounds import busy_ask
from tests.e2e.instance import Instance
from tests.rig.component import Component
from tests.rig.waiting import eventually

_SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
_STARTS = 5  # at most: each takes a while
_SAMPLE = 100  # of the names behind a gateway one in so many is asked for
_GATEWAYS = ("192.0.2.{}", "198.51.100.{}")  # by turns, so that no change is one back
_UNKNOWN = "nosuch.shop.global"
_PODS = ("10.40.0.1", "10.40.0.2")


def freshness(fleet: Fleet, cores: Cores, tries: int) -> list[Moment]:
    """From the return of a POST to the first right answer, by turns: of a ServiceEntry, and by CoreDNS of a Service."""
    cluster, population = fleet.cluster(), Population()
    fleet.keep((), population)
    with cores.both():
        ours, theirs = (fleet.peer(name, population) for name in ("meshdns-api", "coredns-kubernetes"))
    _await_kubernetes(cluster, theirs)
    delays = [(_entry_delay(cluster, ours, number), _service_delay(cluster, theirs, number)) for number in range(tries)]
    return [
        Moment("freshness", "ServiceEntry posted → answered by meshdns", tuple(pair[0] for pair in delays)),
        Moment("freshness-coredns", "Service posted → answered by CoreDNS kubernetes", tuple(p[1] for p in delays)),
    ]


def follow(fleet: Fleet, cores: Cores, tries: int) -> list[Moment]:
    """From the return of a PATCH to the right answers: a gateway that all names rest on, and a pod's readiness."""
    cluster, population = fleet.cluster(), Population()
    fleet.keep((), population)
    cluster.restore()
    with cores.both():
        return [
            Moment(
                "gateway",
                f"gateway moved → {population.count:,} names answered",
                tuple(_gateway_delays(cluster, population, min(tries, _STARTS))),
            ),
            Moment("readiness", "EndpointSlice changed → answered", tuple(_readiness_delays(cluster, tries))),
        ]


def _gateway_delays(cluster: Cluster, population: Population, tries: int) -> Iterator[float]:
    """Milliseconds, seen from another network, whose gateway is all there is of a population of private addresses."""
    settings = {
        "vantage": {"network": "here"},
        "clusters": {"east": {"network": "there"}},
        "networks": {"there": {"cidrs": ["203.1.0.0/16"]}},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "eastwest", "labels": {"istio": "eastwestgateway"}},
        "spec": {"ports": [{"name": "tls", "port": 15443}], "externalIPs": [_GATEWAYS[0].format(1)]},
    }
    cluster.server.post(SERVICES, service)
    sample = [query(population.name(number)) for number in range(0, population.count, _SAMPLE)]
    with _reading(cluster, settings) as server:
        _ask_all(server, sample, _GATEWAYS[0].format(1))
        for number in range(tries):
            address = _GATEWAYS[(number + 1) % 2].format(number + 2)
            cluster.server.patch(f"{SERVICES}/eastwest", {"spec": {"externalIPs": [address]}})
            yield _ask_all(server, sample, address)
    cluster.server.delete(f"{SERVICES}/eastwest")


def _readiness_delays(cluster: Cluster, tries: int) -> Iterator[float]:
    """Milliseconds until one of the two pods of a headless Service is answered alone."""
    metadata = {"name": "pods", "labels": {"kubernetes.io/service-name": "pods"}}
    port = {"name": "http", "port": 80}
    headless = {"clusterIP": "None", "ports": [port]}
    cluster.server.post(
        SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "pods"}, "spec": headless}
    )
    part = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata}
    cluster.server.post(_SLICES, {**part, "addressType": "IPv4", "ports": [port], "endpoints": _ready(*_PODS)})
    message = query("pods.default.global")
    with _reading(cluster, {"vantage": {"cluster": "east"}}) as server:
        eventually(lambda: server.ask(_UNKNOWN).status == "NXDOMAIN", what="the cluster has been read", within=60)
        _ask_all(server, [message], *_PODS)
        for number in range(tries):
            cluster.server.patch(f"{_SLICES}/pods", {"endpoints": _ready(_PODS[number % 2])})
            yield _ask_all(server, [message], _PODS[number % 2], without=_PODS[(number + 1) % 2])
    cluster.server.delete(f"{_SLICES}/pods")
    cluster.server.delete(f"{SERVICES}/pods")


def _ready(*pods: str) -> list[dict[str, Any]]:
    """The endpoints of an EndpointSlice: some of the pods are ready."""
    return [{"addresses": [pod], "conditions": {"ready": pod in pods}} for pod in _PODS]


def _reading(cluster: Cluster, settings: Mapping[str, Any]) -> Instance:
    """An instance that reads the cluster."""
    source = {"kind": "kubeconfig", "path": str(cluster.kubeconfig), "contexts": ["east"]}
    return Instance({"sources": [source], **settings})


def _ask_all(server: Component, messages: Sequence[bytes], *addresses: str, without: str = "") -> float:
    """Milliseconds until each of these questions is answered with these addresses, and not with another."""

    def right(message: bytes) -> bool:
        reply = ask(server.port, message)
        return is_right(reply, addresses) and not (without and is_right(reply, [without]))

    began = time.perf_counter()
    for message in messages:
        busy_ask(partial(right, message), within=60)
    return (time.perf_counter() - began) * 1e3


def starting(fleet: Fleet, cores: Cores, tries: int) -> list[Moment]:
    """From the start of ``meshdns serve`` on an existing database to its first right answer, and ``meshdns --help``."""
    population = Population()
    fleet.keep(("meshdns",), population)
    instance = fleet.peer("meshdns", population)
    message, right = query(population.name(0)), population.addresses(0)
    meshdns = str(Path(sys.executable).with_name("meshdns"))
    starts = []
    with cores.both():
        for _ in range(min(tries, _STARTS)):
            instance.stop()
            starts.append(_start_delay(instance, message, right))
        helps = tuple(_duration([meshdns, "--help"]) for _ in range(min(tries, 2 * _STARTS)))
    return [
        Moment("start", f"meshdns serve → first answer, view of {population.count:,} names", tuple(starts)),
        Moment("help", "meshdns --help", helps),
    ]


def _entry_delay(cluster: Cluster, server: Component, number: int) -> float:
    name, address = f"fresh-{number}", f"203.0.113.{number % 250 + 1}"
    host = f"{name}.shop.global"
    message = query(host)
    cluster.add(name, host, address)
    delay = busy_ask(lambda: is_right(ask(server.port, message), [address]))
    cluster.drop(name)
    return delay * 1e3


def _service_delay(cluster: Cluster, server: Component, number: int) -> float:
    name = f"fresh-{number}"
    message = query(f"{name}.default.svc.cluster.local")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"name": "http", "port": 80}], "selector": {"app": name}},
    }
    address = str(cluster.server.post(SERVICES, service)["spec"]["clusterIP"])
    delay = busy_ask(lambda: is_right(ask(server.port, message), [address]))
    cluster.server.delete(f"{SERVICES}/{name}")
    return delay * 1e3


def _await_kubernetes(cluster: Cluster, server: Component) -> None:
    """Wait until CoreDNS has read the cluster: it knows the Service that every cluster has."""
    address = str(cluster.server.get(f"{SERVICES}/kubernetes")["spec"]["clusterIP"])
    message = query("kubernetes.default.svc.cluster.local")
    eventually(lambda: is_right(ask(server.port, message), [address]), what="CoreDNS has read the cluster", within=60)


def _start_delay(instance: Component, message: bytes, right: Sequence[str]) -> float:
    """Milliseconds from the exec to the first right answer; ports and state are those of the stopped instance."""
    with ThreadPoolExecutor(1) as asker:
        answered = asker.submit(busy_ask, lambda: is_right(ask(instance.port, message, patience=0.02), right))
        instance.start()
        return answered.result() * 1e3


def _duration(command: Sequence[str]) -> float:
    """Milliseconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1e3


MOMENTS: dict[str, Callable[[Fleet, Cores, int], list[Moment]]] = {
    "freshness": freshness,
    "follow": follow,
    "observed": observed,
    "resync": resync,
    "start": starting,
}
