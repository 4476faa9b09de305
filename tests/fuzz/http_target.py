"""The HTTP port as a fuzz target: clients that connect, send, read or do not, in any order, in virtual time.

An input is a script. The octets of each step are an action and a connection; what an action sends follows with its
length in two octets. The paths that are not open wait until the script lets them answer.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final

from meshdns.instance.connections import ConnectionLimits
from meshdns.supervisor.web import MAX_GUARDED, MAX_REQUEST, HttpConnection, HttpPath, HttpReply, HttpServer

LIMITS: Final = ConnectionLimits(total=6, per_client=4)
CLIENTS: Final = ("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1")  # the last two are in no allowed prefix
REQUEST_TIMEOUT, REPLY_TIMEOUT = 5.0, 10.0
_MOST_STEPS: Final = 400
_CONNECT, _SEND, _END, _READ, _WAIT, _ANSWER = range(6)
_BODY: Final = b"m" * 300


class Wire(asyncio.Transport):
    """The server's side of a connection, whose client reads or does not."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: HttpConnection, client: str, opened: float) -> None:
        super().__init__({"peername": (client, 1)})
        self.client = client
        self.opened = opened
        self.sent = bytearray()
        self.written = bytearray()
        self.client_reads = True
        self.is_lost = False
        self.was_aborted = False
        self._loop = loop
        self._protocol = protocol
        self._is_closing = False

    def feed(self, data: bytes) -> None:
        """Octets of the client."""
        if not self._is_closing:
            self.sent += data
            self._protocol.data_received(data)

    def end(self) -> None:
        """The client sends no more."""
        if not self._is_closing and not self._protocol.eof_received():
            self.close()

    def read(self, *, reading: bool) -> None:
        """Let the client read, or stop to."""
        self.client_reads = reading
        if reading and self._is_closing:
            self._lose()

    def write(self, data: Any) -> None:
        """Buffer it."""
        assert not self._is_closing
        self.written += data

    def is_closing(self) -> bool:
        """Whether the server has ended it."""
        return self._is_closing

    def close(self) -> None:
        """End once the client has read everything."""
        self._is_closing = True
        if self.client_reads or not self.written:
            self._lose()

    def abort(self) -> None:
        """End now."""
        self._is_closing = self.was_aborted = True
        self._lose()

    def _lose(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._loop.call_soon(self._protocol.connection_lost, None)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock the script moves."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        """Seconds."""
        return self.now


class HttpPort:
    """The port and its clients."""

    def __init__(self) -> None:
        self._loop = VirtualLoop()
        self._faults: list[dict[str, Any]] = []
        self._loop.set_exception_handler(lambda _, context: self._faults.append(context))

    def run(self, data: bytes) -> None:
        """Nothing raises, limits hold at any time, whole requests are answered as they should be, and all ends."""
        self._faults.clear()
        log = logging.getLogger("meshdns.supervisor")
        log.disabled = True
        try:
            self._loop.run_until_complete(self._play(data))
        finally:
            log.disabled = False
        assert not self._faults, self._faults

    async def _play(self, data: bytes) -> None:
        answer = asyncio.Event()
        server = _server(answer)
        wires: list[Wire] = []
        for action, who, octets in _steps(data):
            wire = wires[who % len(wires)] if wires else None
            if action == _CONNECT:
                connection = HttpConnection(server)
                wires.append(Wire(self._loop, connection, CLIENTS[who % len(CLIENTS)], self._loop.now))
                connection.connection_made(wires[-1])
            elif action == _ANSWER:
                answer.set()
            elif action == _WAIT:
                await self._pass(who / 4)
            elif wire is not None and not wire.is_lost:
                if action == _SEND:
                    wire.feed(octets)
                elif action == _END:
                    wire.end()
                else:
                    wire.read(reading=bool(octets))
            await self._turn()
            answer.clear()
            self._check(server, wires)
        await self._pass(REQUEST_TIMEOUT + 0.1)
        answer.set()
        await self._pass(REPLY_TIMEOUT + 0.1)
        assert all(wire.is_lost for wire in wires)
        assert not server.open_connections
        assert len(server.connections) == 0
        assert not server._guarded
        assert not server._in_progress
        for wire in wires:
            _check_reply(bytes(wire.sent), bytes(wire.written), wire)

    async def _turn(self) -> None:
        for _ in range(6):  # a request, its task, its reply, the end of its connection
            await asyncio.sleep(0)

    async def _pass(self, seconds: float) -> None:
        self._loop.now += seconds
        await self._turn()

    def _check(self, server: HttpServer, wires: Sequence[Wire]) -> None:
        there = [wire for wire in wires if not wire.is_lost]
        assert len(there) == len(server.open_connections) == len(server.connections) <= LIMITS.total
        for client in CLIENTS:
            assert sum(wire.client == client for wire in there) <= LIMITS.per_client
        assert server._guarded.total() <= MAX_GUARDED
        assert all(len(each._received) <= 2 * MAX_REQUEST + 4 for each in server.open_connections)
        for wire in there:
            assert self._loop.now - wire.opened <= REQUEST_TIMEOUT + REPLY_TIMEOUT


def _server(answer: asyncio.Event) -> HttpServer:
    async def healthy(accept: str) -> HttpReply:
        if accept == "fault":
            raise LookupError
        return HttpReply(HTTPStatus.OK, b"OK\n")

    async def measured(_accept: str) -> HttpReply:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REPLY_TIMEOUT):
                await answer.wait()
        return HttpReply(HTTPStatus.OK, _BODY)

    paths = {"/health": HttpPath(healthy, is_open=True), "/metrics": HttpPath(measured)}
    return HttpServer(
        paths, allow=("10.0.0.0/8",), limits=LIMITS, request_timeout=REQUEST_TIMEOUT, reply_timeout=REPLY_TIMEOUT
    )


def _steps(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    for _ in range(_MOST_STEPS):
        if at + 2 > len(data):
            return
        action, who, at = data[at] % 6, data[at + 1], at + 2
        size = int.from_bytes(data[at : at + 2], "big") % (2 * MAX_REQUEST) if action in (_SEND, _READ) else 0
        at += 2 * (action in (_SEND, _READ))
        yield action, who, data[at : at + size]
        at += size


def _check_reply(sent: bytes, written: bytes, wire: Wire) -> None:
    """A reply is the one that the octets ask for, once; a request that is not whole has none."""
    head, end, _ = sent.partition(b"\r\n\r\n")
    is_whole, is_long = bool(end) and len(head) <= MAX_REQUEST, not end and len(sent) > MAX_REQUEST
    if not is_whole and not is_long and len(head) <= MAX_REQUEST:
        assert not written
        return
    if not written:
        assert wire.was_aborted  # it gave way, or its reply came too late
        return
    status_line, _, rest = written.partition(b"\r\n")
    fields, _, body = rest.partition(b"\r\n\r\n")
    status = int(status_line.split(b" ")[1])
    line = head.split(b"\r\n")[0].decode("latin-1").split(" ")
    method, path = line[0], (line[1] if len(line) > 1 else "").partition("?")[0]
    length = next(int(each.partition(b": ")[2]) for each in fields.split(b"\r\n") if each.startswith(b"Content-Length"))
    assert len(body) == (0 if is_whole and method == "HEAD" else length)
    if not is_whole:
        assert status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    elif method not in ("GET", "HEAD"):
        assert status == HTTPStatus.METHOD_NOT_ALLOWED
    elif path == "/health":
        assert status in (HTTPStatus.OK, HTTPStatus.INTERNAL_SERVER_ERROR)
    elif path == "/metrics" and ":" in wire.client:
        assert status == HTTPStatus.FORBIDDEN
    elif path == "/metrics":
        assert status in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)
    else:
        assert status == HTTPStatus.NOT_FOUND


# ---------------------------------------------------------------------------------------------- seeds

_REQUESTS: Final = (
    b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"HEAD /health HTTP/1.0\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nAccept: text/plain\r\n\r\n",
    b"GET /metrics?x HTTP/1.1\r\naccept:\r\n\r\n",
    b"GET /health HTTP/1.1\r\nAccept: fault\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    b"\r\n\r\n",
    b"\xff\x00\x1b[2J /\x80\r\n\r\n",
    b"GET\r\n\r\nGET /health HTTP/1.1\r\n\r\n",
    b"GET /" + b"x" * 9000,
    b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 1300 + b"\r\n",
)


def _connect(client: int = 0) -> bytes:
    return bytes([_CONNECT, client])


def _send(who: int, data: bytes) -> bytes:
    return bytes([_SEND, who]) + len(data).to_bytes(2, "big") + data


def seeds() -> Iterator[bytes]:
    """Whole requests, requests in pieces, and clients that hold what they have."""
    for request in _REQUESTS:
        for client in (0, 2):
            yield _connect(client) + _send(0, request)
            pieces = [request[at : at + 7] for at in range(0, min(len(request), 200), 7)]
            yield _connect(client) + b"".join(_send(0, piece) for piece in pieces) + bytes([_END, 0])
    unread = bytes([_READ, 0, 0, 0])
    yield _connect() + unread + _send(0, _REQUESTS[0])
    yield _connect() + _send(0, _REQUESTS[2]) + bytes([_END, 0, _ANSWER, 0])
    yield _connect() + _send(0, _REQUESTS[2]) + bytes([_WAIT, 40, _ANSWER, 0])
    for client in range(4):
        yield _connect(client) * 9 + b"".join(_send(who, _REQUESTS[who % 3]) for who in range(9))
    crowd = b"".join(_connect(number) for number in range(12))
    yield crowd + b"".join(_send(number, _REQUESTS[2]) for number in range(12)) + bytes([_ANSWER, 0])
    yield crowd + bytes([_WAIT, 19]) + crowd + bytes([_WAIT, 2]) + _send(13, _REQUESTS[0])
    yield b"".join(_connect(number % 2) + _send(number, _REQUESTS[2]) for number in range(40))
