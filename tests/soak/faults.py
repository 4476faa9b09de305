"""Faults and changes against two real API servers, every answer compared with what it may be.

Each 10 s something goes wrong: an API server is killed, stands still, restarts, loses its CRD, the token or the rights
of its reader, or a worker or the controller of meshdns is killed. Meanwhile 10 objects change per second and a client
asks without pause.
"""

import itertools
import statistics
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from tests.e2e.instance import Instance, resident, wait_until_ready
from tests.rig.apiserver import ApiServer
from tests.rig.etcd import Etcd
from tests.rig.waiting import eventually
from tests.soak.asking import Client, Lost, Refused
from tests.soak.clusters import FAULTS, NAMES, Cluster, value_of
from tests.soak.oracle import WELL, Oracle
from tests.soak.report import Table, say

_EVERY = 10.0  # seconds between the beginnings of two faults
_CHANGES = 10  # a second
_ASK = 0.002  # seconds between two questions
_YOUNG = 20.0  # seconds after which a process's memory is judged


class Soak:
    """One run; the main thread makes the faults, since servers die with the thread that started them."""

    def __init__(self, clusters: list[Cluster], instance: Instance, truth: Oracle) -> None:
        self._clusters = clusters
        self._instance = instance
        self._truth = truth
        self._ended = threading.Event()
        self._locks = {cluster.name: threading.Lock() for cluster in clusters}
        self._client = Client(instance.address, instance.port)
        self._numbers = itertools.count(1)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.memory: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        self._born: dict[int, float] = {}

    def run(self, seconds: float) -> None:
        """Change, ask and make trouble for so long; then wait until all is well, and compare everything."""
        works: list[Callable[[], None]] = [self._change, self._ask, self._weigh]
        threads = [threading.Thread(target=work, name=work.__name__) for work in works]
        for thread in threads:
            thread.start()
        try:
            self._trouble(time.monotonic() + seconds)
            say(f"all faults are over; {WELL:g} s until everything must be right")
            time.sleep(WELL + 5)
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()
        for cluster in self._clusters:
            for number in range(NAMES):
                self._compare(cluster, number)

    # ------------------------------------------------------------------------------------------ faults

    def _trouble(self, until: float) -> None:
        kinds: list[tuple[str, Callable[[Cluster], None]]] = [
            ("API server killed", Cluster.kill),
            ("worker killed", lambda _: self._instance.kill(self._instance.workers[0])),
            ("API server stopped", Cluster.stand_still),
            ("token revoked", Cluster.revoke),
            ("controller killed", lambda _: self._kill_controller()),
            ("API server restarted", Cluster.restart),
            ("rights taken away", Cluster.lock_out),
            ("CRD deleted", Cluster.lose_crd),
        ]
        for turn in itertools.count():
            name, make = kinds[turn % len(kinds)]
            cluster = self._clusters[(turn + turn // len(kinds)) % len(self._clusters)]
            begun = time.monotonic()
            if begun >= until:
                return
            with self._locks[cluster.name]:
                make(cluster)
            self.counts[name] += 1
            so_far = f"{self.counts['answers']} answers, {len(self.wrong)} wrong"
            say(f"{until - begun:6.0f} s left: {name} ({cluster.name}); {so_far}")
            time.sleep(max(0.0, begun + _EVERY - time.monotonic()))

    def _kill_controller(self) -> None:
        if self._instance.controller:
            self._instance.kill(self._instance.controller)
            for cluster in self._clusters:
                self._truth.begin_fault(cluster.name, time.monotonic())
                self._truth.end_fault(cluster.name, time.monotonic())

    # ------------------------------------------------------------------------------------------ changes

    def _change(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            value = next(self._numbers)
            cluster = self._clusters[value % len(self._clusters)]
            lock = self._locks[cluster.name]
            if lock.acquire(blocking=False):  # a server in trouble takes no changes; what it holds is read afterwards
                try:
                    cluster.change(value * 7 % NAMES, value, delete=value % 5 == 0)
                    self.counts["changes"] += 1
                except FAULTS as fault:
                    self.wrong.append(f"a change failed with nothing wrong: {fault}")
                finally:
                    lock.release()
            due = max(due + 1 / _CHANGES, time.monotonic() - 1)
            self._ended.wait(max(0.0, due - time.monotonic()))

    # ------------------------------------------------------------------------------------------ questions

    def _ask(self) -> None:
        for turn in itertools.count():
            if self._ended.wait(_ASK):
                return
            self._compare(self._clusters[turn % len(self._clusters)], turn // len(self._clusters) % NAMES)

    def _compare(self, cluster: Cluster, number: int) -> None:
        host, asked = cluster.host(number), time.monotonic()
        try:
            value = value_of(self._client.address(host))
        except Lost:
            self.counts["lost"] += 1
            return
        except Refused as refusal:
            self.wrong.append(f"{host}: {refusal}")
            return
        self.counts["answers"] += 1
        fault = self._truth.check(cluster.name, host, value, asked, time.monotonic())
        if fault:
            self.wrong.append(fault)
            say(fault)

    # ------------------------------------------------------------------------------------------ memory

    def _weigh(self) -> None:
        while not self._ended.wait(5.0):
            now = time.monotonic()
            found = {"supervisor": [self._instance.pid], **self._instance.children()}
            for role, pids in found.items():
                for pid in pids:
                    self._weigh_one(role, pid, now)

    def _weigh_one(self, role: str, pid: int, now: float) -> None:
        try:
            octets = resident(pid)
        except (OSError, StopIteration):
            return
        if now - self._born.setdefault(pid, now) >= _YOUNG:
            self.memory[role].append((now, octets))

    def slope(self, role: str) -> str:
        """How the memory of a role's processes grew, in KiB a minute, beside what it is."""
        samples = self.memory[role]
        if len(samples) < 3:
            return "too few samples"
        growth = statistics.linear_regression([at / 60 for at, _ in samples], [size / 1024 for _, size in samples])
        return f"{growth.slope:+.0f} KiB a minute at {statistics.median(size for _, size in samples) / 2**20:.0f} MiB"


def run(minutes: float) -> tuple[Table, bool]:
    """Run for so many minutes; the table to record, and whether all is well."""
    truth = Oracle(time.monotonic())
    with (
        tempfile.TemporaryDirectory() as folder,
        Etcd() as etcd,
        ApiServer(etcd, "east", "10.96.0.0/16") as east,
        ApiServer(etcd, "west", "10.97.0.0/16") as west,
    ):
        for server in (east, west):
            server.install_crds()
        clusters = [Cluster(server, truth, Path(folder)) for server in (east, west)]
        for number in range(NAMES):
            for cluster in clusters:
                cluster.change(number, 0, delete=False)
        paths = ":".join(str(cluster.kubeconfig) for cluster in clusters)
        source = {"kind": "kubeconfig", "path": paths, "contexts": ["east", "west"]}
        settings = {"sources": [source], "vantage": {"cluster": "east"}, "workers": 2}
        with Instance(settings) as instance:
            wait_until_ready(instance)
            soak = Soak(clusters, instance, truth)
            eventually(lambda: instance.addresses(clusters[1].host(0)) == ["198.18.0.0"], what="all names are served")
            soak.run(minutes * 60)
            say(instance.log_tail())
    for fault in soak.wrong[:20]:
        say(fault)
    return _table(soak, minutes), not soak.wrong


def _table(soak: Soak, minutes: float) -> Table:
    counts = soak.counts
    troubles = {name: count for name, count in counts.items() if name not in ("answers", "lost", "changes")}
    return Table(
        "Faults against real API servers",
        [
            ("ran", f"{minutes:g} min, 2 kube-apiservers, 2 workers"),
            (
                "faults",
                f"{sum(troubles.values())}: " + ", ".join(f"{name} {count}" for name, count in troubles.items()),
            ),
            ("changes", f"{counts['changes']:,}"),
            ("answers compared", f"{counts['answers']:,}"),
            ("wrong", str(len(soak.wrong))),
            ("without an answer", f"{counts['lost']} (a worker's death takes what it held)"),
            ("memory of the supervisor", soak.slope("supervisor")),
            ("memory of the controller", soak.slope("controller")),
            ("memory of a worker", soak.slope("worker")),
        ],
    )
