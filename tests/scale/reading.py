"""One start of ``meshdns serve`` on the filled mesh: until all is served, what its worker notices, what it keeps.

While the controller reads, the load generator asks for a static record 1,000 times a second: a worker answers that
whatever the mesh is doing, so each wait of an answer is a wait of the worker.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.arithmetic import Load
from tests.bench.processes import usage
from tests.bench.programs import Generator
from tests.bench.queries import Packets, ask, is_right, query
from tests.e2e.instance import Instance, resident
from tests.rig.waiting import eventually
from tests.scale.mesh import OWN, Member, kubeconfigs

_STATIC: Final = ("static.global", "192.0.2.53")
_RATE: Final = 1_000  # a second: a question each millisecond
_WATCHED: Final = 20.0  # seconds of load: longer than the start may take
_PATIENCE: Final = 180.0
_STEP: Final = 250  # one name in so many is asked for
_LOOK: Final = 0.1  # seconds between two looks whether all is served
CALM: Final = 15.0  # seconds after which the controller has given back what reading took
_MIB: Final = 2**20


@dataclass(frozen=True)
class Watched:
    """What the worker's clients noticed in some seconds; `queued`: its wait for a core in ms of each second."""

    load: Load
    queued: float


@dataclass(frozen=True)
class Start:
    """What one start was like: seconds to the first answer and until all is served, and MiB of the controller.

    `spent`: seconds that the controller was on a core until then, which does not depend on what else there runs.
    """

    answering: float
    served: float
    spent: float
    during: Watched
    idle: Watched
    controller: dict[str, float]
    worker: float


@contextmanager
def started(members: list[Member], folder: Path) -> Iterator[tuple[Instance, Start]]:
    """A new instance without a database, followed from its start until it is at rest; it runs on inside the block."""
    generator = Generator()
    packets = Packets((query(_STATIC[0]),))
    file = folder / "static.packets"
    file.write_bytes(packets.file())
    source = {"kind": "kubeconfig", "path": kubeconfigs(members, folder), "contexts": [each.name for each in members]}
    static = {"name": _STATIC[0], "type": "A", "value": _STATIC[1], "ttl": 30}
    instance = Instance({"sources": [source], "vantage": {"cluster": OWN}, "records": [static]})
    began = time.perf_counter()
    with instance:
        eventually(lambda: is_right(ask(instance.port, packets.queries[0]), [_STATIC[1]]), what="the static record")
        answering = time.perf_counter() - began
        with ThreadPoolExecutor(1) as loading:
            during = loading.submit(_watch, instance, generator, packets, file)
            served = _until_served(instance, members, began)
            spent = usage(instance.controller).total
            seen = during.result()
        time.sleep(CALM)
        idle = _watch(instance, generator, packets, file)
        memory = _memory(instance.controller)
        yield instance, Start(answering, served, spent, seen, idle, memory, resident(instance.workers[0]) / _MIB)


def _watch(instance: Instance, generator: Generator, packets: Packets, file: Path) -> Watched:
    before = usage(worker := instance.workers[0])
    load = generator.run(instance.port, packets, file, seconds=_WATCHED, rate=_RATE)
    return Watched(load, usage(worker).since(before).queued * 1e3 / load.seconds)


def _until_served(instance: Instance, members: list[Member], began: float) -> float:
    """Seconds until a sample of each cluster's names is answered."""
    missing = [question for member in members for question in member.sample(_STEP)]
    while missing:
        if time.perf_counter() - began > _PATIENCE:
            raise TimeoutError(f"{len(missing)} names are not served\n{instance.log_tail()}")
        while missing and is_right(ask(instance.port, missing[-1][0]), missing[-1][1]):
            missing.pop()
        if missing:
            time.sleep(_LOOK)
    return time.perf_counter() - began


def _memory(pid: int) -> dict[str, float]:
    """What a process keeps, in MiB: resident, its share of that (PSS), and what is its alone (without the database)."""
    wanted = {"Rss": 0.0, "Pss": 0.0, "Private_Dirty": 0.0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name = line.partition(":")[0]
        if name in wanted:
            wanted[name] += int(line.split()[1]) / 1024
    return wanted
