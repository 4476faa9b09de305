"""The HTTP port: ``/health``, ``/ready`` and ``/metrics``, served by the supervisor even if its children are down.

Rules:
- A request is a line and headers of at most 8 KiB within 5 seconds; the reply ends the connection within 10 more. Only
  GET and HEAD are supported, and nothing can be changed.
- The connections of a listener and of each client are limited (`meshdns.instance.connections`).
- Open paths, which are ``/health`` and ``/ready``, are answered to every client. The others are answered to the clients
  of ``http.allow`` alone, and a limited number of such replies is under way at once, so that most connections are left
  to the open paths whatever the clients of the others do.
- Requests for the same that wait at the same time share one reply: it is made once.
- An exception while a reply is made costs that reply; the client gets 500.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple, cast

import msgspec

from meshdns.dns.address_blocks import LOCAL_CLIENT_PREFIXES, unmapped
from meshdns.instance.connections import ACCEPT_QUEUE, BACKLOG, ConnectionLimits, ConnectionTable, client_key

MAX_REQUEST: Final = 8192
MAX_GUARDED: Final = 16
"""Replies of guarded paths that are under way at once."""
MAX_GUARDED_PER_CLIENT: Final = 8
_REQUEST_TIMEOUT: Final = 5.0  # seconds
_REPLY_TIMEOUT: Final = 10.0  # seconds; Prometheus's own default for a scrape
_END: Final = b"\r\n\r\n"

_log = logging.getLogger("meshdns.supervisor")


class HttpReply(msgspec.Struct, frozen=True):
    """The reply of a path."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


HttpResource = Callable[[str], Awaitable[HttpReply]]
"""Makes the reply of a path; its argument is the request's Accept header."""


class HttpPath(NamedTuple):
    """A path; `is_open` says that every client gets its reply."""

    resource: HttpResource
    is_open: bool = False


class HttpRequest(NamedTuple):
    """What counts of a request."""

    method: str
    path: str
    accept: str


class HttpServer:
    """A listening HTTP port. `allow` are the clients of guarded paths: CIDRs, ``private`` or ``any``."""

    def __init__(
        self,
        paths: Mapping[str, HttpPath],
        *,
        allow: Sequence[str],
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 — immutable
        request_timeout: float = _REQUEST_TIMEOUT,
        reply_timeout: float = _REPLY_TIMEOUT,
    ) -> None:
        self.request_timeout = request_timeout
        self.reply_timeout = reply_timeout
        self.connections: ConnectionTable[HttpConnection] = ConnectionTable(limits)
        self.open_connections: set[HttpConnection] = set()
        self._paths = dict(paths)
        self._is_allowed = _client_matcher(allow)
        self._guarded: Counter[str] = Counter()  # connections with a reply of a guarded path, by client
        self._in_progress: dict[tuple[str, str], asyncio.Task[HttpReply]] = {}
        self._logged_faults: set[str] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Start to serve; return the port. Raises OSError if the port cannot be bound."""
        loop = asyncio.get_running_loop()
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._server = await loop.create_server(lambda: HttpConnection(self), sock=listener, backlog=BACKLOG)
        listener.listen(ACCEPT_QUEUE)
        bound: int = listener.getsockname()[1]
        return bound

    def close(self) -> None:
        """Stop listening, and end all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.open_connections):
            connection.abort()

    def answer(self, connection: "HttpConnection", request: HttpRequest) -> None:
        """Have the reply to a request sent, now or later."""
        path = self._paths.get(request.path)
        if request.method not in ("GET", "HEAD"):
            connection.send(HttpReply(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n"))
        elif path is None:
            connection.send(HttpReply(HTTPStatus.NOT_FOUND, f"there are {', '.join(self._paths)}\n".encode()))
        elif path.is_open:
            self._share(connection, request, path)
        elif not self._is_allowed(connection.address):
            connection.send(HttpReply(HTTPStatus.FORBIDDEN, b"not for this client: http.allow does not name it\n"))
        elif self._guarded.total() >= MAX_GUARDED or self._guarded[connection.client] >= MAX_GUARDED_PER_CLIENT:
            connection.send(HttpReply(HTTPStatus.SERVICE_UNAVAILABLE, b"too many ask at once; ask again\n"))
        else:
            self._guarded[connection.client] += 1
            connection.is_guarded = True
            self._share(connection, request, path)

    def forget(self, connection: "HttpConnection") -> None:
        """Free the place of a connection that has ended."""
        self.open_connections.discard(connection)
        self.connections.remove(connection)
        if connection.is_guarded:
            connection.is_guarded = False
            self._guarded[connection.client] -= 1
            if not self._guarded[connection.client]:
                del self._guarded[connection.client]

    def _share(self, connection: "HttpConnection", request: HttpRequest, path: HttpPath) -> None:
        """Send the reply that is being made for others, or one that is made now."""
        key = (request.path, request.accept)
        task = self._in_progress.get(key)
        if task is None:
            task = asyncio.create_task(self._make(path, request), name=f"http {request.path}")
            self._in_progress[key] = task
            task.add_done_callback(lambda _: self._in_progress.pop(key, None))
        task.add_done_callback(connection.deliver)

    async def _make(self, path: HttpPath, request: HttpRequest) -> HttpReply:
        try:
            return await path.resource(request.accept)
        except Exception as error:  # noqa: BLE001 — whatever a path raises costs its reply alone
            fault = f"{request.path}: {type(error).__name__}"
            if fault not in self._logged_faults:
                self._logged_faults.add(fault)
                _log.exception("http %s: no reply could be made; the next request tries again", request.path)
            return HttpReply(HTTPStatus.INTERNAL_SERVER_ERROR, b"see the log of meshdns serve\n")


class HttpConnection(asyncio.Protocol):
    """One connection: reads a request, and ends with its reply."""

    def __init__(self, server: HttpServer) -> None:
        self.address = ""
        self.client = ""
        self.is_guarded = False  # whether it counts among the replies of guarded paths
        self._server = server
        self._received = bytearray()
        self._surplus = 0  # bytes behind the request, which are not read
        self._method = ""
        self._is_complete = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place of the listener."""
        self._transport = cast("asyncio.Transport", transport)
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        self.client = client_key(self.address)
        self._server.open_connections.add(self)
        self._end_after(self._server.request_timeout)
        victim = self._server.connections.add(self, self.client)
        if victim is not None:
            victim.abort()

    def data_received(self, data: bytes) -> None:
        """Take a part of the request, and answer once it is complete."""
        if self._is_complete:
            self._surplus += len(data)
            if self._surplus > MAX_REQUEST:
                self.abort()
            return
        searched = max(len(self._received) - len(_END) + 1, 0)
        self._received += data[: MAX_REQUEST + len(_END)]
        end = self._received.find(_END, searched)
        if 0 <= end <= MAX_REQUEST:
            self._complete()
            request = read_request(bytes(self._received[:end]))
            self._method = request.method
            self._server.answer(self, request)
        elif len(self._received) > MAX_REQUEST:
            self._complete()
            self.send(HttpReply(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, b"a request has at most 8 KiB\n"))

    def eof_received(self) -> bool:
        """Keep the connection for its reply only if the request is complete."""
        return self._is_complete

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — why does not count
        """Free the place."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._received.clear()
        self._server.forget(self)

    def deliver(self, made: "asyncio.Task[HttpReply]") -> None:
        """Send the reply that was made; without one the connection ends."""
        if made.cancelled():
            self.abort()
        else:
            self.send(made.result())

    def send(self, reply: HttpReply) -> None:
        """Send the reply, and end the connection once the client has it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_response_head(reply) + (reply.body if self._method != "HEAD" else b""))
            self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _complete(self) -> None:
        """Read no more: the request is complete, and keeps its place until it is answered."""
        self._is_complete = True
        self._server.connections.set_idle(self, idle=False)
        self._end_after(self._server.reply_timeout)

    def _end_after(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)


def read_request(head: bytes) -> HttpRequest:
    """Return what counts of a request; of any bytes. What is missing is empty."""
    line, *headers = head.decode("latin-1").split("\r\n")
    method, target, *_ = [*line.split(" "), "", ""]
    accept = next((h.partition(":")[2].strip() for h in headers if h.lower().startswith("accept:")), "")
    return HttpRequest(method, target.partition("?")[0], accept)


def _client_matcher(allow: Sequence[str]) -> Callable[[str], bool]:
    """Return whether a client's address is among `allow`."""
    if "any" in allow:
        return lambda _: True
    named = [prefix for each in allow for prefix in (LOCAL_CLIENT_PREFIXES if each == "private" else (each,))]
    networks = [ip_network(prefix) for prefix in dict.fromkeys(named)]

    def matches(text: str) -> bool:
        try:
            address = ip_address(unmapped(ip_address(text.partition("%")[0]).packed))
        except ValueError:
            return False
        return any(address in network for network in networks)

    return matches


def _response_head(reply: HttpReply) -> bytes:
    lines = (
        f"HTTP/1.1 {reply.status.value} {reply.status.phrase}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {len(reply.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
