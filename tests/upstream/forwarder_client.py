"""Asking the forwarder as the worker does."""

import asyncio
from collections.abc import Callable
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype

from meshdns.dns.query import Query, parse_query
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.upstreams import Address, Route
from meshdns.upstream.forwarder import MAX_PER_CLIENT, Forwarder

TIMEOUT = 30.0  # seconds; a condition that takes longer is a failure


class ForwarderClient:
    """Asks the forwarder as the worker does, and decodes what it gets with dnspython."""

    def __init__(
        self,
        *upstreams: Address,
        max_in_flight: int = 10_000,
        max_per_client: int = MAX_PER_CLIENT,
        instance_id: bytes = b"",
        random_case: bool = False,
        refuse_private: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.counters = ForwardCounters()
        self.loop = asyncio.get_running_loop()
        self._clock = clock or self.loop.time
        self.forwarder = Forwarder(
            loop=self.loop,
            clock=self._clock,
            routes=[Route(b"\0", upstreams, random_case, refuse_private)],
            max_in_flight=max_in_flight,
            max_per_client=max_per_client,
            instance_id=instance_id,
            counters=self.counters,
        )

    async def ask(
        self, name: str, rtype: str = "A", *, tcp: bool = True, rd: bool = True, **options: Any
    ) -> dns.message.Message:
        """The reply to one question."""
        message = dns.message.make_query(name, rtype, use_edns=0, payload=1232, **options)
        if not rd:
            message.flags &= ~dns.flags.RD
        return dns.message.from_wire(await self.ask_wire(message.to_wire(), tcp=tcp))

    async def ask_wire(self, wire: bytes, *, tcp: bool = True, client: bytes = b"") -> bytes:
        """The reply to one message."""
        query = parse_query(wire)
        assert isinstance(query, Query)
        answer: asyncio.Future[bytes] = self.loop.create_future()
        at_hand = self.forwarder.ask(query, now=self._clock(), tcp=tcp, on_reply=answer.set_result, client=client)
        return at_hand.message if at_hand is not None else await asyncio.wait_for(answer, TIMEOUT)


def answers(message: dns.message.Message) -> list[str]:
    """The answer and authority sections in presentation format."""
    return [
        f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in (*message.answer, *message.authority)
        for rdata in rrset
    ]


def ede(message: dns.message.Message) -> int | None:
    """The extended error code."""
    return next((int(option.code) for option in message.options if isinstance(option, dns.edns.EDEOption)), None)
