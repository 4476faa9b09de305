"""What changes in the large mesh: from the return of the request to the first right answer."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from statistics import quantiles
from typing import Final

from tests.bench.population import service_entry
from tests.bench.queries import ask, is_right, query
from tests.bench.rounds import busy_ask
from tests.e2e.instance import Instance
from tests.rig.coredns import CoreDNS
from tests.rig.ports import LOOPBACK
from tests.rig.waiting import eventually
from tests.scale.mesh import ENTRIES, NAMESPACE, SERVICES, Member, Size

_LOST: Final = 10.0  # seconds after which a change counts as lost
_PAUSE: Final = 0.0005  # seconds between two questions of a writer that waits for its change
_WRITERS: Final = 8
_CHANGED: Final = "198.{}.{}.{}"  # of the benchmarks' prefix (RFC 2544)


@dataclass(frozen=True)
class Delays:
    """Seconds from each change to its answer."""

    seconds: tuple[float, ...]
    lost: int = 0
    took: float = 0.0

    def percentile(self, rank: int) -> float:
        """Milliseconds that so many percent of the changes took at most."""
        return quantiles(self.seconds, n=100)[rank - 1] * 1e3

    @property
    def longest(self) -> float:
        """The longest, in milliseconds."""
        return max(self.seconds) * 1e3


def one_by_one(instance: Instance, members: list[Member], tries: int) -> tuple[Delays, Delays]:
    """By turns a ServiceEntry of one cluster, answered by meshdns, and a Service of the first, answered by CoreDNS."""
    ours: list[float] = []
    theirs: list[float] = []
    with _coredns(members[0]) as coredns:
        for number in range(tries):
            ours.append(_entry(instance, members[number % len(members)], number))
            theirs.append(_service(coredns, members[0], number))
    return Delays(tuple(ours)), Delays(tuple(theirs))


@contextmanager
def _coredns(member: Member) -> Iterator[CoreDNS]:
    """CoreDNS reading the first cluster's Services."""
    kubeconfig = member.server.write_kubeconfig(member.server.folder / "coredns.yaml", member.name)
    plugin = f"kubernetes cluster.local {{\n    kubeconfig {kubeconfig} {member.name}\n    ttl 30\n  }}"
    with CoreDNS(f". {{\n  bind {LOOPBACK}\n  {plugin}\n}}\n") as coredns:
        address = str(member.server.get(f"{SERVICES}/gateway")["spec"]["clusterIP"])
        known = query(f"gateway.{NAMESPACE}.svc.cluster.local")
        eventually(lambda: is_right(ask(coredns.port, known), [address]), what="CoreDNS has read it", within=60)
        yield coredns


def _entry(instance: Instance, member: Member, number: int) -> float:
    name, address = f"fresh-{number}", _CHANGED.format(18, number // 250, number % 250 + 1)
    host = f"{name}.{member.name}.global"
    message = query(host)
    member.server.post(ENTRIES, service_entry(name, host, [address]))
    delay = busy_ask(lambda: is_right(ask(instance.port, message), [address]))
    member.server.delete(f"{ENTRIES}/{name}")
    return delay


def _service(coredns: CoreDNS, member: Member, number: int) -> float:
    name = f"fresh-{number}"
    message = query(f"{name}.{NAMESPACE}.svc.cluster.local")
    service = {"metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": 80}]}}
    address = str(member.server.post(SERVICES, service)["spec"]["clusterIP"])
    delay = busy_ask(lambda: is_right(ask(coredns.port, message), [address]))
    member.server.delete(f"{SERVICES}/{name}")
    return delay


def stream(instance: Instance, members: list[Member], size: Size, *, rate: float, seconds: float) -> Delays:
    """Change one ServiceEntry after the other at a fixed rate, each until it is answered; then look at all again."""
    delays: list[float] = []
    lock = threading.Lock()
    submitted: list[Future[None]] = []
    last: dict[tuple[Member, int], str] = {}

    def change(number: int) -> None:
        member, entry = members[number % len(members)], number // len(members) % size.entries_each
        address = _CHANGED.format(19, number // 250 % 250, number % 250 + 1)
        member.server.patch(f"{ENTRIES}/e{entry:05d}", {"spec": {"endpoints": [{"address": address}]}})
        delay = _until(instance, query(member.host(entry)), address)
        with lock:
            last[member, entry] = address
            delays.append(delay)

    began = time.monotonic()
    with ThreadPoolExecutor(_WRITERS) as writers:
        for number in count():
            due = number / rate
            if due >= seconds:
                break
            time.sleep(max(began + due - time.monotonic(), 0))
            submitted.append(writers.submit(change, number))
    for each in submitted:
        each.result()
    took = time.monotonic() - began
    wrong = sum(not is_right(ask(instance.port, query(m.host(e))), [address]) for (m, e), address in last.items())
    return Delays(tuple(delays), sum(delay >= _LOST for delay in delays) + wrong, took)


def _until(instance: Instance, message: bytes, address: str) -> float:
    """Seconds until a question is answered with an address, `_LOST` at most."""
    began = time.perf_counter()
    while not is_right(ask(instance.port, message), [address]):
        if time.perf_counter() - began >= _LOST:
            break
        time.sleep(_PAUSE)
    return time.perf_counter() - began
