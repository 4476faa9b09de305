"""A name server that lies on the wire, over UDP and TCP on one loopback port.

The first label of the question says what it does, so that one server serves a whole table: the name of a behaviour, and
behind hyphens perhaps

- ``tcp``: the behaviour is shown over TCP, and UDP queries get a proper TC reply;
- ``after``: the first query for the name gets the honest answer `HONEST`, and the behaviour comes after it;
- ``brief``: that answer lives for `BRIEF` seconds only;
- anything else, which only makes the name another one.
"""

import asyncio
import contextlib
import errno
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import dns.exception
import dns.flags

from tests.simulators.behaviours import BEHAVIOURS, Case, FromOtherPort, Messages, Raw, Reset

HONEST: Final = "192.0.2.7"
BRIEF: Final = 3  # seconds


class Upstream(asyncio.DatagramProtocol):
    """The running server. `seen` counts queries by first label, `sources` and `ids` note where UDP ones came from."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: Counter[str] = Counter()
        self.wires: list[bytes] = []
        self.sources: list[int] = []
        self.ids: list[int] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a port that is free for both transports."""
        loop = asyncio.get_running_loop()
        while self._udp is None:
            listener = socket.create_server(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
            try:
                self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self.port))
            except OSError as taken:
                listener.close()
                if taken.errno != errno.EADDRINUSE:  # over UDP somebody else has it: the next port
                    raise
        self._tcp = await asyncio.start_server(self._serve, sock=listener)

    async def stop(self) -> None:
        """Close both."""
        if self._udp is not None and self._tcp is not None:
            self._udp.close()
            self._tcp.close()
            for task in self._serving:
                task.cancel()
            await self._tcp.wait_closed()
        await asyncio.sleep(0)  # the datagram transport closes its socket in the next turn of the loop

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Behave as the question says."""
        self.sources.append(addr[1])
        self.ids.append(int.from_bytes(data[:2], "big"))
        for message in self._behave(data, tcp=False):
            delay, wire = message if isinstance(message, tuple) else (0.0, message)
            if delay:
                asyncio.get_running_loop().call_later(delay, self._send, wire, addr)
            else:
                self._send(wire, addr)

    def _send(self, wire: bytes, addr: tuple[str, int]) -> None:
        if isinstance(wire, FromOtherPort):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(("127.0.0.1", 0))
                sock.sendto(wire, addr)
        elif not isinstance(wire, Raw | Reset) and self._udp is not None and not self._udp.is_closing():
            self._udp.sendto(wire, addr)

    def _behave(self, data: bytes, *, tcp: bool) -> Messages:
        label = data[13 : 13 + data[12]].decode()
        name, *marks = label.lower().split("-")
        after = "after" in marks
        self.wires.append(data)
        try:
            case = Case(data, tcp=tcp, turn=self.seen[label] - after)
        except dns.exception.DNSException:  # no query at all; real servers under lies have been seen to send such
            return []
        self.seen[label] += 1
        if case.turn < 0:
            return [case.reply(f"@ {BRIEF if 'brief' in marks else 60} IN A {HONEST}").to_wire()]
        if "tcp" in marks and not tcp:
            out = case.reply()
            out.flags |= dns.flags.TC
            return [out.to_wire()]
        return BEHAVIOURS.get(name, BEHAVIOURS["good"])(case)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):  # cancelled at the end of the server
            length = int.from_bytes(await reader.readexactly(2), "big")
            messages = self._behave(await reader.readexactly(length), tcp=True)
            for message in messages:
                await self._write(message, writer)
            if not messages and not writer.is_closing():
                await reader.read()  # silence: until the peer gives up
        writer.close()

    async def _write(self, message: bytes | tuple[float, bytes], writer: asyncio.StreamWriter) -> None:
        delay, wire = message if isinstance(message, tuple) else (0.0, message)
        await asyncio.sleep(delay)
        if isinstance(wire, Reset):
            writer.transport.abort()
        elif isinstance(wire, Raw):
            writer.write(wire)
        elif not isinstance(wire, FromOtherPort):
            writer.write(len(wire).to_bytes(2, "big") + wire)
        await writer.drain()


async def serving(body: Callable[[Upstream], Awaitable[None]]) -> None:
    """Run `body` against a fresh server."""
    upstream = Upstream()
    await upstream.start()
    try:
        await body(upstream)
    finally:
        await upstream.stop()
