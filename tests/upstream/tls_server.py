"""A DNS server over TLS that lies, on one loopback port.

It behaves as the first label of the question says (`tests.simulators.behaviours`), over connections that stay open;
`farewell` is the number of replies after which a connection is closed, without a word for the queries still open.
"""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.simulators.behaviours import BEHAVIOURS, Case, Messages, Raw, Reset


class TlsServer:
    """The running server. `seen` counts queries by first label, `connections` those that shook hands."""

    def __init__(self, certificate: Path, *, farewell: int = 0) -> None:
        self.port = 0
        self.seen: Counter[str] = Counter()
        self.wires: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.protocols: set[str | None] = set()
        self._farewell = farewell
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._context.set_alpn_protocols(["dot"])
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    def limit(self, version: ssl.TLSVersion) -> None:
        """Speak no newer version."""
        self._context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        self._context.maximum_version = version
        self._context.set_ciphers("DEFAULT:@SECLEVEL=0")

    async def start(self, port: int = 0) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and all connections."""
        if self._server is not None:
            self._server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self.connections += 1
        self.open += 1
        self.protocols.add(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):  # cancelled at the end of the server
            await self._talk(reader, writer)
        self.open -= 1
        writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replies = 0
        while True:
            wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            for message in self._behave(wire):
                delay, octets = message if isinstance(message, tuple) else (0.0, message)
                if isinstance(octets, Raw | Reset):
                    writer.write(octets)
                    await writer.drain()
                    return
                framed = len(octets).to_bytes(2, "big") + octets
                asyncio.get_running_loop().call_later(delay, writer.write, framed)
                replies += 1
            if replies == self._farewell > 0:
                await asyncio.sleep(0.02)  # the reply shall arrive before the end
                return

    def _behave(self, wire: bytes) -> Messages:
        label = wire[13 : 13 + wire[12]].decode().lower()
        case = Case(wire, tcp=True, turn=self.seen[label])
        self.seen[label] += 1
        self.wires.append(wire)
        return BEHAVIOURS.get(label.partition("-")[0], BEHAVIOURS["good"])(case)


async def serving(server: TlsServer, body: Callable[[TlsServer], Awaitable[None]]) -> None:
    """Run `body` while the server runs."""
    await server.start()
    try:
        await body(server)
    finally:
        await server.stop()
