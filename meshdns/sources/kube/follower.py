"""Follower: does what a reflector decides, over a connection to one API server.

Rules:
- The bytes of a watch reach the sink in the wake-up that brought them: no queue, no timer, no thread in between.
- The objects of a list are read in slices of 2 ms with the loop in between. A thread would not be gentler: it shares
  the interpreter's lock and costs the loop up to 5 ms per wake-up.
- Everything that arrives is counted in the budget of all clusters (`meshdns.sources.kube.list_budget`), a list with all
  its pages until it is complete or given up. What does not fit is an error of its kind, and nothing is removed.
- A watch has no read timeout, since a healthy one may be silent for minutes. While it is open a second task watches its
  silence, and probes at once after the machine was suspended; whatever else happens it is over 30 s after the end that
  was asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, Protocol

from meshdns.instance.clocks import SuspensionWatch
from meshdns.mesh.objects.declarations import AnyDeclaration
from meshdns.mesh.objects.parse import parse_object
from meshdns.sources.kube.list_budget import ITEM_COST, PAGE_COST, BudgetExceededError, Lease
from meshdns.sources.kube.payload import (
    LINE_LIMIT,
    ApiStatus,
    ListPage,
    PayloadError,
    decode_item,
    decode_page,
    decode_status,
)
from meshdns.sources.kube.reflector import PAGE_LIMIT, ListRequest, Reflector, RefreshCredentials, Wait, WatchRequest
from meshdns.sources.kube.request_gate import RequestGate
from meshdns.sources.kube.resources import Resource
from meshdns.sources.settings import SourceError

_PARSE_SLICE: Final = 0.002
_PAGE_TIMEOUT: Final = 60.0
_PROBE_TIMEOUT: Final = 10.0
_OPEN_TIMEOUT: Final = 30.0
_WATCH_GRACE: Final = 30.0
_SUSPENSION_CHECK: Final = 15.0  # seconds, at most, after which a suspension is noticed
_STATUS_BODY_LIMIT: Final = 64 * 1024
_PAGE_BODY_LIMIT: Final = 512 * 2**20  # bytes; 100,000 ServiceEntries are 141 MB
_PROBE_BODY_LIMIT: Final = LINE_LIMIT


class WatchReply(Protocol):
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

    def get(self, path: str, query: Mapping[str, str]) -> AbstractAsyncContextManager[WatchReply]:
        """Send a request; the reply's header is there on entry. Raises `SourceError`."""

    async def refresh(self) -> None:
        """Renew the credentials. Raises `SourceError`."""


class Follower:
    """One kind of one cluster at work; `gate` is the cluster's, `clock` the running loop's.

    `open_lease` gives a lease of the budget for one thing that is read.
    """

    def __init__(
        self,
        reflector: Reflector,
        resource: Resource,
        connection: Connection,
        gate: RequestGate,
        clock: Callable[[], float],
        open_lease: Callable[[], Lease],
    ) -> None:
        self._reflector = reflector
        self._resource = resource
        self._connection = connection
        self._gate = gate
        self._clock = clock
        self._open_lease = open_lease
        self._list_lease = open_lease()

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            while True:
                action = self._reflector.action
                try:
                    await self._execute(action)
                except (SourceError, PayloadError, TimeoutError) as error:
                    self._on_connection_error(self._list_lease.refusal() if self._list_lease.is_revoked else error)
                self._end_list(action)
        finally:
            self._list_lease.release()

    def _end_list(self, action: ListRequest | WatchRequest | Wait | RefreshCredentials) -> None:
        """Give back what a list took, unless it goes on."""
        following = self._reflector.action
        if isinstance(following, ListRequest) and following.continue_token:
            return
        if isinstance(action, ListRequest) and isinstance(following, WatchRequest):
            self._list_lease.complete()
        self._list_lease.release()
        self._list_lease = self._open_lease()

    def _on_connection_error(self, error: Exception) -> None:
        if isinstance(error, BudgetExceededError):
            self._reflector.on_over_budget(str(error), self._clock(), alone=error.alone)
            return
        self._gate.record_failure()
        self._reflector.on_connection_error(_describe_error(error), self._clock())

    async def _execute(self, action: ListRequest | WatchRequest | Wait | RefreshCredentials) -> None:
        match action:
            case Wait(until=until, wake_on_recovery=wake_on_recovery):
                await self._gate.sleep(until, wake_on_recovery=wake_on_recovery)
                self._reflector.on_wait_over()
            case RefreshCredentials():
                await self._connection.refresh()
                self._gate.record_renewal()
                self._reflector.on_credentials_refreshed(self._clock())
            case ListRequest():
                async with asyncio.timeout(None) as revocable:
                    with self._list_lease.interruptible(partial(revocable.reschedule, self._clock())):
                        await self._gate.wait_turn()
                        await self._list(action)
            case WatchRequest():
                await self._gate.wait_turn()
                await self._watch(action)

    async def _list(self, request: ListRequest) -> None:
        query = {"limit": str(PAGE_LIMIT), **self._resource.selector_query}
        if request.continue_token:
            query["continue"] = request.continue_token
        elif request.resource_version:
            query["resourceVersion"] = request.resource_version
        async with asyncio.timeout(_PAGE_TIMEOUT), self._connection.get(request.path, query) as reply:
            self._record_status(reply.status)
            if reply.status != 200:
                self._reflector.on_refused(await self._status(reply), reply.retry_after, self._clock())
                return
            before = self._list_lease.octets
            body = await _body(reply, _PAGE_BODY_LIMIT, self._list_lease)
            await self._list_lease.take(max(0, PAGE_COST - len(body)))
            page = decode_page(body)
            await self._list_lease.resize(before + max(PAGE_COST, len(body)) + ITEM_COST * len(page.items))
        del body
        declarations = await self._parse_items(page)
        self._reflector.on_page(page, declarations, self._clock())

    def _record_status(self, status: int) -> None:
        """A server that refuses for a reason of its own, or does not know us, fails; other refusals are its work."""
        (self._gate.record_failure if status in (401, 429) or status >= 500 else self._gate.record_success)()

    async def _parse_items(self, page: ListPage) -> list[AnyDeclaration]:
        declarations: list[AnyDeclaration] = []
        begun = self._clock()
        for item in page.items:
            declaration = parse_object(self._resource.kind, decode_item(item))
            if declaration is not None:
                declarations.append(declaration)
            if self._clock() - begun > _PARSE_SLICE:
                await asyncio.sleep(0)
                begun = self._clock()
        return declarations

    async def _watch(self, request: WatchRequest) -> None:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": request.resource_version,
            "timeoutSeconds": str(request.timeout_seconds),
            **self._resource.selector_query,
        }
        async with asyncio.timeout(_OPEN_TIMEOUT) as deadline, self._connection.get(request.path, query) as reply:
            self._record_status(reply.status)
            if reply.status != 200:
                self._reflector.on_refused(await self._status(reply), reply.retry_after, self._clock())
                return
            deadline.reschedule(self._clock() + request.timeout_seconds + _WATCH_GRACE)
            self._reflector.on_watch_opened(self._clock())
            await self._read_watch(reply)

    async def _read_watch(self, reply: WatchReply) -> None:
        """Read the watch until it ends or its silence turns out to be a dead server."""
        async with asyncio.TaskGroup() as group:
            kind = self._resource.title
            tasks = [
                group.create_task(self._read_events(reply), name=f"{kind}: events"),
                group.create_task(self._probe_when_silent(), name=f"{kind}: silence"),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    async def _read_events(self, reply: WatchReply) -> None:
        lease = self._open_lease()
        try:
            async with asyncio.timeout(None) as revocable:
                with lease.interruptible(partial(revocable.reschedule, self._clock())):
                    await self._take_events(reply, lease)
        except (SourceError, TimeoutError) as error:
            self._on_connection_error(lease.refusal() if lease.is_revoked else error)
        finally:
            lease.release()

    async def _take_events(self, reply: WatchReply, lease: Lease) -> None:
        async for chunk in reply.chunks():
            if not self._reflector.on_watch_data(chunk, self._clock()):
                return
            unfinished = self._reflector.unfinished_octets
            if unfinished != lease.octets:
                await lease.resize(unfinished)
        self._reflector.on_watch_ended(self._clock())

    async def _status(self, reply: WatchReply) -> ApiStatus:
        lease = self._open_lease()
        try:
            return decode_status(reply.status, await _body(reply, _STATUS_BODY_LIMIT, lease))
        except PayloadError:
            return decode_status(reply.status, b"")
        finally:
            lease.release()

    async def _probe_when_silent(self) -> None:
        """Return when the watch is to be given up."""
        suspension = SuspensionWatch()
        while True:
            rest = self._reflector.probe_at - self._clock()
            if rest > 0 and not suspension.was_suspended():
                await asyncio.sleep(min(rest, _SUSPENSION_CHECK))
            elif not await self._probe():
                return

    async def _probe(self) -> bool:
        lease = self._open_lease()
        try:
            query = {"limit": "1", **self._resource.selector_query}
            async with asyncio.timeout(_PROBE_TIMEOUT), self._connection.get(self._reflector.path, query) as reply:
                self._record_status(reply.status)
                if reply.status != 200:
                    status = await self._status(reply)
                    return self._reflector.on_probe_refused(status, reply.retry_after, self._clock())
                page = decode_page(await _body(reply, _PROBE_BODY_LIMIT, lease))
        except (SourceError, PayloadError, TimeoutError) as error:
            self._on_connection_error(error)
            return False
        finally:
            lease.release()
        return self._reflector.on_probe_reply(page, self._clock())


async def _body(reply: WatchReply, limit: int, lease: Lease) -> bytearray:
    """The body; each octet is counted in the lease before the next is read."""
    body = bytearray()
    async for chunk in reply.chunks():
        await lease.take(len(chunk))
        body += chunk
        if len(body) > limit:
            raise PayloadError(f"the reply is longer than {limit} octets")
    return body


def _describe_error(error: Exception) -> str:
    match error:
        case SourceError():
            return str(error)
        case PayloadError():
            return f"{error}; check that the address is a Kubernetes API server, with no proxy in between"
        case _:
            return "the API server did not answer in time; check that it is well and reachable from here"
