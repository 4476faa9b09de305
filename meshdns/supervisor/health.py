"""Asks a worker whether it is well in the one way that counts: with a DNS query, on its private socket."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Final

from meshdns import meters
from meshdns.meters import Ledger

PATIENCE: Final = 1.0  # seconds; kubelet's own default for a probe
_QUESTION: Final = b"\0\0\0\x01\0\0\0\0\0\0" + b"\x06health\x07meshdns\x07invalid\0" + b"\0\x01\0\x01"
"""What counts is that a reply comes, whatever it says. RD=0: the worker must not ask an upstream about its own health,
which would be ill whenever that is."""


class _Exchange(asyncio.DatagramProtocol):
    def __init__(self, query_id: bytes) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._id = query_id

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:  # noqa: ARG002 — a connected socket
        if data[:2] == self._id and not self.answered.done():
            self.answered.set_result(None)


class Health:
    """How workers answered whenever they were asked; their sums are in `ledger`."""

    def __init__(self) -> None:
        self.ledger = Ledger()

    async def silent(self, ports: Sequence[int]) -> list[int]:
        """The places of those among the private sockets that do not answer in time."""
        found = await asyncio.gather(*(self._ask(port) for port in ports))
        return [place for place, well in enumerate(found) if not well]

    async def _ask(self, port: int) -> bool:
        began = time.perf_counter()
        well = await answers(port)
        self.ledger.observe(meters.HEALTH_DURATION, value=time.perf_counter() - began)
        self.ledger.add(meters.HEALTH_FAILURES, amount=not well)
        return well


async def answers(port: int) -> bool:
    """Whether the worker that reads the private socket on `port` answers in time."""
    loop = asyncio.get_running_loop()
    query_id = secrets.token_bytes(2)
    transport, exchange = await loop.create_datagram_endpoint(
        lambda: _Exchange(query_id), remote_addr=("127.0.0.1", port)
    )
    try:
        transport.sendto(query_id + _QUESTION)
        await asyncio.wait_for(exchange.answered, PATIENCE)
    except (TimeoutError, OSError):
        return False
    finally:
        transport.close()
    return True
