"""One query to one server, for tools: over UDP, again over TCP if the reply is truncated.

Not on the path of an answer: each query has a socket of its own, and nothing is cached.
"""

import asyncio
import secrets
from typing import Final

from meshdns.dns import reply
from meshdns.dns.codes import FLAG_CD, FLAG_TC
from meshdns.dns.compression import HEADER_SIZE
from meshdns.dns.presentation import build_query
from meshdns.dns.query import OPT_SIZE
from meshdns.forwarding.upstreams import Address
from meshdns.stubdomains.observed import ObservedReply, observe
from meshdns.upstream.tcp import query_over_tcp

TRY_TIMEOUT: Final = 3.0
"""Seconds for one try; forwarders give up on a silent upstream within about 2 s, and reply so."""

_TRIES: Final = 2
_FLAGS_OF_OPT, _DO = -4, 0x80  # a byte of it, and the bit there (RFC 3225)


async def look_up(server: Address, name: str, qtype: int, *, cd: bool = False) -> ObservedReply:
    """Return the reply of `server` for a name in text; `cd` requests no validation (RFC 4035 section 3.2.2).

    DO goes with CD: systemd-resolved ignores either of them alone.
    """
    query = bytearray(build_query(name, qtype))
    if cd:
        query[3] |= FLAG_CD
        query[_FLAGS_OF_OPT] |= _DO
    for _ in range(_TRIES):
        query[:2] = secrets.token_bytes(2)
        message = await _query_over_udp(server, bytes(query))
        if message is not None and int.from_bytes(message[2:4], "big") & FLAG_TC:
            message = await query_over_tcp(server, bytes(query), seconds=TRY_TIMEOUT)
        if message is not None:
            return observe(message, bytes(query)) if _is_reply_to(message, bytes(query)) else ObservedReply()
    return ObservedReply()


class _UdpReply(asyncio.DatagramProtocol):
    """Waits for the reply to one query; a datagram that does not echo it is ignored (RFC 5452 section 9.1)."""

    def __init__(self, query: bytes, replied: asyncio.Future[bytes | None]) -> None:
        self._query = query
        self._replied = replied

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 — the socket is connected
        """Take the first reply that echoes the query."""
        if _is_reply_to(data, self._query) and not self._replied.done():
            self._replied.set_result(data)

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002 — which error it is changes nothing
        """Stop waiting, because no server listens there."""
        if not self._replied.done():
            self._replied.set_result(None)


async def _query_over_udp(server: Address, query: bytes) -> bytes | None:
    loop = asyncio.get_running_loop()
    replied: asyncio.Future[bytes | None] = loop.create_future()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _UdpReply(query, replied), remote_addr=(server.host, server.port)
        )
    except OSError:  # no route, or no such family here
        return None
    try:
        transport.sendto(query)
        async with asyncio.timeout(TRY_TIMEOUT):
            return await replied
    except TimeoutError:
        return None
    finally:
        transport.close()


def _is_reply_to(message: bytes, query: bytes) -> bool:
    question = query[HEADER_SIZE:-OPT_SIZE]  # `build_query` ends with an OPT
    return reply.is_reply_to(message, int.from_bytes(query[:2], "big"), question[:-4].lower() + question[-4:])
