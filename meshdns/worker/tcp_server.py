"""TCP (RFC 7766): length framing, pipelining, replies in the order they become ready, idle timeout, bounded buffers.

Rules:
- A connection is a protocol object without tasks. It reads while fewer than `MAX_PENDING` of its queries are being
  forwarded and its peer takes what is written.
- It is closed when no whole query was taken for `IDLE_TIMEOUT` seconds. So bytes that trickle in keep it open no longer
  than none, nor does a peer that sends queries and takes no replies.
- Connections are bounded in all and per client. When all are in use, the one that is idle for longest is closed, so
  that thousands of idle ones lock no client out.
- The bytes that all connections buffer are bounded; a connection that exceeds the bound is aborted. Nothing is buffered
  for a client that sends whole queries and takes its replies.
"""

import asyncio
import contextlib
import resource
import socket
from collections import OrderedDict
from itertools import islice
from time import perf_counter
from typing import Final

from meshdns.worker.recorder import SendReply
from meshdns.worker.responder import Responder

IDLE_TIMEOUT: Final = 10.0  # seconds; RFC 7766 6.2.3 leaves it to the server, BIND and Unbound use 30
MAX_PENDING: Final = 100
MAX_PER_TURN: Final = 64  # messages of one connection answered before others have their turn
MAX_CONNECTIONS: Final = 4096
MAX_PER_CLIENT: Final = 256
MAX_UNSENT: Final = 1 << 18
"""Bytes of replies that wait for a peer, beside those that the kernel has taken."""
MAX_BUFFERED: Final = 32 << 20
"""Bytes of unfinished queries and unsent replies of all connections."""
_WRITE_SIZE: Final = 1 << 16  # bytes of replies that are written at once
_MAX_SCANNED: Final = 64  # of the idlest connections, checked for one without pending replies


class TcpConnections:
    """The open connections of a worker: `max_connections` of them, and `MAX_PER_CLIENT` of one address."""

    def __init__(
        self, responder: Responder, *, loop: asyncio.AbstractEventLoop, max_connections: int = MAX_CONNECTIONS
    ) -> None:
        self.responder = responder
        self.loop = loop
        self._max_connections = max_connections
        self._buffered = 0  # bytes
        self._open: OrderedDict[_Connection, None] = OrderedDict()  # longest idle first
        self._by_client: dict[bytes, int] = {}

    def make_protocol(self) -> asyncio.Protocol:
        """Make a protocol, for `loop.create_server`."""
        return _Connection(self)

    def try_register(self, connection: "_Connection", client: bytes) -> bool:
        """Register a connection; return False if there are too many."""
        mine = self._by_client.get(client, 0)
        if mine >= MAX_PER_CLIENT or (len(self._open) >= self._max_connections and not self.evict_idlest()):
            self.responder.counters.connections_refused += 1
            return False
        self._open[connection] = None
        self._by_client[client] = self._by_client.get(client, 0) + 1
        return True

    def evict_idlest(self) -> bool:
        """Abort the connection that is idle for longest; return False if all have pending replies."""
        idlest = next((each for each in islice(self._open, _MAX_SCANNED) if each.is_idle), None)
        if idlest is not None:
            idlest.abort()
        return idlest is not None

    def mark_active(self, connection: "_Connection") -> None:
        """Record that a connection has just sent a query."""
        if connection in self._open:
            self._open.move_to_end(connection)

    def account_buffered(self, size: int) -> bool:
        """Add to the bytes that connections buffer; return False if all together buffer too many."""
        self._buffered += size
        return size <= 0 or self._buffered <= MAX_BUFFERED

    def unregister(self, connection: "_Connection", client: bytes) -> None:
        """Unregister a connection."""
        if connection in self._open:
            del self._open[connection]
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    def __len__(self) -> int:
        return len(self._open)

    def close(self) -> None:
        """Close every connection once its pending replies are written."""
        for connection in list(self._open):
            connection.finish()


class _Connection(asyncio.Protocol):
    def __init__(self, connections: TcpConnections) -> None:
        self._connections = connections
        self._buffer = bytearray()
        self._unwritten = bytearray()  # of this turn, not yet written
        self._pending = 0
        self._finishing = False
        self._write_paused = False  # the peer does not take what is written
        self._buffered = 0  # bytes that `TcpConnections.account_buffered` was called with
        self._client = b""
        self._port = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 — what create_server gives
        self._transport = transport
        peer = transport.get_extra_info("peername")
        sock = transport.get_extra_info("socket")
        self._client = socket.inet_pton(sock.family, peer[0].partition("%")[0]) if peer else b""
        self._port = peer[1] if peer else 0
        if not self._client or not self._connections.try_register(self, self._client):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=0)  # pause as soon as the kernel's send buffer is full
        self._restart_idle_timer()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio's signature
        self._transport = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._connections.unregister(self, self._client)
        self._connections.account_buffered(-self._buffered)
        self._buffered = 0

    @property
    def is_idle(self) -> bool:
        """Whether the peer has no pending replies."""
        return not self._pending and not self._write_paused

    def abort(self) -> None:
        """Abort the connection at once, to free its place or memory for others."""
        self._connections.responder.counters.connections_aborted += 1
        self._connections.unregister(self, self._client)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._answer_all()
        self._account_buffers()

    def eof_received(self) -> bool:
        """Answer the received and pending queries, then close: the peer sends no more."""
        self.finish()
        return True

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._answer_all()
        self._account_buffers()

    def finish(self) -> None:
        """Close once all received queries are answered."""
        self._finishing = True
        if not self._pending and not self._has_message() and self._transport is not None:
            self._transport.close()

    def _has_message(self) -> bool:
        """Return whether a whole message is in the buffer."""
        return bool(_message_end(self._buffer, 0))

    def _answer_all(self) -> None:
        responder = self._connections.responder
        buffer = self._buffer
        at = turn = 0
        began, hits_before = perf_counter(), responder.counters.reply_cache_hits
        responder.begin_read()
        try:
            while turn < MAX_PER_TURN and self._can_accept() and (end := _message_end(buffer, at)):
                message = bytes(buffer[at + 2 : end])
                at = end
                turn += 1
                self._answer(message, responder)
        finally:
            responder.end_read()
            del buffer[:at]
            self._flush()
        responder.metrics.observe_batch(responder.counters.reply_cache_hits - hits_before, perf_counter() - began)
        if turn:
            self._connections.mark_active(self)
            self._restart_idle_timer()
        if self._transport is not None:
            self._resume_or_pause(self._transport)

    def _can_accept(self) -> bool:
        """Return whether one more query can be taken."""
        return self._pending < MAX_PENDING and not self._write_paused and self._transport is not None

    def _resume_or_pause(self, transport: asyncio.Transport) -> None:
        """Resume reading after a turn, unless received queries are left to answer."""
        if not self._can_accept():
            transport.pause_reading()
        elif self._has_message():
            transport.pause_reading()
            self._connections.loop.call_soon(self._answer_all)
        elif self._finishing:
            self.finish()
        else:
            transport.resume_reading()

    def _answer(self, message: bytes, responder: Responder) -> None:
        responder.counters.queries += 1
        responder.counters.tcp += 1
        forwarded = responder.counters.forwarded
        reply = responder.respond(message, self._client, self._port, self._reply_sender, tcp=True)
        if reply is not None:
            self._write(reply)
        elif responder.counters.forwarded > forwarded:
            self._pending += 1

    def _reply_sender(self) -> SendReply:
        def deliver(reply: bytes) -> None:
            self._pending -= 1
            self._write(reply)
            self._flush()
            self._account_buffers()
            if self._pending == MAX_PENDING - 1:
                self._connections.loop.call_soon(self._answer_all)
            elif self._finishing:
                self.finish()

        return deliver

    def _write(self, reply: bytes) -> None:
        """Buffer a reply, to be written with the others of this turn."""
        self._unwritten += len(reply).to_bytes(2, "big") + reply
        if len(self._unwritten) > _WRITE_SIZE:
            self._flush()

    def _flush(self) -> None:
        if self._unwritten and self._transport is not None and not self._transport.is_closing():
            self._transport.write(bytes(self._unwritten))
        self._unwritten.clear()

    def _account_buffers(self) -> None:
        """Report the buffered bytes; abort the connection if they are too many."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        untaken = transport.get_write_buffer_size()
        held = len(self._buffer) + untaken
        more, self._buffered = held - self._buffered, held
        if not self._connections.account_buffered(more) or untaken > MAX_UNSENT:
            self.abort()

    def _restart_idle_timer(self) -> None:
        """Restart the idle timer."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._transport is None:
            return
        self._idle_timer = self._connections.loop.call_later(IDLE_TIMEOUT, self._on_idle_timeout)

    def _on_idle_timeout(self) -> None:
        if self._pending:
            self._restart_idle_timer()
        elif self._write_paused:
            self.abort()
        elif self._transport is not None:
            self._transport.abort()


def _message_end(buffer: bytearray, at: int) -> int:
    """Return the end of the message behind the length at `at`; 0 if it is not complete."""
    if len(buffer) - at < 2:
        return 0
    end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
    return end if end <= len(buffer) else 0


def connection_limit() -> int:
    """Return how many connections one process may open: half of its descriptors, after raising the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)
