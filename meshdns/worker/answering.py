"""The one code around all transports: a message and who sent it become a reply, now or later.

`ready` holds whole replies without their first two octets (the id), keyed by the query without its id: what a transport
finds there it sends without another step. Only replies to lower-case questions about names that exist enter it, and a
commit of the view drops those it changed. A reply with several addresses is kept in all its rotations; the low octet of
the query id picks one, so that a client's answers are spread without any state.
"""

from collections.abc import Callable
from typing import Final, Protocol

from meshdns.authority.authority import Authority, Rows, Verdict
from meshdns.dns import query as wire
from meshdns.dns.codes import EDE_PROHIBITED, REFUSED
from meshdns.dns.query import Query
from meshdns.dns.response import build, options
from meshdns.worker.access import AccessList

MAX_READY: Final = 1 << 18
"""Ready replies kept; beyond it all are forgotten, which costs one lookup in the view each."""

MAX_VARIANTS: Final = 15

Deliver = Callable[[bytes], None]


class Look(Rows, Protocol):
    """A look at the view that ends (`meshdns.view.reader.Look`)."""

    def end(self) -> None:
        """Give the look back."""


class Forward(Protocol):
    """The way out for names that are not ours."""

    def ask(self, query: Query, *, now: float, tcp: bool, reply: Deliver) -> bytes | None:
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
        self.answered = 0  # of these, answered from the view
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
        clock: Callable[[], float],
    ) -> None:
        self.ready: dict[bytes, tuple[bytes, ...]] = {}
        self.access = access
        self.counters = Counters()
        self._authority = authority
        self._forward = forward
        self._begin_look = look
        self._clock = clock
        self._look: Look | None = None
        self._keys: dict[bytes, list[bytes]] = {}  # owner name → its keys in ready

    def reconfigure(self, *, authority: Authority, access: AccessList, forward: Forward) -> None:
        """Answer by other settings from now on."""
        self._authority = authority
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
            self.ready.clear()
            self._keys.clear()
            return
        for owner in owners:
            for key in self._keys.pop(owner, ()):
                self.ready.pop(key, None)

    def respond(self, data: bytes, source: bytes, later: Callable[[], Deliver], *, tcp: bool) -> bytes | None:
        """The reply to one message, or None: dropped, or delivered later through what `later` returns."""
        query = wire.parse(data)
        if query is None:
            self.counters.dropped += 1
            return None
        if not self.access.admits(source):
            self.counters.refused += 1
            extra = options(query, ede=EDE_PROHIBITED, text=b"see allowQuery") if query.edns else b""
            return build(query, REFUSED, extra=extra, tcp=tcp)
        rows = self._look
        spin = data[1]
        reply = self._authority.respond(query, rows, tcp=tcp, spin=spin)
        if reply is Verdict.FORWARD:
            self.counters.forwarded += 1
            return self._forward.ask(query, now=self._clock(), tcp=tcp, reply=later())
        if not isinstance(reply, bytes):
            self.counters.dropped += 1
            return None
        self.counters.answered += 1
        if not tcp and rows is not None:
            self._keep(query, rows, reply)
        return reply

    def _keep(self, query: Query, rows: Look, reply: bytes) -> None:
        """Put a reply into `ready` where it depends on one owner name alone."""
        owner = self._authority.owner(query, rows)
        if owner is None:
            return
        if len(self.ready) >= MAX_READY:
            self.forget(None)
        count = min(reply[6] << 8 | reply[7], MAX_VARIANTS)
        variants = [reply]
        if count > 1:
            made = [self._authority.respond(query, rows, tcp=False, spin=spin) for spin in range(count)]
            variants = [each for each in made if isinstance(each, bytes)]
        key = query.data[2:]
        self.ready[key] = tuple(variant[2:] for variant in variants)
        self._keys.setdefault(owner, []).append(key)
