"""State machine of one exchange with upstreams: what to send next, when to give up. No clock and no sockets.

Rules:
- At most three sends in all, over UDP and TCP, whatever comes back (RFC 9520 3.1 allows three per server).
- Only a reply that echoes the question ends the wait for a send (TuDoor); after five that do not, TCP is used instead
  (RFC 5452 9.3). TC means TCP too, and what came with it is ignored.
- FORMERR when no other upstream is left may be about OPT: the same upstream is queried once more without it (RFC 6891
  section 7). Servers older than EDNS may send it as a bare header, the one reply that need not echo the question.
  Nothing is learnt from it: one forged packet would take EDNS from every later question.
- If the case of the question's letters is random (see `question.randomize_case`), a reply in other letters is retried
  over TCP: it is forged, or its server does not keep them.
- SERVFAIL, REFUSED and other errors, malformed replies and broken connections lead to an upstream not queried yet, at
  once; silence leads to the next one, or the same again. When no upstream is left, the client gets the failure at once.
- An upstream over TLS is queried over TLS alone, whatever fails. If a kept connection ends before the reply, the same
  upstream is queried again over a new one: the connection had reached its end, not the question (RFC 7766 6.2.4).
- An ICMP error only brings the next upstream forward. It can be forged, so the wait goes on (SAD DNS), and a single
  upstream is not queried again because of it.
- The client gets SERVFAIL at `DEADLINE`. The exchange stays open to `LATE_REPLY_WINDOW` for a late answer: without it
  names whose authority is slower than the deadline would never resolve.

The driver calls `start`, then `on_reply`, `on_mismatch`, `on_icmp_error`, `on_error`, `on_connection_closed` as
things happen and `on_timer` once `due` has come, and does what the returned step says: an `Attempt` is to be sent, a
`Reply` or `Failure` is for the clients (a `Reply` after the `Failure` is for the cache alone), None is nothing. No step
follows once `closed`.
"""

from typing import Final, TypeAlias

import msgspec

from meshdns.dns.codes import (
    EDE_INVALID_DATA,
    EDE_NETWORK_ERROR,
    EDE_NO_REACHABLE_AUTHORITY,
    EDE_OTHER,
    FORMERR,
)
from meshdns.dns.query import HEADER_SIZE
from meshdns.dns.reply import Reply, ReplyKind, is_reply_to, parse_reply
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.health import UpstreamGroup
from meshdns.forwarding.question import Question, randomize_case

MAX_SENDS: Final = 3
MAX_MISMATCHES: Final = 5  # replies that match nothing, before TCP is used instead
RETRY_AFTER: Final = (0.5, 0.6)
"""Seconds from the first and the second send to the next one; one for each of `MAX_SENDS` but the last."""
DEADLINE: Final = 1.7  # seconds; leaves 0.1 for coarse timers and collections, and CoreDNS gives up at 2
LATE_REPLY_WINDOW: Final = 8.0  # seconds from the start that a late answer is still taken


class Failure(msgspec.Struct, frozen=True, gc=False):
    """The reason for a missing answer: extended error code (RFC 8914) and its text.

    With `is_local` a limit of this process is the reason, and not an upstream. Such a failure is not cached: it may be
    the work of another client.
    """

    ede: int
    text: bytes
    is_local: bool = False


NO_REPLY: Final = Failure(EDE_NO_REACHABLE_AUTHORITY, b"no upstream server replied; check forward in the settings")
NO_UPSTREAM: Final = Failure(EDE_NO_REACHABLE_AUTHORITY, b"no upstream server is known; see meshdns get problems")
UPSTREAM_ERRORS: Final = Failure(EDE_NETWORK_ERROR, b"the upstream servers failed; ask them directly")
MALFORMED_REPLY: Final = Failure(EDE_INVALID_DATA, b"an upstream server sent a malformed reply; ask it directly")

NO_SOCKET: Final = Failure(
    EDE_OTHER, b"no socket is left to ask upstream servers; raise the limit of open files", is_local=True
)


class Attempt:
    """One send to one upstream. `done` once no reply to it is awaited."""

    __slots__ = ("done", "edns", "exchange", "sent_at", "tcp", "timed_out", "upstream")

    def __init__(self, exchange: "Exchange", upstream: int, *, tcp: bool, edns: bool) -> None:
        self.exchange = exchange
        self.upstream = upstream
        self.tcp = tcp
        self.edns = edns
        self.done = False
        self.timed_out = False  # its time has passed, and is counted
        self.sent_at = 0.0  # when, in the exchange's time

    def message(self, ident: int) -> bytes:
        """Return the message to send."""
        return self.exchange.message(self, ident)


Step: TypeAlias = Attempt | Reply | Failure | None


class Exchange:
    """One question under way, by the rules above. `due` is when `on_timer` is to be called; it never moves back."""

    __slots__ = (
        "_counters",
        "_failed_upstreams",
        "_failure",
        "_mismatches",
        "_no_edns_upstreams",
        "_order",
        "_position",
        "_sent_question",
        "_started",
        "_tcp_upstreams",
        "_upstreams",
        "attempts",
        "clients_answered",
        "closed",
        "due",
        "loop_markers",
        "question",
    )

    def __init__(
        self,
        question: Question,
        upstreams: UpstreamGroup,
        counters: ForwardCounters,
        *,
        now: float,
        loop_markers: bytes = b"",
        random_bits: bytes = b"",
    ) -> None:
        self.question = question
        self._sent_question = randomize_case(question, random_bits) if random_bits else question  # as it is sent
        self.loop_markers = loop_markers
        self.attempts: list[Attempt] = []
        self.clients_answered = False  # the clients have their reply or failure
        self.closed = False
        self.due = now + DEADLINE
        self._upstreams = upstreams
        self._counters = counters
        self._order = upstreams.select_order(now)
        self._position = 0
        self._started = now
        self._failed_upstreams = 0  # a bit for each upstream that failed otherwise than by silence
        self._tcp_upstreams = 0  # a bit for each upstream that is queried over TCP
        self._no_edns_upstreams = 0  # a bit for each upstream that is queried without OPT
        self._mismatches = 0
        self._failure = NO_REPLY if self._order else NO_UPSTREAM

    def start(self, now: float) -> Step:
        """Return the first step."""
        return self._send(self._order[0], now) if self._order else self._give_up()

    def message(self, attempt: Attempt, ident: int) -> bytes:
        """Return the message that `attempt` sends."""
        markers = self.loop_markers if self._upstreams.is_private[attempt.upstream] else b""
        pad = self._upstreams.uses_tls[attempt.upstream]
        return self._sent_question.message(ident, edns=attempt.edns, loop_markers=markers, pad=pad)

    def on_reply(self, attempt: Attempt, ident: int, message: bytes, now: float) -> Step:
        """Handle a message on the socket or connection of `attempt`; `ident` is the id that was sent."""
        if attempt.done or self.closed:
            return None
        if not is_reply_to(message, ident, self.question.wire):
            if not (attempt.edns and _is_bare_formerr(message, ident)):
                return self.on_mismatch(attempt, now)
            attempt.done = True
            return self._retry_without_edns(attempt, now)
        attempt.done = True
        if (
            not (attempt.tcp or message.startswith(self._sent_question.wire, HEADER_SIZE))
            and self._sent_question is not self.question
        ):
            self._counters.mismatches += 1
            return self._retry_over_tcp(attempt, now)
        reply = parse_reply(message, self.question.wire, dnssec=self.question.do, rules=self._upstreams.rules)
        if reply is None or (reply.kind is ReplyKind.TRUNCATED and attempt.tcp):
            self._counters.malformed += 1
            return self._upstream_failed(attempt, MALFORMED_REPLY, now)
        if reply.kind is ReplyKind.TRUNCATED:
            return self._retry_over_tcp(attempt, now)
        if reply.kind is ReplyKind.FAILURE and reply.rcode == FORMERR and attempt.edns:
            return self._retry_without_edns(attempt, now)
        if reply.kind is ReplyKind.FAILURE:
            return self._upstream_failed(attempt, UPSTREAM_ERRORS, now)
        self._counters.private_addresses += reply.is_blocked
        self._upstreams.record_success(attempt.upstream, now)
        self.close()
        return reply

    def on_mismatch(self, attempt: Attempt, now: float) -> Step:
        """Handle a message that is no reply to `attempt`, on its socket or connection."""
        if attempt.done or self.closed:
            return None
        self._counters.mismatches += 1
        if attempt.tcp:
            return self._upstream_failed(attempt, MALFORMED_REPLY, now)  # a connection carries no strangers' messages
        self._mismatches += 1
        return self._retry_over_tcp(attempt, now) if self._mismatches == MAX_MISMATCHES else None

    def on_icmp_error(self, attempt: Attempt, now: float) -> Step:
        """Handle an ICMP error for `attempt`."""
        self._counters.unreachable += 1
        if attempt.done or attempt.timed_out or self.clients_answered:
            return None
        fresh = self._next_untried()
        return self._send(fresh, now) if fresh is not None else None

    def on_error(self, attempt: Attempt, now: float, *, is_local: bool = False) -> Step:
        """Handle an `attempt` that could not be sent, or whose connection ended without a reply.

        `is_local` says that a limit of this process is the reason.
        """
        if attempt.done or self.closed:
            return None
        self._counters.unreachable += 1
        return self._upstream_failed(attempt, NO_SOCKET if is_local else UPSTREAM_ERRORS, now)

    def on_connection_closed(self, attempt: Attempt, now: float) -> Step:
        """Handle the end of a connection that had served others, without a reply to `attempt`."""
        if self.clients_answered or len(self.attempts) >= MAX_SENDS:
            return self.on_error(attempt, now)
        if attempt.done:
            return None
        attempt.done = True
        return self._send(attempt.upstream, now)

    def on_timer(self, now: float) -> Step:
        """Handle the expiry of `due`."""
        if self.closed or now < self.due:
            return None
        self._record_timeouts(now)
        if self.clients_answered:
            self.close()
            return None
        if now >= self._started + DEADLINE:
            return self._give_up()
        return self._resend(now)

    # ------------------------------------------------------------------------------------------ decisions

    def _upstream_failed(self, attempt: Attempt, failure: Failure, now: float) -> Step:
        """Go on to an upstream not queried yet, after one failed otherwise than by silence."""
        attempt.done = True
        self._failed_upstreams |= 1 << attempt.upstream
        self._set_failure(failure)
        return self._next_step(now)

    def _set_failure(self, failure: Failure) -> None:
        """Set what the clients are told; a local failure stays, so that it is not cached, then a malformed reply."""
        if failure.is_local or not (self._failure.is_local or self._failure is MALFORMED_REPLY):
            self._failure = failure

    def _retry_over_tcp(self, attempt: Attempt, now: float) -> Step:
        """Query the same upstream once more, over TCP from now on."""
        self._tcp_upstreams |= 1 << attempt.upstream
        if self.clients_answered or len(self.attempts) >= MAX_SENDS:
            return self._next_step(now)
        return self._send(attempt.upstream, now)

    def _retry_without_edns(self, attempt: Attempt, now: float) -> Step:
        """Query the same upstream once more, without OPT, if no other can be queried."""
        alone = self._next_untried() is None and not self._no_edns_upstreams >> attempt.upstream & 1
        if self.clients_answered or len(self.attempts) >= MAX_SENDS or not alone:
            return self._upstream_failed(attempt, UPSTREAM_ERRORS, now)
        self._no_edns_upstreams |= 1 << attempt.upstream
        if not self._failure.is_local:
            self._failure = UPSTREAM_ERRORS
        return self._send(attempt.upstream, now)

    def _next_step(self, now: float) -> Step:
        waiting = any(not attempt.done for attempt in self.attempts)
        if self.clients_answered:
            if not waiting:
                self.close()
            return None
        fresh = self._next_untried()
        if fresh is not None:
            return self._send(fresh, now)
        return None if waiting else self._give_up()

    def _next_untried(self) -> int | None:
        """Return the next upstream that was not queried yet, or None."""
        if len(self.attempts) >= MAX_SENDS:
            return None
        asked = {attempt.upstream for attempt in self.attempts}
        return next((upstream for upstream in self._order if upstream not in asked), None)

    def _resend(self, now: float) -> Step:
        """Query the next upstream in turn that has not failed; at least the awaited one has not."""
        for _ in self._order:
            self._position += 1
            upstream = self._order[self._position % len(self._order)]
            if not self._failed_upstreams >> upstream & 1:
                return self._send(upstream, now)
        return None

    def _send(self, upstream: int, now: float) -> Attempt:
        bit = 1 << upstream
        tcp = self._upstreams.uses_tls[upstream] or bool(self._tcp_upstreams & bit)
        attempt = Attempt(self, upstream, tcp=tcp, edns=not self._no_edns_upstreams & bit)
        attempt.sent_at = now
        self._position = self._order.index(upstream)
        self.attempts.append(attempt)
        sends = len(self.attempts)
        self._counters.sends += 1
        self._counters.retries += sends > 1
        self._counters.tcp += attempt.tcp
        deadline = self._started + DEADLINE
        self.due = min(now + RETRY_AFTER[sends - 1], deadline) if sends < MAX_SENDS else deadline
        return attempt

    def _record_timeouts(self, now: float) -> None:
        for attempt in self.attempts:
            if not attempt.done and not attempt.timed_out:
                attempt.timed_out = True
                self._counters.timeouts += 1
                self._upstreams.record_timeout(attempt.upstream, now)

    def _give_up(self) -> Failure:
        """Return the failure for the clients; upstreams that have not replied yet may still do so."""
        self.clients_answered = True
        self.due = self._started + LATE_REPLY_WINDOW
        if all(attempt.done for attempt in self.attempts):
            self.close()
        return self._failure

    def close(self) -> None:
        """Close the exchange: no reply is awaited any longer."""
        self.clients_answered = self.closed = True
        for attempt in self.attempts:
            attempt.done = True


def _is_bare_formerr(message: bytes, ident: int) -> bool:
    """Whether a message is no more than a header that says FORMERR to our id."""
    return (
        len(message) == HEADER_SIZE
        and message[0] << 8 | message[1] == ident
        and message[2] & 0xF8 == 0x80  # QR=1, opcode 0
        and message[3] & 0x0F == FORMERR
        and not any(message[4:])
    )
