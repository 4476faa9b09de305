"""Carries connections and datagrams from one address to another: a gateway, or what kube-proxy does for a Service.

``python -m tests.e2e.relay tcp/203.0.113.20:80=10.0.2.2:8080 udp/10.96.0.53:53=10.0.1.2:1053`` until it is ended. With
``say/10.0.2.2:8080=TEXT`` it is a service of its own that says the text to whoever connects.
"""

import asyncio
import contextlib
import functools
import sys
from typing import Any, cast

Address = tuple[str, int]


class Datagrams(asyncio.DatagramProtocol):
    """Carries datagrams to `target`, each client's through a socket of its own, and the answers back."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._transport: asyncio.DatagramTransport | None = None
        self._clients: dict[Any, asyncio.Task[asyncio.DatagramTransport]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The listening socket is there."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """A client asks."""
        if addr not in self._clients:
            self._clients[addr] = asyncio.create_task(self._open(addr), name="relayed client")
        self._clients[addr].add_done_callback(lambda opened: opened.result().sendto(data))

    async def _open(self, client: Any) -> asyncio.DatagramTransport:
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        back = Answers(self._transport, client)
        transport, _ = await loop.create_datagram_endpoint(lambda: back, remote_addr=self._target)
        return transport


class Answers(asyncio.DatagramProtocol):
    """Carries what comes for one client back to it."""

    def __init__(self, listening: asyncio.DatagramTransport, client: Any) -> None:
        self._listening = listening
        self._client = client

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002 - it is the target's
        """The target answers."""
        self._listening.sendto(data, self._client)


async def carry_stream(target: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, both ways, until either side ends."""
    far_reader, far_writer = await asyncio.open_connection(*target)
    ways = [
        asyncio.create_task(_pump(reader, far_writer), name="out"),
        asyncio.create_task(_pump(far_reader, writer), name="back"),
    ]
    await asyncio.wait(ways, return_when=asyncio.ALL_COMPLETED)
    for end in (writer, far_writer):
        end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


async def speak(text: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say the text and go."""
    writer.write(f"{text}\n".encode())
    await writer.drain()
    writer.close()


async def serve(words: list[str]) -> None:
    """Carry all that `words` say, for ever."""
    loop = asyncio.get_running_loop()
    for word in words:
        kind, _, rest = word.partition("/")
        listen, _, target = rest.partition("=")
        host, port = _address(listen)
        if kind == "udp":
            make = functools.partial(Datagrams, _address(target))
            await loop.create_datagram_endpoint(make, local_addr=(host, port))
        elif kind == "tcp":
            await asyncio.start_server(functools.partial(carry_stream, _address(target)), host, port)
        else:
            await asyncio.start_server(functools.partial(speak, target), host, port)
    await asyncio.Event().wait()


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
