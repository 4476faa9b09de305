"""Forwarder for names outside our zones: answers from the cache, else from an upstream.

Rules:
- A cached answer is returned at once: no task, no future, no timer.
- One exchange at a time for one question and route; all clients that send it meanwhile wait for it (RFC 5452 section
  5). What else of a client's query is sent on, the loop markers, makes the exchange its own, and nothing of it is
  cached.
- A failure by a limit of this process is not cached: another client may have used it up.
- Every client gets one reply, within 1.8 s. The waiting clients are bounded, in all and for each address, and so are
  the open exchanges: those whose clients have been answered already are closed first.
- Different names of one domain that wait at a time have a bound of their own, so that a flood of random names leaves
  room for all other domains.
- Over a bound the reply is REFUSED: as small as the query, so it amplifies nothing; an honest client queries another
  server at once, where silence would cost it seconds, and no cache in front stores it, as it would a SERVFAIL.
- A failure is sent only if no expired answer is left to send instead (RFC 8767).
- A query that came through here before is refused: two forwarders that point at each other end it after two packets.
- RD=0 is answered from the cache or refused, never forwarded (RFC 1034 4.3.1): two forwarders cannot make a loop of it.
- Only exchanges over TCP are tasks. They are named, kept here, and cancelled with their exchange.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from meshdns.dns.query import Query
from meshdns.dns.reply import Reply
from meshdns.forwarding import client_reply
from meshdns.forwarding.cache import Cache
from meshdns.forwarding.client_reply import Alias, ClientReplies, ImmediateReply
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.health import UpstreamGroup
from meshdns.forwarding.policy import Attempt, Exchange, Failure, Step
from meshdns.forwarding.question import (
    cache_key,
    encode_loop_marker,
    exchange_key,
    is_loop,
    read_loop_markers,
    suffix_key,
    to_question,
)
from meshdns.forwarding.upstreams import Address, Route, reply_rules, route_indexes
from meshdns.forwarding.waiting import PendingExchange, PerKeyLimit, Waiter, WaitLimits
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.local_errors import is_local_error
from meshdns.upstream.pools import UpstreamPools
from meshdns.upstream.tcp import TcpExchanges
from meshdns.upstream.timer_wheel import TimerWheel

TIMER_PERIOD: Final = 0.025  # seconds that the end of a wait may come late
SUFFIX_LIMIT_DIVISOR: Final = 8  # domains that must be flooded at a time before all places are taken
MAX_PER_CLIENT: Final = 1024
"""Questions of one address that may wait. Held back and answered together they are the pulse of a DNSBomb
(CVE-2024-33655), here 1.2 MB at most; fewer would hinder a CoreDNS that forwards a whole cluster's queries."""


class Forwarder:
    """Answers queries from the cache or from the upstreams of their route; see the rules above.

    `clock` measures the ages of cached answers, in seconds; exchanges are timed by the loop's own clock.
    `max_cache_bytes` bounds the cache in bytes, `max_in_flight` both the exchanges that are open and the questions
    that wait, `max_per_client` those of one client. `nsid` identifies the server to clients that send NSID (RFC 5001);
    `instance_id` are the 8 bytes by which this instance detects a query that it has sent (see `forwarding.question`),
    empty for no loop detection. `on_reply_time` is called with each reply of an upstream: its address, RCODE and the
    time it took in seconds. `own_zones` are the zones whose names no upstream may set, each with whether it is a
    fallback zone, of which its own route may speak. `on_alias` is called instead of a client's `on_reply` if its answer
    leads to such a name. It is used from the loop's thread only.
    """

    def __init__(  # noqa: PLR0913 — what the worker knows and three bounds, all by keyword
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        routes: Sequence[Route],
        max_cache_bytes: int = 32 << 20,
        max_in_flight: int = 10_000,
        max_per_client: int = MAX_PER_CLIENT,
        counters: ForwardCounters,
        nsid: bytes = b"",
        instance_id: bytes = b"",
        own_zones: Mapping[bytes, bool | None] | None = None,
        on_alias: Callable[[Waiter, Alias], None] | None = None,
        on_reply_time: Callable[[Address, int, float], None] = lambda _address, _rcode, _seconds: None,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._route_indexes = route_indexes(routes)
        self._upstream_groups = [
            UpstreamGroup(route.upstreams, reply_rules(route, own_zones or {})) for route in routes
        ]
        self._random_case = [route.random_case for route in routes]
        self._cache = Cache(max_cache_bytes, counters)
        self._replies = ClientReplies(self._cache, counters, nsid)
        self._max_in_flight = max_in_flight
        self._counters = counters
        self._own_marker = encode_loop_marker(instance_id)
        self._on_alias = on_alias or _refuse_alias
        self._on_reply_time = on_reply_time
        self._entropy = Entropy()
        self._pools = UpstreamPools(loop, self._entropy, self)
        self._open: dict[Exchange, PendingExchange] = {}
        self._pending_by_key: dict[bytes, PendingExchange] = {}  # those that clients wait for
        self._awaiting_late_reply: OrderedDict[bytes, PendingExchange] = OrderedDict()
        """Those whose clients were answered with a failure, the oldest first."""
        self._wait_limits = WaitLimits(max_in_flight, max_per_client)
        self._suffix_limit = PerKeyLimit(
            max(max_in_flight // SUFFIX_LIMIT_DIVISOR, 1)
        )  # of the exchanges that clients wait for
        self._tcp_exchanges = TcpExchanges(loop, self._entropy, self._on_tcp_result)
        self._timers: TimerWheel[PendingExchange] = TimerWheel(TIMER_PERIOD)
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def ask(
        self, query: Query, *, now: float, tcp: bool, on_reply: Callable[[bytes], None], client: bytes = b""
    ) -> ImmediateReply | None:
        """Return the reply if it needs no upstream; else None, and `on_reply` is called once with it, within 1.8 s.

        `query` is well-formed, `now` is the time of `clock`, `tcp` says how the query was received, and `client` is
        its packed address. `on_reply` is never called before this returns; what it raises costs its client alone.
        """
        self._counters.queries += 1
        route_index = self._route_indexes.find(query.qname_lower)
        if route_index is None:
            return ImmediateReply(self._replies.refusal(query, client_reply.NO_ROUTE, tcp=tcp))
        key = cache_key(query, route_index)
        cached = self._replies.cached_reply(query, key, now=now, tcp=tcp)
        if cached is not None:
            return cached
        markers = read_loop_markers(query)
        error = self._refusal(query, key, client, markers, now=now, tcp=tcp)
        if error is None:
            error = self._join_or_start(Waiter(query, tcp, client, on_reply), key, markers, route_index)
        if isinstance(error, Alias):
            return ImmediateReply(b"", alias=error)
        return None if error is None else ImmediateReply(error)

    @property
    def cache_counts(self) -> tuple[int, int]:
        """The number of cached answers, and how many of them are denials."""
        return len(self._cache), self._cache.denials

    def flush(self) -> None:
        """Drop all cached answers and failures."""
        self._cache.clear()

    async def close(self) -> None:
        """Answer all waiting clients with SERVFAIL, close all sockets, end all tasks."""
        self._closed = True
        for pending in list(self._open.values()):
            pending.exchange.close()
            self._discard(pending)
            self._answer_waiters(pending, client_reply.CLOSING, self._clock())
        if self._timer is not None:
            self._timer.cancel()
        await self._pools.close()
        await self._tcp_exchanges.close()

    # ------------------------------------------------------------------------------------------ clients

    def _refusal(
        self, query: Query, key: bytes, client: bytes, markers: bytes, *, now: float, tcp: bool
    ) -> bytes | Alias | None:
        """Return the refusal or failure for a client that may not wait for an upstream; None if it may."""
        counters = self._counters
        failure = self._cache.get_failure(key, now)
        if failure is not None:
            counters.failures_cached += 1
            return self._replies.failure_reply(query, key, failure, now=now, tcp=tcp)
        if not query.rd:
            return self._replies.refusal(query, client_reply.NOT_RECURSIVE, tcp=tcp)
        if markers and is_loop(markers, self._own_marker):
            counters.loops += 1
            return self._replies.refusal(query, client_reply.LOOP, tcp=tcp)
        if self._closed:
            return self._replies.failure_reply(query, key, client_reply.CLOSING, now=now, tcp=tcp)
        at_client_limit = self._wait_limits.is_client_at_limit(client)
        if at_client_limit or self._wait_limits.is_full:
            counters.over_limit += 1
            counters.over_client_limit += at_client_limit
            return self._replies.refusal(
                query, client_reply.OVERLOAD_CLIENT if at_client_limit else client_reply.OVERLOAD, tcp=tcp
            )
        return None

    def _join_or_start(self, waiter: Waiter, key: bytes, markers: bytes, route_index: int) -> bytes | Alias | None:
        """Join the exchange for the question, or start it."""
        shared = exchange_key(key, markers)
        pending = self._pending_by_key.get(shared)
        if pending is None:
            now = self._loop.time()
            domain = suffix_key(waiter.query, route_index)
            if self._suffix_limit.is_at_limit(domain):
                self._counters.over_limit += 1
                self._counters.over_suffix_limit += 1
                return self._replies.refusal(waiter.query, client_reply.OVERLOAD_SUFFIX, tcp=waiter.tcp)
            self._counters.misses += 1
            exchange = self._new_exchange(waiter.query, markers, route_index, now)
            pending = PendingExchange(shared, key, domain, route_index, exchange)
            self._admit(pending, now)
            failure = self._apply_step(pending, exchange.start(now), now)
            if failure is not None:
                return self._replies.failure_reply(waiter.query, key, failure, now=self._clock(), tcp=waiter.tcp)
        else:
            self._counters.coalesced += 1
        pending.waiters.append(waiter)
        self._wait_limits.add(waiter.client)
        return None

    def _new_exchange(self, query: Query, markers: bytes, route_index: int, now: float) -> Exchange:
        """A new exchange for a client's question."""
        return Exchange(
            to_question(query),
            self._upstream_groups[route_index],
            self._counters,
            now=now,
            loop_markers=markers + self._own_marker,
            random_bits=self._entropy.random_bytes(len(query.qname_lower)) if self._random_case[route_index] else b"",
        )

    def _answer_waiters(self, pending: PendingExchange, outcome: Reply | Failure, now: float) -> None:
        """Answer all clients that wait for the exchange."""
        waiters, pending.waiters = pending.waiters, []
        for waiter in waiters:
            self._wait_limits.remove(waiter.client)
            try:
                self._answer(waiter, pending, outcome, now)
            except Exception as fault:  # noqa: BLE001 — whatever it is costs this client alone
                self._loop.call_exception_handler({"message": "a client was not answered", "exception": fault})

    def _answer(self, waiter: Waiter, pending: PendingExchange, outcome: Reply | Failure, now: float) -> None:
        """Answer one client."""
        if isinstance(outcome, Reply):
            reply = self._replies.fresh_reply(waiter.query, outcome, tcp=waiter.tcp)
        else:
            reply = self._replies.failure_reply(waiter.query, pending.cache_key, outcome, now=now, tcp=waiter.tcp)
        if isinstance(reply, Alias):
            self._on_alias(waiter, reply)
        else:
            waiter.on_reply(reply)

    # ------------------------------------------------------------------------------------------ exchanges

    def _admit(self, pending: PendingExchange, now: float) -> None:
        """Open an exchange; if too many are open, close the one whose clients were answered longest ago."""
        if len(self._open) >= self._max_in_flight and self._awaiting_late_reply:
            oldest = next(iter(self._awaiting_late_reply.values()))
            oldest.exchange.close()
            self._discard(oldest)
        self._open[pending.exchange] = pending
        self._pending_by_key[pending.key] = pending
        self._suffix_limit.acquire(pending.suffix)
        self._counters.in_flight = len(self._open)
        self._timers.schedule(pending, now)  # not its due: most are closed, and then forgotten, a period later
        if self._timer is None:
            self._timer = self._loop.call_later(TIMER_PERIOD, self._on_timer)

    def _apply_step(self, pending: PendingExchange, step: Step, now: float) -> Failure | None:
        """Do what the policy decided; return the failure that the clients were answered with, if any."""
        exchange = pending.exchange
        while isinstance(step, Attempt):
            step = self._send(pending, step, now)
        if isinstance(step, Reply):
            self._on_answer(pending, step)
        elif isinstance(step, Failure):
            data_time = self._clock()
            if pending.is_cached and not step.is_local:
                self._cache.store_failure(pending.cache_key, step, data_time)
            if exchange.closed:
                self._discard(pending)
            else:
                self._keep_for_late_reply(pending)
            self._answer_waiters(pending, step, data_time)
        elif exchange.closed:
            self._discard(pending)
        return step if isinstance(step, Failure) else None

    def _on_answer(self, pending: PendingExchange, reply: Reply) -> None:
        """Cache the answer and send it, also to clients that retried after a failure."""
        now = self._clock()
        if pending.is_cached:
            self._cache.store(pending.cache_key, reply, now)
        live = self._pending_by_key.get(pending.key)
        if live is not pending:
            self._counters.late_answers += 1
        if live is not None:
            live.exchange.close()
            self._discard(live)  # first: the answer to a waiting client may be an alias for the same question
            self._answer_waiters(live, reply, now)

    def _keep_for_late_reply(self, pending: PendingExchange) -> None:
        """Keep an exchange open for a late answer; one per question is enough."""
        del self._pending_by_key[pending.key]
        self._suffix_limit.release(pending.suffix)
        older = self._awaiting_late_reply.pop(pending.key, None)
        if older is not None:
            older.exchange.close()
            self._discard(older)
        self._awaiting_late_reply[pending.key] = pending

    def _discard(self, pending: PendingExchange) -> None:
        """Drop a closed exchange; a second call does nothing."""
        if self._open.pop(pending.exchange, None) is None:
            return
        if self._pending_by_key.get(pending.key) is pending:
            del self._pending_by_key[pending.key]
            self._suffix_limit.release(pending.suffix)
        elif self._awaiting_late_reply.get(pending.key) is pending:
            del self._awaiting_late_reply[pending.key]
        for attempt in pending.exchange.attempts:
            if self._tcp_exchanges.cancel(attempt):
                continue
            address = self._address(pending, attempt)
            if not attempt.tcp or address.tls is not None:
                self._pools.pool_for(address).cancel(attempt)
        pending.exchange.attempts.clear()  # break the reference cycle, so that no garbage collection is needed
        self._counters.in_flight = len(self._open)

    def _on_timer(self) -> None:
        """Handle the one timer of all exchanges."""
        now = self._loop.time()
        for pending in self._timers.pop_due(now):
            exchange = pending.exchange
            if not exchange.closed:
                self._apply_step(pending, exchange.on_timer(now), now)
            if not exchange.closed:
                self._timers.schedule(pending, exchange.due)
        self._timer = self._loop.call_later(TIMER_PERIOD, self._on_timer) if self._timers and not self._closed else None

    # ------------------------------------------------------------------------------------------ wire

    def _send(self, pending: PendingExchange, attempt: Attempt, now: float) -> Step:
        address = self._address(pending, attempt)
        if attempt.tcp and address.tls is None:
            sent = self._tcp_exchanges.send(address, attempt)
            return None if sent else attempt.exchange.on_error(attempt, now, is_local=True)
        try:
            self._pools.pool_for(address).send(attempt)
        except OSError as error:
            return attempt.exchange.on_error(attempt, now, is_local=is_local_error(error))
        return None

    def _on_tcp_result(self, attempt: Attempt, ident: int, message: bytes | None, *, is_local: bool = False) -> None:
        """Handle the end of an exchange over TCP (for `TcpExchanges`)."""
        pending = self._open.get(attempt.exchange)
        if pending is None:
            return
        if message is None:
            now = self._loop.time()
            self._apply_step(pending, attempt.exchange.on_error(attempt, now, is_local=is_local), now)
        else:
            self.on_reply(attempt, ident, message)

    def on_reply(self, attempt: Attempt, ident: int, message: bytes) -> None:
        """Handle a message with the id of `attempt` on its socket or connection (for `UdpPool` and `TlsPool`)."""
        now = self._loop.time()
        pending = self._open[attempt.exchange]
        step = attempt.exchange.on_reply(attempt, ident, message, now)
        if attempt.done and len(message) > 3:  # a message that is no reply to the question leaves it open
            self._on_reply_time(self._address(pending, attempt), message[3] & 0x0F, now - attempt.sent_at)
        self._apply_step(pending, step, now)

    def on_unexpected(self, attempts: tuple[Attempt, ...]) -> None:
        """Handle a datagram without an awaited id on the socket of `attempts` (for `UdpPool`)."""
        now = self._loop.time()
        if not attempts:
            self._counters.mismatches += 1
        for attempt in attempts:
            pending = self._open.get(attempt.exchange)
            if pending is not None:
                self._apply_step(pending, attempt.exchange.on_mismatch(attempt, now), now)

    def on_icmp_error(self, attempts: tuple[Attempt, ...]) -> None:
        """Handle an ICMP error on the socket of `attempts` (for `UdpPool`)."""
        now = self._loop.time()
        for attempt in attempts:
            pending = self._open.get(attempt.exchange)
            if pending is not None:
                self._apply_step(pending, attempt.exchange.on_icmp_error(attempt, now), now)

    def on_connection_closed(self, attempts: tuple[Attempt, ...], *, served: bool, is_local: bool) -> None:
        """Handle the end of a connection on which `attempts` were awaited (for `TlsPool`)."""
        now = self._loop.time()
        for attempt in attempts:
            exchange = attempt.exchange
            pending = self._open.get(exchange)
            if pending is not None:
                self._apply_step(
                    pending,
                    exchange.on_connection_closed(attempt, now)
                    if served
                    else exchange.on_error(attempt, now, is_local=is_local),
                    now,
                )

    def _address(self, pending: PendingExchange, attempt: Attempt) -> Address:
        return self._upstream_groups[pending.route_index].addresses[attempt.upstream]


def _refuse_alias(waiter: Waiter, _: Alias) -> None:
    """Fail a query whose answer leads to a name of ours, without a way to look that up."""
    waiter.on_reply(client_reply.error_reply(waiter.query, client_reply.NO_ROUTE, tcp=waiter.tcp))
