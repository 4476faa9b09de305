"""What clients notice of those who look: scrapes, open live views and one that reads slowly."""

import contextlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.arithmetic import Load
from tests.bench.cores import Cores
from tests.bench.fleet import Fleet
from tests.bench.moment import Moment
from tests.bench.population import Population
from tests.bench.programs import Generator
from tests.bench.queries import Packets, ask, is_right, query
from tests.e2e.instance import Instance
from tests.rig.waiting import eventually

_POPULATION = Population()
_RATE = 5_000  # a second
_SECONDS = 10.0
_TRIES = 3
_ASKED = 2_000  # names
_SCRAPES = 10  # a second
_VIEWS = 100
_PAGE = "?rate=50"  # what the page asks for
_START = 120.0  # seconds to read everything
_READ = 1 << 16
_NICE = 19


@dataclass
class _Looked:
    """What those who look have seen, so that a figure is known to be one of an instance that was looked at."""

    scrapes: int = 0
    octets: int = 0


def observed(fleet: Fleet, cores: Cores, _tries: int) -> list[Moment]:
    """By turns an instance that nobody looks at, and the same with 10 scrapes a second, 100 views and a slow reader."""
    fleet.keep((), _POPULATION)
    quiet: list[Load] = []
    busy: list[Load] = []
    seen: list[_Looked] = []
    generator = Generator()
    packets = Packets(tuple(query(_POPULATION.name(number)) for number in range(_ASKED)))
    file = fleet.folder / "observed.packets"
    file.write_bytes(packets.file())
    source = {"kind": "manifests", "path": str(fleet.site("meshdns", _POPULATION).folder)}
    with contextlib.ExitStack() as stack:
        instance = Instance({"sources": [source], "vantage": {"cluster": "east"}, "admin": {"socket": "./admin.sock"}})
        with cores.both():
            stack.enter_context(instance)
        last = query(_POPULATION.name(_POPULATION.count - 1))
        right = _POPULATION.addresses(_POPULATION.count - 1)
        eventually(lambda: is_right(ask(instance.port, last), right), what="the last of the names", within=_START)
        generator.prime(instance.port, packets, file)
        for _ in range(_TRIES):
            quiet.append(generator.run(instance.port, packets, file, seconds=_SECONDS, rate=_RATE))
            with _looking(instance) as looked:
                busy.append(generator.run(instance.port, packets, file, seconds=_SECONDS, rate=_RATE))
            seen.append(looked)
    return list(_moments(quiet, busy, seen))


@contextlib.contextmanager
def _looking(instance: Instance) -> Iterator[_Looked]:
    """Scrape, and look at live queries, inside the block; all in threads of this process, on the core of the load."""
    looked, over = _Looked(), threading.Event()
    with contextlib.ExitStack() as stack:
        views = [stack.enter_context(_view(instance, _PAGE)) for _ in range(_VIEWS)]
        stack.enter_context(_view(instance, ""))  # wants all, and is never read
        threads = [threading.Thread(target=_scrape, args=(instance, looked, over))]
        threads.append(threading.Thread(target=_read, args=(views, looked, over)))
        for thread in threads:
            thread.start()
        try:
            yield looked
        finally:
            over.set()
            for thread in threads:
                thread.join()


def _view(instance: Instance, words: str) -> socket.socket:
    """An open stream of live queries."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.connect(str(instance.folder / "admin.sock"))
    asked = f"GET /queries{words} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    stream.sendall(asked.encode())
    stream.setblocking(False)
    return stream


def _read(views: list[socket.socket], looked: _Looked, over: threading.Event) -> None:
    """Read what is there, five times a second, as a browser would."""
    _stand_back()
    while not over.wait(0.2):
        for view in views:
            with contextlib.suppress(BlockingIOError):
                while got := view.recv(_READ):
                    looked.octets += len(got)


def _scrape(instance: Instance, looked: _Looked, over: threading.Event) -> None:
    """Scrape at a fixed rate, whatever each takes."""
    _stand_back()
    due = time.monotonic()
    while not over.wait(max(due - time.monotonic(), 0)):
        connection = http.client.HTTPConnection(instance.address, instance.http, timeout=10)
        connection.request("GET", "/metrics")
        looked.octets += len(connection.getresponse().read())
        connection.close()
        looked.scrapes += 1
        due += 1 / _SCRAPES


def _stand_back() -> None:
    """Have the load go before this thread on their core: those who look do so from other machines."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _moments(quiet: list[Load], busy: list[Load], seen: list[_Looked]) -> Iterator[Moment]:
    for name, when, loads in (("unseen", "nobody looks", quiet), ("observed", "10 scrapes/s, 101 live views", busy)):
        yield Moment(f"{name}-p99", f"99th percentile at 5,000/s, {when}", tuple(load.p99 / 1e3 for load in loads))
        yield Moment(f"{name}-lost", f"lost queries (count), {when}", tuple(float(load.lost) for load in loads))
    yield Moment("observed-scrapes", "scrapes that were answered (count)", tuple(float(each.scrapes) for each in seen))
    yield Moment("observed-octets", "MB that were looked at (not ms)", tuple(each.octets / 1e6 for each in seen))
