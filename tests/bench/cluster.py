"""A real API server that holds the population as ServiceEntries, and changes to them at a fixed rate."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.bench.population import Population, service_entry
from tests.bench.queries import ask, is_right, query
from tests.rig.apiserver import ApiServer
from tests.rig.etcd import Etcd
from tests.rig.waiting import eventually

ENTRIES = "/apis/networking.istio.io/v1/namespaces/default/serviceentries"
SERVICES = "/api/v1/namespaces/default/services"
_WRITERS = 4  # connections: a change may take longer than the time to the next
_CHANGED = "198.51.{}.{}"  # what a changed entry points to (RFC 5737 and its neighbours)


class Cluster:
    """The cluster east; `server` is its API, `kubeconfig` the file for clients.

    `services` has it hold the population as Services instead.
    """

    def __init__(self, population: Population, *, services: bool = False) -> None:
        self.population = population
        self._services = services
        self._stack = ExitStack()
        self._changes = count()
        self._changed: set[int] = set()  # entries that have another address than the population says

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            etcd = stack.enter_context(Etcd())
            self.server = stack.enter_context(ApiServer(etcd, "east"))
            self.server.install_crds()
            with ThreadPoolExecutor(_WRITERS) as writers:
                objects = self.population.services() if self._services else self.population.service_entries()
                list(writers.map(self._create, objects))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with the one context east."""
        return self.server.write_kubeconfig(self.server.folder / "kubeconfig.yaml")

    @contextmanager
    def changing(self, rate: float, port: int) -> Iterator["Tally"]:
        """Give entry after entry another address, `rate` times a second, and tell how many there were.

        Afterwards the last change must be what the server at `port` answers; raises `TimeoutError` where it is not.
        """
        tally, over = Tally(), threading.Event()
        writer = threading.Thread(target=self._write, args=(rate, tally, over), name="changes")
        writer.start()
        try:
            yield tally
        finally:
            over.set()
            writer.join()
        name, address = tally.last
        if name:
            message = query(name)
            eventually(lambda: is_right(ask(port, message), [address]), what=f"{name} is {address}")

    def _create(self, declared: dict[str, Any]) -> None:
        self.server.post(SERVICES if self._services else ENTRIES, declared)

    def _write(self, rate: float, tally: "Tally", over: threading.Event) -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(_WRITERS) as writers:
            for number in count():
                if over.wait(max(began + number / rate - time.monotonic(), 0)):
                    break
                writers.submit(self._change, next(self._changes), tally)

    def _change(self, number: int, tally: "Tally") -> None:
        entry = number % self.population.count
        self._changed.add(entry)
        address = _CHANGED.format(number // 256 % 256, number % 256)
        self.server.patch(f"{ENTRIES}/svc-{entry:05d}", {"spec": {"endpoints": [{"address": address}]}})
        tally.done(number, self.population.name(entry), address)

    def restore(self) -> None:
        """Give every changed entry the addresses that the population says."""
        with ThreadPoolExecutor(_WRITERS) as writers:
            list(writers.map(self._restore, self._changed))
        self._changed.clear()

    def _restore(self, entry: int) -> None:
        endpoints = [{"address": address} for address in self.population.addresses(entry)]
        self.server.patch(f"{ENTRIES}/svc-{entry:05d}", {"spec": {"endpoints": endpoints}})

    def add(self, name: str, host: str, address: str) -> None:
        """Create one more ServiceEntry."""
        self.server.post(ENTRIES, service_entry(name, host, [address]))

    def drop(self, name: str) -> None:
        """Delete a ServiceEntry."""
        self.server.delete(f"{ENTRIES}/{name}")


class Tally:
    """How many changes are done, and the last of them: a name and its address."""

    def __init__(self) -> None:
        self.count = 0
        self.last = ("", "")
        self._number = -1
        self._lock = threading.Lock()

    def done(self, number: int, name: str, address: str) -> None:
        """Count a change."""
        with self._lock:
            self.count += 1
            if number > self._number:
                self._number, self.last = number, (name, address)
