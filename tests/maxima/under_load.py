"""Maxima in a running instance under load: what queries come to, what memory the processes take, how long changes wait.

The maximum comes as files of the clusters' folders and is taken away again. Meanwhile known and forwarded names are
asked, and small changes are made elsewhere, one after the other: in another cluster of the same folder, and in a
folder of another source. How long these wait is how long the controller is deaf.
"""

import contextlib
import json
import secrets
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources.kube.resources import KIND_BY_GROUP_AND_NAME, RESOURCES
from tests.bench.programs import Answering
from tests.e2e.instance import Instance, wait_until_ready
from tests.e2e.load import Load, message, read
from tests.maxima.objects import MAXIMA, OWN, Object, gateway_service, network, scenery, service_entry
from tests.rig.waiting import eventually

RATE: Final = 500  # queries a second
WORKERS: Final = 2  # as in the chart
_BYSTANDER: Final = "north"
_SETTLED_WITHIN: Final = 300.0  # seconds
_TIMEOUT: Final = 1.0  # seconds for one query of ours
_NXDOMAIN: Final = 3
_NAME_BY_KIND: Final = {kind: named for named, kind in KIND_BY_GROUP_AND_NAME.items()}
KNOWN: Final = {
    "shop.global": ["20.240.0.1"],
    "pair.global": ["20.240.0.2", "20.240.0.3"],
    "web.front.global": ["10.96.0.77"],
    "far.global": ["198.51.100.9"],
    "www.example.com": [Answering.ADDRESS],
    "*.away.example": [Answering.ADDRESS],
}
"""Names of the own cluster and of one behind a gateway; a third is forwarded, half of that never asked before."""


class Served(NamedTuple):
    """What became of queries and processes. Seconds by the wall; memory is the peak in MiB."""

    sent: int
    unanswered: int
    wrong: int
    longest: float
    deaf: float
    """The longest wait of a small change in another source."""
    deaf_in_folder: float
    """The longest wait of a small change in another cluster of the same folder."""
    controller: float
    worker: float
    """Of the worker with the higher peak."""
    together: float
    """The peaks of all processes added, which count shared pages once for each."""
    restarts: int


def serve(name: str, copies: int) -> Served:
    """Give so many of a maximum to an instance, and take them away again."""
    objects = [obj for number in range(copies) for obj in MAXIMA[name](number)]
    with scene_with() as scene, Load(scene.instance.server, KNOWN, rate=RATE, limit=2 * _SETTLED_WITHIN) as load:
        before = scene.instance.children()
        waits = [*scene.change(objects, present=True), *scene.change(objects, present=False)]
        memory = scene.memory()
        outcome = load.end()
        after = scene.instance.children()
    kept = {pid for pids in before.values() for pid in pids} & {pid for pids in after.values() for pid in pids}
    return Served(
        outcome.sent,
        outcome.lost,
        outcome.wrong,
        outcome.longest,
        max(wait.elsewhere for wait in waits),
        max(wait.in_folder for wait in waits),
        max(memory["controller"]),
        max(memory["worker"]),
        sum(sum(peaks) for peaks in memory.values()),
        1 + WORKERS - len(kept),
    )


@contextlib.contextmanager
def scene_with(*sources: Mapping[str, Any]) -> "Iterator[Scene]":
    """An instance that is ready, with these sources beside its folders, and an upstream that knows every name."""
    with tempfile.TemporaryDirectory(prefix="meshdns-maxima-") as directory, Answering() as upstream:
        folders = [Path(directory, word) for word in ("clusters", "quiet")]
        files: dict[str, list[Object]] = {}
        for obj in (*scenery(), *_known_objects()):
            files.setdefault(obj[0], []).append(obj)
        for cluster, objects in files.items():
            _write(folders[0] / cluster / "known.json", objects)
        _write(folders[1] / "south" / "known.json", [network("south")])
        settings = {
            "sources": [{"kind": "manifests", "path": str(folder)} for folder in folders] + [*sources],
            "vantage": {"cluster": OWN},
            "forward": [{"zone": ".", "to": [f"{upstream.address}:{upstream.port}"]}],
            "workers": WORKERS,
        }
        with Instance(settings) as instance, contextlib.closing(Scene(instance, *folders)) as scene:
            yield scene


class Wait(NamedTuple):
    """How long a pair of small changes waited, in seconds."""

    elsewhere: float
    in_folder: float


class Scene:
    """An instance with two folders of clusters: one that the maxima come into, and another."""

    def __init__(self, instance: Instance, folder: Path, other: Path) -> None:
        self.instance = instance
        self._folder = folder
        self._small = {
            "elsewhere.global": other / "south" / "small.json",
            "infolder.global": folder / _BYSTANDER / "small.json",
        }
        self._round = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(_TIMEOUT)
        self._socket.connect(instance.server)
        wait_until_ready(instance)
        self.make_small_changes()

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()

    def change(self, objects: Iterable[Object], *, present: bool) -> list[Wait]:
        """Write or remove the files of `objects`; how long small changes waited until all of that was served."""
        files: dict[str, list[Object]] = {}
        for obj in objects:
            files.setdefault(obj[0], []).append(obj)
        waiting = [host for cluster, held in files.items() for host in (*_hosts(held), f"last.{cluster}.global")]
        for cluster, held in files.items():
            path = self._folder / cluster / "maximum.json"
            if present:
                last = service_entry("last", hosts=[f"last.{cluster}.global"], endpoints=[{"address": "20.240.1.1"}])
                _write(path, [*held, (cluster, ObjectKind.SERVICE_ENTRY, last)])
            else:
                path.unlink()
        waits: list[Wait] = []
        deadline = time.monotonic() + _SETTLED_WITHIN
        while not waits or waiting:
            waits.append(self.make_small_changes())
            while waiting and self._is_known(waiting[-1]) is present:
                waiting.pop()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {_SETTLED_WITHIN:g} s: {waiting[-1]} is {present=}")
        return waits

    def memory(self) -> dict[str, list[float]]:
        """The peaks of resident memory in MiB by process."""
        children = {kind: [_peak(pid) for pid in pids] for kind, pids in self.instance.children().items()}
        return {"supervisor": [_peak(self.instance.pid)], **children}

    def make_small_changes(self) -> Wait:
        """Change an address in each folder, and wait until both are served."""
        self._round += 1
        address = f"20.250.{self._round >> 8}.{self._round & 255}"
        began = time.monotonic()
        for host, path in self._small.items():
            entry = service_entry("small", hosts=[host], endpoints=[{"address": address}])
            _write(path, [(path.parent.name, ObjectKind.SERVICE_ENTRY, entry)])
        waits: dict[str, float] = {}

        def served() -> bool:
            for host in self._small.keys() - waits.keys():
                if self._ask(host) == (0, [address]):
                    waits[host] = time.monotonic() - began
            return len(waits) == len(self._small)

        eventually(served, what="small changes are served", within=_SETTLED_WITHIN)
        return Wait(*(waits[host] for host in self._small))

    def _is_known(self, host: str) -> bool:
        return self._ask(host)[0] != _NXDOMAIN

    def _ask(self, host: str) -> tuple[int, list[str]]:
        ident = secrets.randbelow(1 << 16)
        self._socket.send(message(host, ident))
        while True:
            reply = self._socket.recv(4096)
            if int.from_bytes(reply[:2], "big") == ident:
                return read(reply)


def _known_objects() -> Iterator[Object]:
    """What declares the names that are asked; the maxima say nothing about its clusters' gateway."""
    for host, *addresses in (("shop", "20.240.0.1"), ("pair", "20.240.0.2", "20.240.0.3")):
        endpoints = [{"address": address} for address in addresses]
        yield OWN, ObjectKind.SERVICE_ENTRY, service_entry(host, hosts=[f"{host}.global"], endpoints=endpoints)
    spec = {"clusterIP": "10.96.0.77", "ports": [{"port": 80, "name": "http"}]}
    yield OWN, ObjectKind.SERVICE, {"metadata": {"name": "web", "namespace": "front"}, "spec": spec}
    yield network(_BYSTANDER)
    yield _BYSTANDER, ObjectKind.SERVICE, gateway_service("eastwest", {"ports": [{"port": 15443}]}, ["198.51.100.9"])
    far = service_entry("far", hosts=["far.global"], endpoints=[{"address": "10.0.0.7"}])
    yield _BYSTANDER, ObjectKind.SERVICE_ENTRY, far


def _hosts(objects: Iterable[Object]) -> list[str]:
    """The names that are served of ServiceEntries and EndpointSlices, as far as they are names."""
    found = set[str]()
    for _, kind, obj in objects:
        if kind is ObjectKind.SERVICE_ENTRY:
            found.update(host for host in obj["spec"]["hosts"][:256] if host.isascii())
        elif kind is ObjectKind.ENDPOINT_SLICE:
            service = obj["metadata"]["labels"]["kubernetes.io/service-name"]
            found.update(f"{each['hostname']}.{service}.prod.global" for each in obj["endpoints"])
    return sorted(found)


def _write(path: Path, objects: Iterable[Object]) -> None:
    """Write objects as one list, at once."""
    items = []
    for _, kind, obj in objects:
        group, name = _NAME_BY_KIND[kind]
        version = RESOURCES[kind].versions[0] if kind in RESOURCES else "v1"
        items.append({"apiVersion": f"{group}/{version}".removeprefix("/"), "kind": name, **obj})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, ensure_ascii=False))
    part.rename(path)


def _peak(pid: int) -> float:
    """The peak of a process's resident memory in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
