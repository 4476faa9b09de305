"""What a worker's clients notice of a controller that reads everything anew: 50,000 objects, while queries come."""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.arithmetic import Load
from tests.bench.cluster import Cluster
from tests.bench.cores import Cores
from tests.bench.fleet import Fleet
from tests.bench.moment import Moment
from tests.bench.population import Population
from tests.bench.processes import usage
from tests.bench.programs import Generator
from tests.bench.queries import Packets, ask, is_right, query
from tests.e2e.instance import Instance
from tests.rig.waiting import eventually

_POPULATION = Population(50_000)
_RATE = 1_000  # a second: that of a real node, and a question each millisecond
_SECONDS = 15.0  # longer than the controller needs on a core that it shares
_TRIES = 3
_START = 120.0  # seconds to read everything the first time
_ASKED = 2_000  # names


@dataclass(frozen=True)
class _Seen:
    load: Load
    queued: float  # ms of each second that the worker was ready to run and had no core


def resync(fleet: Fleet, cores: Cores, _tries: int) -> list[Moment]:
    """By turns a quiet instance, and one whose controller was killed and lists everything again."""
    fleet.keep((), _POPULATION)
    quiet: list[_Seen] = []
    busy: list[_Seen] = []
    generator = Generator()
    packets = Packets(tuple(query(_POPULATION.name(number)) for number in range(_ASKED)))
    file = fleet.folder / "resync.packets"
    file.write_bytes(packets.file())
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(Cluster(_POPULATION))
        source = {"kind": "kubeconfig", "path": str(cluster.kubeconfig), "contexts": ["east"]}
        instance = Instance({"sources": [source], "vantage": {"cluster": "east"}})
        with cores.both():
            stack.enter_context(instance)
        last = query(_POPULATION.name(_POPULATION.count - 1))
        right = _POPULATION.addresses(_POPULATION.count - 1)
        eventually(lambda: is_right(ask(instance.port, last), right), what="the last of the names", within=_START)
        for _ in range(_TRIES):
            for seen, starts_over in ((quiet, False), (busy, True)):
                if starts_over:
                    os.kill(instance.children()["controller"][0], signal.SIGKILL)
                before = usage(worker := instance.children()["worker"][0])
                load = generator.run(instance.port, packets, file, seconds=_SECONDS, rate=_RATE)
                seen.append(_Seen(load, usage(worker).since(before).queued * 1e3 / load.seconds))
    return list(_moments(quiet, busy))


def _moments(quiet: list[_Seen], busy: list[_Seen]) -> Iterator[Moment]:
    for name, when, seen in (("quiet", "at rest", quiet), ("resync", "while 50,000 objects are listed", busy)):
        yield Moment(
            f"{name}-longest", f"longest answer of 15,000 at 1,000/s, {when}", tuple(s.load.longest / 1e3 for s in seen)
        )
        yield Moment(f"{name}-p99", f"99th percentile at 1,000/s, {when}", tuple(s.load.p99 / 1e3 for s in seen))
        yield Moment(f"{name}-queued", f"worker's wait for a core, per second, {when}", tuple(s.queued for s in seen))
        yield Moment(f"{name}-lost", f"lost queries (count), {when}", tuple(float(s.load.lost) for s in seen))
