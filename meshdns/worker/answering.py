"""The one code around all transports: a message and who sent it become a reply, now or later.

What a transport finds in `Answerer.ready` it sends without another step; what else is at hand (`meshdns.worker.ready`)
costs a few; all other queries are parsed and answered from the view, by the worker itself, or by an upstream.
"""

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Protocol

from meshdns.authority.authority import Authority, Rows, Verdict
from meshdns.dns import query as wire
from meshdns.dns.codes import EDE_PROHIBITED, REFUSED
from meshdns.dns.query import Query
from meshdns.dns.response import build, options
from meshdns.view.environment import ViewError
from meshdns.worker.access import AccessList, key
from meshdns.worker.account import ACL, CACHE, MESH, Books, Deliver
from meshdns.worker.accounts import Accounts
from meshdns.worker.counters import Counters
from meshdns.worker.debugging import Debugger
from meshdns.worker.hints import Hints, lacks
from meshdns.worker.local import Local
from meshdns.worker.ready import OPT_SIZE, Ready, denies
from meshdns.worker.refusals import Refusals
from meshdns.worker.sampling import Sampler


class Look(Rows, Protocol):
    """A look at the view that ends (`meshdns.view.reader.Look`)."""

    def reason(self, owner: bytes) -> bytes | None:
        """The provenance of an owner name's row."""

    def clusters(self) -> Iterable[tuple[bytes, bytes]]:
        """The names of all clusters with what the view holds of them."""

    def known_from(self, owner: bytes) -> Iterator[bytes]:
        """The owner names from `owner` on, in the order of their octets."""

    def refusal(self, owner: bytes) -> bytes | None:
        """Why nothing is served of an owner name that somebody declares."""

    def end(self) -> None:
        """Give the look back."""


class Forward(Protocol):
    """The way out for names that are not ours."""

    @property
    def holds(self) -> tuple[float, float]:
        """When what `ask` has just returned becomes a second older, and when it expires, in seconds of its clock.

        Both are 0 where it was no answer, or one that is not kept.
        """

    def ask(self, query: Query, *, now: float, tcp: bool, reply: Deliver, client: bytes) -> bytes | None:
        """The reply where it is at hand; None where `reply` will be called with it."""


class Answerer:
    """Answers messages of one worker. `begin` and `end` enclose every wake-up; nothing awaits between them."""

    def __init__(  # noqa: PLR0913 — the parts of a worker, all by keyword
        self,
        *,
        authority: Authority,
        access: AccessList,
        forward: Forward,
        look: Callable[[Callable[[list[bytes] | None], None]], Look | None],
        fault: Callable[[ViewError], None],
        clock: Callable[[], float],
        local: Local,
        debugger: Debugger,
        accounts: Accounts,
        sampler: Sampler,
    ) -> None:
        self.access = access
        self.counters = Counters()
        self._at_hand = Ready(accounts)
        self.ready = self._at_hand.replies
        self._relays = self._at_hand.relays
        self.accounts = accounts
        self.sampler = sampler
        self._books = Books(accounts, sampler)
        self._writer = MESH  # of the reply that is being made
        self._began = 0.0  # when
        self.port = 0  # of whoever sent the message that `respond` is called with
        self._authority = authority
        self._forward = forward
        self._begin_look = look
        self._fault = fault
        self._clock = clock
        self._local = local
        self._debugger = debugger
        self._hints = Hints(clock)
        self._refusals = Refusals()
        self._look: Look | None = None

    def reconfigure(
        self, *, authority: Authority, access: AccessList, forward: Forward, local: Local, debugger: Debugger
    ) -> None:
        """Answer by other settings from now on."""
        self._authority = authority
        self._debugger = debugger
        self._local = local
        self._forward = forward
        self.access = access
        self.forget(None)

    def begin(self) -> None:
        """Look at the view; forgets the ready replies that time, and commits since the last look, have changed."""
        self._look = self._begin_look(self.forget)
        now = self._clock()
        if now >= self._relays.due:
            self._relays.expire(now)

    def end(self) -> None:
        """Give the look back."""
        if self._look is not None:
            self._look.end()
            self._look = None

    def forget(self, owners: list[bytes] | None) -> None:
        """Drop the replies at hand that a commit changed: those of these owner names; None drops all."""
        self.counters.commits += 1
        if owners is None:
            self._at_hand.clear()
        else:
            self._at_hand.forget(owners)

    def respond(self, data: bytes, source: bytes, later: Callable[[], Deliver], *, tcp: bool) -> bytes | None:
        """The reply to one message, or None: dropped, or delivered later through what `later` returns."""
        if not tcp and self._local.limits(source):
            return self._limited(data, source, later)
        return self._answer(data, source, later, tcp=tcp)

    def _limited(self, data: bytes, source: bytes, later: Callable[[], Deliver]) -> bytes | None:
        """The reply to a stranger, as far as it may have one; strangers never come to the quick way of a transport."""

        def allowed(reply: bytes) -> bytes | None:
            out = self._local.limited(data, reply, source, now=self._clock())
            self.counters.limited += out is None
            self.counters.cut += out is not None and len(out) < len(reply)
            return out

        def limiting() -> Deliver:
            deliver = later()

            def deliver_allowed(reply: bytes) -> None:
                out = allowed(reply)
                if out is not None:
                    deliver(out)

            return deliver_allowed

        reply = self._answer(data, source, limiting, tcp=False)
        self.access.admitted.discard(key(source))
        return None if reply is None else allowed(reply)

    def _answer(self, data: bytes, source: bytes, later: Callable[[], Deliver], *, tcp: bool) -> bytes | None:
        """As `respond`, without a limit."""
        if key(source) in self.access.admitted:
            known = self._at_hand.find(data, self._authority, self._look, now=self._clock(), tcp=tcp)
            if known is not None:
                found, case = known
                self.counters.ready += 1
                self.accounts.hits[2 * tcp + (len(source) != 4)][case] += 1
                if self.sampler.on:
                    plugin = self.accounts.plugin(case)
                    self.sampler.offer(data, found, source, self.port, plugin, seconds=0.0, tcp=tcp)
                return found
        began = self._began = perf_counter()
        query = wire.parse(data)
        if query is None:
            self.counters.dropped += 1
            return None
        self._writer = MESH
        reply = self._respond(query, source, later, tcp=tcp)
        if reply is not None:
            self._books.close(query, reply, source, self.port, self._writer, tcp=tcp, began=began)
        return reply

    def _respond(self, query: Query, source: bytes, later: Callable[[], Deliver], *, tcp: bool) -> bytes | None:
        """The reply to one query that is not at hand, as `respond`."""
        if query.cookie:
            self._local.bake(query, source)
        if not self.access.admits(source):
            self.counters.refused += 1
            self._writer = ACL
            self._refusals.note(source)
            extra = options(query, ede=EDE_PROHIBITED, text=b"see allowQuery") if query.edns else b""
            return build(query, REFUSED, extra=extra, tcp=tcp)
        own = self._local.respond(query, source, tcp=tcp)
        if own is not None:
            self.counters.answered += 1
            return own
        rows = self._look
        spin = query.data[1]
        try:
            told = self._debugger.respond(query, rows, source, self.port, tcp=tcp)
            if told is not None:
                self.counters.answered += 1
                return told
            reply = self._authority.respond(query, rows, tcp=tcp, spin=spin)
        except ViewError as error:
            self._fault(error)
            rows = None
            reply = self._authority.respond(query, rows, tcp=tcp)
        if reply is Verdict.FORWARD:
            return self._elsewhere(query, later, source, tcp=tcp)
        if reply is Verdict.FALLBACK:
            self.counters.forwarded += 1
            return self._ask_upstream_first(query, self._following(query, later, source, tcp=tcp), source, tcp=tcp)
        if not isinstance(reply, bytes):
            self.counters.dropped += 1
            return None
        self.counters.answered += 1
        if rows is None:
            return reply
        if query.edns and len(query.data) > query.end + OPT_SIZE and lacks(reply):
            return self._hinted(query, reply, rows, inside=self._debugger.admits(source), tcp=tcp)
        if not tcp or len(reply) <= query.size:  # else it is another one over UDP
            self._at_hand.keep(query, self._authority, rows, reply)
        return reply

    def _hinted(self, query: Query, reply: bytes, rows: Look, *, inside: bool, tcp: bool) -> bytes:
        """A reply that lacks what was asked for, with the reason if one is known."""
        try:
            return self._hints.added(query, reply, rows, inside=inside, tcp=tcp)
        except ViewError as error:
            self._fault(error)
            return reply

    def _elsewhere(self, query: Query, later: Callable[[], Deliver], source: bytes, *, tcp: bool) -> bytes | None:
        """Answer a special name, forward any other."""
        own = self._local.instead(query, tcp=tcp)
        if own is not None:
            self.counters.answered += 1
            return own
        self.counters.forwarded += 1
        deliver = self._following(query, later, source, tcp=tcp)
        now = self._clock()
        reply = self._forward.ask(query, now=now, tcp=tcp, reply=deliver, client=source)
        if reply is not None:
            changes, expires = self._forward.holds
            if expires > now and not self._authority.serves(query.lower):  # a name in a zone might become ours before
                self._at_hand.keep_relay(query, reply, now=now, changes=changes, expires=expires)
        return reply

    def _following(self, query: Query, later: Callable[[], Deliver], source: bytes, *, tcp: bool) -> Deliver:
        """What delivers a reply that an upstream is asked for, accounted for then."""
        self._writer = CACHE
        return self._books.following(query, source, self.port, later(), tcp=tcp, began=self._began)

    def _ask_upstream_first(self, query: Query, deliver: Deliver, source: bytes, *, tcp: bool) -> bytes | None:
        """Forward, and let the mesh answer what the upstream denies."""

        def judge(reply: bytes) -> None:
            if not denies(reply):
                deliver(reply)
                return
            self.begin()
            try:
                found = self._authority.after_denial(query, self._look, tcp=tcp, spin=query.data[1])
            finally:
                self.end()
            deliver(reply if found is None else found)

        reply = self._forward.ask(query, now=self._clock(), tcp=tcp, reply=judge, client=source)
        if reply is None or not denies(reply):
            return reply
        found = self._authority.after_denial(query, self._look, tcp=tcp, spin=query.data[1])
        return reply if found is None else found
