"""Looks up the host names of gateways, in the background, through the configured upstreams.

When and what is kept is decided by `meshdns.mesh.hostnames`; a query never waits for any of it. A host in no forward
zone fails like one whose upstreams are silent.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

from meshdns.controller.rounds import Rounds
from meshdns.dns.query import parse
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.question import Question
from meshdns.forwarding.routes import Route
from meshdns.mesh.hostnames import FAMILIES, Found, Host, found, question
from meshdns.mesh.hostnames import HostNames as Wanted
from meshdns.upstream.forwarder import Forwarder

MOST: Final = 32  # hosts that are looked up at once
_ASKS: Final = 2  # the second hears what comes late for the first: names slower than a client's patience resolve too
_AT_ONCE: Final = 1.0  # seconds; a failure sooner than this was said, not waited for, and would only be said again

_log = logging.getLogger("meshdns.controller")


class HostNames:
    """Keeps the addresses of the wanted host names; `resolved` is called with all of a host's whenever they change.

    `()` says that the host is known to have none. Nothing is called while look-ups fail, nor for a host that is no
    longer wanted; one that comes back is resolved anew and told again. `clock` gives seconds and never goes back,
    `draw` gives numbers from 0 up to 1.
    """

    def __init__(
        self,
        *,
        routes: Sequence[Route],
        resolved: Callable[[str, tuple[str, ...]], None],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self._routes = tuple(routes)
        self._resolved = resolved
        self._loop = loop
        self._clock = clock
        self._wanted = Wanted(draw)
        self._rounds = Rounds(self._wanted.agenda, most=MOST, clock=clock)

    def want(self, hosts: Collection[str]) -> None:
        """The complete set wanted now, lower-case and without trailing dot: new ones are looked up at once."""
        self._wanted.want(hosts, self._clock())
        self._rounds.look()

    async def run(self) -> None:
        """Look up what is wanted until cancelled."""
        # Nothing is cached: upstreams do that, and an answer or a failure of ours would hide what they know by now.
        forwarder = Forwarder(loop=self._loop, routes=self._routes, budget=0, counters=ForwardCounters())
        try:
            await self._rounds.run(partial(self._look_up, forwarder), name="gateway host name")
        finally:
            await forwarder.close()

    async def _look_up(self, forwarder: Forwarder, host: Host) -> None:
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(_ask(forwarder, question(host.name, qtype), self._loop), name=f"resolve {host.name}")
                for qtype in FAMILIES
            ]
        failed_before = host.failures > 0
        addresses = self._wanted.heard(host, [task.result() for task in asked], self._clock())
        if failed_before is not (host.failures > 0):
            _log_turn(host)
        if addresses is not None:
            self._resolved(host.name, addresses)


async def _ask(forwarder: Forwarder, asked: bytes, loop: asyncio.AbstractEventLoop) -> Found | None:
    """What the upstreams say to a question; None where they fail, after some 3.5 s at most."""
    for _ in range(_ASKS):
        begun = loop.time()
        said = found(await _reply(forwarder, asked, loop), asked)
        if said is not None or loop.time() - begun < _AT_ONCE:
            return said
    return None


async def _reply(forwarder: Forwarder, asked: bytes, loop: asyncio.AbstractEventLoop) -> bytes:
    query = parse(Question(asked).message(0))
    if query is None:
        return b""  # never: a query is none only where it is short or a response
    answer: asyncio.Future[bytes] = loop.create_future()
    at_hand = forwarder.ask(query, now=loop.time(), tcp=True, reply=partial(_settle, answer))  # TCP: nothing is cut
    return await answer if at_hand is None else at_hand


def _settle(answer: asyncio.Future[bytes], message: bytes) -> None:
    if not answer.done():  # who waited may be gone
        answer.set_result(message)


def _log_turn(host: Host) -> None:
    if host.failures:
        _log.warning(
            "a look-up of A or AAAA of the gateway host name %s failed; what is known of it is kept; ask the servers "
            "under forward for it",
            host.name,
        )
    else:
        _log.info("the gateway host name %s resolves again", host.name)
