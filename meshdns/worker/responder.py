"""Turns a message and its source address into a reply, at once or later; the code that all transports share.

A transport sends a reply that it finds in `Responder.cached_replies` without another step. The rest of the reply cache
(`meshdns.worker.reply_cache`) costs a few steps. All other queries are parsed and answered from the name database, by
the worker itself, or by an upstream.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Protocol

from meshdns.authority.authority import NO_SOURCE, Authority, AuthorityReply, Verdict
from meshdns.authority.rrl import RateLimiter, RrlAction
from meshdns.dns import query as wire
from meshdns.dns.query import Query
from meshdns.dns.response import ReplyClass
from meshdns.forwarding.client_reply import Alias, ImmediateReply
from meshdns.forwarding.waiting import Waiter
from meshdns.namedb.database import NameDatabaseError
from meshdns.namedb.reader import ChangedNames
from meshdns.worker.acl import REFUSAL_LIMIT, AccessList, RefusalLog, build_refusal, source_key
from meshdns.worker.alias_completion import AliasCompletion
from meshdns.worker.database_read import DatabaseRead
from meshdns.worker.diagnostic_names import DiagnosticNames
from meshdns.worker.ede_hints import DenialHints, has_no_answer
from meshdns.worker.local_answers import LocalAnswers
from meshdns.worker.recorder import ReplyRecorder, SendReply
from meshdns.worker.reply_cache import ReplyCache, is_name_denied
from meshdns.worker.reply_metrics import (
    PLUGIN_ACL,
    PLUGIN_FORWARD,
    PLUGIN_MESH,
    PLUGIN_UPSTREAM_CACHE,
    ReceivedQuery,
    ReplyMetrics,
)
from meshdns.worker.sampling import Sampler
from meshdns.worker.scoreboard_counters import WorkerCounters


class QueryForwarder(Protocol):
    """Forwards queries for names outside our zones."""

    def ask(self, query: Query, *, now: float, tcp: bool, on_reply: SendReply, client: bytes) -> ImmediateReply | None:
        """Return the reply if it needs no upstream, or None if `on_reply` will be called with it."""


class Responder:
    """Answers messages of one worker. `begin_read` and `end_read` enclose every wake-up, without an await between."""

    def __init__(  # noqa: PLR0913 — the parts of a worker, all by keyword
        self,
        *,
        authority: Authority,
        access_list: AccessList,
        forwarder: QueryForwarder,
        begin_read: Callable[[], tuple[DatabaseRead | None, ChangedNames | None]],
        on_database_error: Callable[[NameDatabaseError], None],
        clock: Callable[[], float],
        local_answers: LocalAnswers,
        diagnostic_names: DiagnosticNames,
        metrics: ReplyMetrics,
        sampler: Sampler,
    ) -> None:
        self.access_list = access_list
        self.counters = WorkerCounters()
        self._reply_cache = ReplyCache(metrics)
        self.cached_replies = self._reply_cache.replies
        self._forwarded_replies = self._reply_cache.forwarded
        self.metrics = metrics
        self.sampler = sampler
        self._recorder = ReplyRecorder(metrics, sampler)
        self._authority = authority
        self._forwarder = forwarder
        self._begin_read = begin_read
        self._on_database_error = on_database_error
        self._clock = clock
        self._local_answers = local_answers
        self._diagnostic_names = diagnostic_names
        self._aliases = self._make_alias_completion()
        self._denial_hints = DenialHints(clock)
        self._refusal_log = RefusalLog()
        self._refusals = RateLimiter(REFUSAL_LIMIT)
        self._open_read: DatabaseRead | None = None

    def reconfigure(
        self,
        *,
        authority: Authority,
        access_list: AccessList,
        forwarder: QueryForwarder,
        local_answers: LocalAnswers,
        diagnostic_names: DiagnosticNames,
    ) -> None:
        """Apply other settings, and drop all cached replies."""
        self._authority = authority
        self._diagnostic_names = diagnostic_names
        self._local_answers = local_answers
        self._forwarder = forwarder
        self.access_list = access_list
        self._aliases = self._make_alias_completion()
        self.invalidate_all()

    def begin_read(self) -> None:
        """Begin a read transaction; drops the cached replies that time and commits have changed since the last one."""
        self._open_read, changed = self._begin_read()
        if changed is not None:
            self._invalidate(changed)
        now = self._clock()
        if now >= self._forwarded_replies.next_expiry:
            self._forwarded_replies.expire(now)

    def end_read(self) -> None:
        """End the read transaction."""
        if self._open_read is not None:
            self._open_read.close()
            self._open_read = None

    @contextmanager
    def _reading(self) -> Iterator[DatabaseRead | None]:
        """Enclose a reply that is made outside a wake-up."""
        self.begin_read()
        try:
            yield self._open_read
        finally:
            self.end_read()

    def invalidate_all(self) -> None:
        """Drop all cached replies: something that they all depend on has changed."""
        self.counters.commits += 1
        self._reply_cache.clear()

    def _invalidate(self, changed: ChangedNames) -> None:
        """Drop the cached replies that a commit changed."""
        if changed.names is None:
            self.invalidate_all()
        else:
            self.counters.commits += 1
            self._reply_cache.invalidate(changed.names)

    def respond(
        self, data: bytes, source: bytes, port: int, make_sender: Callable[[], SendReply], *, tcp: bool
    ) -> bytes | None:
        """Return the reply to one message, or None: dropped, or sent later through the result of `make_sender`.

        `source` and `port` are the packed address and the port that the message came from.
        """
        if not tcp and self._local_answers.is_rate_limited(source):
            return self._respond_rate_limited(data, source, port, make_sender)
        return self._respond_unlimited(data, source, port, make_sender, tcp=tcp)

    def _respond_rate_limited(
        self, data: bytes, source: bytes, port: int, make_sender: Callable[[], SendReply]
    ) -> bytes | None:
        """Answer a rate-limited client; its address is kept from the transports' own lookup of cached replies."""

        def allowed(reply: bytes) -> bytes | None:
            out = self._local_answers.apply_rate_limit(data, reply, source, now=self._clock())
            self.counters.dropped_by_rrl += out is None
            self.counters.truncated_by_rrl += out is not None and len(out) < len(reply)
            return out

        def limiting() -> SendReply:
            deliver = make_sender()

            def deliver_allowed(reply: bytes) -> None:
                out = allowed(reply)
                if out is not None:
                    deliver(out)

            return deliver_allowed

        reply = self._respond_unlimited(data, source, port, limiting, tcp=False)
        self.access_list.admitted_keys.discard(source_key(source))
        return None if reply is None else allowed(reply)

    def _respond_unlimited(
        self, data: bytes, source: bytes, port: int, make_sender: Callable[[], SendReply], *, tcp: bool
    ) -> bytes | None:
        """Do as `respond`, without a rate limit."""
        if source_key(source) in self.access_list.admitted_keys:
            cached = self._reply_cache.find(data, self._authority, self._open_read, now=self._clock(), tcp=tcp)
            if cached is not None:
                reply, series_id = cached
                self.counters.reply_cache_hits += 1
                self.metrics.cached_hits[2 * tcp + (len(source) != 4)][series_id] += 1
                if self.sampler.is_enabled:
                    plugin = self.metrics.plugin_of(series_id)
                    self.sampler.offer(data, reply, source, port, plugin, seconds=0.0, tcp=tcp)
                return reply
        started = perf_counter()
        query = wire.parse_query(data)
        if query is None:
            self.counters.dropped += 1
            return None
        return self._respond_uncached((query, source, port, tcp, started), make_sender)

    def _respond_uncached(self, received: ReceivedQuery, make_sender: Callable[[], SendReply]) -> bytes | None:
        """Do as `respond` for one query whose reply is not cached, and record the reply."""
        query, source, port, tcp, _ = received
        if query.cookie:
            query.reply_cookie = self._local_answers.reply_cookie(query, source)
        if not self.access_list.admits(source):
            return self._refuse(received)
        own = self._local_answers.respond(query, source, tcp=tcp)
        if own is not None:
            self.counters.answered += 1
            return self._recorder.record(received, own)
        rows = self._open_read
        try:
            diagnostic = self._diagnostic_names.respond(query, rows, source, port, tcp=tcp)
            if diagnostic is not None:
                self.counters.answered += 1
                return self._recorder.record(received, diagnostic)
            reply = self._authority.respond(query, rows, tcp=tcp, rotation=query.data[1])
        except NameDatabaseError as error:
            self._on_database_error(error)
            rows = None
            reply = self._authority.respond(query, rows, tcp=tcp)
        if reply is Verdict.FORWARD:
            return self._respond_outside_zones(received, make_sender)
        if isinstance(reply, Verdict):
            self.counters.forwarded += 1
            return self._ask_upstream_first(received, make_sender)
        self.counters.answered += 1
        message, answer_source = reply
        if rows is not None:
            if query.edns and has_no_answer(message):
                admitted = self._diagnostic_names.admits(source)
                message = self._with_hint(query, message, rows, may_see_clusters=admitted, tcp=tcp)
            if message is reply[0] and (not tcp or len(message) <= query.udp_size):  # else that over UDP is truncated
                self._reply_cache.store(query, self._authority, rows, reply)
        return self._recorder.record(received, message, PLUGIN_MESH, answer_source)

    def _refuse(self, received: ReceivedQuery) -> bytes | None:
        """Return the refusal for a client outside the access list, or None if it got too many."""
        query, source, _, tcp, _ = received
        self.counters.refused += 1
        self._refusal_log.log_once(source)
        if not tcp and self._refusals.check(source, ReplyClass.ERROR, self._clock()) is not RrlAction.PASS:
            self.counters.refusals_dropped += 1
            return None
        return self._recorder.record(received, build_refusal(query, tcp=tcp), PLUGIN_ACL)

    def _with_hint(self, query: Query, reply: bytes, rows: DatabaseRead, *, may_see_clusters: bool, tcp: bool) -> bytes:
        """Return a reply without an answer, with the reason added if one is known."""
        try:
            return self._denial_hints.with_hint(query, reply, rows, may_see_clusters=may_see_clusters, tcp=tcp)
        except NameDatabaseError as error:
            self._on_database_error(error)
            return reply

    def _respond_outside_zones(self, received: ReceivedQuery, make_sender: Callable[[], SendReply]) -> bytes | None:
        """Answer a special name, forward any other; recorded."""
        query, source, _, tcp, _ = received
        own = self._local_answers.special_reply(query, tcp=tcp)
        if own is not None:
            self.counters.answered += 1
            return self._recorder.record(received, own)
        self.counters.forwarded += 1
        deliver = self._recorder.wrap_sender(received, make_sender())
        now = self._clock()
        reply = self._forwarder.ask(query, now=now, tcp=tcp, on_reply=deliver, client=source)
        if reply is None:
            return None
        message, ages_at, expires_at, alias = reply
        if alias is not None:
            completed = self._aliases.complete(Waiter(query, tcp, source, deliver), alias, self._open_read)
            return None if completed is None else self._recorder.record(received, completed, PLUGIN_UPSTREAM_CACHE)
        if expires_at > now and not self._authority.serves(
            query.qname_lower
        ):  # the mesh may declare a name in a zone later
            self._reply_cache.store_forwarded(query, message, now=now, ages_at=ages_at, expires_at=expires_at)
        return self._recorder.record(received, message, PLUGIN_UPSTREAM_CACHE)

    def _ask_upstream_first(self, received: ReceivedQuery, make_sender: Callable[[], SendReply]) -> bytes | None:
        """Forward, and answer from the mesh what the upstream denies; recorded."""
        query, source, _, tcp, _ = received
        send = make_sender()

        def on_reply(message: bytes) -> None:
            answer_source = NO_SOURCE
            if is_name_denied(message):
                with self._reading():
                    message, answer_source = self._after_denial(query, message, tcp=tcp)
            send(self._recorder.record(received, message, PLUGIN_FORWARD, answer_source))

        reply = self._forwarder.ask(query, now=self._clock(), tcp=tcp, on_reply=on_reply, client=source)
        if reply is None:
            return None
        message: bytes | None = reply.message
        if reply.alias is not None:
            message = self._aliases.complete(Waiter(query, tcp, source, on_reply), reply.alias, self._open_read)
        if message is None:
            return None
        if not is_name_denied(message):
            return self._recorder.record(received, message, PLUGIN_UPSTREAM_CACHE)
        message, answer_source = self._after_denial(query, message, tcp=tcp)
        return self._recorder.record(received, message, PLUGIN_UPSTREAM_CACHE, answer_source)

    def complete_alias(self, waiter: Waiter, alias: Alias) -> None:
        """Send the reply to a client whose answer leads into our zones, once it is complete (for `Forwarder`)."""
        with self._reading() as rows:
            message = self._aliases.complete(waiter, alias, rows)
        if message is not None:
            waiter.on_reply(message)

    def _make_alias_completion(self) -> AliasCompletion:
        forwarder = self._forwarder

        def ask(waiter: Waiter) -> ImmediateReply | None:
            return forwarder.ask(
                waiter.query, now=self._clock(), tcp=waiter.tcp, on_reply=waiter.on_reply, client=waiter.client
            )

        return AliasCompletion(
            authority=self._authority,
            local_answers=self._local_answers,
            ask=ask,
            read=self._reading,
            on_database_error=self._on_database_error,
        )

    def _after_denial(self, query: Query, denial: bytes, *, tcp: bool) -> AuthorityReply:
        """Return the mesh's answer for a name that an upstream denied, else the denial."""
        found = self._authority.answer_after_denial(query, self._open_read, tcp=tcp, rotation=query.data[1])
        return (denial, NO_SOURCE) if found is None else found
