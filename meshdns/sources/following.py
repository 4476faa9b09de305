"""Does what a reflector asks for, over a connection to one API server.

Rules:
- The bytes of a watch reach the sink in the wake-up that brought them: no queue, no timer, no thread in between.
- The objects of a list are read in slices of 2 ms with the loop in between. A thread would not be gentler: it shares
  the interpreter's lock and costs the loop up to 5 ms per wake-up.
- A watch has no read timeout, since a healthy one may be silent for minutes. While it is open a second task watches its
  silence; whatever else happens it is over 30 s after the end that was asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from meshdns.mesh.declarations import AnyDeclaration
from meshdns.mesh.manifest import read
from meshdns.sources.actions import List, Refresh, Wait, Watch
from meshdns.sources.courtesy import Courtesy
from meshdns.sources.payload import Page, PayloadError, Status, decode_item, decode_page, decode_status
from meshdns.sources.reflector import PAGE_LIMIT, Reflector
from meshdns.sources.resources import Resource
from meshdns.sources.settings import SourceError

_SLICE: Final = 0.002
_PAGE_SECONDS: Final = 60.0
_PROBE_SECONDS: Final = 10.0
_OPEN_SECONDS: Final = 30.0
_OVERDUE: Final = 30.0
_STATUS_LIMIT: Final = 64 * 1024
_PAGE_LIMIT: Final = 512 * 2**20  # octets; 100,000 ServiceEntries are 141 MB


class Reply(Protocol):
    """An HTTP reply whose body is still to be read."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def retry_after(self) -> str:
        """The header of that name; empty without one."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises `SourceError`."""


class Connection(Protocol):
    """The way to one API server."""

    def get(self, path: str, query: Mapping[str, str]) -> AbstractAsyncContextManager[Reply]:
        """Send a request; the reply's header is there on entry. Raises `SourceError`."""

    async def refresh(self) -> None:
        """Load the credentials anew. Raises `SourceError`."""


class Follower:
    """One kind of one cluster at work; `courtesy` is the cluster's, `clock` the running loop's."""

    def __init__(
        self,
        reflector: Reflector,
        resource: Resource,
        connection: Connection,
        courtesy: Courtesy,
        clock: Callable[[], float],
    ) -> None:
        self._reflector = reflector
        self._resource = resource
        self._connection = connection
        self._courtesy = courtesy
        self._clock = clock

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            action = self._reflector.action
            try:
                await self._do(action)
            except (SourceError, PayloadError, TimeoutError) as error:
                self._break(error)

    def _break(self, error: Exception) -> None:
        self._courtesy.failed()
        self._reflector.broke(_reason(error), self._clock())

    async def _do(self, action: List | Watch | Wait | Refresh) -> None:
        match action:
            case Wait(until=until, rouse=rouse):
                await self._courtesy.sleep(until, rouse=rouse)
                self._reflector.waited()
            case Refresh():
                await self._connection.refresh()
                self._courtesy.renewed()
                self._reflector.refreshed(self._clock())
            case List():
                await self._courtesy.turn()
                await self._list(action)
            case Watch():
                await self._courtesy.turn()
                await self._watch(action)

    async def _list(self, asked: List) -> None:
        query = {"limit": str(PAGE_LIMIT), **self._resource.selection}
        if asked.continue_token:
            query["continue"] = asked.continue_token
        elif asked.resource_version:
            query["resourceVersion"] = asked.resource_version
        async with asyncio.timeout(_PAGE_SECONDS), self._connection.get(asked.path, query) as reply:
            self._weigh(reply.status)
            if reply.status != 200:
                self._reflector.refused(await _status(reply), reply.retry_after, self._clock())
                return
            page = decode_page(await _body(reply, _PAGE_LIMIT))
        declarations = await self._read(page)
        self._reflector.listed(page, declarations, self._clock())

    def _weigh(self, status: int) -> None:
        """A server that refuses for a reason of its own, or does not know us, fails; other refusals are its work."""
        (self._courtesy.failed if status in (401, 429) or status >= 500 else self._courtesy.heard)()

    async def _read(self, page: Page) -> list[AnyDeclaration]:
        declarations: list[AnyDeclaration] = []
        begun = self._clock()
        for item in page.items:
            declaration = read(self._resource.kind, decode_item(item))
            if declaration is not None:
                declarations.append(declaration)
            if self._clock() - begun > _SLICE:
                await asyncio.sleep(0)
                begun = self._clock()
        return declarations

    async def _watch(self, asked: Watch) -> None:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": asked.resource_version,
            "timeoutSeconds": str(asked.timeout_seconds),
            **self._resource.selection,
        }
        async with asyncio.timeout(_OPEN_SECONDS) as deadline, self._connection.get(asked.path, query) as reply:
            self._weigh(reply.status)
            if reply.status != 200:
                self._reflector.refused(await _status(reply), reply.retry_after, self._clock())
                return
            deadline.reschedule(self._clock() + asked.timeout_seconds + _OVERDUE)
            self._reflector.opened(self._clock())
            await self._follow(reply)

    async def _follow(self, reply: Reply) -> None:
        """Read the watch until it ends or its silence turns out to be a dead server."""
        async with asyncio.TaskGroup() as group:
            kind = self._resource.title
            tasks = [
                group.create_task(self._listen(reply), name=f"{kind}: events"),
                group.create_task(self._check_silence(), name=f"{kind}: silence"),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    async def _listen(self, reply: Reply) -> None:
        try:
            async for chunk in reply.chunks():
                if not self._reflector.received(chunk, self._clock()):
                    return
        except SourceError as error:
            self._break(error)
        else:
            self._reflector.ended(self._clock())

    async def _check_silence(self) -> None:
        """Return when the watch is to be given up."""
        while True:
            rest = self._reflector.silent_at - self._clock()
            if rest > 0:
                await asyncio.sleep(rest)
            elif not await self._probe():
                return

    async def _probe(self) -> bool:
        try:
            query = {"limit": "1", **self._resource.selection}
            async with asyncio.timeout(_PROBE_SECONDS), self._connection.get(self._reflector.path, query) as reply:
                self._weigh(reply.status)
                if reply.status != 200:
                    status = await _status(reply)
                    return self._reflector.probe_refused(status, reply.retry_after, self._clock())
                page = decode_page(await _body(reply, _PAGE_LIMIT))
        except (SourceError, PayloadError, TimeoutError) as error:
            self._break(error)
            return False
        return self._reflector.probed(page, self._clock())


async def _body(reply: Reply, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in reply.chunks():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise PayloadError(f"the reply is longer than {limit} octets")
    return b"".join(chunks)


async def _status(reply: Reply) -> Status:
    try:
        return decode_status(reply.status, await _body(reply, _STATUS_LIMIT))
    except PayloadError:
        return decode_status(reply.status, b"")


def _reason(error: Exception) -> str:
    match error:
        case SourceError():
            return str(error)
        case PayloadError():
            return f"{error}; check that the address is a Kubernetes API server, with no proxy in between"
        case _:
            return "the API server did not answer in time; check that it is well and reachable from here"
