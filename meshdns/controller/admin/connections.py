"""Connections of the admin socket and the page's port, within the limits of `meshdns.instance.connections`.

Idle connections would else be kept for an hour, in any number, until this process has no descriptor left to read a
cluster with.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from meshdns.instance.connections import ConnectionLimits, ConnectionTable, client_key

LIMITS = ConnectionLimits()


class LimitedConnections:
    """Makes the connections of one listener; `make_protocol` makes what answers one."""

    def __init__(self, make_protocol: Callable[[], asyncio.Protocol], limits: ConnectionLimits = LIMITS) -> None:
        self.table: ConnectionTable[asyncio.BaseTransport] = ConnectionTable(limits)
        self._make_protocol = make_protocol

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return _LimitedConnection(self._make_protocol(), self.table)


class _LimitedConnection(asyncio.Protocol):
    """A protocol whose connection has a place in a table."""

    def __init__(self, protocol: asyncio.Protocol, table: ConnectionTable[asyncio.BaseTransport]) -> None:
        self._protocol = protocol
        self._table = table
        self._transport: asyncio.BaseTransport | None = None
        self.data_received = protocol.data_received  # type: ignore[method-assign]  # called for each read
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place; the connection that has to end for it ends."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._protocol.connection_made(transport)
        victim = self._table.add(transport, client_key(str(peer[0])) if isinstance(peer, tuple) else "")
        if victim is not None:
            cast("asyncio.Transport", victim).abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place."""
        if self._transport is not None:
            self._table.remove(self._transport)
        self._protocol.connection_lost(exc)
