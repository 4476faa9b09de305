"""The one code around all transports: a message and who sent it become a reply, now or later.

What a transport finds in `Responder.cached_replies` it sends without another step; what else is at hand
(`meshdns.worker.reply_cache`) costs a few; all other queries are parsed and answered from the view, by the worker
itself, or by an upstream.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from meshdns.authority.authority import Authority, Verdict
from meshdns.dns import query as wire
from meshdns.dns.codes import EDE_PROHIBITED, REFUSED
from meshdns.dns.query import OPT_SIZE, Query
from meshdns.dns.response import build_reply, reply_options
from meshdns.namedb.database import NameDatabaseError
from meshdns.namedb.reader import ChangedNames
from meshdns.worker.acl import AccessList, RefusalLog, source_key
from meshdns.worker.database_read import DatabaseRead
from meshdns.worker.diagnostic_names import DiagnosticNames
from meshdns.worker.ede_hints import DenialHints, has_no_answer
from meshdns.worker.local_answers import LocalAnswers
from meshdns.worker.recorder import PLUGIN_ACL, PLUGIN_CACHE, PLUGIN_MESH, ReplyRecorder, SendReply
from meshdns.worker.reply_cache import ReplyCache, is_nxdomain
from meshdns.worker.reply_metrics import ReplyMetrics
from meshdns.worker.sampling import Sampler
from meshdns.worker.scoreboard_counters import WorkerCounters


class QueryForwarder(Protocol):
    """The way out for names that are not ours."""

    @property
    def reply_lifetime(self) -> tuple[float, float]:
        """When what `ask` has just returned becomes a second older, and when it expires, in seconds of its clock.

        Both are 0 where it was no answer, or one that is not kept.
        """

    def ask(self, query: Query, *, now: float, tcp: bool, on_reply: SendReply, client: bytes) -> bytes | None:
        """The reply where it is at hand; None where `on_reply` will be called with it."""


class Responder:
    """Answers messages of one worker. `begin_read` and `end` enclose every wake-up; nothing awaits between them."""

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
        self._plugin = PLUGIN_MESH  # of the reply that is being made
        self._started = 0.0  # when
        self.client_port = 0  # of whoever sent the message that `respond` is called with
        self._authority = authority
        self._forwarder = forwarder
        self._begin_read = begin_read
        self._on_database_error = on_database_error
        self._clock = clock
        self._local_answers = local_answers
        self._diagnostic_names = diagnostic_names
        self._denial_hints = DenialHints(clock)
        self._refusal_log = RefusalLog()
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
        """Answer by other settings from now on."""
        self._authority = authority
        self._diagnostic_names = diagnostic_names
        self._local_answers = local_answers
        self._forwarder = forwarder
        self.access_list = access_list
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
        """Give the look back."""
        if self._open_read is not None:
            self._open_read.close()
            self._open_read = None

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

    def respond(self, data: bytes, source: bytes, make_sender: Callable[[], SendReply], *, tcp: bool) -> bytes | None:
        """The reply to one message, or None: dropped, or delivered later through what `make_sender` returns."""
        if not tcp and self._local_answers.is_rate_limited(source):
            return self._respond_rate_limited(data, source, make_sender)
        return self._respond_unlimited(data, source, make_sender, tcp=tcp)

    def _respond_rate_limited(self, data: bytes, source: bytes, make_sender: Callable[[], SendReply]) -> bytes | None:
        """The reply to a stranger, as far as it may have one; strangers never come to the quick way of a transport."""

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

        reply = self._respond_unlimited(data, source, limiting, tcp=False)
        self.access_list.admitted_keys.discard(source_key(source))
        return None if reply is None else allowed(reply)

    def _respond_unlimited(
        self, data: bytes, source: bytes, make_sender: Callable[[], SendReply], *, tcp: bool
    ) -> bytes | None:
        """As `respond`, without a limit."""
        if source_key(source) in self.access_list.admitted_keys:
            known = self._reply_cache.find(data, self._authority, self._open_read, now=self._clock(), tcp=tcp)
            if known is not None:
                found, case = known
                self.counters.reply_cache_hits += 1
                self.metrics.hits[2 * tcp + (len(source) != 4)][case] += 1
                if self.sampler.enabled:
                    plugin = self.metrics.plugin_of(case)
                    self.sampler.offer(data, found, source, self.client_port, plugin, seconds=0.0, tcp=tcp)
                return found
        began = self._started = perf_counter()
        query = wire.parse_query(data)
        if query is None:
            self.counters.dropped += 1
            return None
        self._plugin = PLUGIN_MESH
        reply = self._respond_uncached(query, source, make_sender, tcp=tcp)
        if reply is not None:
            self._recorder.record(query, reply, source, self.client_port, self._plugin, tcp=tcp, started=began)
        return reply

    def _respond_uncached(
        self, query: Query, source: bytes, make_sender: Callable[[], SendReply], *, tcp: bool
    ) -> bytes | None:
        """The reply to one query that is not at hand, as `respond`."""
        if query.cookie:
            self._local_answers.attach_cookie(query, source)
        if not self.access_list.admits(source):
            self.counters.refused += 1
            self._plugin = PLUGIN_ACL
            self._refusal_log.log_once(source)
            extra = reply_options(query, ede=EDE_PROHIBITED, text=b"see allowQuery") if query.edns else b""
            return build_reply(query, REFUSED, edns_options=extra, tcp=tcp)
        own = self._local_answers.respond(query, source, tcp=tcp)
        if own is not None:
            self.counters.answered += 1
            return own
        rows = self._open_read
        spin = query.data[1]
        try:
            told = self._diagnostic_names.respond(query, rows, source, self.client_port, tcp=tcp)
            if told is not None:
                self.counters.answered += 1
                return told
            reply = self._authority.respond(query, rows, tcp=tcp, rotation=spin)
        except NameDatabaseError as error:
            self._on_database_error(error)
            rows = None
            reply = self._authority.respond(query, rows, tcp=tcp)
        if reply is Verdict.FORWARD:
            return self._respond_outside_zones(query, make_sender, source, tcp=tcp)
        if reply is Verdict.FALLBACK:
            self.counters.forwarded += 1
            return self._ask_upstream_first(
                query, self._recording_sender(query, make_sender, source, tcp=tcp), source, tcp=tcp
            )
        if not isinstance(reply, bytes):
            self.counters.dropped += 1
            return None
        self.counters.answered += 1
        if rows is None:
            return reply
        if query.edns and len(query.data) > query.question_end + OPT_SIZE and has_no_answer(reply):
            return self._with_hint(query, reply, rows, may_see_clusters=self._diagnostic_names.admits(source), tcp=tcp)
        if not tcp or len(reply) <= query.udp_size:  # else it is another one over UDP
            self._reply_cache.store(query, self._authority, rows, reply)
        return reply

    def _with_hint(self, query: Query, reply: bytes, rows: DatabaseRead, *, may_see_clusters: bool, tcp: bool) -> bytes:
        """A reply that lacks what was asked for, with the reason if one is known."""
        try:
            return self._denial_hints.with_hint(query, reply, rows, may_see_clusters=may_see_clusters, tcp=tcp)
        except NameDatabaseError as error:
            self._on_database_error(error)
            return reply

    def _respond_outside_zones(
        self, query: Query, make_sender: Callable[[], SendReply], source: bytes, *, tcp: bool
    ) -> bytes | None:
        """Answer a special name, forward any other."""
        own = self._local_answers.special_reply(query, tcp=tcp)
        if own is not None:
            self.counters.answered += 1
            return own
        self.counters.forwarded += 1
        deliver = self._recording_sender(query, make_sender, source, tcp=tcp)
        now = self._clock()
        reply = self._forwarder.ask(query, now=now, tcp=tcp, on_reply=deliver, client=source)
        if reply is not None:
            changes, expires = self._forwarder.reply_lifetime
            if expires > now and not self._authority.serves(
                query.qname_lower
            ):  # a name in a zone might become ours before
                self._reply_cache.store_forwarded(query, reply, now=now, ages_at=changes, expires_at=expires)
        return reply

    def _recording_sender(
        self, query: Query, make_sender: Callable[[], SendReply], source: bytes, *, tcp: bool
    ) -> SendReply:
        """What delivers a reply that an upstream is asked for, accounted for then."""
        self._plugin = PLUGIN_CACHE
        return self._recorder.recording(query, source, self.client_port, make_sender(), tcp=tcp, started=self._started)

    def _ask_upstream_first(self, query: Query, send: SendReply, source: bytes, *, tcp: bool) -> bytes | None:
        """Forward, and let the mesh answer what the upstream denies."""

        def judge(reply: bytes) -> None:
            if not is_nxdomain(reply):
                send(reply)
                return
            self.begin_read()
            try:
                found = self._authority.answer_after_denial(query, self._open_read, tcp=tcp, rotation=query.data[1])
            finally:
                self.end_read()
            send(reply if found is None else found)

        reply = self._forwarder.ask(query, now=self._clock(), tcp=tcp, on_reply=judge, client=source)
        if reply is None or not is_nxdomain(reply):
            return reply
        found = self._authority.answer_after_denial(query, self._open_read, tcp=tcp, rotation=query.data[1])
        return reply if found is None else found
