"""A running ``meshdns serve``, as an operator starts it."""

import contextlib
import http.client
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import yaml
from prometheus_client.parser import text_string_to_metric_families

from meshdns.namedb.location import current_database
from tests.rig.dig import DigReply, dig
from tests.rig.nameserver import NameServer
from tests.rig.ports import free_port
from tests.rig.waiting import eventually

PROGRAM = str(Path(sys.executable).with_name("meshdns"))


class Instance(NameServer):
    """One instance with the given settings; its state and settings file live in `folder`."""

    title: ClassVar[str] = "meshdns"

    def __init__(self, settings: Mapping[str, Any], *, flags: Sequence[str] = ()) -> None:
        super().__init__()
        self.http = free_port()
        self._settings = dict(settings)
        self._flags = tuple(flags)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was set beside its own addresses."""
        return self._settings

    @property
    def state_dir(self) -> Path:
        """Where the name database is."""
        return self.folder / "state"

    def files(self) -> Mapping[str, str]:
        """The settings file."""
        own = {
            "apiVersion": "meshdns/v1",
            "listen": [f"{self.address}:{self.port}"],
            "stateDir": "./state",
            "workers": 1,
            "probe": {"type": "none"},
            "http": {"listen": f"{self.address}:{self.http}"},
            "lameduck": "0s",
            "logFormat": "text",
        }
        return {"meshdns.yaml": yaml.safe_dump({**own, **self._settings})}

    def command(self) -> Sequence[str]:
        """The installed command."""
        return [PROGRAM, "serve", "--config", str(self.folder / "meshdns.yaml"), *self._flags]

    def ask(self, name: str, rtype: str = "A", **options: Any) -> DigReply:
        """Dig at this instance."""
        return dig(name, rtype, server=self.address, port=self.port, **options)

    def addresses(self, name: str, rtype: str = "A") -> list[str]:
        """The sorted addresses of a name; what else came is in the failure of the comparison."""
        reply = self.ask(name, rtype)
        return sorted(reply.rdata) if reply.status == "NOERROR" else [reply.status]

    def children(self) -> dict[str, list[int]]:
        """The pids of the child processes by the module they run."""
        found: dict[str, list[int]] = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                words = status.with_name("cmdline").read_bytes().split(b"\0")
            except (OSError, IndexError, ValueError):
                continue
            if parent == self.pid and b"-m" in words:
                module = words[words.index(b"-m") + 1].decode()
                found.setdefault(module.split(".")[1], []).append(int(status.parent.name))
        return found

    def kill(self, pid: int, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one of this instance's processes."""
        os.kill(pid, signum)

    @contextlib.contextmanager
    def standing(self, pid: int) -> Iterator[None]:
        """A process of this instance stands still inside the block."""
        self.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self.kill(pid, signal.SIGCONT)

    # ------------------------------------------------------------------------------------------ operation

    @property
    def server(self) -> tuple[str, int]:
        """Where queries go."""
        return self.address, self.port

    @property
    def workers(self) -> list[int]:
        """The pids of the workers, in order of their start."""
        return sorted(self.children().get("worker", []))

    @property
    def controller(self) -> int:
        """The pid of the controller, 0 while there is none."""
        return next(iter(self.children().get("controller", [])), 0)

    @property
    def view(self) -> Path:
        """The directory of the name database that is in use."""
        return current_database(self.state_dir)

    def page(self, path: str, *, accept: str = "text/plain") -> tuple[int, str]:
        """Status and text of ``/health``, ``/ready`` or ``/metrics``; status 0 where nobody listens."""
        connection = http.client.HTTPConnection(self.address, self.http, timeout=10)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        except ConnectionError:
            return 0, "nobody listens"
        finally:
            connection.close()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; nan where there is none."""
        samples = [
            sample.value
            for family in text_string_to_metric_families(self.page("/metrics")[1])
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(samples) if samples else math.nan

    def change(self, **settings: Any) -> None:
        """Write other settings beside those that stay; nothing is told to the instance."""
        self._settings.update(settings)
        for name, text in self.files().items():
            (self.folder / name).write_text(text)

    def flush_cache(self) -> None:
        """``meshdns cache flush``, and wait until it is done."""
        command = [PROGRAM, "cache", "flush", "--config", str(self.folder / "meshdns.yaml")]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        eventually(lambda: self.metric("meshdns_cache_entries") == 0, what="the cache is empty")

    def crash(self) -> list[int]:
        """``kill -9`` of the supervisor, and only of it; returns the pids of the children that it had."""
        children = [pid for pids in self.children().values() for pid in pids]
        os.kill(self.pid, signal.SIGKILL)
        self._running().wait()
        return children

    def run_failing(self) -> tuple[int, str]:
        """Start another one with the same settings, which cannot serve; its exit status and what it says."""
        done = subprocess.run(self.command(), capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr


def on_boutique(clusters: Path, resolver: NameServer, **settings: Any) -> Instance:
    """An instance in cluster1 of Online Boutique as a folder of manifests, with a resolver behind it."""
    return Instance(
        {
            "sources": [{"kind": "manifests", "path": str(clusters)}],
            "vantage": {"cluster": "cluster1"},
            "forward": [{"zone": ".", "to": [f"{resolver.address}:{resolver.port}"]}],
            **settings,
        }
    )


def wait_until_ready(instance: Instance) -> None:
    """Wait until the instance calls itself ready and denies what does not exist."""
    eventually(lambda: instance.page("/ready")[0] == HTTPStatus.OK, what="/ready says so", within=60)
    eventually(lambda: instance.ask("nosuch.default.global").status == "NXDOMAIN", what="all clusters are read")


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def resident(pid: int) -> int:
    """The resident memory of a process in octets."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10
