"""The subjects of a workload under load by turns."""

import time
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.bench.arithmetic import Run
from tests.bench.cluster import Tally
from tests.bench.fleet import Fleet
from tests.bench.peers import PEERS
from tests.bench.processes import memory, usage
from tests.bench.programs import Generator
from tests.bench.queries import Packets
from tests.bench.workloads import Subject, Workload
from tests.rig.component import Component
from tests.rig.errors import ComponentUnavailable


@dataclass(frozen=True)
class Effort:
    """How often and how long: rounds, seconds of a run and of the warm-up before it, tries of the single figures."""

    rounds: int
    seconds: float
    warm_up: float
    tries: int


FULL = Effort(rounds=5, seconds=2.0, warm_up=0.5, tries=60)
QUICK = Effort(rounds=2, seconds=0.6, warm_up=0.3, tries=10)


class Bench:
    """Measures workloads; `say` is told of progress, and of peers that cannot be had."""

    def __init__(self, fleet: Fleet, generator: Generator, effort: Effort, say: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._generator = generator
        self._effort = effort
        self._say = say

    def measure(self, workload: Workload, wanted: Collection[str]) -> dict[Subject, list[Run]]:
        """Runs of every subject in the order of the rounds; of `wanted` peers and the first subject, if not empty."""
        subjects = [s for s in workload.subjects if not wanted or s.peer in wanted or s == workload.subjects[0]]
        peers = self._started(workload, subjects)
        runs: dict[Subject, list[Run]] = {subject: [] for subject in subjects if subject.peer in peers}
        asked = {subject: self._asked(subject, workload) for subject in runs}
        for subject in runs:
            self._generator.prime(peers[subject.peer].port, *asked[subject])
        for turn in range(self._effort.rounds):
            self._say(f"{workload.name}: round {turn + 1} of {self._effort.rounds}")
            for subject, done in runs.items():
                done.append(self._run(subject, peers[subject.peer], workload, *asked[subject]))
        return runs

    def _asked(self, subject: Subject, workload: Workload) -> tuple[Packets, Path]:
        """What a subject is asked, and the file of it."""
        packets = (subject.packets or workload.packets)(workload.population)
        file = self._fleet.folder / f"{workload.name}-{subject.peer if subject.packets else 'all'}.packets"
        file.write_bytes(packets.file())
        return packets, file

    def _started(self, workload: Workload, subjects: Collection[Subject]) -> dict[str, Component]:
        names = dict.fromkeys(subject.peer for subject in subjects)
        self._fleet.keep(names, workload.population)
        peers: dict[str, Component] = {}
        for name in names:
            self._say(f"{workload.name}: starting {name}")
            try:
                peers[name] = self._fleet.peer(name, workload.population)
            except ComponentUnavailable as absence:
                self._say(f"{name} is left out: {absence}")
        return peers

    def _run(self, subject: Subject, peer: Component, workload: Workload, packets: Packets, file: Path) -> Run:
        changing = (
            self._fleet.cluster().changing(subject.changes, peer.port) if subject.changes else nullcontext(Tally())
        )
        packets = PEERS[subject.peer].expected(packets)
        with changing as changes:
            self._generator.run(peer.port, packets, file, seconds=self._effort.warm_up, rate=workload.rate)
            already, before = changes.count, usage(peer.pid)
            load = self._generator.run(peer.port, packets, file, seconds=self._effort.seconds, rate=workload.rate)
            used, made = usage(peer.pid).since(before), changes.count - already
        return Run(load, used, memory(peer.pid), made)


def busy_ask(ask_once: Callable[[], bool], *, within: float = 30.0) -> float:
    """Ask without a pause until the answer is right; the seconds that took. Raises `TimeoutError`."""
    began = time.perf_counter()
    while not ask_once():
        if time.perf_counter() - began > within:
            raise TimeoutError(f"no right answer within {within:g} s: see the server's log")
    return time.perf_counter() - began
