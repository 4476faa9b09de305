"""TCP without a network: a connection of the worker on a transport in memory, fed in pieces."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from meshdns.worker.tcp_server import TcpConnections
from tests.worker.responder_fixture import ResponderFixture


class Turns:
    """As much of a loop as a connection needs: callbacks run when `run` is called, timers never."""

    def __init__(self) -> None:
        self._soon: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        """Call it in the next turn."""
        self._soon.append((callback, args))

    def call_later(self, *_: Any, **__: Any) -> Any:
        """Nothing waits that long here."""
        return SimpleNamespace(cancel=lambda: None)

    def run(self) -> None:
        """Turn until there is nothing to call."""
        while self._soon:
            callback, args = self._soon.popleft()
            callback(*args)


class Wire(asyncio.Transport):
    """What the connection writes, and whether it reads."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "socket": SimpleNamespace(family=socket.AF_INET)})
        self.written = bytearray()
        self.reading = True
        self.ended = False

    def write(self, data: Any) -> None:
        """Take it at once."""
        self.written += data

    def pause_reading(self) -> None:
        """No more for now."""
        self.reading = False

    def resume_reading(self) -> None:
        """More."""
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever buffered."""

    def get_write_buffer_size(self) -> int:
        """Nothing."""
        return 0

    def is_closing(self) -> bool:
        """Whether the end has come."""
        return self.ended

    def close(self) -> None:
        """The end."""
        self.ended = True

    def abort(self) -> None:
        """The end at once."""
        self.ended = True


def replies(bench: ResponderFixture, pieces: list[bytes]) -> list[bytes]:
    """What comes back for octets that arrive in these pieces, forwarded queries last; then the peer's end is heard."""
    turns, wire = Turns(), Wire()
    loop: Any = turns
    connections = TcpConnections(bench.responder, loop=loop)
    protocol: Any = connections.make_protocol()
    protocol.connection_made(wire)
    for piece in pieces:
        while not wire.reading:
            _turn(loop, bench)
        protocol.data_received(piece)
    _turn(loop, bench)
    protocol.eof_received()
    while not wire.ended:
        _turn(loop, bench)
    protocol.connection_lost(None)
    assert len(connections) == 0
    assert connections._buffered == 0
    return list(_unframed(bytes(wire.written)))


def _turn(loop: Turns, bench: ResponderFixture) -> None:
    loop.run()
    bench.upstream.answer()
    loop.run()


def _unframed(octets: bytes) -> list[bytes]:
    found = []
    at = 0
    while at < len(octets):
        size = octets[at] << 8 | octets[at + 1]
        assert at + 2 + size <= len(octets)
        found.append(octets[at + 2 : at + 2 + size])
        at += 2 + size
    return found
