"""An API server of two kinds in virtual time, with every fault it can be made to have.

It implements `meshdns.sources.kube.follower.Connection` and tells a `Model` what is true and what it did.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from meshdns.sources.settings import SourceError
from tests.sources.schedules.model import Model, Objects

PATHS = {
    "/apis/networking.istio.io/v1/serviceentries": ("ServiceEntry", "v1"),
    "/apis/networking.istio.io/v1beta1/serviceentries": ("ServiceEntry", "v1beta1"),
    "/apis/networking.istio.io/v1alpha3/serviceentries": ("ServiceEntry", "v1alpha3"),
    "/api/v1/namespaces": ("Namespace", "v1"),
}
KINDS = ("ServiceEntry", "Namespace")
PAGE = 7
DEAD_AFTER = 25.0  # seconds after which TCP gives up a silent peer

LASTING = ("refuse", "blackhole", "500", "503", "429", "401", "403", "html", "junk", "slow", "short", "hasty")
"""Faults that begin and end; those of `FAILING` make the server one that fails."""

FAILING = ("refuse", "500", "503", "429", "401")


@dataclass
class Store:
    """The objects of one kind with their versions, and the events since the last compaction."""

    objects: dict[str, tuple[str, int]] = field(default_factory=dict)
    events: list[tuple[int, str, str, str]] = field(default_factory=list)  # version, type, name, value
    floor: int = 0
    snapshots: dict[int, list[dict[str, Any]]] = field(default_factory=dict)  # of lists that go on, by their version
    versions: tuple[str, ...] = ("v1",)  # those served; none: the CRD is not there

    @property
    def plain(self) -> Objects:
        """Names and values."""
        return {name: value for name, (value, _) in self.objects.items()}


class SimulatedReply:
    """Implements `meshdns.sources.kube.follower.WatchReply`."""

    def __init__(self, status: int, chunks: AsyncIterator[bytes], retry_after: str = "") -> None:
        self.status = status
        self.retry_after = retry_after
        self._chunks = chunks

    def chunks(self) -> AsyncIterator[bytes]:
        """The body."""
        return self._chunks


class SimulatedApiServer:
    """One cluster; `draw` gives whole numbers below its argument."""

    def __init__(self, model: Model, clock: Callable[[], float], draw: Callable[[int], int]) -> None:
        self.model = model
        self.stores = {kind: Store() for kind in KINDS}
        self.fault = ""
        self.fault_since = 0.0
        self.revision = 10**6
        self.requests: list[float] = []
        self.streams = 0
        self.gone_form = 0
        self.credentials = 0  # how often they were renewed since the last 401 was due
        self._clock = clock
        self._draw = draw
        self._epoch = 0  # of connections: another one cuts them
        self._restores = 0
        self._rounds = 0  # of watches: another one ends them in good order
        self._stirred: dict[asyncio.Event, None] = {}  # in the order in which they began to wait

    # ------------------------------------------------------------------------------------------ what tests do

    def put(self, kind: str, name: str, value: str) -> None:
        """Create or change an object."""
        store = self.stores[kind]
        self.revision += 1 + self._draw(3)
        event = "MODIFIED" if name in store.objects else "ADDED"
        store.objects[name] = (value, self.revision)
        store.events.append((self.revision, event, name, value))
        self.model.truth[kind].record(self._clock(), name, value)
        self._stir()

    def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        store = self.stores[kind]
        self.revision += 1
        value, _ = store.objects.pop(name)
        store.events.append((self.revision, "DELETED", name, value))
        self.model.truth[kind].record(self._clock(), name, None)
        self._stir()

    def begin(self, fault: str) -> None:
        """A lasting fault begins."""
        self.fault, self.fault_since, self.credentials = fault, self._clock(), 0
        self.model.begin_fault(self._clock())
        if fault in ("refuse", "401", "403"):
            self._epoch += 1
        self._stir()

    def end(self) -> None:
        """It ends."""
        self.fault = ""
        self.model.end_fault(self._clock())
        self._stir()

    def compact(self, form: int) -> None:
        """Old versions are gone; watches that begin there are refused, told so, or just closed."""
        self.gone_form = form
        for store in self.stores.values():
            store.floor = self.revision
            store.events.clear()
        self.cut()

    def cut(self) -> None:
        """All connections break."""
        self.model.momentary_fault(self._clock())
        self._epoch += 1
        self._stir()

    def close(self) -> None:
        """All watches end in good order."""
        self._rounds += 1
        self._stir()

    def lose(self, kept: Callable[[str], bool]) -> None:
        """Objects are gone without an event, as after a restore of the store; versions go back, or far ahead.

        That a version of before is one of afterwards too cannot be told by any client, and does not happen here.
        """
        now = self._clock()
        for kind, store in self.stores.items():
            before = store.plain
            store.objects = {name: each for name, each in store.objects.items() if kept(name)}
            self.model.vanished(now, kind, before, store.plain)
            for name in before.keys() - store.objects.keys():
                self.model.truth[kind].record(now, name, None)
            store.events.clear()
            store.snapshots.clear()
        self._restores += 1
        self.revision = 10**6 + (-1, 1)[self._draw(2)] * 10**4 * self._restores
        for store in self.stores.values():
            store.floor = self.revision
        self.model.went_back(now)
        self._epoch += 1
        self._stir()

    def serve(self, *versions: str) -> None:
        """The CRD serves these versions from now on; without any it is gone, and its objects with it."""
        if not versions:
            for name in list(self.stores["ServiceEntry"].objects):
                self.delete("ServiceEntry", name)
        self.stores["ServiceEntry"].versions = versions
        self.model.momentary_fault(self._clock())
        self._rounds += 1
        self._stir()

    # ------------------------------------------------------------------------------------------ the port

    async def refresh(self) -> None:
        """New credentials."""
        self.credentials += 1

    @asynccontextmanager
    async def get(self, path: str, query: Mapping[str, str]) -> AsyncIterator[SimulatedReply]:
        """Answer as the fault of the moment has it."""
        self.requests.append(self._clock())
        self.streams += 1
        try:
            await asyncio.sleep(self._draw(5) if self.fault == "slow" else 0.02)
            yield await self._reply(path, query)
        finally:
            self.streams -= 1

    async def _reply(self, path: str, query: Mapping[str, str]) -> SimulatedReply:
        kind, version = PATHS[path]
        begun = self._epoch, self._rounds
        if self.fault == "refuse":
            raise SourceError("the connection was refused; start the server")
        while self.fault == "blackhole":
            await self._stirring(1e6)
        self.model.replied[kind] = self._clock()
        refusal = self._refusal(kind, version, query)
        if refusal is not None:
            return refusal
        if self.fault == "html":
            return SimulatedReply(200, _body(b"<html>\n<body>Welcome</body>\n</html>\n"))
        if "watch" in query:
            return self._watch(kind, int(query["resourceVersion"]), float(query["timeoutSeconds"]))
        return self._list(kind, query, begun)

    def _refusal(self, kind: str, version: str, query: Mapping[str, str]) -> SimulatedReply | None:
        store = self.stores[kind]
        if self.fault in ("500", "503", "403"):
            return _status(int(self.fault), "no")
        if self.fault == "429":
            return _status(429, "wait", retry_after=str(1 + self._draw(30)))
        if self.fault == "401":
            return _status(401, "Unauthorized")
        if version not in store.versions:
            return _status(404, "the server could not find the requested resource")
        asked = int(query.get("resourceVersion") or 0)
        if "watch" in query and asked > self.revision and self._draw(2):  # real servers accept it, and are silent
            return _status(504, f"Too large resource version: {asked}, current: {self.revision}")
        if "watch" in query and asked < store.floor and self.gone_form == 0:
            return _status(410, "too old resource version")
        if "continue" in query and int(query["continue"].split("-")[0]) < store.floor:
            return _status(410, "The provided continue parameter is too old")
        if "continue" in query and int(query["continue"].split("-")[0]) not in store.snapshots:  # of another history
            return _status(500, "etcdserver: mvcc: required revision is a future revision")
        return None

    # ------------------------------------------------------------------------------------------ lists

    def _list(self, kind: str, query: Mapping[str, str], begun: tuple[int, int]) -> SimulatedReply:
        """A page. Later ones tell of the same moment as the first: etcd reads all at the version in the token."""
        store = self.stores[kind]
        revision, at = self.revision, 0
        if "continue" in query:
            revision, at = (int(part) for part in query["continue"].split("-"))
            items = store.snapshots[revision]
        else:
            items = [_raw(kind, name, *store.objects[name]) for name in sorted(store.objects)]
        size = len(items) if "resourceVersion" in query else min(PAGE, int(query["limit"]))
        metadata: dict[str, Any] = {"resourceVersion": str(revision)}
        if at + size < len(items):
            store.snapshots[revision] = items
            metadata["continue"] = f"{revision}-{at + size}"
            metadata["remainingItemCount"] = len(items) - at - size
        text = json.dumps({"metadata": metadata, "items": items[at : at + size]}).encode()
        if self.fault == "short":
            return SimulatedReply(200, _body(text[: len(text) // 2]))
        if "continue" in metadata and query["limit"] != "1":
            return SimulatedReply(200, _body(text))
        return SimulatedReply(200, self._complete_body(kind, text, begun if query["limit"] == "1" else None))

    async def _complete_body(self, kind: str, text: bytes, watched: tuple[int, int] | None) -> AsyncIterator[bytes]:
        """A complete list or a list of one: it tells of the server once it was read, which who gave up does not.

        A list of one tells of nothing but a watch that is alive: `watched` is what it must still be.
        """
        yield text
        if watched in (None, (self._epoch, self._rounds)):
            self.model.delivered[kind] = self._clock()

    # ------------------------------------------------------------------------------------------ watches

    def _watch(self, kind: str, version: int, timeout: float) -> SimulatedReply:
        if self.fault == "hasty":
            return SimulatedReply(200, _body(b""))
        if version < self.stores[kind].floor:
            gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
            return SimulatedReply(200, _body(b"" if self.gone_form == 2 else _line("ERROR", gone)))
        return SimulatedReply(200, self._events(kind, version, self._clock() + timeout))

    async def _events(self, kind: str, version: int, end: float) -> AsyncIterator[bytes]:
        epoch, rounds = self._epoch, self._rounds
        while self._clock() < end:
            if epoch != self._epoch:
                raise SourceError("the connection broke; look at the network")
            if self.fault == "blackhole":
                await self._stirring(DEAD_AFTER)
                if self.fault == "blackhole" and self._clock() - self.fault_since >= DEAD_AFTER:
                    raise SourceError("the connection timed out; look at the network")
                continue
            for chunk in self._news(kind, version):
                yield chunk
            version = max(version, self.revision)
            if rounds != self._rounds:
                return
            if self.fault == "junk":
                yield b"upstream connect error\n"
                return
            await self._stirring(end - self._clock())

    def _news(self, kind: str, version: int) -> list[bytes]:
        """The events after a version, in two chunks cut anywhere."""
        store = self.stores[kind]
        text = b"".join(
            _line(event, _raw(kind, name, value, number))
            for number, event, name, value in store.events
            if number > version
        )
        if self._draw(6) == 0:
            text += _line("BOOKMARK", {"metadata": {"resourceVersion": str(self.revision)}})
        if not text:
            return []
        self.model.delivered[kind] = self.model.replied[kind] = self._clock()
        cut = self._draw(len(text))
        return [chunk for chunk in (text[:cut], text[cut:]) if chunk]

    # ------------------------------------------------------------------------------------------ time

    def _stir(self) -> None:
        """Wake all that wait; who is first varies as the revisions do, for nobody knows it of a real server."""
        waiting = list(self._stirred)
        first = self.revision % max(1, len(waiting))
        for event in waiting[first:] + waiting[:first]:
            event.set()

    async def _stirring(self, seconds: float) -> None:
        """Wait until something happens, or so long."""
        event = asyncio.Event()
        self._stirred[event] = None
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            del self._stirred[event]


async def _body(text: bytes) -> AsyncIterator[bytes]:
    yield text


def _status(code: int, message: str, retry_after: str = "") -> SimulatedReply:
    text = json.dumps({"kind": "Status", "code": code, "message": message}).encode()
    return SimulatedReply(code, _body(text), retry_after)


def _raw(kind: str, name: str, value: str, version: int) -> dict[str, Any]:
    """An object whose value shows in what is read of it."""
    metadata = {"name": name, "resourceVersion": str(version)}
    if kind == "Namespace":
        return {"metadata": {**metadata, "uid": value}}
    return {"metadata": {**metadata, "namespace": "shop"}, "spec": {"hosts": [f"{value}.global"]}}


def _line(event: str, raw: object) -> bytes:
    return json.dumps({"type": event, "object": raw}).encode() + b"\n"
