"""Everything that is not ours: from the cache, else from an upstream.

Rules:
- A known answer is returned at once: no task, no future, no timer.
- One exchange at a time for one question and route; everybody who asks meanwhile waits for it (RFC 5452 section 5).
- Every client hears once, within 1.8 s. How many may wait is bounded, in all and for each client's address, and so is
  how many exchanges are open: those whose clients have heard already give way first.
- Different names of one domain that wait at a time have a bound of their own, so that a flood of made-up ones leaves
  room for all other domains.
- Over a bound the reply is REFUSED: as small as the query, so it amplifies nothing; an honest client asks elsewhere at
  once, where silence would cost it seconds, and no cache in front keeps it, as it would a SERVFAIL.
- A failure is told only where no expired answer is left to tell instead (RFC 8767).
- A query that came through here before is refused: two forwarders that point at each other end it after two packets.
- RD=0 is answered from the cache or refused, never forwarded (RFC 1034 4.3.1): two forwarders cannot make a loop of it.
- Only exchanges over TCP are tasks. They are named, kept here, and cancelled with their exchange.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from meshdns.dns.query import Query
from meshdns.dns.reply import Reply
from meshdns.forwarding.addresses import Address
from meshdns.forwarding.cache import Cache
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.health import Group
from meshdns.forwarding.policy import Attempt, Exchange, Failure, Step
from meshdns.forwarding.question import asked, key, loops, step, suffix, trail
from meshdns.forwarding.routes import Route, Routes
from meshdns.forwarding.waiting import Crowd, Pending, Shares, Waiter
from meshdns.upstream import telling
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.pools import Pools
from meshdns.upstream.stream import Streams
from meshdns.upstream.telling import Telling
from meshdns.upstream.wheel import PERIOD, Wheel

SUFFIXES: Final = 8  # domains that must be flooded at a time before all who may wait do
MAX_PER_CLIENT: Final = 1024
"""Questions of one address that may wait. Held back and answered together they are the pulse of a DNSBomb
(CVE-2024-33655), here 1.2 MB at most; fewer would hinder a CoreDNS that asks for a whole cluster by one address."""


class Forwarder:
    """Answers queries from the cache or from the upstreams of their route; see the rules above.

    `budget` bounds the cache in octets, `max_in_flight` both the exchanges that are open and the questions that wait,
    `max_per_client` those of one client. `nsid` is what a client hears that asks which server it reached (RFC 5001),
    `mark` the 8 octets by which this instance knows a query that it has sent (see `forwarding.question`), none if it
    need not; `timed` is told of each reply of an upstream: its address, RCODE and the time it took in seconds. It is
    used from the loop's thread only.
    """

    def __init__(  # noqa: PLR0913 — what the worker knows and three bounds, all by keyword
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        routes: Sequence[Route],
        budget: int = 32 << 20,
        max_in_flight: int = 10_000,
        max_per_client: int = MAX_PER_CLIENT,
        counters: ForwardCounters,
        nsid: bytes = b"",
        mark: bytes = b"",
        timed: Callable[[Address, int, float], None] = lambda _address, _rcode, _seconds: None,
    ) -> None:
        self._loop = loop
        self._routes = Routes(routes)
        self._groups = [Group(route.upstreams) for route in routes]
        self._random_case = [route.random_case for route in routes]
        self._cache = Cache(budget, counters)
        self._told = Telling(self._cache, counters, nsid)
        self._max = max_in_flight
        self._counters = counters
        self._step = step(mark)
        self._timed = timed
        self._entropy = Entropy()
        self._pools = Pools(loop, self._entropy, self)
        self._open: dict[Exchange, Pending] = {}
        self._live: dict[bytes, Pending] = {}  # clients wait for them
        self._late: OrderedDict[bytes, Pending] = OrderedDict()  # their clients heard of a failure, oldest first
        self._waiting = Crowd(max_in_flight, max_per_client)
        self._suffixes = Shares(max(max_in_flight // SUFFIXES, 1))  # of the exchanges that clients wait for
        self._streams = Streams(loop, self._entropy, self._streamed)
        self._wheel: Wheel[Pending] = Wheel()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def ask(
        self, query: Query, *, now: float, tcp: bool, reply: Callable[[bytes], None], client: bytes = b""
    ) -> bytes | None:
        """The answer where it is at hand; else None, and `reply` is called once with it, within 1.8 s.

        `query` is free of faults, `now` is the loop's time in seconds, `tcp` says how the client asked, and
        `client` is its packed address. `reply` must not raise; it is never called before this returns.
        """
        counters = self._counters
        counters.queries += 1
        self._told.changes = self._told.expires = 0.0
        place = self._routes.place(query.lower)
        if place < 0:
            return self._told.refused(query, telling.NO_ROUTE, tcp=tcp)
        name = key(query, place)
        known = self._told.known(query, name, now=now, tcp=tcp)
        if known is not None:
            return known
        failure = self._cache.failure(name, now)
        if failure is not None:
            counters.failures_cached += 1
            return self._told.failed(query, name, failure, now=now, tcp=tcp)
        if not query.rd:
            return self._told.refused(query, telling.NOT_RECURSIVE, tcp=tcp)
        been = trail(query)
        if been and loops(been, self._step):
            counters.loops += 1
            return self._told.refused(query, telling.LOOP, tcp=tcp)
        if self._closed:
            return self._told.failed(query, name, telling.CLOSING, now=now, tcp=tcp)
        crowding = self._waiting.fills(client)
        if crowding or self._waiting.full:
            counters.overflow += 1
            counters.overflow_client += crowding
            return self._told.refused(query, telling.OVERLOAD_CLIENT if crowding else telling.OVERLOAD, tcp=tcp)
        return self._miss(Waiter(query, tcp, client, reply), name, place, now)

    @property
    def holds(self) -> tuple[float, float]:
        """When what `ask` has just returned becomes a second older, and when it expires; 0 where it is not kept."""
        return self._told.changes, self._told.expires

    @property
    def cached(self) -> tuple[int, int]:
        """How many answers are kept, and how many of them are denials."""
        return len(self._cache), self._cache.denials

    def flush(self) -> None:
        """Forget all that is cached."""
        self._cache.clear()

    async def close(self) -> None:
        """Answer everybody who waits with SERVFAIL, close all sockets, end all tasks."""
        self._closed = True
        for pending in list(self._open.values()):
            pending.exchange.close()
            self._tell(pending, telling.CLOSING, self._loop.time())
            self._drop(pending)
        if self._timer is not None:
            self._timer.cancel()
        await self._pools.close()
        await self._streams.close()

    # ------------------------------------------------------------------------------------------ clients

    def _miss(self, waiter: Waiter, name: bytes, place: int, now: float) -> bytes | None:
        """Join the exchange for the question, or start it."""
        pending = self._live.get(name)
        if pending is None:
            domain = suffix(waiter.query, place)
            if self._suffixes.all_taken(domain):
                self._counters.overflow += 1
                self._counters.overflow_suffix += 1
                return self._told.refused(waiter.query, telling.OVERLOAD_SUFFIX, tcp=waiter.tcp)
            self._counters.misses += 1
            exchange = self._exchange(waiter.query, place, now)
            pending = Pending(name, domain, place, exchange)
            self._admit(pending, now)
            failure = self._take(pending, exchange.start(now), now)
            if failure is not None:
                return self._told.failed(waiter.query, name, failure, now=now, tcp=waiter.tcp)
        else:
            self._counters.coalesced += 1
        pending.waiters.append(waiter)
        self._waiting.join(waiter.client)
        return None

    def _exchange(self, query: Query, place: int, now: float) -> Exchange:
        """A new exchange for a client's question."""
        return Exchange(
            asked(query),
            self._groups[place],
            self._counters,
            now=now,
            trail=trail(query) + self._step,
            coins=self._entropy.octets(len(query.lower)) if self._random_case[place] else b"",
        )

    def _tell(self, pending: Pending, outcome: Reply | Failure, now: float) -> None:
        """Answer everybody who waits."""
        waiters, pending.waiters = pending.waiters, []
        for query, tcp, client, reply in waiters:
            self._waiting.leave(client)
            if isinstance(outcome, Reply):
                reply(self._told.answered(query, outcome, tcp=tcp))
            else:
                reply(self._told.failed(query, pending.key, outcome, now=now, tcp=tcp))

    # ------------------------------------------------------------------------------------------ exchanges

    def _admit(self, pending: Pending, now: float) -> None:
        """Open an exchange; where too many are open, the one whose clients heard longest ago gives way."""
        if len(self._open) >= self._max and self._late:
            oldest = next(iter(self._late.values()))
            oldest.exchange.close()
            self._drop(oldest)
        self._open[pending.exchange] = pending
        self._live[pending.key] = pending
        self._suffixes.take(pending.suffix)
        self._counters.in_flight = len(self._open)
        self._wheel.add(pending, now, now)  # not its due: most are closed, and then forgotten, a period later
        if self._timer is None:
            self._timer = self._loop.call_later(PERIOD, self._tick)

    def _take(self, pending: Pending, step: Step, now: float) -> Failure | None:
        """Do what the policy says; returns the failure that the clients were told of, if it came to that."""
        exchange = pending.exchange
        while isinstance(step, Attempt):
            step = self._send(pending, step, now)
        if isinstance(step, Reply):
            self._succeed(pending, step, now)
        elif isinstance(step, Failure):
            self._cache.fail(pending.key, step, now)
            self._tell(pending, step, now)
            if not exchange.closed:
                self._linger(pending)
        if exchange.closed:
            self._drop(pending)
        return step if isinstance(step, Failure) else None

    def _succeed(self, pending: Pending, reply: Reply, now: float) -> None:
        """Keep the answer and tell it, also to those who asked again after a failure."""
        self._cache.keep(pending.key, reply, now)
        live = self._live.get(pending.key)
        if live is not pending:
            self._counters.late += 1
        if live is not None:
            live.exchange.close()
            self._tell(live, reply, now)
            self._drop(live)

    def _linger(self, pending: Pending) -> None:
        """Keep an exchange open for a late answer; one per question is enough."""
        del self._live[pending.key]
        self._suffixes.give_back(pending.suffix)
        older = self._late.pop(pending.key, None)
        if older is not None:
            older.exchange.close()
            self._drop(older)
        self._late[pending.key] = pending

    def _drop(self, pending: Pending) -> None:
        """Forget a closed exchange; once is enough, more does no harm."""
        if self._open.pop(pending.exchange, None) is None:
            return
        if self._live.get(pending.key) is pending:
            del self._live[pending.key]
            self._suffixes.give_back(pending.suffix)
        elif self._late.get(pending.key) is pending:
            del self._late[pending.key]
        for attempt in pending.exchange.attempts:
            if self._streams.cancel(attempt):
                continue
            address = self._address(pending, attempt)
            if not attempt.tcp or address.tls is not None:
                self._pools.at(address).forget(attempt)
        pending.exchange.attempts.clear()  # they point back; without the ring nothing waits for a collection
        self._counters.in_flight = len(self._open)

    def _tick(self) -> None:
        """The one timer of all exchanges."""
        now = self._loop.time()
        for pending in self._wheel.take(now):
            exchange = pending.exchange
            if not exchange.closed:
                self._take(pending, exchange.tick(now), now)
            if not exchange.closed:
                self._wheel.add(pending, exchange.due, now)
        self._timer = self._loop.call_later(PERIOD, self._tick) if self._wheel and not self._closed else None

    # ------------------------------------------------------------------------------------------ wire

    def _send(self, pending: Pending, attempt: Attempt, now: float) -> Step:
        address = self._address(pending, attempt)
        if attempt.tcp and address.tls is None:
            sent = self._streams.send(address, attempt)
            return None if sent else attempt.exchange.broken(attempt, now)
        try:
            self._pools.at(address).send(attempt)
        except OSError:
            return attempt.exchange.broken(attempt, now)
        return None

    def _streamed(self, attempt: Attempt, ident: int, message: bytes | None) -> None:
        """An exchange over TCP is over (for `Streams`)."""
        pending = self._open.get(attempt.exchange)
        if pending is None:
            return
        if message is None:
            now = self._loop.time()
            self._take(pending, attempt.exchange.broken(attempt, now), now)
        else:
            self.heard(attempt, ident, message)

    def heard(self, attempt: Attempt, ident: int, message: bytes) -> None:
        """A message with the id of `attempt` came where it is awaited (for `Pool`)."""
        now = self._loop.time()
        pending = self._open[attempt.exchange]
        heard = attempt.exchange.heard(attempt, ident, message, now)
        if attempt.over and len(message) > 3:  # what answers nothing that was asked leaves it open
            self._timed(self._address(pending, attempt), message[3] & 0x0F, now - attempt.sent)
        self._take(pending, heard, now)

    def stray(self, attempts: tuple[Attempt, ...]) -> None:
        """A datagram with no awaited id came on the socket of `attempts` (for `Pool`)."""
        now = self._loop.time()
        if not attempts:
            self._counters.mismatches += 1
        for attempt in attempts:
            pending = self._open.get(attempt.exchange)
            if pending is not None:
                self._take(pending, attempt.exchange.strange(attempt, now), now)

    def unreachable(self, attempts: tuple[Attempt, ...]) -> None:
        """An ICMP error came on the socket of `attempts` (for `Pool`)."""
        now = self._loop.time()
        for attempt in attempts:
            pending = self._open.get(attempt.exchange)
            if pending is not None:
                self._take(pending, attempt.exchange.unreachable(attempt, now), now)

    def ended(self, attempts: tuple[Attempt, ...], *, served: bool) -> None:
        """A connection ended on which `attempts` were awaited (for `SecurePool`)."""
        now = self._loop.time()
        for attempt in attempts:
            exchange = attempt.exchange
            pending = self._open.get(exchange)
            if pending is not None:
                self._take(pending, exchange.lost(attempt, now) if served else exchange.broken(attempt, now), now)

    def _address(self, pending: Pending, attempt: Attempt) -> Address:
        return self._groups[pending.place].addresses[attempt.upstream]
