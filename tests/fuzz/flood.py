"""Mutated messages for a running instance, while a canary asks on: what it notices, and what is left behind."""

import json
import math
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from meshdns.worker.tcp_server import IDLE_TIMEOUT
from tests.bench.processes import memory
from tests.e2e.instance import Instance
from tests.e2e.load import message, read
from tests.rig.waiting import eventually

ROOT: Final = Path(__file__).parents[2]
PAUSE: Final = 0.1  # seconds between canaries
PATIENCE: Final = 5.0  # seconds after which one counts as unanswered


@dataclass
class Canary:
    """Asks for a known name every 100 ms, over UDP and over a fresh TCP connection in turn, until the block ends."""

    server: tuple[str, int]
    name: str
    address: str
    waits: list[float] = field(default_factory=list)
    unanswered: int = 0
    wrong: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def longest(self) -> float:
        """The longest wait in seconds."""
        return max(self.waits, default=math.inf)

    def late(self, seconds: float) -> int:
        """Answers that took longer."""
        return sum(wait > seconds for wait in self.waits)

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(PAUSE):
            turn += 1
            query = message(self.name, secrets.randbelow(1 << 16))
            began = time.monotonic()
            try:
                reply = _over_tcp(self.server, query) if turn % 2 else _over_udp(self.server, query)
            except OSError:
                self.unanswered += 1
                continue
            self.waits.append(time.monotonic() - began)
            question = query[12 : 12 + len(self.name) + 6]
            echoed = reply[:2] == query[:2] and reply[2] & 0xF8 == 0x80 and reply[12 : 12 + len(question)] == question
            self.wrong += not echoed or read(reply) != (0, [self.address])


def _over_udp(server: tuple[str, int], query: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(server)
        client.send(query)
        return client.recv(4096)


def _over_tcp(server: tuple[str, int], query: bytes) -> bytes:
    with socket.create_connection(server, timeout=PATIENCE) as client:
        client.sendall(len(query).to_bytes(2, "big") + query)
        with client.makefile("rb") as stream:
            size = stream.read(2)
            reply = stream.read(int.from_bytes(size, "big"))
    if len(reply) < 12:
        raise ConnectionError("the connection ended without a reply")
    return reply


class Hostile:
    """Another process of `tests.fuzz` that says when it is ready, waits for a word, and tells what came of it."""

    def __init__(self, module: str, *words: object) -> None:
        command = [sys.executable, "-m", f"tests.fuzz.{module}", *map(str, words)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{' '.join(command)} did not get ready; see what it printed")

    def go(self) -> Mapping[str, Any]:
        """Have it go on to its end; returns what it tells."""
        try:
            told, _ = self._process.communicate("go\n", timeout=600)
        finally:
            self._process.kill()
        return dict(json.loads(told))


@dataclass(frozen=True)
class Outcome:
    """What a flood did: to the canary, to the processes, to memory (MiB of PSS) and to the log (lines)."""

    sent: int
    seconds: float
    received: int
    canaries: int
    unanswered: int
    wrong: int
    late: int  # over 50 ms
    longest: float
    restarts: int
    memory_before: float
    memory_after: float
    lines: Sequence[str]


def flood(
    instance: Instance, transport: str, count: int, *, rate: int = 0, known: tuple[str, str], start: int = 1
) -> Outcome:
    """Send so many mutated messages, with a canary that asks for the `known` name and address."""
    lines, before = len(instance.log().splitlines()), memory(instance.pid)
    restarts, queries = _restarts(instance), instance.metric("meshdns_queries_total")
    sender = Hostile("sender", transport, instance.port, count, rate, start)
    with Canary(instance.server, *known) as canary:
        told = sender.go()
        received = _settled(instance) - queries
    return Outcome(
        told["sent"],
        told["seconds"],
        int(received) - len(canary.waits),
        len(canary.waits) + canary.unanswered,
        canary.unanswered,
        canary.wrong,
        canary.late(0.05),
        canary.longest,
        int(_restarts(instance) - restarts),
        before,
        memory(instance.pid),
        instance.log().splitlines()[lines:],
    )


@dataclass(frozen=True)
class Siege:
    """What held connections did: those that were open, at most, and what became of them; memory as in `Outcome`."""

    open: int
    cut: int
    refused: int
    ended_idle: int
    ended_writers: int
    canaries: int
    unanswered: int
    wrong: int
    late: int
    longest: float
    memory_before: float
    memory_during: float
    memory_after: float
    lines: Sequence[str]


def siege(instance: Instance, *, idle: int, writers: int, known: tuple[str, str]) -> Siege:
    """Hold so many connections until the server must have ended all of them, with a canary."""
    lines, before = len(instance.log().splitlines()), memory(instance.pid)
    cut, refused = (
        instance.metric("meshdns_connections_cut_total"),
        instance.metric("meshdns_connections_refused_total"),
    )
    most = 0.0
    with Canary(instance.server, *known) as canary:
        crowd = Hostile("crowd", instance.port, idle, writers)
        began = time.monotonic()
        during = memory(instance.pid)
        while time.monotonic() < began + IDLE_TIMEOUT + 2:
            most = max(most, instance.metric("meshdns_connections"))
            during = max(during, memory(instance.pid))
            time.sleep(0.2)
        told = crowd.go()
    eventually(lambda: instance.metric("meshdns_connections") < 2, what="the connections are gone")
    return Siege(
        int(most),
        int(instance.metric("meshdns_connections_cut_total") - cut),
        int(instance.metric("meshdns_connections_refused_total") - refused),
        told["idle"],
        told["writers"],
        len(canary.waits) + canary.unanswered,
        canary.unanswered,
        canary.wrong,
        canary.late(0.05),
        canary.longest,
        before,
        during,
        memory(instance.pid),
        instance.log().splitlines()[lines:],
    )


def capacity(instance: Instance, *, count: int = 200_000) -> float:
    """Mutated messages over UDP that an instance takes in a second, when more are sent than it can take."""
    before = instance.metric("meshdns_queries_total")
    told = Hostile("sender", "udp", instance.port, count, 0, 99).go()
    return float((_settled(instance) - before) / told["seconds"])


def _restarts(instance: Instance) -> float:
    return instance.metric("meshdns_child_restarts_total")


def _settled(instance: Instance) -> float:
    """The number of messages received, once it hardly grows."""

    def settled() -> float:
        first = instance.metric("meshdns_queries_total")
        time.sleep(0.5)  # two heartbeats of the worker, at which it publishes its counters
        return first if instance.metric("meshdns_queries_total") - first < 10 else 0

    return eventually(settled, what="the flood is over", within=60)
