"""The HTTP port over real loopback sockets: who gives way when it is full, and what is asked of a request."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Self

import pytest

from meshdns.instance.connections import ConnectionLimits
from meshdns.supervisor.web import MAX_GUARDED_PER_CLIENT, HttpPath, HttpReply, HttpServer
from tests.rig.ports import LOOPBACK

DEADLINE = 30.0  # seconds; a condition that takes longer is a failure
LIMITS = ConnectionLimits(total=8, per_client=8)


class Port:
    """A listening port with a health path that answers at once and a metrics path that waits for the test."""

    def __init__(
        self,
        limits: ConnectionLimits = LIMITS,
        *,
        allow: tuple[str, ...] = ("any",),
        patience: float = 3600.0,
        size: int = 1 << 20,
    ) -> None:
        self._size = size
        self.metrics = asyncio.Event()
        self.scrapes = 0
        self.server = HttpServer(
            {
                "/health": HttpPath(self._healthy, is_open=True),
                "/broken": HttpPath(self._broken, is_open=True),
                "/metrics": HttpPath(self._measured),
            },
            allow=allow,
            limits=limits,
            request_timeout=patience,
            reply_timeout=patience,
        )
        self.number = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        """Listen."""
        self.number = await self.server.listen(LOOPBACK, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and let no reply wait."""
        self.metrics.set()
        self.server.close()
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def connect(self, *octets: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which these were sent."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.number)
        self._writers.append(writer)
        for each in octets:
            writer.write(each)
            await writer.drain()
        return reader, writer

    async def ask(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        """Status and body of a path; 0 where the connection ends without a reply."""
        reader, _ = await self.connect(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        found = await ended(reader)
        head, _, body = found.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]) if head else 0, body

    async def _healthy(self, _accept: str) -> HttpReply:
        return HttpReply(HTTPStatus.OK, b"OK\n")

    async def _broken(self, _accept: str) -> HttpReply:
        raise LookupError

    async def _measured(self, _accept: str) -> HttpReply:
        self.scrapes += 1
        await self.metrics.wait()
        return HttpReply(HTTPStatus.OK, b"m" * self._size)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection ends."""
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), DEADLINE)
    return b""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 — nothing signals it
            await asyncio.sleep(0.001)


def run(body: Callable[[], Awaitable[None]]) -> None:
    """Run `body` with a loop of its own."""

    async def main() -> None:
        await body()

    asyncio.run(main())


def test_idle_connections_do_not_keep_health_out() -> None:
    """With all places taken by connections that send nothing, each health check is answered; the oldest one ends."""

    async def body() -> None:
        async with Port() as port:
            idle = [await port.connect() for _ in range(LIMITS.total)]
            for _ in range(LIMITS.total // 2):
                assert await port.ask("/health") == (200, b"OK\n")
            assert await ended(idle[0][0]) == b""
            idle[-1][1].write(b"GET /health HTTP/1.1\r\n\r\n")
            assert (await ended(idle[-1][0])).startswith(b"HTTP/1.1 200")

    run(body)


def test_request_that_never_ends_gives_way() -> None:
    """A connection that has sent a part of its request is as idle as one that has sent nothing."""

    async def body() -> None:
        async with Port() as port:
            slow = [await port.connect(b"GET /health HTTP/1.1\r\nX: ") for _ in range(LIMITS.total)]
            assert await port.ask("/health") == (200, b"OK\n")
            assert await ended(slow[0][0]) == b""

    run(body)


def test_scrapes_leave_a_reserve_to_health() -> None:
    """Scrapes that wait take their own share alone: the next is refused, and health is answered."""

    async def body() -> None:
        async with Port(ConnectionLimits(total=MAX_GUARDED_PER_CLIENT + 2, per_client=64)) as port:
            scrapes = [await port.connect(b"GET /metrics HTTP/1.1\r\n\r\n") for _ in range(MAX_GUARDED_PER_CLIENT)]
            await until(lambda: len(port.server.connections) == MAX_GUARDED_PER_CLIENT)
            assert (await port.ask("/metrics"))[0] == HTTPStatus.SERVICE_UNAVAILABLE
            for _ in range(8):
                await port.connect()
            for _ in range(20):
                assert await port.ask("/health") == (200, b"OK\n")
            port.metrics.set()
            for reader, _ in scrapes:
                assert (await ended(reader)).startswith(b"HTTP/1.1 200")
            assert port.scrapes == 1  # those that waited at once shared one
            assert (await port.ask("/metrics"))[0] == HTTPStatus.OK

    run(body)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /health", b"GET /metrics HTTP/1.1\r\n\r\n"], ids=["nothing", "part", "all"]
)
def test_connection_ends_at_its_deadline(sent: bytes) -> None:
    """Neither a request that does not come nor a reply that is not read holds a connection for longer."""

    async def body() -> None:
        async with Port(patience=0.2, size=1 << 25) as port:  # more than any buffer on the way takes
            port.metrics.set()
            reader, _ = await port.connect(sent)
            if sent.endswith(b"\r\n\r\n"):
                await until(lambda: port.scrapes == 1)
                await until(lambda: not port.server.open_connections)  # nothing is read meanwhile
                found = await ended(reader)
                assert len(found) < 1 << 25
            else:
                assert await ended(reader) == b""
            await until(lambda: not port.server.open_connections)

    run(body)


def test_metrics_are_for_admitted_clients_and_health_for_all() -> None:
    """A client outside of the prefixes gets 403 without a scrape being made."""

    async def body() -> None:
        async with Port(allow=("10.0.0.0/8",)) as port:
            status, text = await port.ask("/metrics")
            assert status == HTTPStatus.FORBIDDEN
            assert b"http.allow" in text
            assert not port.scrapes
            assert await port.ask("/health") == (200, b"OK\n")
        async with Port(allow=("127.0.0.0/8",)) as port:
            port.metrics.set()
            assert (await port.ask("/metrics"))[0] == HTTPStatus.OK

    run(body)


def test_exception_of_a_path_is_that_replys() -> None:
    """The client gets 500; the port goes on."""

    async def body() -> None:
        async with Port() as port:
            assert (await port.ask("/broken"))[0] == HTTPStatus.INTERNAL_SERVER_ERROR
            assert await port.ask("/health") == (200, b"OK\n")

    run(body)


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", 200),
        (b"GET /health?x=1 HTTP/1.0\r\nAccept: a\r\n\r\n", 200),
        (b"HEAD /health HTTP/1.1\r\n\r\n", 200),
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"POST /health HTTP/1.1\r\n\r\n", 405),
        (b"\r\n\r\n", 405),
        (b"\xff\xfe\0\x1b[2J\r\n\r\n", 405),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"x" * 9000, 431),
    ],
    ids=["get", "query", "head", "unknown", "post", "empty", "binary", "long", "endless"],
)
@pytest.mark.parametrize("step", [0, 1], ids=["at once", "octet by octet"])
def test_requests_are_answered_in_any_pieces(octets: bytes, status: int, step: int) -> None:
    """The reply is one of the octets, not of how they arrive."""
    if step and len(octets) > 1000:
        step = 511

    async def body() -> None:
        async with Port() as port:
            reader, writer = await port.connect()
            for at in range(0, len(octets), step or len(octets)):
                writer.write(octets[at : at + (step or len(octets))])
                await asyncio.sleep(0)
            assert (await ended(reader)).startswith(f"HTTP/1.1 {status} ".encode())

    run(body)


def test_client_that_ends_its_half_is_answered() -> None:
    """A client may close its sending side behind its request."""

    async def body() -> None:
        async with Port() as port:
            reader, writer = await port.connect(b"GET /metrics HTTP/1.1\r\n\r\n")
            writer.write_eof()
            await until(lambda: port.scrapes == 1)
            port.metrics.set()
            assert (await ended(reader)).startswith(b"HTTP/1.1 200")

    run(body)


def test_connection_that_sends_on_and_on_is_ended() -> None:
    """What follows a request is not read without end."""

    async def body() -> None:
        async with Port() as port:
            reader, writer = await port.connect(b"GET /metrics HTTP/1.1\r\n\r\n")
            await until(lambda: port.scrapes == 1)
            with contextlib.suppress(ConnectionError):
                for _ in range(64):
                    writer.write(b"x" * 1024)
                    await writer.drain()
            assert await ended(reader) == b""

    run(body)
