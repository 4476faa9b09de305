"""The bench's own programs in C: compiled once into the rig's cache, and run as components.

- `Echo` is what no server can undercut: the system calls and nothing else.
- `Answering` is the upstream of forwarding rows; it knows every name.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.bench.arithmetic import Load
from tests.bench.queries import Packets, ask, query
from tests.rig.build import cache_folder
from tests.rig.component import Component
from tests.rig.errors import ComponentUnavailable

SOCKETS = 240
CONNECTIONS = 8  # over TCP, so that 20 queries are in flight on each under saturation
WINDOW = 160  # queries in flight under saturation; a receive buffer of Linux's default size holds some more
_FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")
_MANY = 1 << 30
_PRIMED = 30.0  # seconds at most
_GRACE = 15.0  # seconds beyond a load's own end


def compiled(name: str) -> Path:
    """The program from ``<name>.c``; raises `ComponentUnavailable`."""
    source = Path(__file__).with_name(f"{name}.c")
    compiler = shutil.which("cc")
    if compiler is None:
        raise ComponentUnavailable("no C compiler: run `apt-get install gcc libc6-dev`, or put one on the path as cc")
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True).stdout
    key = hashlib.sha256(source.read_bytes() + version + " ".join(_FLAGS).encode()).hexdigest()[:16]
    program = cache_folder() / f"bench-{key}" / name
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as made:
            subprocess.run([compiler, *_FLAGS, "-o", f"{made}/{name}", str(source)], check=True)
            Path(made, name).rename(program)
    return program


class Echo(Component):
    """A server that sends every query back as its own reply."""

    title: ClassVar[str] = "C echo"

    def command(self) -> Sequence[str]:
        """The echo on our port."""
        return [str(compiled("echo")), str(self.port)]

    def ready(self) -> bool:
        """Whether it echoes."""
        return bool(ask(self.port, query("ready.invalid")))


class Answering(Echo):
    """An upstream that answers every question for an A record with `ADDRESS`."""

    title: ClassVar[str] = "C upstream"
    ADDRESS: ClassVar[str] = "192.0.2.1"

    def command(self) -> Sequence[str]:
        """The upstream on our port."""
        return [str(compiled("upstream")), str(self.port)]


class Generator:
    """The load generator; every unique name it asks is new for as long as this object lives."""

    def __init__(self) -> None:
        self._program = str(compiled("load"))
        self._first = 0

    def prime(self, port: int, packets: Packets, file: Path) -> None:
        """Ask every query of a file once, so that what a server keeps of them it has."""
        if not packets.unique:
            self.run(port, packets, file, seconds=_PRIMED, rate=0, count=len(packets.queries))

    def run(self, port: int, packets: Packets, file: Path, *, seconds: float, rate: float, count: int = _MANY) -> Load:
        """Load a server from this thread's core; `file` holds the packets, `rate` 0 is a closed loop.

        It ends after `seconds`, or `count` queries.
        """
        command = [
            self._program,
            f"-p{port}",
            f"-n{CONNECTIONS if packets.tcp else SOCKETS}",
            f"-w{WINDOW}",
            f"-t{seconds}",
            f"-r{rate}",
            f"-c{count}",
        ]
        command += [f"-e{packets.rcode}", f"-a{packets.answers}", *(["-s"] if packets.tcp else [])]
        if packets.unique:
            command.append(f"-u{self._first}")
        done = subprocess.run(
            [*command, str(file)], check=True, stdout=subprocess.PIPE, text=True, timeout=seconds + _GRACE
        )
        load = Load(**json.loads(done.stdout))
        self._first += load.sent
        return load
