"""Connections over TLS towards one upstream (RFC 7858): kept, shared by many queries at a time, closed when idle.

Rules:
- Queries are pipelined, and replies are taken in any order, by an id unique on its connection (RFC 7766 section 7). An
  id whose reply nobody waits for any longer stays taken until that reply has come.
- What waits for a handshake is bounded like what waits for replies, and what is given up meanwhile is never sent.
- A connection on which something is awaited and nothing has come for `DOUBT` gets no more queries: a silent one may be
  dead for minutes before TCP says so. What is awaited on it may still come.
- Where a connection ends with queries open, those go to a new one if it had served others, and are failed if not.
  The next ones carry no more at a time than it had answered, until the next rest.
- After a failed handshake the next is tried `PAUSE` later. Nothing is sent in clear instead.
- A message with an id that nobody waits for is ignored; a connection with `MAX_STRANGE` of them is ended.
"""

import asyncio
import logging
from typing import Final, Protocol

from meshdns.forwarding.addresses import Address, Tls
from meshdns.forwarding.policy import Attempt
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.sockets import Listener
from meshdns.upstream.trust import Trust

CONNECTIONS: Final = 8  # to one upstream, those included that get no more queries
DEPTH: Final = 1024  # queries open on one connection
DOUBT: Final = 0.45  # seconds; the second send of a question (0.5 s) shall leave by another connection
HANDSHAKE: Final = 4.0  # seconds for TCP and TLS together; clients have heard by then
PAUSE: Final = 1.0  # seconds
MAX_STRANGE: Final = 5
_FAREWELL: Final = 1.0  # seconds that a server may take to answer the end of TLS
_MAX_IDS: Final = 4 * DEPTH  # of one connection, those included whose reply nobody waits for any longer

_log = logging.getLogger("meshdns.upstream")


class StreamListener(Listener, Protocol):
    """Who hears what comes on the connections, and of their end."""

    def ended(self, attempts: tuple[Attempt, ...], *, served: bool) -> None:
        """A connection ended, or never began, on which `attempts` were awaited; `served` says that it had replied."""


class SecurePool:
    """The connections towards one upstream; see the rules above. A `Pool` for `Pools`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: Address, entropy: Entropy, listener: StreamListener
    ) -> None:
        self._loop = loop
        self._address = address
        self._tls = address.tls or Tls()
        self._trust = Trust(self._tls.ca)
        self._entropy = entropy
        self._listener = listener
        self._lines: list[_Line] = []  # those that get queries
        self._retired: list[_Line] = []  # those on which something is still awaited, the oldest first
        self._places: dict[Attempt, tuple[_Line, int]] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._depth = DEPTH
        self._busy = False
        self._pauses_until = 0.0
        self._failing = ""
        self._closed = False

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._lines) + len(self._retired)

    def send(self, attempt: Attempt) -> None:
        """Send the question of `attempt` and await the reply until `forget`; OSError where it cannot be sent."""
        self._busy = True
        line = self._pick()
        ident = self._entropy.u16()
        while ident in line.awaited:
            ident = self._entropy.u16()
        message = attempt.message(ident)
        line.ask(attempt, ident, len(message).to_bytes(2, "big") + message, self._loop.time())
        self._places[attempt] = (line, ident)

    def forget(self, attempt: Attempt) -> None:
        """Await no reply to `attempt` any longer."""
        line, ident = self._places.pop(attempt, (None, 0))
        if line is not None:
            line.forget(ident)

    def rest(self) -> None:
        """Close all connections if none was used since the last call; to be called every few seconds."""
        self._depth = DEPTH
        if not self._busy:
            for line in list(self._lines):
                self._retire(line)
        self._busy = False

    def close(self) -> None:
        """Close all connections at once."""
        self._closed = True
        for line in (*self._lines, *self._retired):
            line.end()
        self._places.clear()

    async def closed(self) -> None:
        """Wait until all connections have ended."""
        await asyncio.gather(*self._connecting, return_exceptions=True)

    # ------------------------------------------------------------------------------------------ connections

    def _pick(self) -> "_Line":
        now = self._loop.time()
        for line in [line for line in self._lines if line.doubtful(now)]:
            self._retire(line)
        for line in self._lines:
            if line.open < self._depth:
                return line
        if now < self._pauses_until:
            raise ConnectionError(f"{self._address} failed its last handshake")
        if len(self) >= CONNECTIONS:
            if self._retired:
                self._retired[0].end()
            raise ConnectionError(f"{self._address} has too many open queries")
        line = _Line(self._listener, self._places, now)
        line.connecting = self._loop.create_task(self._connect(line), name=f"upstream {self._address}")
        self._connecting.add(line.connecting)
        line.connecting.add_done_callback(self._connecting.discard)
        self._lines.append(line)
        return line

    def _retire(self, line: "_Line") -> None:
        self._lines.remove(line)
        self._retired.append(line)
        line.retire()

    async def _connect(self, line: "_Line") -> None:
        """Open a connection and wait for its end."""
        try:
            async with asyncio.timeout(HANDSHAKE):
                context = await self._loop.run_in_executor(None, self._trust.context)
                await self._loop.create_connection(
                    lambda: line,
                    self._address.host,
                    self._address.port,
                    ssl=context,
                    server_hostname=self._tls.name or self._address.host,
                    ssl_shutdown_timeout=_FAREWELL,
                )
            self._failing = ""
            await line.ended.wait()
        except OSError as error:  # TimeoutError and ssl.SSLError are such
            self._pauses_until = self._loop.time() + PAUSE
            self._tell(error)
        finally:
            self._forget_line(line)

    def _tell(self, error: OSError) -> None:
        """Say once why no connection comes about."""
        reason = str(error) or f"no TLS handshake within {HANDSHAKE:g} s"
        if reason != self._failing:
            _log.warning("upstream %s: %s; check its address, name and ca under forward", self._address, reason)
        self._failing = reason

    def _forget_line(self, line: "_Line") -> None:
        """A connection has ended, or never began."""
        line.end()
        for lines in (self._lines, self._retired):
            if line in lines:
                lines.remove(line)
        attempts = tuple(attempt for attempt in line.awaited.values() if attempt is not None)
        for attempt in attempts:
            self._places.pop(attempt, None)
        if attempts and not self._closed:
            if line.replies:
                self._depth = min(self._depth, line.replies)
            self._listener.ended(attempts, served=line.replies > 0)


class _Line(asyncio.Protocol):
    """One connection, and the attempts awaited on it by id; None for those that were given up."""

    def __init__(self, listener: StreamListener, places: dict[Attempt, tuple["_Line", int]], now: float) -> None:
        self.awaited: dict[int, Attempt | None] = {}
        self.open = 0  # attempts that are awaited and not given up
        self.replies = 0
        self.ended = asyncio.Event()
        self.connecting: asyncio.Task[None] | None = None
        self._listener = listener
        self._places = places
        self._retired = False
        self._unsent: dict[int, bytes] = {}  # while the handshake lasts
        self._quiet_since = now
        self._strange = 0
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def ask(self, attempt: Attempt, ident: int, frame: bytes, now: float) -> None:
        """Send a query, now or when the handshake is done."""
        if not self.open:
            self._quiet_since = now
        self.awaited[ident] = attempt
        self.open += 1
        if self._transport is None:
            self._unsent[ident] = frame
        else:
            self._transport.write(frame)

    def forget(self, ident: int) -> None:
        """Give up the attempt with this id."""
        self.open -= 1
        if self._unsent.pop(ident, None) is None:
            self.awaited[ident] = None
        else:
            del self.awaited[ident]
        self._rest()

    def retire(self) -> None:
        """Get no more queries, and end once nothing is awaited."""
        self._retired = True
        self._rest()

    def _rest(self) -> None:
        if self._retired and not self.open:
            if self._transport is None:
                self.end()
            else:
                self._transport.close()  # tells the server so

    def doubtful(self, now: float) -> bool:
        """Whether queries had better leave by another connection."""
        silent = self.open > 0 and now - self._quiet_since > DOUBT
        return silent or len(self.awaited) > _MAX_IDS or self.ended.is_set()

    def end(self) -> None:
        """Close at once; whoever connects it hears of it."""
        if self._transport is not None:
            self._transport.abort()
        elif self.connecting is not None and not self.ended.is_set():
            self.connecting.cancel()
        self.ended.set()

    # ------------------------------------------------------------------------------------------ asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 — what create_connection gives
        self._transport = transport
        self._quiet_since = asyncio.get_running_loop().time()
        transport.write(b"".join(self._unsent.values()))
        self._unsent.clear()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio's signature
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        self._quiet_since = asyncio.get_running_loop().time()
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 2 and len(buffer) - at - 2 >= (size := buffer[at] << 8 | buffer[at + 1]):
            self._take(bytes(buffer[at + 2 : at + 2 + size]))
            at += 2 + size
        del buffer[:at]

    def _take(self, message: bytes) -> None:
        ident = message[0] << 8 | message[1] if len(message) > 1 else -1
        if ident not in self.awaited:
            self._listener.stray(())
            self._strange += 1
            if self._strange >= MAX_STRANGE:
                self.end()
            return
        attempt = self.awaited.pop(ident)
        self.replies += 1
        if attempt is not None:
            self.open -= 1
            del self._places[attempt]
            self._listener.heard(attempt, ident, message)
            self._rest()
