"""Those who look while something is wrong: a client each 100 ms, and an operator with dig and ``meshdns get``."""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.instance import Instance
from tests.faults.cluster import CANARY, Cluster
from tests.rig.dig import NoReply, dig
from tests.soak.asking import Client, Lost, Refused

_CANARY: Final = 0.1  # seconds between two questions for each cluster's canary
_LOOK: Final = 1.0  # seconds between two looks of the operator
_CHANGE: Final = 2.0  # seconds between two changes in the cluster that has no fault
_HINT: Final = "0 "  # a denial names the nearest known name by EDE 0 (RFC 8914): nothing is wrong
_PATIENCE: Final = 10.0  # seconds that a command may take, and a change until it is answered


class Canary:
    """Asks for one name of each cluster; what it hears must be among what is `allowed` for that cluster."""

    def __init__(self, instance: Instance, clusters: list[Cluster]) -> None:
        self._client = Client(instance.address, instance.port)
        self._clusters = clusters
        self._over = threading.Event()
        self.allowed: dict[str, frozenset[str | None]] = {}
        self.asked = 0
        self.wrong: defaultdict[str, list[str]] = defaultdict(list)
        self.heard: dict[str, list[tuple[float, str | None]]] = defaultdict(list)
        """By cluster each answer that differs from the one before, and when."""

    @contextmanager
    def asking(self) -> Iterator["Canary"]:
        """Ask inside the block."""
        thread = threading.Thread(target=self._run, name="canary")
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _run(self) -> None:
        while not self._over.wait(_CANARY):
            for cluster in self._clusters:
                self._ask(cluster)

    def _ask(self, cluster: Cluster) -> None:
        host = cluster.host(CANARY)
        self.asked += 1
        try:
            answer = self._client.address(host)
        except (Lost, Refused) as error:
            self.wrong[cluster.name].append(f"{host}: {error}")
            return
        heard = self.heard[cluster.name]
        if not heard or heard[-1][1] != answer:
            heard.append((time.monotonic(), answer))
        if answer not in self.allowed[cluster.name]:
            self.wrong[cluster.name].append(f"{host} is {answer}, may be {self.allowed[cluster.name]}")


@dataclass(frozen=True)
class Look:
    """What the operator saw of one cluster: dig's answer, and the state with its reason. Times are monotonic."""

    at: float
    rcode: str
    answer: str
    ttl: int | None
    ede: str
    status: str
    reason: str

    @property
    def well(self) -> bool:
        """Whether nothing shows that anything is wrong."""
        return self.status == "synced" and not self.reason and self.ede[:2] in ("", _HINT)

    @property
    def text(self) -> str:
        """What dig says, for people."""
        ttl = f" TTL {self.ttl}" if self.ttl is not None else ""
        return f"{self.rcode}{ttl}{f', EDE {self.ede}' if self.ede else ''}"


class Operator:
    """Looks at each cluster once a second."""

    def __init__(self, instance: Instance, clusters: list[Cluster]) -> None:
        self._instance = instance
        self._clusters = clusters
        self._over = threading.Event()
        self.looks: defaultdict[str, list[Look]] = defaultdict(list)

    @contextmanager
    def looking(self) -> Iterator["Operator"]:
        """Look inside the block."""
        thread = threading.Thread(target=self._run, name="operator")
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def since(self, cluster: Cluster, at: float) -> list[Look]:
        """What was seen of a cluster from then on."""
        return [look for look in self.looks[cluster.name] if look.at >= at]

    def _run(self) -> None:
        while not self._over.wait(_LOOK):
            try:
                states = self._states()
            except subprocess.TimeoutExpired:  # a machine that stands still: there was no look
                continue
            for cluster in self._clusters:
                status, reason = states.get(cluster.name, ("unknown", ""))
                self.looks[cluster.name].append(self._dig(cluster, status, reason))

    def _states(self) -> dict[str, tuple[str, str]]:
        program = str(Path(sys.executable).with_name("meshdns"))
        command = [program, "get", "clusters", "-o", "json", "--config", str(self._instance.folder / "meshdns.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
        items = json.loads(done.stdout)["items"] if done.returncode == 0 else []
        return {item["name"]: (item["status"], item.get("reason", "")) for item in items}

    def _dig(self, cluster: Cluster, status: str, reason: str) -> Look:
        try:
            reply = dig(cluster.host(CANARY), server=self._instance.address, port=self._instance.port)
        except NoReply:
            return Look(time.monotonic(), "no reply", "", None, "", status, reason)
        ttl = int(reply.answer[0].split()[1]) if reply.answer else None
        answer = " ".join(reply.rdata)
        return Look(time.monotonic(), reply.status, answer, ttl, "; ".join(reply.ede), status, reason)


class Changes:
    """Changes one name of the cluster that has no fault, again and again, and takes the time until it is answered."""

    def __init__(self, instance: Instance, cluster: Cluster, number: int) -> None:
        self._client = Client(instance.address, instance.port)
        self._cluster = cluster
        self._number = number
        self._over = threading.Event()
        self.delays: list[float] = []

    @contextmanager
    def changing(self) -> Iterator["Changes"]:
        """Change inside the block."""
        thread = threading.Thread(target=self._run, name="changes")
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    @property
    def text(self) -> str:
        """For people."""
        if not self.delays:
            return "none"
        median, longest = statistics.median(self.delays) * 1e3, max(self.delays) * 1e3
        return f"{len(self.delays)}, answered after {median:.1f} ms (median), {longest:.1f} ms (longest)"

    def _run(self) -> None:
        edition = 0
        while not self._over.wait(_CHANGE):
            edition = 3 - edition
            self._cluster.change(self._number, edition)
            self.delays.append(self._until_answered(self._cluster.address(self._number, edition)))

    def _until_answered(self, address: str) -> float:
        began = time.perf_counter()
        while time.perf_counter() - began < _PATIENCE:
            try:
                if self._client.address(self._cluster.host(self._number)) == address:
                    break
            except (Lost, Refused):
                continue
        return time.perf_counter() - began
