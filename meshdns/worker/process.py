"""The worker process: inherited sockets in, answers out.

It is exec'd by the supervisor, reads its settings as JSON lines from standard input (one line a generation) and ends
when that pipe closes, so that no worker outlives its supervisor. What it has to say to the supervisor are JSON lines on
standard output. It imports neither kubernetes nor aiohttp nor pydantic, and does no DNS work outside bounded wake-ups.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from meshdns.authority.authority import Authority
from meshdns.forwarding.counters import ForwardCounters
from meshdns.upstream.forwarder import Forwarder
from meshdns.view.environment import ViewError
from meshdns.view.reader import Look, Reader
from meshdns.worker.access import AccessList
from meshdns.worker.answering import Answerer
from meshdns.worker.datagrams import DatagramSocket
from meshdns.worker.mmsg import BATCH, BatchSocket, available
from meshdns.worker.settings import WorkerSettings, decode
from meshdns.worker.streams import Connections

BATCHES_PER_WAKE_UP: Final = 4
"""More would starve timers, TCP and upstream replies under load."""

_log = logging.getLogger("meshdns.worker")


class Worker:
    """Everything one worker process holds."""

    def __init__(self, settings: WorkerSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader: Reader | None = None
        self.forwarding = ForwardCounters()
        self._forwarder = Forwarder(loop=loop, routes=settings.routes, counters=self.forwarding)
        self._answerer = Answerer(
            authority=Authority(settings.zones, nsid=settings.nsid),
            access=AccessList(settings.allow),
            forward=self._forwarder,
            look=self._look,
            clock=time.monotonic,
        )
        self._connections = Connections(self._answerer, loop=loop)
        self._servers: list[asyncio.Server] = []
        self._sockets = [_inherited(fd) for fd in settings.udp]
        self._listeners = [_inherited(fd) for fd in settings.tcp]
        self.open_view(settings.view)

    async def serve(self) -> None:
        """Start answering on every inherited socket."""
        for sock in self._sockets:
            batches = BatchSocket(sock) if available() else DatagramSocket(sock)
            self._loop.add_reader(sock, self._wake_up, batches)
        for listener in self._listeners:
            server = await self._loop.create_server(self._connections.protocol, sock=listener)
            self._servers.append(server)

    def open_view(self, path: str) -> None:
        """Answer from the view at `path` from now on; keeps what is there where it cannot be opened."""
        if not path:
            return
        try:
            reader = Reader(Path(path))
        except ViewError as error:
            _log.error("%s", error)
            return
        if self._reader is not None:
            self._reader.close()
        self._reader = reader
        self._answerer.forget(None)

    async def close(self) -> None:
        """Answer what has come, then let go of the sockets."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
        for server in self._servers:
            server.close()
        self._connections.close()
        await self._forwarder.close()
        if self._reader is not None:
            self._reader.close()

    def _look(self, forget: Callable[[list[bytes] | None], None]) -> Look | None:
        return self._reader.look(forget) if self._reader is not None else None

    def _wake_up(self, batches: BatchSocket | DatagramSocket) -> None:
        self._answerer.begin()
        try:
            for _ in range(BATCHES_PER_WAKE_UP):
                if batches.exchange(self._answerer) < BATCH:
                    break
        finally:
            self._answerer.end()


def _inherited(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock


async def _run() -> None:
    loop = asyncio.get_running_loop()
    control = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(control), sys.stdin.buffer)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C reaches the group; the supervisor decides
    settings = decode(await control.readline())
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s %(message)s")
    worker = Worker(settings, loop)
    await worker.serve()
    gc.collect()
    gc.freeze()  # what is there now stays; collections on the hot path would only walk it
    _say({"serving": settings.generation})
    listening = asyncio.ensure_future(_listen(control, worker))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((listening, stopping), return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    stopping.cancel()
    await worker.close()


async def _listen(control: asyncio.StreamReader, worker: Worker) -> None:
    """Take what the supervisor says until its pipe closes."""
    while line := await control.readline():
        worker.open_view(decode(line).view)


def _say(value: dict[str, int]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Run a worker until it is told to end or its supervisor is gone."""
    asyncio.run(_run())


if __name__ == "__main__":
    main()
