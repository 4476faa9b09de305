"""Single moments: from a change to its answer, from a start to the first answer, and ``meshdns --help``."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.cluster import Cluster
from tests.bench.cores import Cores
from tests.bench.fleet import Fleet
from tests.bench.population import Population
from tests.bench.queries import ask, is_right, query
from tests.bench.rounds import busy_ask
from tests.rig.component import Component
from tests.rig.waiting import eventually

_SERVICES = "/api/v1/namespaces/default/services"
_STARTS = 5  # at most: each takes a while


@dataclass(frozen=True)
class Moment:
    """One kind of delay: its title, and every try in milliseconds."""

    name: str
    title: str
    tries: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the tries."""
        return median(self.tries)

    @property
    def worst(self) -> float:
        """The longest of the tries."""
        return max(self.tries)


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


def starting(fleet: Fleet, cores: Cores, tries: int) -> list[Moment]:
    """From the start of ``meshdns serve`` on an existing view to its first right answer, and ``meshdns --help``."""
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
    address = str(cluster.server.post(_SERVICES, service)["spec"]["clusterIP"])
    delay = busy_ask(lambda: is_right(ask(server.port, message), [address]))
    cluster.server.delete(f"{_SERVICES}/{name}")
    return delay * 1e3


def _await_kubernetes(cluster: Cluster, server: Component) -> None:
    """Wait until CoreDNS has read the cluster: it knows the Service that every cluster has."""
    address = str(cluster.server.get(f"{_SERVICES}/kubernetes")["spec"]["clusterIP"])
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
    "start": starting,
}
