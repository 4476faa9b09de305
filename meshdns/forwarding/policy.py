"""One question under way to its upstreams: what to send next, when to give up. No clock and no sockets.

Rules:
- At most three sends in all, over UDP and TCP, whatever comes back (RFC 9520 3.1 allows three per server).
- Only a reply that echoes the question ends the wait for a send (TuDoor); five that do not, and TCP is asked instead
  (RFC 5452 9.3). TC means TCP too, and what came with it is ignored.
- FORMERR where nobody else is left to ask is perhaps about OPT: the same upstream is asked once more without it
  (RFC 6891 section 7). Servers older than EDNS may send it as a bare header, the one reply that need not echo the
  question. Nothing is learnt from it: one forged packet would take EDNS from every later question.
- Where the question's letters are mixed (see `question.mixed`), a reply in other letters is asked for again over TCP:
  it is forged, or its server does not keep them.
- SERVFAIL, REFUSED and other errors, malformed replies and broken connections lead to an upstream not asked yet, at
  once; silence leads to the next one, or the same again. Where nobody is left, the client hears so at once.
- An upstream over TLS is asked over TLS alone, whatever becomes of it. Where a kept connection ends before the reply,
  the same upstream is asked again over a new one: it was the connection's time, not the question (RFC 7766 6.2.4).
- An ICMP error only brings the next upstream forward. It can be forged, so the wait goes on (SAD DNS), and a single
  upstream is not asked again for it.
- The client has its SERVFAIL at `DEADLINE`. The exchange stays open to `OPEN` for a late answer: it is what makes names
  resolve at all whose authority is slower than that.

Whoever drives it calls `start`, then `heard`, `strange`, `unreachable`, `broken`, `lost` as things happen and `tick`
once `due` has come, and does what the returned step says: an `Attempt` is to be sent, a `Reply` or `Failure` is for the
clients (a `Reply` after the `Failure` is for the cache alone), None is nothing. No step follows once `closed`.
"""

from typing import Final, TypeAlias

import msgspec

from meshdns.dns.codes import EDE_INVALID_DATA, EDE_NETWORK_ERROR, EDE_NO_REACHABLE_AUTHORITY, FORMERR
from meshdns.dns.query import HEADER_SIZE
from meshdns.dns.reply import Kind, Reply, echoes, read
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.health import Group
from meshdns.forwarding.question import Question, mixed

MAX_SENDS: Final = 3
MAX_STRANGE: Final = 5  # replies that match nothing, before TCP is asked instead
PATIENCE: Final = (0.5, 0.6)  # seconds that the first and the second send are waited for before the next one
DEADLINE: Final = 1.7  # seconds; leaves 0.1 for coarse timers and collections, and CoreDNS gives up at 2
OPEN: Final = 8.0  # seconds from the start that a late answer is still taken


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why there is no answer: extended error code (RFC 8914) and its text."""

    ede: int
    text: bytes


SILENCE: Final = Failure(EDE_NO_REACHABLE_AUTHORITY, b"no upstream server replied; check forward in the settings")
ERRORS: Final = Failure(EDE_NETWORK_ERROR, b"the upstream servers failed; ask them directly")
MALFORMED: Final = Failure(EDE_INVALID_DATA, b"an upstream server sent a malformed reply; ask it directly")


class Attempt:
    """One send to one upstream. `over` once nothing more is expected of it."""

    __slots__ = ("edns", "exchange", "missed", "over", "sent", "tcp", "upstream")

    def __init__(self, exchange: "Exchange", upstream: int, *, tcp: bool, edns: bool) -> None:
        self.exchange = exchange
        self.upstream = upstream
        self.tcp = tcp
        self.edns = edns
        self.over = False
        self.missed = False  # its time has passed, and was counted
        self.sent = 0.0  # when, in the exchange's time

    def message(self, ident: int) -> bytes:
        """What is to be sent."""
        return self.exchange.message(self, ident)


Step: TypeAlias = Attempt | Reply | Failure | None


class Exchange:
    """One question under way; see the rules above. `due` is when `tick` wants to be called, and never moves back."""

    __slots__ = (
        "_asked",
        "_counters",
        "_errors",
        "_failure",
        "_group",
        "_order",
        "_plain",
        "_started",
        "_strange",
        "_turn",
        "_via_tcp",
        "answered",
        "attempts",
        "closed",
        "due",
        "question",
        "trail",
    )

    def __init__(
        self,
        question: Question,
        group: Group,
        counters: ForwardCounters,
        *,
        now: float,
        trail: bytes = b"",
        coins: bytes = b"",
    ) -> None:
        self.question = question
        self._asked = mixed(question, coins) if coins else question  # as it is sent
        self.trail = trail
        self.attempts: list[Attempt] = []
        self.answered = False  # the clients have heard
        self.closed = False
        self.due = now + DEADLINE
        self._group = group
        self._counters = counters
        self._order = group.order(now)
        self._turn = 0
        self._started = now
        self._errors = 0  # a bit for each upstream that failed otherwise than by silence
        self._via_tcp = 0  # a bit for each upstream that is asked over TCP
        self._plain = 0  # a bit for each upstream that is asked without OPT
        self._strange = 0
        self._failure = SILENCE

    def start(self, now: float) -> Step:
        """The first send."""
        return self._send(self._order[0], now) if self._order else self._give_up()

    def message(self, attempt: Attempt, ident: int) -> bytes:
        """What `attempt` sends."""
        trail = self.trail if self._group.near[attempt.upstream] else b""
        pad = self._group.secure[attempt.upstream]
        return self._asked.message(ident, edns=attempt.edns, trail=trail, pad=pad)

    def heard(self, attempt: Attempt, ident: int, message: bytes, now: float) -> Step:
        """A message came where the reply to `attempt` was expected; `ident` is the id that was sent."""
        if attempt.over or self.closed:
            return None
        if not echoes(message, ident, self.question.wire):
            if not (attempt.edns and _is_bare_formerr(message, ident)):
                return self.strange(attempt, now)
            attempt.over = True
            return self._without_edns(attempt, now)
        attempt.over = True
        if not (attempt.tcp or message.startswith(self._asked.wire, HEADER_SIZE)) and self._asked is not self.question:
            self._counters.mismatches += 1
            return self._by_tcp(attempt, now)
        reply = read(message, self.question.wire, dnssec=self.question.do)
        if reply is None or (reply.kind is Kind.TRUNCATED and attempt.tcp):
            self._counters.malformed += 1
            return self._failed(attempt, MALFORMED, now)
        if reply.kind is Kind.TRUNCATED:
            return self._by_tcp(attempt, now)
        if reply.kind is Kind.FAILURE and reply.rcode == FORMERR and attempt.edns:
            return self._without_edns(attempt, now)
        if reply.kind is Kind.FAILURE:
            return self._failed(attempt, ERRORS, now)
        self._group.good(attempt.upstream, now)
        self.close()
        return reply

    def strange(self, attempt: Attempt, now: float) -> Step:
        """Something that is no reply to `attempt` came where it was expected."""
        if attempt.over or self.closed:
            return None
        self._counters.mismatches += 1
        if attempt.tcp:
            return self._failed(attempt, MALFORMED, now)  # a connection carries no strangers' messages
        self._strange += 1
        return self._by_tcp(attempt, now) if self._strange == MAX_STRANGE else None

    def unreachable(self, attempt: Attempt, now: float) -> Step:
        """An ICMP error came for `attempt`."""
        self._counters.unreachable += 1
        if attempt.over or attempt.missed or self.answered:
            return None
        fresh = self._fresh()
        return self._send(fresh, now) if fresh is not None else None

    def broken(self, attempt: Attempt, now: float) -> Step:
        """`attempt` could not be sent, or its connection ended without a reply."""
        if attempt.over or self.closed:
            return None
        self._counters.unreachable += 1
        return self._failed(attempt, ERRORS, now)

    def lost(self, attempt: Attempt, now: float) -> Step:
        """A connection that had served others ended without a reply to `attempt`."""
        if self.answered or len(self.attempts) >= MAX_SENDS:
            return self.broken(attempt, now)
        if attempt.over:
            return None
        attempt.over = True
        return self._send(attempt.upstream, now)

    def tick(self, now: float) -> Step:
        """Time has passed."""
        if self.closed or now < self.due:
            return None
        self._note_silence(now)
        if self.answered:
            self.close()
            return None
        if now >= self._started + DEADLINE:
            return self._give_up()
        return self._again(now)

    # ------------------------------------------------------------------------------------------ decisions

    def _failed(self, attempt: Attempt, failure: Failure, now: float) -> Step:
        """An upstream failed otherwise than by silence: on to one not asked yet."""
        attempt.over = True
        self._errors |= 1 << attempt.upstream
        if self._failure is not MALFORMED:
            self._failure = failure
        return self._onward(now)

    def _by_tcp(self, attempt: Attempt, now: float) -> Step:
        """The same upstream once more, over TCP from now on."""
        self._via_tcp |= 1 << attempt.upstream
        if self.answered or len(self.attempts) >= MAX_SENDS:
            return self._onward(now)
        return self._send(attempt.upstream, now)

    def _without_edns(self, attempt: Attempt, now: float) -> Step:
        """The same upstream once more, without OPT, where no other can be asked."""
        alone = self._fresh() is None and not self._plain >> attempt.upstream & 1
        if self.answered or len(self.attempts) >= MAX_SENDS or not alone:
            return self._failed(attempt, ERRORS, now)
        self._plain |= 1 << attempt.upstream
        self._failure = ERRORS
        return self._send(attempt.upstream, now)

    def _onward(self, now: float) -> Step:
        waiting = any(not attempt.over for attempt in self.attempts)
        if self.answered:
            if not waiting:
                self.close()
            return None
        fresh = self._fresh()
        if fresh is not None:
            return self._send(fresh, now)
        return None if waiting else self._give_up()

    def _fresh(self) -> int | None:
        """The next upstream that was not asked yet."""
        if len(self.attempts) >= MAX_SENDS:
            return None
        asked = {attempt.upstream for attempt in self.attempts}
        return next((upstream for upstream in self._order if upstream not in asked), None)

    def _again(self, now: float) -> Step:
        """The next upstream in turn that has not failed; at least the one that is waited for has not."""
        for _ in self._order:
            self._turn += 1
            upstream = self._order[self._turn % len(self._order)]
            if not self._errors >> upstream & 1:
                return self._send(upstream, now)
        return None

    def _send(self, upstream: int, now: float) -> Attempt:
        bit = 1 << upstream
        tcp = self._group.secure[upstream] or bool(self._via_tcp & bit)
        attempt = Attempt(self, upstream, tcp=tcp, edns=not self._plain & bit)
        attempt.sent = now
        self._turn = self._order.index(upstream)
        self.attempts.append(attempt)
        sends = len(self.attempts)
        self._counters.sends += 1
        self._counters.retries += sends > 1
        self._counters.tcp += attempt.tcp
        deadline = self._started + DEADLINE
        self.due = min(now + PATIENCE[sends - 1], deadline) if sends < MAX_SENDS else deadline
        return attempt

    def _note_silence(self, now: float) -> None:
        for attempt in self.attempts:
            if not attempt.over and not attempt.missed:
                attempt.missed = True
                self._counters.timeouts += 1
                self._group.silent(attempt.upstream, now)

    def _give_up(self) -> Failure:
        """The clients hear of the failure; whoever has not replied yet may still do so."""
        self.answered = True
        self.due = self._started + OPEN
        if all(attempt.over for attempt in self.attempts):
            self.close()
        return self._failure

    def close(self) -> None:
        """Nothing more is expected of it."""
        self.answered = self.closed = True
        for attempt in self.attempts:
            attempt.over = True


def _is_bare_formerr(message: bytes, ident: int) -> bool:
    """Whether a message is no more than a header that says FORMERR to our id."""
    return (
        len(message) == HEADER_SIZE
        and message[0] << 8 | message[1] == ident
        and message[2] & 0xF8 == 0x80  # QR=1, opcode 0
        and message[3] & 0x0F == FORMERR
        and not any(message[4:])
    )
