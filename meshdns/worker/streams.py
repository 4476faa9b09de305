"""TCP (RFC 7766): length framing, pipelining, replies in the order they become ready, idle timeout, bounded buffers.

Rules:
- A connection is a protocol object without tasks. It reads while fewer than `MAX_PENDING` of its queries are being
  forwarded and its peer takes what is written.
- It ends when no whole query was taken for `IDLE` seconds. So octets that dribble in keep it no longer than none, nor
  does a peer that asks and takes no replies.
- Connections are bounded in all and per client. Where all are taken the one that is idle for longest gives way, so
  that thousands of idle ones lock nobody out.
- What all connections hold in octets is bounded; the one that goes beyond is cut. A client whose queries come whole
  and who takes its replies holds nothing.
"""

import asyncio
import contextlib
import resource
import socket
from collections import OrderedDict
from itertools import islice
from time import perf_counter
from typing import Final

from meshdns.worker.account import Deliver
from meshdns.worker.answering import Answerer

IDLE: Final = 10.0  # seconds; RFC 7766 6.2.3 leaves it to the server, BIND and Unbound use 30
MAX_PENDING: Final = 100
MAX_PER_TURN: Final = 64  # messages of one connection answered before others have their turn
MAX_CONNECTIONS: Final = 4096
MAX_PER_CLIENT: Final = 256
MAX_UNTAKEN: Final = 1 << 18
"""Octets of replies that wait for a peer, beside what the kernel has taken for it."""
MAX_HELD: Final = 32 << 20
"""Octets of unfinished queries and untaken replies of all connections."""
_TOGETHER: Final = 1 << 16  # octets of replies that are written at once
_CANDIDATES: Final = 64  # of the idlest connections, looked at for one that nothing is owed


class Connections:
    """The open connections of a worker: `most` of them, and `MAX_PER_CLIENT` of one address."""

    def __init__(self, answerer: Answerer, *, loop: asyncio.AbstractEventLoop, most: int = MAX_CONNECTIONS) -> None:
        self.answerer = answerer
        self.loop = loop
        self._most = most
        self._held = 0  # octets
        self._open: OrderedDict[_Connection, None] = OrderedDict()  # longest idle first
        self._by_client: dict[bytes, int] = {}

    def protocol(self) -> asyncio.Protocol:
        """The factory for `loop.create_server`."""
        return _Connection(self)

    def admit(self, connection: "_Connection", client: bytes) -> bool:
        """Count a connection in; False where there are too many."""
        mine = self._by_client.get(client, 0)
        if mine >= MAX_PER_CLIENT or (len(self._open) >= self._most and not self._make_room()):
            self.answerer.counters.connections_refused += 1
            return False
        self._open[connection] = None
        self._by_client[client] = self._by_client.get(client, 0) + 1
        return True

    def _make_room(self) -> bool:
        """End the connection that is idle for longest; False where all are owed something."""
        idlest = next((each for each in islice(self._open, _CANDIDATES) if each.idle), None)
        if idlest is not None:
            idlest.cut()
        return idlest is not None

    def busy(self, connection: "_Connection") -> None:
        """Note that a connection has just asked something."""
        if connection in self._open:
            self._open.move_to_end(connection)

    def hold(self, octets: int) -> bool:
        """Count octets that a connection holds more, or fewer; False where all together hold too many."""
        self._held += octets
        return octets <= 0 or self._held <= MAX_HELD

    def forget(self, connection: "_Connection", client: bytes) -> None:
        """Count a connection out."""
        if connection in self._open:
            del self._open[connection]
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    def __len__(self) -> int:
        return len(self._open)

    def close(self) -> None:
        """Close every connection once what it was promised is written."""
        for connection in list(self._open):
            connection.finish()


class _Connection(asyncio.Protocol):
    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._buffer = bytearray()
        self._replies = bytearray()  # of this turn, not yet written
        self._pending = 0
        self._finishing = False
        self._choked = False  # the peer does not take what is written
        self._held = 0  # octets that `Connections.hold` knows of
        self._client = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 — what create_server gives
        self._transport = transport
        peer = transport.get_extra_info("peername")
        sock = transport.get_extra_info("socket")
        self._client = socket.inet_pton(sock.family, peer[0].partition("%")[0]) if peer else b""
        if not self._client or not self._connections.admit(self, self._client):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=0)  # choked is whoever's socket buffer is full
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio's signature
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._connections.forget(self, self._client)
        self._connections.hold(-self._held)
        self._held = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is owed to the peer."""
        return not self._pending and not self._choked

    def cut(self) -> None:
        """End it at once, for the sake of others."""
        self._connections.answerer.counters.connections_cut += 1
        self._connections.forget(self, self._client)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._answer_all()
        self._weigh()

    def eof_received(self) -> bool:
        """The peer has asked everything: answer what has come and what is pending, then close."""
        self.finish()
        return True

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self._answer_all()
        self._weigh()

    def finish(self) -> None:
        """Close once everything that has come is answered."""
        self._finishing = True
        if not self._pending and not self._asked() and self._transport is not None:
            self._transport.close()

    def _asked(self) -> bool:
        """Whether a whole message waits."""
        return bool(_end(self._buffer, 0))

    def _answer_all(self) -> None:
        answerer = self._connections.answerer
        buffer = self._buffer
        at = turn = 0
        began, ready = perf_counter(), answerer.counters.ready
        answerer.begin()
        try:
            while turn < MAX_PER_TURN and self._welcome() and (end := _end(buffer, at)):
                message = bytes(buffer[at + 2 : end])
                at = end
                turn += 1
                self._answer(message, answerer)
        finally:
            answerer.end()
            del buffer[:at]
            self._flush()
        answerer.accounts.batch(answerer.counters.ready - ready, perf_counter() - began)
        if turn:
            self._connections.busy(self)
            self._rest()
        if self._transport is not None:
            self._go_on(self._transport)

    def _welcome(self) -> bool:
        """Whether one more query can be taken."""
        return self._pending < MAX_PENDING and not self._choked and self._transport is not None

    def _go_on(self, transport: asyncio.Transport) -> None:
        """After a turn: read on, but not before what has come is answered."""
        if not self._welcome():
            transport.pause_reading()
        elif self._asked():
            transport.pause_reading()
            self._connections.loop.call_soon(self._answer_all)
        elif self._finishing:
            self.finish()
        else:
            transport.resume_reading()

    def _answer(self, message: bytes, answerer: Answerer) -> None:
        answerer.counters.queries += 1
        answerer.counters.tcp += 1
        forwarded = answerer.counters.forwarded
        reply = answerer.respond(message, self._client, self._deliverer, tcp=True)
        if reply is not None:
            self._write(reply)
        elif answerer.counters.forwarded > forwarded:
            self._pending += 1

    def _deliverer(self) -> Deliver:
        def deliver(reply: bytes) -> None:
            self._pending -= 1
            self._write(reply)
            self._flush()
            self._weigh()
            if self._pending == MAX_PENDING - 1:
                self._connections.loop.call_soon(self._answer_all)
            elif self._finishing:
                self.finish()

        return deliver

    def _write(self, reply: bytes) -> None:
        """Write a reply with the others of this turn."""
        self._replies += len(reply).to_bytes(2, "big") + reply
        if len(self._replies) > _TOGETHER:
            self._flush()

    def _flush(self) -> None:
        if self._replies and self._transport is not None and not self._transport.is_closing():
            self._transport.write(bytes(self._replies))
        self._replies.clear()

    def _weigh(self) -> None:
        """Tell how much is held; too much costs the connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        untaken = transport.get_write_buffer_size()
        held = len(self._buffer) + untaken
        more, self._held = held - self._held, held
        if not self._connections.hold(more) or untaken > MAX_UNTAKEN:
            self.cut()

    def _rest(self) -> None:
        """Start the idle time anew."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is None:
            return
        self._timer = self._connections.loop.call_later(IDLE, self._expire)

    def _expire(self) -> None:
        if self._pending:
            self._rest()
        elif self._choked:
            self.cut()
        elif self._transport is not None:
            self._transport.abort()


def _end(buffer: bytearray, at: int) -> int:
    """Where the message behind the length at `at` ends; 0 if it has not come whole."""
    if len(buffer) - at < 2:
        return 0
    end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
    return end if end <= len(buffer) else 0


def room_for_connections() -> int:
    """How many connections one process may hold: half of its descriptors, the soft limit raised as far as is needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)
