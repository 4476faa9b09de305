"""DNS over TCP as RFC 7766 wants it, over real connections."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from meshdns.worker.streams import IDLE, MAX_PENDING, MAX_PER_CLIENT, Connections
from tests.e2e.load import message, read
from tests.worker.scene import Bench, until

NAMES = {"one.global": ["203.0.113.1"]}


class _Client:
    """One connection to the server under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def ask(self, *names: str, first: int = 0) -> None:
        """Pipeline queries with ids from `first` on."""
        self.writer.write(b"".join(_framed(message(name, first + at)) for at, name in enumerate(names)))

    async def reply(self) -> bytes:
        """The next reply."""
        async with asyncio.timeout(20):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "big"))

    async def closed(self) -> bool:
        """Wait for the server's end; whether nothing came before it."""
        async with asyncio.timeout(3 * IDLE):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


class _Server:
    """Connections around a bench."""

    def __init__(self) -> None:
        self.bench = Bench(NAMES)
        self.connections = Connections(self.bench.answerer, loop=asyncio.get_running_loop())
        self.clients: list[_Client] = []
        self.port = 0

    async def client(self) -> _Client:
        """A new connection."""
        client = _Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _serving(body: Callable[[_Server], Awaitable[None]]) -> None:
    async def run() -> None:
        server = _Server()
        listener = await asyncio.get_running_loop().create_server(server.connections.protocol, "127.0.0.1", 0)
        server.port = listener.sockets[0].getsockname()[1]
        try:
            await body(server)
        finally:
            listener.close()
            for client in server.clients:
                client.writer.close()
            await asyncio.sleep(0)
            server.bench.upstream.answer()  # a connection that waits for an answer stays until it has it
            await until(lambda: not len(server.connections))

    asyncio.run(run())


def test_pipelined_queries_are_all_answered() -> None:
    """A thousand queries in one go: a thousand replies, in turns that let others in between."""

    async def body(server: _Server) -> None:
        client, other = await server.client(), await server.client()
        client.ask(*["one.global"] * 1000)
        other.ask("one.global")
        assert read(await other.reply()) == (0, ["203.0.113.1"])
        for number in range(1000):
            reply = await client.reply()
            assert (int.from_bytes(reply[:2], "big"), read(reply)) == (number, (0, ["203.0.113.1"]))

    _serving(body)


def test_forwarded_replies_overtake_nobody_who_is_ready() -> None:
    """A known name behind a slow one is answered first (RFC 7766 section 7), the slow one when it comes."""

    async def body(server: _Server) -> None:
        client = await server.client()
        client.ask("slow.example", "one.global")
        assert (await client.reply())[:2] == b"\0\1"
        server.bench.upstream.answer()
        assert (await client.reply())[:2] == b"\0\0"

    _serving(body)


def test_dribble_is_put_together() -> None:
    """Octet by octet, the length prefix split as well."""

    async def body(server: _Server) -> None:
        client = await server.client()
        for octet in _framed(message("one.global", 5)):
            client.writer.write(bytes([octet]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.reply())[:2] == b"\0\5"

    _serving(body)


def test_half_closed_connection_gets_everything_first() -> None:
    """A client that asks and closes its side gets known and forwarded answers, then the end."""

    async def body(server: _Server) -> None:
        client = await server.client()
        count = MAX_PENDING + 50
        client.ask(*["slow.example", "one.global"] * count)
        client.writer.write_eof()
        seen: set[int] = set()
        while len(seen) < 2 * count:
            if server.bench.upstream.waiting:
                server.bench.upstream.answer(7)
            try:
                async with asyncio.timeout(0.05):
                    size = await client.reader.readexactly(2)
            except TimeoutError:
                continue
            reply = await client.reader.readexactly(int.from_bytes(size, "big"))
            seen.add(int.from_bytes(reply[:2], "big"))
        assert seen == set(range(2 * count))
        assert await client.closed()

    _serving(body)


def test_pending_forwards_are_bounded() -> None:
    """Past the bound nothing more is taken from the connection until an answer has come."""

    async def body(server: _Server) -> None:
        client = await server.client()
        client.ask(*["slow.example"] * (MAX_PENDING + 30))
        await until(lambda: len(server.bench.upstream.waiting) == MAX_PENDING)
        client.ask("one.global", first=9999)
        other = await server.client()
        other.ask("one.global")
        await other.reply()
        assert len(server.bench.upstream.waiting) == MAX_PENDING
        server.bench.upstream.answer(40)
        await until(lambda: len(server.bench.upstream.waiting) == MAX_PENDING - 10)
        replies = [await client.reply() for _ in range(41)]
        assert (9999).to_bytes(2, "big") in {reply[:2] for reply in replies}

    _serving(body)


def test_idle_connection_is_closed_and_a_waiting_one_is_not() -> None:
    """Who asks nothing for the idle time is closed; dribbled octets do not count, a pending answer does."""

    async def body(server: _Server) -> None:
        began = time.monotonic()
        idle, dribbling, waiting = [await server.client() for _ in range(3)]
        waiting.ask("slow.example")
        dribbling.writer.write(b"\0")
        assert await idle.closed()
        assert await dribbling.closed()
        assert IDLE - 0.5 < time.monotonic() - began < 2.5 * IDLE
        server.bench.upstream.answer()
        assert (await waiting.reply())[:2] == b"\0\0"

    _serving(body)


def test_connections_of_one_client_are_bounded() -> None:
    """One connection too many is closed at once and counted; when one ends there is room again."""

    async def body(server: _Server) -> None:
        first = await server.client()
        for _ in range(MAX_PER_CLIENT - 1):
            await server.client()
        await until(lambda: len(server.connections) == MAX_PER_CLIENT)
        assert await (await server.client()).closed()
        assert server.bench.answerer.counters.connections_refused == 1
        first.writer.close()
        await until(lambda: len(server.connections) == MAX_PER_CLIENT - 1)
        again = await server.client()
        again.ask("one.global")
        await again.reply()

    _serving(body)


def test_end_keeps_what_was_promised() -> None:
    """When the worker ends, a connection without a pending answer closes at once, the other after its answer."""

    async def body(server: _Server) -> None:
        idle, waiting = await server.client(), await server.client()
        waiting.ask("slow.example")
        await until(lambda: server.bench.upstream.waiting)
        server.connections.close()
        assert await idle.closed()
        server.bench.upstream.answer()
        assert (await waiting.reply())[:2] == b"\0\0"
        assert await waiting.closed()

    _serving(body)


def test_client_that_does_not_read_is_not_read_from() -> None:
    """Replies that nobody takes stop the connection, not the worker: what is buffered stays bounded."""

    async def body(server: _Server) -> None:
        client = await server.client()
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        asked = 200_000
        query = _framed(message("one.global", 1))
        client.writer.write(query * asked)
        other = await server.client()
        for number in range(20):
            other.ask("one.global", first=number)
            await other.reply()
        await until(lambda: any(connection._choked for connection in server.connections._open))
        assert server.bench.answerer.counters.queries < asked

    _serving(body)
