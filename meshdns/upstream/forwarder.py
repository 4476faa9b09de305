"""Everything that is not ours: from the cache, else from an upstream.

Rules:
- A known answer is returned at once: no task, no future, no timer.
- One exchange at a time for one question and route; everybody who asks meanwhile waits for it (RFC 5452 section 5).
- Every client hears once, within 1.8 s. How many may wait is bounded, in all and for each client's address, and so is
  how many exchanges are open: those whose clients have heard already give way first.
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
from functools import partial
from typing import Final

from meshdns.dns.codes import EDE_PROHIBITED, REFUSED, SERVFAIL
from meshdns.dns.query import Query
from meshdns.dns.reply import Reply
from meshdns.forwarding.adapt import failed, relayed, stale
from meshdns.forwarding.addresses import Address
from meshdns.forwarding.cache import Cache
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.health import Group
from meshdns.forwarding.policy import OPEN, Attempt, Exchange, Failure, Step
from meshdns.forwarding.question import asked, key, loops, step, trail
from meshdns.forwarding.routes import Route, Routes
from meshdns.forwarding.waiting import Crowd, Waiter
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.sockets import Pools
from meshdns.upstream.stream import exchange as stream_exchange
from meshdns.upstream.wheel import PERIOD, Wheel

MAX_STREAMS: Final = 256  # TCP exchanges at a time; beyond, TC is a broken upstream
MAX_PER_CLIENT: Final = 1024
"""Questions of one address that may wait. Held back and answered together they are the pulse of a DNSBomb
(CVE-2024-33655), here 1.2 MB at most; fewer would hinder a CoreDNS that asks for a whole cluster by one address."""

_OTHER: Final = 0  # extended error codes of RFC 8914
_NOT_AUTHORITATIVE: Final = 20
_NO_ROUTE: Final = Failure(_NOT_AUTHORITATIVE, b"no forward zone takes this name; add one to forward in the settings")
_NOT_RECURSIVE: Final = Failure(EDE_PROHIBITED, b"not in the cache; ask again with RD=1")
_LOOP: Final = Failure(_OTHER, b"this query was here before; look for a loop of forward settings")
_OVERLOAD: Final = Failure(_OTHER, b"too many queries wait for upstream servers; ask again later")
_OVERLOAD_CLIENT: Final = Failure(_OTHER, b"too many queries of this client wait; ask again later")
_CLOSING: Final = Failure(_OTHER, b"this server is stopping; ask again")


class _Pending:
    """An exchange and who waits for it."""

    __slots__ = ("exchange", "key", "place", "waiters")

    def __init__(self, key: bytes, place: int, exchange: Exchange) -> None:
        self.key = key
        self.place = place
        self.exchange = exchange
        self.waiters: list[Waiter] = []


class Forwarder:
    """Answers queries from the cache or from the upstreams of their route; see the rules above.

    `budget` bounds the cache in octets, `max_in_flight` both the exchanges that are open and the questions that wait,
    `max_per_client` those of one client. `nsid` is what a client hears that asks which server it reached (RFC 5001),
    `mark` the 8 octets by which this instance knows a query that it has sent (see `forwarding.question`), none if it
    need not. It is used from the loop's thread only.
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
    ) -> None:
        self._loop = loop
        self._routes = Routes(routes)
        self._groups = [Group(route.upstreams) for route in routes]
        self._cache = Cache(budget)
        self._max = max_in_flight
        self._counters = counters
        self._nsid = nsid
        self._step = step(mark)
        self._entropy = Entropy()
        self._pools = Pools(loop, self._entropy, self)
        self._open: dict[Exchange, _Pending] = {}
        self._live: dict[bytes, _Pending] = {}  # clients wait for them
        self._late: OrderedDict[bytes, _Pending] = OrderedDict()  # their clients heard of a failure, oldest first
        self._waiting = Crowd(max_in_flight, max_per_client)
        self._streams: dict[Attempt, asyncio.Task[bytes | None]] = {}
        self._wheel: Wheel[_Pending] = Wheel()
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
        place = self._routes.place(query.lower)
        if place < 0:
            return self._refuse(query, _NO_ROUTE, tcp=tcp)
        name = key(query, place)
        entry = self._cache.entry(name, now)
        if entry is not None:
            counters.hits += 1
            return relayed(query, entry.reply, age=int(now - entry.stored), tcp=tcp, nsid=self._nsid)
        failure = self._cache.failure(name, now)
        if failure is not None:
            counters.failures_cached += 1
            return self._fail(query, name, failure, now=now, tcp=tcp)
        if not query.rd:
            return self._refuse(query, _NOT_RECURSIVE, tcp=tcp)
        if loops(trail(query), self._step):
            counters.loops += 1
            return self._refuse(query, _LOOP, tcp=tcp)
        if self._closed:
            return self._fail(query, name, _CLOSING, now=now, tcp=tcp)
        crowding = self._waiting.fills(client)
        if crowding or self._waiting.full:
            counters.overflow += 1
            counters.overflow_client += crowding
            return self._refuse(query, _OVERLOAD_CLIENT if crowding else _OVERLOAD, tcp=tcp)
        return self._miss(Waiter(query, tcp, client, reply), name, place, now)

    def flush(self) -> None:
        """Forget all that is cached."""
        self._cache.clear()

    async def close(self) -> None:
        """Answer everybody who waits with SERVFAIL, close all sockets, end all tasks."""
        self._closed = True
        for pending in list(self._open.values()):
            pending.exchange.close()
            self._tell(pending, _CLOSING, self._loop.time())
            self._drop(pending)
        if self._timer is not None:
            self._timer.cancel()
        self._pools.close()
        await asyncio.gather(*self._streams.values(), return_exceptions=True)

    # ------------------------------------------------------------------------------------------ clients

    def _miss(self, waiter: Waiter, name: bytes, place: int, now: float) -> bytes | None:
        """Join the exchange for the question, or start it."""
        pending = self._live.get(name)
        if pending is None:
            self._counters.misses += 1
            steps = trail(waiter.query) + self._step
            exchange = Exchange(asked(waiter.query), self._groups[place], self._counters, now=now, trail=steps)
            pending = _Pending(name, place, exchange)
            self._admit(pending, now)
            failure = self._take(pending, exchange.start(now), now)
            if failure is not None:
                return self._fail(waiter.query, name, failure, now=now, tcp=waiter.tcp)
        else:
            self._counters.coalesced += 1
        pending.waiters.append(waiter)
        self._waiting.join(waiter.client)
        return None

    def _refuse(self, query: Query, failure: Failure, *, tcp: bool) -> bytes:
        self._counters.refused += 1
        return failed(query, failure, tcp=tcp, rcode=REFUSED, nsid=self._nsid)

    def _fail(self, query: Query, name: bytes, failure: Failure, *, now: float, tcp: bool) -> bytes:
        """An expired answer if there is one, else SERVFAIL."""
        expired = self._cache.stale(name, now)
        if expired is not None:
            self._counters.stale += 1
            return stale(query, expired.reply, failure, tcp=tcp, nsid=self._nsid)
        self._counters.servfail += 1
        return failed(query, failure, tcp=tcp, rcode=SERVFAIL, nsid=self._nsid)

    def _tell(self, pending: _Pending, outcome: Reply | Failure, now: float) -> None:
        """Answer everybody who waits."""
        waiters, pending.waiters = pending.waiters, []
        for query, tcp, client, reply in waiters:
            self._waiting.leave(client)
            if isinstance(outcome, Reply):
                reply(relayed(query, outcome, age=0, tcp=tcp, nsid=self._nsid))
            else:
                reply(self._fail(query, pending.key, outcome, now=now, tcp=tcp))

    # ------------------------------------------------------------------------------------------ exchanges

    def _admit(self, pending: _Pending, now: float) -> None:
        """Open an exchange; where too many are open, the one whose clients heard longest ago gives way."""
        if len(self._open) >= self._max and self._late:
            oldest = next(iter(self._late.values()))
            oldest.exchange.close()
            self._drop(oldest)
        self._open[pending.exchange] = pending
        self._live[pending.key] = pending
        self._counters.in_flight = len(self._open)
        self._wheel.add(pending, now, now)  # not its due: most are closed, and then forgotten, a period later
        if self._timer is None:
            self._timer = self._loop.call_later(PERIOD, self._tick)

    def _take(self, pending: _Pending, step: Step, now: float) -> Failure | None:
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

    def _succeed(self, pending: _Pending, reply: Reply, now: float) -> None:
        """Keep the answer and tell it, also to those who asked again after a failure."""
        self._cache.keep(pending.key, reply, now)
        live = self._live.get(pending.key)
        if live is not pending:
            self._counters.late += 1
        if live is not None:
            live.exchange.close()
            self._tell(live, reply, now)
            self._drop(live)

    def _linger(self, pending: _Pending) -> None:
        """Keep an exchange open for a late answer; one per question is enough."""
        del self._live[pending.key]
        older = self._late.pop(pending.key, None)
        if older is not None:
            older.exchange.close()
            self._drop(older)
        self._late[pending.key] = pending

    def _drop(self, pending: _Pending) -> None:
        """Forget a closed exchange; once is enough, more does no harm."""
        if self._open.pop(pending.exchange, None) is None:
            return
        for index in (self._live, self._late):
            if index.get(pending.key) is pending:
                del index[pending.key]
        for attempt in pending.exchange.attempts:
            task = self._streams.get(attempt)
            if task is not None:
                task.cancel()
            elif not attempt.tcp:
                self._pools.at(self._address(pending, attempt)).forget(attempt)
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

    def _send(self, pending: _Pending, attempt: Attempt, now: float) -> Step:
        address = self._address(pending, attempt)
        if attempt.tcp:
            return self._send_stream(address, attempt, now)
        try:
            self._pools.at(address).send(attempt)
        except OSError:
            return attempt.exchange.broken(attempt, now)
        return None

    def _send_stream(self, address: Address, attempt: Attempt, now: float) -> Step:
        if len(self._streams) >= MAX_STREAMS:
            return attempt.exchange.broken(attempt, now)
        ident = self._entropy.u16()
        message = attempt.message(ident)
        task = self._loop.create_task(stream_exchange(address, message, seconds=OPEN), name=f"upstream tcp {address}")
        self._streams[attempt] = task
        task.add_done_callback(partial(self._streamed, attempt, ident))
        return None

    def _streamed(self, attempt: Attempt, ident: int, task: asyncio.Task[bytes | None]) -> None:
        del self._streams[attempt]
        pending = self._open.get(attempt.exchange)
        if pending is None or task.cancelled():
            return
        now = self._loop.time()
        message = None
        if task.exception() is None:
            message = task.result()
        else:
            context = {"message": "a TCP exchange failed unforeseen", "exception": task.exception(), "task": task}
            self._loop.call_exception_handler(context)
        exchange = attempt.exchange
        heard = exchange.broken(attempt, now) if message is None else exchange.heard(attempt, ident, message, now)
        self._take(pending, heard, now)

    def heard(self, attempt: Attempt, ident: int, message: bytes) -> None:
        """A datagram with the id of `attempt` came on its socket (for `Pool`)."""
        now = self._loop.time()
        self._take(self._open[attempt.exchange], attempt.exchange.heard(attempt, ident, message, now), now)

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

    def _address(self, pending: _Pending, attempt: Attempt) -> Address:
        return self._groups[pending.place].addresses[attempt.upstream]
