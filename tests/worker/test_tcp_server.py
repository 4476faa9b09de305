"""DNS over TCP as RFC 7766 wants it, over real connections."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from meshdns.worker.tcp_server import (
    IDLE_TIMEOUT,
    MAX_BUFFERED,
    MAX_CONNECTIONS,
    MAX_PENDING,
    MAX_PER_CLIENT,
    TcpConnections,
    connection_limit,
)
from tests.e2e.load import message, read
from tests.simulators.stalled_clock_loop import StalledClockLoop, run_with_stalled_clock
from tests.worker.responder_fixture import PORT, ResponderFixture, wait_until

READ_AT_ONCE = 1 << 18  # bytes that asyncio reads from a socket in one turn, at most
NAMES = {"one.global": ["203.0.113.1"], "many.global": [f"203.0.113.{number}" for number in range(1, 16)]}


class _Client:
    """One connection to the server under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def stop_reading(self) -> None:
        """Read no more."""
        self.reader._transport.pause_reading()  # type: ignore[attr-defined]

    def hearing(self) -> None:
        """Read again."""
        self.reader._transport.resume_reading()  # type: ignore[attr-defined]

    def reset(self) -> None:
        """End with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def ask(self, *names: str, first: int = 0) -> None:
        """Pipeline queries with ids from `first` on."""
        self.writer.write(b"".join(_framed(message(name, first + at)) for at, name in enumerate(names)))

    async def reply(self) -> bytes:
        """The next reply."""
        async with asyncio.timeout(60):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "big"))

    async def closed(self) -> bool:
        """Wait for the server's end; whether nothing came before it."""
        async with asyncio.timeout(10 * IDLE_TIMEOUT):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


class _Server:
    """Connections around a bench."""

    def __init__(self, max_connections: int) -> None:
        self.bench = ResponderFixture(NAMES)
        self.connections = TcpConnections(
            self.bench.responder, loop=asyncio.get_running_loop(), max_connections=max_connections
        )
        self.clients: list[_Client] = []
        self.port = 0

    async def client(self, source: str = "127.0.0.1", *, room: int | None = None) -> _Client:
        """A new connection; `room` bounds in octets what the kernel takes for the client."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if room is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        sock.setblocking(False)
        sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        client = _Client(*await asyncio.open_connection(sock=sock))
        self.clients.append(client)
        return client

    @property
    def aborted(self) -> int:
        """Connections that ended for the sake of others."""
        return self.bench.responder.counters.connections_aborted


async def _pass(seconds: float) -> None:
    """Let so much time pass without waiting for it; the server's timers are heard."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StalledClockLoop)
    loop.skipped_seconds += seconds
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _serving(body: Callable[[_Server], Awaitable[None]], *, most: int = MAX_CONNECTIONS) -> None:
    async def run() -> None:
        server = _Server(most)
        listener = await asyncio.get_running_loop().create_server(server.connections.make_protocol, "127.0.0.1", 0)
        server.port = listener.sockets[0].getsockname()[1]
        try:
            await body(server)
        finally:
            listener.close()
            for client in server.clients:
                client.writer.close()
            await asyncio.sleep(0)
            server.bench.upstream.answer()  # a connection that waits for an answer stays until it has it
            await wait_until(lambda: not len(server.connections))

    run_with_stalled_clock(run())


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


def test_whoami_tells_the_port_of_the_connection() -> None:
    """Its own, whoever asked before it over UDP."""

    async def body(server: _Server) -> None:
        clients = [await server.client() for _ in range(2)]
        for client in clients:
            server.bench.responder.respond(
                message("x.global", 1), b"\x7f\0\0\1", PORT, lambda: lambda _: None, tcp=False
            )
            client.writer.write(_framed(message("whoami.global", 1, qtype=b"\0\x10\0\1")))
            port = client.writer.get_extra_info("sockname")[1]
            assert f"127.0.0.1 port {port} tcp".encode() in await client.reply()

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
        await wait_until(lambda: len(server.bench.upstream.waiting) == MAX_PENDING)
        client.ask("one.global", first=9999)
        other = await server.client()
        other.ask("one.global")
        await other.reply()
        assert len(server.bench.upstream.waiting) == MAX_PENDING
        server.bench.upstream.answer(40)
        await wait_until(lambda: len(server.bench.upstream.waiting) == MAX_PENDING - 10)
        replies = [await client.reply() for _ in range(41)]
        assert (9999).to_bytes(2, "big") in {reply[:2] for reply in replies}

    _serving(body)


def test_idle_connection_is_closed_and_a_waiting_one_is_not() -> None:
    """Who asks nothing for the idle time is closed; dribbled octets do not count, a pending answer does."""

    async def body(server: _Server) -> None:
        idle, dribbling, waiting = [await server.client() for _ in range(3)]
        waiting.ask("slow.example")
        dribbling.writer.write(b"\0")
        await wait_until(
            lambda: len(server.connections) == 3 and server.connections._buffered and server.bench.upstream.waiting
        )
        await _pass(IDLE_TIMEOUT / 2)
        assert len(server.connections) == 3
        await _pass(IDLE_TIMEOUT / 2)
        assert await idle.closed()
        assert await dribbling.closed()
        server.bench.upstream.answer()
        assert (await waiting.reply())[:2] == b"\0\0"

    _serving(body)


def test_connections_of_one_client_are_bounded() -> None:
    """One connection too many is closed at once and counted; when one ends there is room again."""

    async def body(server: _Server) -> None:
        first = await server.client()
        for _ in range(MAX_PER_CLIENT - 1):
            await server.client()
        await wait_until(lambda: len(server.connections) == MAX_PER_CLIENT)
        assert await (await server.client()).closed()
        assert server.bench.responder.counters.connections_refused == 1
        first.writer.close()
        await wait_until(lambda: len(server.connections) == MAX_PER_CLIENT - 1)
        again = await server.client()
        again.ask("one.global")
        await again.reply()

    _serving(body)


def test_end_keeps_what_was_promised() -> None:
    """When the worker ends, a connection without a pending answer closes at once, the other after its answer."""

    async def body(server: _Server) -> None:
        idle, waiting = await server.client(), await server.client()
        waiting.ask("slow.example")
        await wait_until(lambda: server.bench.upstream.waiting)
        server.connections.close()
        assert await idle.closed()
        server.bench.upstream.answer()
        assert (await waiting.reply())[:2] == b"\0\0"
        assert await waiting.closed()

    _serving(body)


def test_client_that_does_not_read_is_not_read_from() -> None:
    """While a client does not read, its queries are neither answered nor read; once it reads, all are answered."""
    asked = 20_000
    padding = b"\0\xa4\0\x0c\0\xa0" + bytes(160)  # what is left unread in the end is more than one turn reads

    async def body(server: _Server) -> None:
        client, other = await server.client(room=4096), await server.client()
        client.stop_reading()
        client.writer.write(_framed(message("many.global", 1)[:-2] + padding) * asked)
        await wait_until(lambda: any(each._write_paused for each in server.connections._open))
        (connection,) = (each for each in server.connections._open if each._write_paused)
        counters = server.bench.responder.counters
        before = counters.queries
        for number in range(100):
            other.ask("one.global", first=number)
            await other.reply()
        assert counters.queries == before + 100 < asked
        assert len(connection._buffer) <= READ_AT_ONCE
        client.hearing()
        for _ in range(asked):
            assert (await client.reply())[:2] == b"\0\1"
        assert server.aborted == 0

    _serving(body)


def test_connection_that_takes_no_replies_is_cut() -> None:
    """A peer that asks on and on and reads nothing, its side open or half-closed, is not waited for."""

    async def body(server: _Server) -> None:
        query = _framed(message("many.global", 1))
        open_side, half = await server.client(room=4096), await server.client(room=4096)
        for client in (open_side, half):
            client.stop_reading()
            client.writer.write(query * 20_000)
        await wait_until(lambda: sum(connection._write_paused for connection in server.connections._open) == 2)
        half.writer.write_eof()
        await _pass(IDLE_TIMEOUT / 2)
        assert server.aborted == 0
        await _pass(IDLE_TIMEOUT)
        await wait_until(lambda: not len(server.connections))
        assert server.aborted == 2

    _serving(body)


def test_octets_that_dribble_in_keep_no_connection() -> None:
    """An octet a second, never a whole query: it ends after the idle time, and its octets are given back."""

    async def body(server: _Server) -> None:
        client = await server.client()
        for come, octet in enumerate(_framed(message("one.global", 1))[: int(IDLE_TIMEOUT)]):
            client.writer.write(bytes([octet]))
            await wait_until(lambda come=come: server.connections._buffered == come + 1)  # type: ignore[misc]
            await _pass(1)
        assert await client.closed()
        await wait_until(lambda: not len(server.connections))
        assert server.connections._buffered == 0

    _serving(body)


def test_the_idlest_connection_gives_way() -> None:
    """Where all are taken a new one is served: the one that asked last longest ago ends, not one that is owed."""

    async def body(server: _Server) -> None:
        owed, asking, idle = [await server.client() for _ in range(3)]
        owed.ask("slow.example")
        await wait_until(lambda: server.bench.upstream.waiting)
        for client in (idle, asking):
            client.ask("one.global")
            await client.reply()
        fresh = await server.client()
        fresh.ask("one.global")
        assert read(await fresh.reply()) == (0, ["203.0.113.1"])
        assert await idle.closed()
        asking.ask("one.global")
        await asking.reply()
        server.bench.upstream.answer()
        assert (await owed.reply())[:2] == b"\0\0"
        assert (server.aborted, len(server.connections)) == (1, 3)

    _serving(body, most=3)


def test_nobody_who_is_owed_a_reply_gives_way() -> None:
    """Where every connection waits for a reply a new one is refused and counted."""

    async def body(server: _Server) -> None:
        for client in [await server.client() for _ in range(3)]:
            client.ask("slow.example")
        await wait_until(lambda: len(server.bench.upstream.waiting) == 3)
        assert await (await server.client()).closed()
        assert (server.aborted, server.bench.responder.counters.connections_refused) == (0, 1)

    _serving(body, most=3)


def test_untaken_replies_of_one_connection_are_bounded() -> None:
    """Large answers to many queries of a peer that does not read: the connection is cut, the memory is given back."""

    async def body(server: _Server) -> None:
        client = await server.client(room=4096)
        client.stop_reading()
        client.ask(*["slow.example"] * MAX_PENDING)
        await wait_until(lambda: len(server.bench.upstream.waiting) == MAX_PENDING)
        waiting, server.bench.upstream.waiting = server.bench.upstream.waiting, []
        for _, _, deliver in waiting:
            deliver(bytes(65_535))
        assert server.aborted == 1
        await wait_until(lambda: not len(server.connections) and not server.connections._buffered)

    _serving(body)


def test_unfinished_queries_of_all_connections_are_bounded() -> None:
    """Hundreds that send 64 KiB and never the last octet: past the bound they end, and a whole query is answered."""
    connection_limit()
    size = 65_535
    count = MAX_BUFFERED // size + 20

    async def body(server: _Server) -> None:
        most = 0
        for number in range(count):
            client = await server.client(f"127.0.0.{2 + number // MAX_PER_CLIENT}")
            client.writer.write(b"\xff\xff" + bytes(size - 1))
            most = max(most, server.connections._buffered)
        await wait_until(lambda: server.aborted >= 19)
        assert most <= MAX_BUFFERED + size + 2
        other = await server.client()
        other.ask("one.global")
        assert read(await other.reply()) == (0, ["203.0.113.1"])

    _serving(body)


def test_reset_connection_costs_nothing() -> None:
    """One that is reset while it is owed a reply is forgotten; the reply to nobody harms nobody."""

    async def body(server: _Server) -> None:
        client, other = await server.client(), await server.client()
        client.ask("slow.example")
        client.writer.write(b"\0")
        await wait_until(lambda: server.bench.upstream.waiting)
        client.reset()
        await wait_until(lambda: len(server.connections) == 1)
        server.bench.upstream.answer()
        other.ask("one.global")
        assert read(await other.reply()) == (0, ["203.0.113.1"])
        assert server.connections._buffered == 0

    _serving(body)
