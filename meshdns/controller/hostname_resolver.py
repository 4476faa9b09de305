"""Looks up the host names of gateways and endpoints, in the background, through the configured upstreams.

When and what is kept is decided by `meshdns.mesh.host_resolution`; a query never waits for any of it. A host in no
forward zone fails like one whose upstreams are silent.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from meshdns.controller.periodic import PeriodicRunner
from meshdns.dns.query import parse_query
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.question import Question
from meshdns.forwarding.upstreams import Route
from meshdns.mesh.fair_timers import Owners
from meshdns.mesh.host_resolution import (
    FAMILIES,
    MAX_CONCURRENT_LOOKUPS,
    ResolutionSchedule,
    ResolvedAddresses,
    ResolvedHost,
    build_question,
    read_addresses,
)
from meshdns.upstream.forwarder import Forwarder

_ATTEMPTS: Final = (
    2  # the second hears what comes late for the first: names slower than a client's patience resolve too
)
_DRAIN_TIMEOUT: Final = 10.0  # seconds; a look-up takes some 3.5 at most
_FAST_FAILURE: Final = 1.0  # seconds; a failure sooner than this was said, not waited for, and would only be said again

_log = logging.getLogger("meshdns.controller")


class HostnameResolver:
    """Keeps the addresses of the wanted host names; `on_resolved` is called with all of a host's whenever they change.

    `()` says that the host is known to have none. It is not called while look-ups fail, nor for a host that is no
    longer wanted; one that comes back is resolved and reported again. `on_failing` is called when the look-ups of a
    host begin to fail before any reply has told anything, and when that ends. `clock` measures the ages of look-ups in
    seconds, `random` gives numbers from 0 up to 1.
    """

    def __init__(
        self,
        *,
        routes: Sequence[Route],
        on_resolved: Callable[[str, tuple[str, ...]], None],
        on_failing: Callable[[str, bool], None] = lambda _host, _failing: None,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._routes = tuple(routes)
        self._on_resolved = on_resolved
        self._on_failing = on_failing
        self._loop = loop
        self._clock = clock
        self._schedule = ResolutionSchedule(random)
        self._runner = PeriodicRunner(self._schedule.timers, concurrency=MAX_CONCURRENT_LOOKUPS, clock=clock)
        self._forwarder: Forwarder | None = None  # while it runs
        self._retired: set[asyncio.Task[None]] = set()

    def set_hosts(self, hosts: Mapping[str, Owners]) -> None:
        """Set all wanted host names, lower-case and without trailing dot, with their owners.

        New ones are looked up at once, by turns of their owners.
        """
        self._schedule.set_hosts(hosts, self._clock())
        self._runner.wake()

    def set_routes(self, routes: Sequence[Route]) -> None:
        """Ask other upstreams from now on; look-ups that are under way end with the old ones."""
        if tuple(routes) == self._routes:
            return
        self._routes = tuple(routes)
        if self._forwarder is None:
            return
        task = self._loop.create_task(_close_later(self._forwarder), name="retiring forwarder")
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)
        self._forwarder = self._make_forwarder()

    def _make_forwarder(self) -> Forwarder:
        # Nothing is cached: upstreams do that, and an answer or a failure of ours would hide what they know by now.
        return Forwarder(
            loop=self._loop, clock=self._clock, routes=self._routes, max_cache_bytes=0, counters=ForwardCounters()
        )

    async def run(self) -> None:
        """Look up what is wanted until cancelled."""
        self._forwarder = self._make_forwarder()
        try:
            await self._runner.run(self._look_up, name="gateway host name")
        finally:
            for task in self._retired:
                task.cancel()
            forwarder, self._forwarder = self._forwarder, None
            await asyncio.gather(forwarder.close(), *self._retired, return_exceptions=True)

    async def _look_up(self, host: ResolvedHost) -> None:
        forwarder = self._forwarder
        assert forwarder is not None  # noqa: S101 — only `run` looks up
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(
                    self._resolve(forwarder, build_question(host.name, qtype)), name=f"resolve {host.name}"
                )
                for qtype in FAMILIES
            ]
        failed_before, was_failing = host.failures > 0, host.is_failing
        addresses = self._schedule.record_result(host, [task.result() for task in asked], self._clock())
        if failed_before is not (host.failures > 0):
            _log_transition(host)
        if was_failing is not host.is_failing:
            self._on_failing(host.name, host.is_failing)
        if addresses is not None:
            self._on_resolved(host.name, addresses)

    async def _resolve(self, forwarder: Forwarder, wire_question: bytes) -> ResolvedAddresses | None:
        """What the upstreams say to a question; None where they fail, after some 3.5 s at most."""
        for _ in range(_ATTEMPTS):
            begun = self._loop.time()
            resolved = read_addresses(await self._query_upstreams(forwarder, wire_question), wire_question)
            if resolved is not None or self._loop.time() - begun < _FAST_FAILURE:
                return resolved
        return None

    async def _query_upstreams(self, forwarder: Forwarder, wire_question: bytes) -> bytes:
        query = parse_query(Question(wire_question).message(0))
        if query is None:
            return b""  # never: a query is none only where it is short or a response
        answer: asyncio.Future[bytes] = self._loop.create_future()
        immediate = forwarder.ask(
            query, now=self._clock(), tcp=True, on_reply=partial(_set_reply, answer)
        )  # TCP: nothing is cut
        return await answer if immediate is None else immediate.message


async def _close_later(forwarder: Forwarder) -> None:
    """Close a forwarder once the look-ups that use it are over, or at once if this is cancelled."""
    try:
        await asyncio.sleep(_DRAIN_TIMEOUT)
    finally:
        await forwarder.close()


def _set_reply(answer: asyncio.Future[bytes], message: bytes) -> None:
    if not answer.done():  # who waited may be gone
        answer.set_result(message)


def _log_transition(host: ResolvedHost) -> None:
    if host.failures:
        _log.warning(
            "a look-up of A or AAAA of the gateway host name %s failed; what is known of it is kept; ask the servers "
            "under forward for it",
            host.name,
        )
    else:
        _log.info("the gateway host name %s resolves again", host.name)
