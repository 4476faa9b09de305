"""The one code around all transports: a message and who sent it become a reply, now or later.

`ready` holds whole replies without their first two octets (the id), keyed by the query without its id: what a transport
finds there it sends without another step. Only replies to lower-case questions about names that exist enter it, and a
commit of the view drops those it changed. A reply with several addresses is kept in all its rotations; the low octet of
the query id picks one, so that a client's answers are spread without any state.
"""

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Final, Protocol

from meshdns.authority.authority import Authority, Rows, Verdict
from meshdns.dns import query as wire
from meshdns.dns.codes import EDE_PROHIBITED, NXDOMAIN, REFUSED
from meshdns.dns.query import HEADER_SIZE, Query
from meshdns.dns.response import build, options
from meshdns.view.environment import ViewError
from meshdns.worker.access import AccessList, key
from meshdns.worker.account import ACL, CACHE, MESH, Books, Deliver
from meshdns.worker.accounts import NO_STANDING, Accounts, Standing
from meshdns.worker.counters import Counters
from meshdns.worker.debugging import Debugger
from meshdns.worker.denials import Denials
from meshdns.worker.hints import Hints
from meshdns.worker.local import Local
from meshdns.worker.refusals import Refusals
from meshdns.worker.sampling import Sampler

MAX_OCTETS: Final = 64 << 20
"""Memory for ready replies, enough for some 140,000 questions; beyond it all are forgotten, which costs one lookup in
the view each. What may be asked of one name is without end: flags, EDNS sizes, types."""

_COST: Final = 300  # octets of memory for one question beside its octets and those of its replies
_COST_VARIANT: Final = 50  # the same for one reply

_OPT: Final = 11  # octets of an OPT without options

_NO_OPTIONS: Final = b"\0\0"  # how a reply with an empty OPT ends

MAX_VARIANTS: Final = 15


class Look(Rows, Protocol):
    """A look at the view that ends (`meshdns.view.reader.Look`)."""

    def reason(self, owner: bytes) -> bytes | None:
        """The provenance of an owner name's row."""

    def clusters(self) -> Iterable[tuple[bytes, bytes]]:
        """The names of all clusters with what the view holds of them."""

    def known_from(self, owner: bytes) -> Iterator[bytes]:
        """The owner names from `owner` on, in the order of their octets."""

    def end(self) -> None:
        """Give the look back."""


class Forward(Protocol):
    """The way out for names that are not ours."""

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
        self.ready: dict[bytes, tuple[int, tuple[bytes, ...]]] = {}  # the case that a reply counts as, its rotations
        self.access = access
        self.counters = Counters()
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
        self._keys: dict[bytes, list[bytes]] = {}  # owner name → its keys in ready
        self._octets = 0  # of memory for what was put into ready since it was empty
        self._denials = Denials()

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
        """Look at the view; forgets the ready replies that commits since the last look changed."""
        self._look = self._begin_look(self.forget)

    def end(self) -> None:
        """Give the look back."""
        if self._look is not None:
            self._look.end()
            self._look = None

    def forget(self, owners: list[bytes] | None) -> None:
        """Drop the ready replies of owner names; None drops all."""
        self.counters.commits += 1
        self._denials.clear()
        if owners is None:
            self._forget_all()
            return
        for owner in owners:
            for asked in self._keys.pop(owner, ()):
                self.ready.pop(asked, None)

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
        if not tcp:
            known = self._at_hand(data, source)
            if known is not None:
                if self.sampler.on:
                    self.sampler.offer(data, known, source, self.port, "mesh", seconds=0.0, tcp=False)
                return known
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
        if query.edns and len(query.data) > query.end + _OPT and _denies(reply):
            return self._hints.added(query, reply, rows, tcp=tcp)
        if not tcp:
            self._keep(query, rows, reply)
        return reply

    def _at_hand(self, data: bytes, source: bytes) -> bytes | None:
        """The ready reply to the same question in lower case, with the name put back as it was asked; or a denial."""
        if key(source) not in self.access.admitted:
            return None
        end = data.find(b"\0", HEADER_SIZE) + 1
        lower = data[HEADER_SIZE:end].lower()
        found = self.ready.get(data[2:HEADER_SIZE] + lower + data[end:])
        if found is None:
            return self._denied(data, lower, end, source)
        case, variants = found
        self.counters.ready += 1
        self.accounts.hits[len(source) != 4][case] += 1
        body = variants[data[1] % len(variants)]
        return data[:2] + body[: HEADER_SIZE - 2] + data[HEADER_SIZE:end] + body[end - 2 :]

    def _denied(self, data: bytes, lower: bytes, end: int, source: bytes) -> bytes | None:
        """The denial of a name that is as unknown as a sibling of it was."""
        look = self._look
        found = self._denials.find(data, lower, end) if look is not None and lower else None
        if look is None or found is None or lower in self._authority.fixed:
            return None
        try:
            known = look.row(lower) is not None
        except ViewError:
            return None  # found again, and told, on the long way
        if known:
            return None
        reply, case = found
        self.counters.ready += 1
        self.accounts.hits[len(source) != 4][case] += 1
        return reply

    def _elsewhere(self, query: Query, later: Callable[[], Deliver], source: bytes, *, tcp: bool) -> bytes | None:
        """Answer a special name, forward any other."""
        own = self._local.instead(query, tcp=tcp)
        if own is not None:
            self.counters.answered += 1
            return own
        self.counters.forwarded += 1
        deliver = self._following(query, later, source, tcp=tcp)
        return self._forward.ask(query, now=self._clock(), tcp=tcp, reply=deliver, client=source)

    def _following(self, query: Query, later: Callable[[], Deliver], source: bytes, *, tcp: bool) -> Deliver:
        """What delivers a reply that an upstream is asked for, accounted for then."""
        self._writer = CACHE
        return self._books.following(query, source, self.port, later(), tcp=tcp, began=self._began)

    def _ask_upstream_first(self, query: Query, deliver: Deliver, source: bytes, *, tcp: bool) -> bytes | None:
        """Forward, and let the mesh answer what the upstream denies."""

        def judge(reply: bytes) -> None:
            if not _denies(reply):
                deliver(reply)
                return
            self.begin()
            try:
                found = self._authority.after_denial(query, self._look, tcp=tcp, spin=query.data[1])
            finally:
                self.end()
            deliver(reply if found is None else found)

        reply = self._forward.ask(query, now=self._clock(), tcp=tcp, reply=judge, client=source)
        if reply is None or not _denies(reply):
            return reply
        found = self._authority.after_denial(query, self._look, tcp=tcp, spin=query.data[1])
        return reply if found is None else found

    def _keep(self, query: Query, rows: Look, reply: bytes) -> None:
        """Put a reply into `ready` where it depends on one owner name alone, and the question is as plain as most."""
        asked = query.data[2:]
        if len(query.data) > query.end + _OPT or asked in self.ready:
            return
        owner = self._authority.owner(query, rows)
        if owner is None:
            self._keep_denial(query, rows, reply)
            return
        count = min(reply[6] << 8 | reply[7], MAX_VARIANTS)
        variants = [reply]
        if count > 1:
            made = [self._authority.respond(query, rows, tcp=False, spin=spin) for spin in range(count)]
            variants = [each for each in made if isinstance(each, bytes)]
        if self._octets > MAX_OCTETS or self.accounts.full:
            self._forget_all()
        self._octets += _COST + len(asked) + count * (_COST_VARIANT + len(reply))
        case = self.accounts.number(len(query.data), reply, Standing(query.level, query.stale))
        self.ready[asked] = (case, tuple(variant[2:] for variant in variants))
        self._keys.setdefault(owner, []).append(asked)

    def _keep_denial(self, query: Query, rows: Look, reply: bytes) -> None:
        """Keep a denial that holds for all siblings of the name; one with options speaks of this one alone."""
        bare = not query.edns or reply.endswith(_NO_OPTIONS)
        if _denies(reply) and bare and self._authority.denies_alike(query, rows):
            if self.accounts.full:
                self._forget_all()
            self._denials.keep(query, reply, self.accounts.number(len(query.data), reply, NO_STANDING))

    def _forget_all(self) -> None:
        self.ready.clear()
        self._denials.clear()
        self._keys.clear()
        self._octets = 0
        self.accounts.forget_ready()


def _denies(reply: bytes) -> bool:
    """Whether a reply says that the name does not exist."""
    return reply[3] & 0x0F == NXDOMAIN
