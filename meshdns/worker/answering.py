"""The one code around all transports: a message and who sent it become a reply, now or later.

`ready` holds whole replies without their first two octets (the id), keyed by the query without its id: what a transport
finds there it sends without another step. Only replies to lower-case questions about names that exist enter it, and a
commit of the view drops those it changed. A reply with several addresses is kept in all its rotations; the low octet of
the query id picks one, so that a client's answers are spread without any state.
"""

from collections.abc import Callable
from typing import Final, Protocol

from meshdns.authority import explaining
from meshdns.authority.authority import Authority, Rows, Verdict
from meshdns.dns import query as wire
from meshdns.dns.codes import EDE_PROHIBITED, NXDOMAIN, REFUSED, TYPE_TXT
from meshdns.dns.query import HEADER_SIZE, Query
from meshdns.dns.response import build, options
from meshdns.view.environment import ViewError
from meshdns.worker.access import AccessList, key
from meshdns.worker.local import Local

MAX_OCTETS: Final = 64 << 20
"""Memory for ready replies, enough for some 140,000 questions; beyond it all are forgotten, which costs one lookup in
the view each. What may be asked of one name is without end: flags, EDNS sizes, types."""

_COST: Final = 300  # octets of memory for one question beside its octets and those of its replies
_COST_VARIANT: Final = 50  # the same for one reply

_OPT: Final = 11  # octets of an OPT without options

MAX_VARIANTS: Final = 15

_LOOPBACK_IPV6: Final = b"\0" * 15 + b"\x01"
_LOOPBACK_MAPPED: Final = b"\0" * 10 + b"\xff\xff\x7f"

Deliver = Callable[[bytes], None]


class Look(Rows, Protocol):
    """A look at the view that ends (`meshdns.view.reader.Look`)."""

    def reason(self, owner: bytes) -> bytes | None:
        """The provenance of an owner name's row."""

    def end(self) -> None:
        """Give the look back."""


class Forward(Protocol):
    """The way out for names that are not ours."""

    def ask(self, query: Query, *, now: float, tcp: bool, reply: Deliver, client: bytes) -> bytes | None:
        """The reply where it is at hand; None where `reply` will be called with it."""


class Counters:
    """Plain integers, published elsewhere."""

    __slots__ = (
        "answered",
        "commits",
        "connections_refused",
        "dropped",
        "forwarded",
        "late",
        "portless",
        "queries",
        "ready",
        "refused",
        "tcp",
        "unsent",
        "view_faults",
    )

    def __init__(self) -> None:
        self.queries = 0  # messages received
        self.ready = 0  # of these, answered from the ready replies
        self.answered = 0  # of these, answered from the view or by the worker itself
        self.forwarded = 0  # of these, for names that are not ours
        self.refused = 0  # of these, from outside allowQuery
        self.dropped = 0  # of these, not even a query
        self.tcp = 0  # of these, over TCP
        self.portless = 0  # from source port 0, which cannot be answered
        self.late = 0  # discarded because they had waited too long
        self.unsent = 0  # replies that the kernel did not take
        self.commits = 0  # changes of the view that were noticed
        self.connections_refused = 0
        self.view_faults = 0  # looks at the view that failed


class Answerer:
    """Answers messages of one worker. `begin` and `end` enclose every wake-up; nothing awaits between them."""

    def __init__(
        self,
        *,
        authority: Authority,
        access: AccessList,
        forward: Forward,
        look: Callable[[Callable[[list[bytes] | None], None]], Look | None],
        fault: Callable[[ViewError], None],
        clock: Callable[[], float],
        local: Local,
    ) -> None:
        self.ready: dict[bytes, tuple[bytes, ...]] = {}
        self.access = access
        self.counters = Counters()
        self._authority = authority
        self._forward = forward
        self._begin_look = look
        self._fault = fault
        self._clock = clock
        self._local = local
        self._look: Look | None = None
        self._keys: dict[bytes, list[bytes]] = {}  # owner name → its keys in ready
        self._octets = 0  # of memory for what was put into ready since it was empty

    def reconfigure(self, *, authority: Authority, access: AccessList, forward: Forward, local: Local) -> None:
        """Answer by other settings from now on."""
        self._authority = authority
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
        if owners is None:
            self._forget_all()
            return
        for owner in owners:
            for asked in self._keys.pop(owner, ()):
                self.ready.pop(asked, None)

    def respond(self, data: bytes, source: bytes, later: Callable[[], Deliver], *, tcp: bool) -> bytes | None:
        """The reply to one message, or None: dropped, or delivered later through what `later` returns."""
        if not tcp:
            known = self._other_case(data, source)
            if known is not None:
                return known
        query = wire.parse(data)
        if query is None:
            self.counters.dropped += 1
            return None
        if query.cookie:
            self._local.bake(query, source)
        if not self.access.admits(source):
            self.counters.refused += 1
            extra = options(query, ede=EDE_PROHIBITED, text=b"see allowQuery") if query.edns else b""
            return build(query, REFUSED, extra=extra, tcp=tcp)
        own = self._local.respond(query, source, tcp=tcp)
        if own is not None:
            self.counters.answered += 1
            return own
        rows = self._look
        wants_explanation = query.qtype == TYPE_TXT and query.lower.startswith(explaining.PREFIX) and not query.fault
        if wants_explanation and _is_loopback(source):
            return self._explain(query, rows, tcp=tcp)
        spin = data[1]
        try:
            reply = self._authority.respond(query, rows, tcp=tcp, spin=spin)
        except ViewError as error:
            self._fault(error)
            rows = None
            reply = self._authority.respond(query, rows, tcp=tcp)
        if reply is Verdict.FORWARD:
            return self._elsewhere(query, later, source, tcp=tcp)
        if reply is Verdict.FALLBACK:
            self.counters.forwarded += 1
            return self._ask_upstream_first(query, later(), source, tcp=tcp)
        if not isinstance(reply, bytes):
            self.counters.dropped += 1
            return None
        self.counters.answered += 1
        if not tcp and rows is not None:
            self._keep(query, rows, reply)
        return reply

    def _other_case(self, data: bytes, source: bytes) -> bytes | None:
        """The ready reply to the same question in lower case, with the name put back as it was asked."""
        end = data.find(b"\0", HEADER_SIZE) + 1
        variants = self.ready.get(data[2:HEADER_SIZE] + data[HEADER_SIZE:end].lower() + data[end:])
        if variants is None or key(source) not in self.access.admitted:
            return None
        self.counters.ready += 1
        body = variants[data[1] % len(variants)]
        return data[:2] + body[: HEADER_SIZE - 2] + data[HEADER_SIZE:end] + body[end - 2 :]

    def _elsewhere(self, query: Query, later: Callable[[], Deliver], source: bytes, *, tcp: bool) -> bytes | None:
        """Answer a special name, forward any other."""
        own = self._local.instead(query, tcp=tcp)
        if own is not None:
            self.counters.answered += 1
            return own
        self.counters.forwarded += 1
        return self._forward.ask(query, now=self._clock(), tcp=tcp, reply=later(), client=source)

    def _explain(self, query: Query, rows: Look | None, *, tcp: bool) -> bytes:
        """Why a name is answered the way it is, for askers on this machine."""
        name = query.lower[len(explaining.PREFIX) :]
        owner = self._authority.speaks_for(name, rows) if rows is not None else None
        reason = rows.reason(owner) if rows is not None and owner is not None else None
        return explaining.reply(query, reason, tcp=tcp)

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
        owner = self._authority.owner(query, rows) if len(query.data) <= query.end + _OPT else None
        if owner is None or asked in self.ready:
            return
        count = min(reply[6] << 8 | reply[7], MAX_VARIANTS)
        variants = [reply]
        if count > 1:
            made = [self._authority.respond(query, rows, tcp=False, spin=spin) for spin in range(count)]
            variants = [each for each in made if isinstance(each, bytes)]
        if self._octets > MAX_OCTETS:
            self._forget_all()
        self._octets += _COST + len(asked) + count * (_COST_VARIANT + len(reply))
        self.ready[asked] = tuple(variant[2:] for variant in variants)
        self._keys.setdefault(owner, []).append(asked)

    def _forget_all(self) -> None:
        self.ready.clear()
        self._keys.clear()
        self._octets = 0


def _denies(reply: bytes) -> bool:
    """Whether a reply says that the name does not exist."""
    return reply[3] & 0x0F == NXDOMAIN


def _is_loopback(source: bytes) -> bool:
    return (
        source[:1] == b"\x7f" if len(source) == 4 else source == _LOOPBACK_IPV6 or source.startswith(_LOOPBACK_MAPPED)
    )
