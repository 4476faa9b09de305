"""Connections over TLS towards one upstream (RFC 7858): kept, shared by many queries at a time, closed when idle.

Rules:
- Queries are pipelined, and replies are taken in any order, by an id unique on its connection (RFC 7766 section 7). The
  id of a canceled query is not used again until its reply has been received.
- Queries that wait for a handshake are bounded like those that wait for replies. A query that is canceled meanwhile is
  never sent.
- A connection with open queries on which nothing was received for `SILENCE_TIMEOUT` gets no more queries: a broken one
  may be silent for minutes before TCP reports it. Replies to its open queries are still taken.
- If a connection ends with queries open, those go to a new one if it had served others, and fail if not. The next
  connections carry no more queries at a time than it had answered, until the next `close_idle`.
- After a failed handshake the next is tried `RECONNECT_DELAY` later. Nothing is sent in clear instead.
- A message with an id that is not awaited is ignored; a connection with `MAX_UNEXPECTED` of them is ended.
"""

import asyncio
import errno
import logging
from typing import Final, Protocol

from meshdns.forwarding.policy import Attempt
from meshdns.forwarding.upstreams import Address, UpstreamTls
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.local_errors import is_local_error
from meshdns.upstream.tls_context import TlsContext
from meshdns.upstream.udp import SocketListener

MAX_CONNECTIONS: Final = 8  # to one upstream, those included that get no more queries
MAX_PIPELINED: Final = 1024  # queries open on one connection
SILENCE_TIMEOUT: Final = 0.45  # seconds; the second send of a question (0.5 s) shall leave by another connection
HANDSHAKE_TIMEOUT: Final = 4.0  # seconds for TCP and TLS together; clients have been answered by then
RECONNECT_DELAY: Final = 1.0  # seconds
MAX_UNEXPECTED: Final = 5
_SHUTDOWN_TIMEOUT: Final = 1.0  # seconds that a server may take to answer the end of TLS
_MAX_IDS: Final = 4 * MAX_PIPELINED  # of one connection, those of canceled queries included

_log = logging.getLogger("meshdns.upstream")


class ConnectionListener(SocketListener, Protocol):
    """Callbacks for messages on the connections, and for their end."""

    def on_connection_closed(self, attempts: tuple[Attempt, ...], *, served: bool, is_local: bool) -> None:
        """Handle the end, or failed start, of the connection of `attempts`; `served` says that it had replied.

        `is_local` says that a limit of this process prevented it.
        """


class TlsPool:
    """The connections towards one upstream; see the rules above. `UpstreamPools` uses it like a `UdpPool`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: Address, entropy: Entropy, listener: ConnectionListener
    ) -> None:
        self._loop = loop
        self._address = address
        self._tls = address.tls or UpstreamTls()
        self._tls_context = TlsContext(self._tls.ca)
        self._entropy = entropy
        self._listener = listener
        self._connections: list[_Connection] = []  # those that get queries
        self._retired: list[_Connection] = []  # those on which replies are still awaited, the oldest first
        self._awaited: dict[Attempt, tuple[_Connection, int]] = {}
        self._connect_tasks: set[asyncio.Task[None]] = set()
        self._max_pipelined = MAX_PIPELINED
        self._is_used = False
        self._reconnect_at = 0.0
        self._last_error = ""
        self._closed = False

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._connections) + len(self._retired)

    def send(self, attempt: Attempt) -> None:
        """Send the question of `attempt` and await the reply until `cancel`; OSError if it cannot be sent."""
        self._is_used = True
        connection = self._pick()
        ident = self._entropy.u16()
        while ident in connection.awaited:
            ident = self._entropy.u16()
        message = attempt.message(ident)
        connection.send(attempt, ident, len(message).to_bytes(2, "big") + message, self._loop.time())
        self._awaited[attempt] = (connection, ident)

    def cancel(self, attempt: Attempt) -> None:
        """Await no reply to `attempt` any longer."""
        connection, ident = self._awaited.pop(attempt, (None, 0))
        if connection is not None:
            connection.cancel(ident)

    def close_idle(self) -> None:
        """Close all connections if none was used since the last call; to be called every few seconds."""
        self._max_pipelined = MAX_PIPELINED
        if not self._is_used:
            for connection in list(self._connections):
                self._retire(connection)
        self._is_used = False

    def close(self) -> None:
        """Close all connections at once."""
        self._closed = True
        for connection in (*self._connections, *self._retired):
            connection.abort()
        self._awaited.clear()

    async def wait_closed(self) -> None:
        """Wait until all connections have ended."""
        await asyncio.gather(*self._connect_tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------ connections

    def _pick(self) -> "_Connection":
        now = self._loop.time()
        for connection in [each for each in self._connections if each.is_stalled(now)]:
            self._retire(connection)
        for connection in self._connections:
            if connection.open_queries < self._max_pipelined:
                return connection
        if now < self._reconnect_at:
            raise ConnectionError(f"{self._address} failed its last handshake")
        if len(self) >= MAX_CONNECTIONS:
            if self._retired:
                self._retired[0].abort()
            raise OSError(errno.ENOBUFS, f"{self._address} has too many open queries")
        connection = _Connection(self._listener, self._awaited, now)
        connection.connect_task = self._loop.create_task(self._connect(connection), name=f"upstream {self._address}")
        self._connect_tasks.add(connection.connect_task)
        connection.connect_task.add_done_callback(self._connect_tasks.discard)
        self._connections.append(connection)
        return connection

    def _retire(self, connection: "_Connection") -> None:
        self._connections.remove(connection)
        self._retired.append(connection)
        connection.retire()

    async def _connect(self, connection: "_Connection") -> None:
        """Open a connection and wait for its end."""
        is_local = False
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                context = await self._loop.run_in_executor(None, self._tls_context.context)
                await self._loop.create_connection(
                    lambda: connection,
                    self._address.host,
                    self._address.port,
                    ssl=context,
                    server_hostname=self._tls.name or self._address.host,
                    ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT,
                )
            self._last_error = ""
            await connection.closed.wait()
        except OSError as error:  # TimeoutError and ssl.SSLError are such
            is_local = is_local_error(error)
            self._reconnect_at = self._loop.time() + RECONNECT_DELAY
            self._log_error(error)
        finally:
            self._on_connection_ended(connection, is_local=is_local)

    def _log_error(self, error: OSError) -> None:
        """Log once why no connection can be made."""
        reason = str(error) or f"no TLS handshake within {HANDSHAKE_TIMEOUT:g} s"
        if reason != self._last_error:
            _log.warning("upstream %s: %s; check its address, name and ca under forward", self._address, reason)
        self._last_error = reason

    def _on_connection_ended(self, connection: "_Connection", *, is_local: bool) -> None:
        """Handle the end, or failed start, of a connection."""
        connection.abort()
        for connections in (self._connections, self._retired):
            if connection in connections:
                connections.remove(connection)
        attempts = tuple(attempt for attempt in connection.awaited.values() if attempt is not None)
        for attempt in attempts:
            self._awaited.pop(attempt, None)
        if attempts and not self._closed:
            if connection.replies:
                self._max_pipelined = min(self._max_pipelined, connection.replies)
            self._listener.on_connection_closed(attempts, served=connection.replies > 0, is_local=is_local)


class _Connection(asyncio.Protocol):
    """One connection, and the attempts awaited on it by id; None for those that were canceled."""

    def __init__(
        self, listener: ConnectionListener, pool_awaited: dict[Attempt, tuple["_Connection", int]], now: float
    ) -> None:
        self.awaited: dict[int, Attempt | None] = {}
        self.open_queries = 0  # attempts that are awaited and not canceled
        self.replies = 0
        self.closed = asyncio.Event()
        self.connect_task: asyncio.Task[None] | None = None
        self._listener = listener
        self._pool_awaited = pool_awaited
        self._retired = False
        self._unsent: dict[int, bytes] = {}  # while the handshake lasts
        self._last_received = now
        self._unexpected = 0
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def send(self, attempt: Attempt, ident: int, frame: bytes, now: float) -> None:
        """Send a query, now or when the handshake is done."""
        if not self.open_queries:
            self._last_received = now
        self.awaited[ident] = attempt
        self.open_queries += 1
        if self._transport is None:
            self._unsent[ident] = frame
        else:
            self._transport.write(frame)

    def cancel(self, ident: int) -> None:
        """Cancel the attempt with this id."""
        self.open_queries -= 1
        if self._unsent.pop(ident, None) is None:
            self.awaited[ident] = None
        else:
            del self.awaited[ident]
        self._close_if_unused()

    def retire(self) -> None:
        """Take no more queries, and close once no reply is awaited."""
        self._retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._retired and not self.open_queries:
            if self._transport is None:
                self.abort()
            else:
                self._transport.close()  # with a close_notify to the server

    def is_stalled(self, now: float) -> bool:
        """Return whether queries should leave by another connection."""
        silent = self.open_queries > 0 and now - self._last_received > SILENCE_TIMEOUT
        return silent or len(self.awaited) > _MAX_IDS or self.closed.is_set()

    def abort(self) -> None:
        """Close at once; the task that connects it ends."""
        if self._transport is not None:
            self._transport.abort()
        elif self.connect_task is not None and not self.closed.is_set():
            self.connect_task.cancel()
        self.closed.set()

    # ------------------------------------------------------------------------------------------ asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 — what create_connection gives
        self._transport = transport
        self._last_received = asyncio.get_running_loop().time()
        transport.write(b"".join(self._unsent.values()))
        self._unsent.clear()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio's signature
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        self._last_received = asyncio.get_running_loop().time()
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 2 and len(buffer) - at - 2 >= (size := buffer[at] << 8 | buffer[at + 1]):
            self._on_message(bytes(buffer[at + 2 : at + 2 + size]))
            at += 2 + size
        del buffer[:at]

    def _on_message(self, message: bytes) -> None:
        ident = message[0] << 8 | message[1] if len(message) > 1 else -1
        if ident not in self.awaited:
            self._listener.on_unexpected(())
            self._unexpected += 1
            if self._unexpected >= MAX_UNEXPECTED:
                self.abort()
            return
        attempt = self.awaited.pop(ident)
        self.replies += 1
        if attempt is not None:
            self.open_queries -= 1
            del self._pool_awaited[attempt]
            self._listener.on_reply(attempt, ident, message)
            self._close_if_unused()
