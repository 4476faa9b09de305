"""What one question cannot show of a forwarder: many at once, one after the other, and what it never passes on."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import dns.flags
import dns.message
import dns.opcode

from tests.conformance.observed import ask
from tests.rig.nameserver import NameServer
from tests.simulators.lying_servers import LyingServers

IDENTICAL: Final = 1000
_SOCKETS: Final = 20
_BURST: Final = 20  # questions at once: a default receive buffer holds 256
_PAUSE: Final = 0.001  # seconds between two bursts
_NAMES: Final = 150
_PATIENCE: Final = 4.0  # seconds
_AT_ONCE: Final = 0.5  # seconds: less than any wait for an upstream
_QUIET: Final = 0.5  # seconds in which what is passed on at all has been passed on


class Probe(NamedTuple):
    """A row: the zone with an upstream for it alone, what it is, its source, the target, and how it is found."""

    zone: str
    what: str
    source: str
    target: str
    put: Callable[[NameServer, LyingServers, str], Awaitable[str]]


class Clients(asyncio.DatagramProtocol):
    """One socket of many that ask at once; notes in `answered` the ids of what comes back, for all of them."""

    def __init__(self, answered: set[int], number: int, complete: asyncio.Event) -> None:
        self._answered = answered
        self._number = number
        self._complete = complete

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: ARG002 - the socket is connected
        """Note whose answer it is."""
        self._answered.add(int.from_bytes(data[:2], "big"))
        if len(self._answered) == self._number:
            self._complete.set()


async def crowd(server: NameServer, name: str, number: int = IDENTICAL) -> int:
    """Ask one question so many times at once, from several ports; how many were answered."""
    loop = asyncio.get_running_loop()
    wire = dns.message.make_query(name, "A").to_wire()
    answered: set[int] = set()
    complete = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        transports = []
        for _ in range(_SOCKETS):
            transport, _ = await loop.create_datagram_endpoint(
                lambda: Clients(answered, number, complete), remote_addr=(server.address, server.port)
            )
            stack.callback(transport.close)
            transports.append(transport)
        for ident in range(number):
            transports[ident % _SOCKETS].sendto(ident.to_bytes(2, "big") + wire[2:])
            if ident % _BURST == 0:
                await asyncio.sleep(_PAUSE)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(complete.wait(), _PATIENCE)
    await asyncio.sleep(0)  # the transports close their sockets in the next turn of the loop
    return len(answered)


async def _identical(server: NameServer, upstreams: LyingServers, zone: str) -> str:
    answered = await crowd(server, f"delayed.{zone}")
    return f"{upstreams.query_count(zone)} / {answered}"


async def _ports(server: NameServer, upstreams: LyingServers, zone: str) -> str:
    for number in range(_NAMES):
        await ask(f"good-{number}.{zone}", server.address, server.port)
    return str(len(set(upstreams[zone].sources)))


async def _failing(server: NameServer, upstreams: LyingServers, zone: str) -> str:
    for _ in range(5):
        await ask(f"servfail.{zone}", server.address, server.port)
    return str(upstreams.query_count(zone))


async def _promoted(server: NameServer, upstreams: LyingServers, zone: str) -> str:
    await ask(f"cname.{zone}", server.address, server.port)
    before = upstreams.query_count(zone)
    await ask(f"y.{zone}", server.address, server.port)
    return "asked" if upstreams.query_count(zone) > before else "taken from the chain"


async def _unrecursive(server: NameServer, upstreams: LyingServers, zone: str) -> str:
    query = dns.message.make_query(f"good.{zone}", "A", flags=dns.flags.Flag(0))
    return await _passed_on(query, server, upstreams, zone)


async def _updating(server: NameServer, upstreams: LyingServers, zone: str) -> str:
    query = dns.message.make_query(f"good.{zone}", "SOA")
    query.set_opcode(dns.opcode.NOTIFY)
    return await _passed_on(query, server, upstreams, zone)


async def _passed_on(query: dns.message.Message, server: NameServer, upstreams: LyingServers, zone: str) -> str:
    """How many packets a message costs the upstream."""
    before = upstreams.query_count(zone)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(server.address, server.port)
    )
    transport.sendto(query.to_wire())
    await asyncio.sleep(_QUIET)
    transport.close()
    await asyncio.sleep(0)
    return str(upstreams.query_count(zone) - before)


async def _again(server: NameServer, upstreams: LyingServers, zone: str) -> str:
    await ask(f"silent.{zone}", server.address, server.port)
    what, seconds, _ = await ask(f"silent.{zone}", server.address, server.port)
    return f"{what} at once" if seconds < _AT_ONCE else f"{what} after {seconds:.1f} s"


PROBES: Final = (
    Probe(
        "identical.test",
        f"{IDENTICAL:,} identical questions at once: queries upstream / answers",
        "RFC 5452 5",
        f"1 / {IDENTICAL}",
        _identical,
    ),
    Probe("ports.test", f"source ports of {_NAMES} queries for as many names", "RFC 5452 9.2", str(_NAMES), _ports),
    Probe("failing.test", "queries for a name that is SERVFAIL, asked 5 times", "RFC 9520 3.2", "1", _failing),
    Probe("again.test", "a silent upstream, asked again", "RFC 9520 3.2", "SERVFAIL at once", _again),
    Probe("promoted.test", "the target of an alias, asked by itself", "RFC 2181 5.4.1", "asked", _promoted),
    Probe("unrecursive.test", "packets for a question with RD=0", "RFC 1034 4.3.1", "0", _unrecursive),
    Probe("notified.test", "packets for a NOTIFY", "CVE-2026-86003", "0", _updating),
)


async def probe(server: NameServer, upstreams: LyingServers) -> dict[str, str]:
    """What was found, by zone."""
    return {each.zone: await each.put(server, upstreams, each.zone) for each in PROBES}
