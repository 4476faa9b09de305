"""Asks a worker whether it is well in the one way that counts: with a DNS query, on its private socket."""

import asyncio
import secrets
from typing import Final

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
