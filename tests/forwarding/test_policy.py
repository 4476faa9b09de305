"""One question under way, in virtual time: who is asked when, and what the clients hear when."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns.codes import EDE_INVALID_DATA, EDE_NETWORK_ERROR, EDE_NO_REACHABLE_AUTHORITY
from meshdns.dns.reply import Reply, ReplyKind
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.health import UpstreamGroup
from meshdns.forwarding.policy import (
    DEADLINE,
    LATE_REPLY_WINDOW,
    MAX_SENDS,
    NO_UPSTREAM,
    Attempt,
    Exchange,
    Failure,
    Step,
)
from meshdns.forwarding.question import Question, encode_loop_marker, randomize_case
from meshdns.forwarding.upstreams import Address, UpstreamTls

QUESTION = Question(b"\x03www\x07example\x00\x00\x01\x00\x01")
IDENT = 7


def _message(rcode: int = 0, *, tc: bool = False, empty: bool = False) -> bytes:
    out = dns.message.make_response(dns.message.make_query("www.example", "A", id=IDENT))
    out.set_rcode(dns.rcode.Rcode(rcode))
    if not empty:
        out.answer.append(dns.rrset.from_text("www.example.", 60, "IN", "A", "192.0.2.1"))
    if tc:
        out.flags |= dns.flags.TC
    return out.to_wire()


MESSAGES = {
    "good": _message(),
    "servfail": _message(2, empty=True),
    "refused": _message(5, empty=True),
    "tc": _message(tc=True),
    "malformed": _message()[:-2],
    "formerr": _message(1, empty=True),
    "strange": _message().replace(b"\x03www", b"\x03wwx", 1),
    "bare": IDENT.to_bytes(2, "big") + b"\x81\x81" + bytes(8),
    "barenoerror": IDENT.to_bytes(2, "big") + b"\x81\x80" + bytes(8),
    "barequery": IDENT.to_bytes(2, "big") + b"\x01\x01" + bytes(8),
    "barecounted": IDENT.to_bytes(2, "big") + b"\x81\x81\0\1" + bytes(6),
    "barelong": IDENT.to_bytes(2, "big") + b"\x81\x81" + bytes(9),
    "bareforged": (IDENT + 1).to_bytes(2, "big") + b"\x81\x81" + bytes(8),
}


def group(upstreams: int) -> UpstreamGroup:
    """So many upstreams, none of them known to be down."""
    return UpstreamGroup([Address(f"192.0.2.{i + 1}") for i in range(upstreams)])


class ExchangeScript:
    """Drives one exchange through a script and notes what it does: ``0.50 ask 1 tcp``, ``1.75 fail 22``."""

    def __init__(self, upstreams: UpstreamGroup, *, random_bits: bytes = b"") -> None:
        self.now = 100.0
        self.counters = ForwardCounters()
        self.exchange = Exchange(QUESTION, upstreams, self.counters, now=self.now, random_bits=random_bits)
        self.log: list[str] = []
        self._note(self.exchange.start(self.now))

    def run(self, script: str) -> list[str]:
        """Events ``<seconds> <attempt> <what>``, then all timers up to the end."""
        for line in filter(None, (line.strip() for line in script.split(";"))):
            seconds, number, what = line.split()
            self.until(100.0 + float(seconds))
            self._event(self.exchange.attempts[int(number)], what)
        self.until(200.0)
        return self.log

    def until(self, moment: float) -> None:
        """Let time pass; timers come when they are due."""
        while not self.exchange.closed and self.exchange.due <= moment:
            self.now = self.exchange.due
            self._note(self.exchange.on_timer(self.now))
        self.now = moment

    def _event(self, attempt: Attempt, what: str) -> None:
        if what == "icmp":
            self._note(self.exchange.on_icmp_error(attempt, self.now))
        elif what == "lost":
            self._note(self.exchange.on_connection_closed(attempt, self.now))
        elif what == "broken":
            self._note(self.exchange.on_error(attempt, self.now))
        else:
            self._note(self.exchange.on_reply(attempt, IDENT, MESSAGES[what], self.now))

    def _note(self, step: Step) -> None:
        match step:
            case Attempt():
                marks = " tcp" * step.tcp + " plain" * (not step.edns)
                self.log.append(f"{self.now - 100:.2f} ask {step.upstream}{marks}")
            case Reply():
                self.log.append(f"{self.now - 100:.2f} {step.kind.value}")
            case Failure():
                self.log.append(f"{self.now - 100:.2f} fail {step.ede}")


TABLE = {
    # upstreams, script: what happens
    (1, ""): ["0.00 ask 0", "0.50 ask 0", "1.10 ask 0", "1.70 fail 22"],
    (2, ""): ["0.00 ask 0", "0.50 ask 1", "1.10 ask 0", "1.70 fail 22"],
    (3, ""): ["0.00 ask 0", "0.50 ask 1", "1.10 ask 2", "1.70 fail 22"],
    (5, ""): ["0.00 ask 0", "0.50 ask 1", "1.10 ask 2", "1.70 fail 22"],
    (0, ""): ["0.00 fail 22"],
    (1, "0.1 0 good"): ["0.00 ask 0", "0.10 positive"],
    (1, "0.6 0 good"): ["0.00 ask 0", "0.50 ask 0", "0.60 positive"],
    (1, "0.1 0 servfail"): ["0.00 ask 0", "0.10 fail 23"],
    (1, "0.1 0 malformed"): ["0.00 ask 0", "0.10 fail 24"],
    (2, "0.1 0 servfail; 0.2 1 good"): ["0.00 ask 0", "0.10 ask 1", "0.20 positive"],
    (2, "0.1 0 refused; 0.2 1 refused"): ["0.00 ask 0", "0.10 ask 1", "0.20 fail 23"],
    (2, "0.1 0 malformed; 0.2 1 servfail"): ["0.00 ask 0", "0.10 ask 1", "0.20 fail 24"],
    (2, "0.6 1 servfail; 0.7 0 good"): ["0.00 ask 0", "0.50 ask 1", "0.70 positive"],
    (2, "0.6 1 servfail"): ["0.00 ask 0", "0.50 ask 1", "1.10 ask 0", "1.70 fail 23"],
    (5, "0.1 0 refused; 0.2 1 refused; 0.3 2 refused"): ["0.00 ask 0", "0.10 ask 1", "0.20 ask 2", "0.30 fail 23"],
    (1, "0.1 0 bare; 0.2 1 good"): ["0.00 ask 0", "0.10 ask 0 plain", "0.20 positive"],
    (1, "0.1 0 bare; 0.2 1 bare"): ["0.00 ask 0", "0.10 ask 0 plain", "0.70 ask 0 plain", "1.70 fail 23"],
    (1, "0.1 0 bare; 0.2 1 formerr"): ["0.00 ask 0", "0.10 ask 0 plain", "0.20 fail 23"],
    (2, "0.1 0 bare; 0.2 1 good"): ["0.00 ask 0", "0.10 ask 1", "0.20 positive"],
    (1, "0.1 0 barenoerror; 0.2 0 good"): ["0.00 ask 0", "0.20 positive"],
    (1, "0.1 0 barequery; 0.2 0 good"): ["0.00 ask 0", "0.20 positive"],
    (1, "0.1 0 barecounted; 0.2 0 good"): ["0.00 ask 0", "0.20 positive"],
    (1, "0.1 0 barelong; 0.2 0 good"): ["0.00 ask 0", "0.20 positive"],
    (1, "0.1 0 bareforged; 0.2 0 good"): ["0.00 ask 0", "0.20 positive"],
    (1, "0.1 0 tc; 0.2 1 lost; 0.3 2 good"): ["0.00 ask 0", "0.10 ask 0 tcp", "0.20 ask 0 tcp", "0.30 positive"],
    (1, "0.1 0 lost; 0.2 1 lost; 0.3 2 lost"): ["0.00 ask 0", "0.10 ask 0", "0.20 ask 0", "0.30 fail 23"],
    (2, "0.1 0 lost; 0.2 1 broken; 0.3 2 good"): ["0.00 ask 0", "0.10 ask 0", "0.20 ask 1", "0.30 positive"],
    (1, "0.1 0 formerr; 0.2 1 good"): ["0.00 ask 0", "0.10 ask 0 plain", "0.20 positive"],
    (1, "0.1 0 formerr; 0.2 1 formerr"): ["0.00 ask 0", "0.10 ask 0 plain", "0.20 fail 23"],
    (1, "0.1 0 formerr"): ["0.00 ask 0", "0.10 ask 0 plain", "0.70 ask 0 plain", "1.70 fail 23"],
    (1, "0.1 0 formerr; 0.2 1 tc; 0.3 2 good"): [
        "0.00 ask 0",
        "0.10 ask 0 plain",
        "0.20 ask 0 tcp plain",
        "0.30 positive",
    ],
    (1, "0.1 0 tc; 0.2 1 formerr; 0.3 2 good"): [
        "0.00 ask 0",
        "0.10 ask 0 tcp",
        "0.20 ask 0 tcp plain",
        "0.30 positive",
    ],
    (1, "0.6 0 formerr; 0.7 1 formerr; 0.8 2 good"): ["0.00 ask 0", "0.50 ask 0", "0.60 ask 0 plain", "0.80 positive"],
    (1, "1.2 0 formerr; 1.3 1 formerr; 1.4 2 formerr"): ["0.00 ask 0", "0.50 ask 0", "1.10 ask 0", "1.40 fail 23"],
    (2, "0.1 0 formerr; 0.2 1 good"): ["0.00 ask 0", "0.10 ask 1", "0.20 positive"],
    (2, "0.1 0 formerr; 0.2 1 formerr; 0.3 2 good"): [
        "0.00 ask 0",
        "0.10 ask 1",
        "0.20 ask 1 plain",
        "0.30 positive",
    ],
    (1, "0.1 0 tc; 0.2 1 good"): ["0.00 ask 0", "0.10 ask 0 tcp", "0.20 positive"],
    (1, "0.1 0 tc; 0.2 1 tc"): ["0.00 ask 0", "0.10 ask 0 tcp", "0.20 fail 24"],
    (1, "0.1 0 tc; 0.2 1 strange"): ["0.00 ask 0", "0.10 ask 0 tcp", "0.20 fail 24"],
    (1, "0.1 0 tc; 0.2 1 broken"): ["0.00 ask 0", "0.10 ask 0 tcp", "0.20 fail 23"],
    (2, "0.1 0 tc; 0.2 1 broken; 0.3 2 good"): ["0.00 ask 0", "0.10 ask 0 tcp", "0.20 ask 1", "0.30 positive"],
    (1, "0.1 0 tc"): ["0.00 ask 0", "0.10 ask 0 tcp", "0.70 ask 0 tcp", "1.70 fail 22"],
    (1, "1.2 0 tc"): ["0.00 ask 0", "0.50 ask 0", "1.10 ask 0", "1.70 fail 22"],
    (1, "0.1 0 strange; 0.2 0 good"): ["0.00 ask 0", "0.20 positive"],
    (1, "0.1 0 strange; 0.1 0 strange; 0.1 0 strange; 0.1 0 strange; 0.1 0 strange; 0.2 1 good"): [
        "0.00 ask 0",
        "0.10 ask 0 tcp",
        "0.20 positive",
    ],
    (1, "0.1 0 icmp; 0.2 0 good"): ["0.00 ask 0", "0.20 positive"],
    (1, "0.1 0 icmp"): ["0.00 ask 0", "0.50 ask 0", "1.10 ask 0", "1.70 fail 22"],
    (2, "0.1 0 icmp; 0.2 0 good"): ["0.00 ask 0", "0.10 ask 1", "0.20 positive"],
    (5, "0.1 0 icmp; 0.1 0 icmp; 0.1 0 icmp; 0.1 0 icmp"): ["0.00 ask 0", "0.10 ask 1", "0.10 ask 2", "1.70 fail 22"],
    (1, "2.5 0 good"): ["0.00 ask 0", "0.50 ask 0", "1.10 ask 0", "1.70 fail 22", "2.50 positive"],
    (1, "2.5 0 servfail; 2.6 1 good"): [
        "0.00 ask 0",
        "0.50 ask 0",
        "1.10 ask 0",
        "1.70 fail 22",
        "2.60 positive",
    ],
    (1, "2.5 0 tc; 3 1 good"): ["0.00 ask 0", "0.50 ask 0", "1.10 ask 0", "1.70 fail 22", "3.00 positive"],
    (1, "8.1 0 good"): ["0.00 ask 0", "0.50 ask 0", "1.10 ask 0", "1.70 fail 22"],
    (1, "0.1 0 good; 0.2 0 good"): ["0.00 ask 0", "0.10 positive"],
}


@pytest.mark.parametrize(("upstreams", "script"), TABLE)
def test_an_exchange_goes_as_its_rules_say(upstreams: int, script: str) -> None:
    """Each script of events leads to these sends and this outcome, at these seconds."""
    assert ExchangeScript(group(upstreams)).run(script) == TABLE[upstreams, script]


@pytest.mark.parametrize(("upstreams", "script"), TABLE)
def test_no_exchange_sends_more_than_three_or_answers_late(upstreams: int, script: str) -> None:
    """RFC 9520 3.1, and the client hears within 1.8 s, whatever happens."""
    play = ExchangeScript(group(upstreams))
    log = play.run(script)
    assert sum(" ask " in line for line in log) <= MAX_SENDS
    assert play.counters.sends == sum(" ask " in line for line in log)
    outcomes = [line for line in log if " ask " not in line]
    assert float(outcomes[0].split()[0]) <= DEADLINE < 1.8
    assert play.exchange.closed


def test_an_exchange_is_closed_when_nothing_more_can_come() -> None:
    """It stays open after silence only, and to 8 s at most."""
    silent, failing = ExchangeScript(group(1)), ExchangeScript(group(1))
    closed = []
    for now in (100.0 + LATE_REPLY_WINDOW - 0.01, 100.0 + LATE_REPLY_WINDOW):
        silent.until(now)
        closed.append(silent.exchange.closed)
    assert closed == [False, True]
    failing.run("0.1 0 servfail")
    assert failing.exchange.closed


def test_the_three_causes_have_their_extended_errors() -> None:
    """RFC 8914: unreachable, network error, invalid data."""
    assert (EDE_NO_REACHABLE_AUTHORITY, EDE_NETWORK_ERROR, EDE_INVALID_DATA) == (22, 23, 24)
    assert ExchangeScript(group(1)).run("0.1 0 malformed")[-1] == "0.10 fail 24"


def test_nobody_to_ask_is_another_failure_than_nobody_who_replies() -> None:
    """The reader learns where to look: no upstream is known yet, as while the file that names them is missing."""
    exchange = Exchange(QUESTION, group(0), ForwardCounters(), now=0.0)
    assert exchange.start(0.0) == NO_UPSTREAM
    assert len(NO_UPSTREAM.text) <= 64  # what fits over UDP


def test_the_query_has_rd_and_our_size() -> None:
    """What leaves for the upstream, as dnspython reads it."""
    message = dns.message.from_wire(Question(QUESTION.wire, do=True, cd=True).message(4711))
    assert message.id == 4711
    assert message.flags == dns.flags.RD | dns.flags.CD
    assert (message.edns, message.payload, message.ednsflags) == (0, 1232, dns.flags.DO)


def _silences(upstreams: UpstreamGroup, number: int, *, at: float) -> None:
    for i in range(number):
        upstreams.record_timeout(0, at + i)


def test_a_silent_upstream_is_asked_last_until_its_trial() -> None:
    """Three silences make it down; after the rest one query goes to it first, the next ones do not."""
    upstreams = group(2)
    _silences(upstreams, 2, at=10.0)
    assert upstreams.select_order(13.0) == (0, 1)
    _silences(upstreams, 1, at=13.0)
    assert upstreams.select_order(13.1) == (1, 0)
    assert upstreams.select_order(15.1) == (0, 1)
    assert upstreams.select_order(15.2) == (1, 0)
    assert upstreams.select_order(18.0) == (1, 0)
    assert upstreams.select_order(19.2) == (0, 1)


def test_one_answer_brings_an_upstream_back() -> None:
    """Recovery needs no more than the trial's answer."""
    upstreams = group(2)
    _silences(upstreams, 5, at=10.0)
    upstreams.record_success(0, 15.0)
    assert upstreams.select_order(15.0) == (0, 1)


def test_slow_names_on_a_lively_upstream_do_not_take_it_down() -> None:
    """Silences count only where nothing useful came meanwhile."""
    upstreams = group(2)
    for i in range(20):
        upstreams.record_timeout(0, 10.0 + i / 10)
        upstreams.record_success(0, 10.05 + i / 10)
    upstreams.record_timeout(0, 12.1)
    assert upstreams.select_order(12.1) == (0, 1)


def test_where_all_are_down_all_are_asked() -> None:
    """There is nothing better than to try."""
    upstreams = group(1)
    _silences(upstreams, 9, at=10.0)
    assert upstreams.select_order(19.0) == (0,)


def test_servfail_is_no_sign_of_health() -> None:
    """An upstream that only fails does not come back by failing."""
    upstreams = group(2)
    _silences(upstreams, 3, at=90.0)
    assert upstreams.is_down(0)
    ExchangeScript(upstreams).run("0.1 0 servfail; 0.2 1 good")
    assert upstreams.is_down(0)


def test_a_reply_is_of_the_kind_that_was_read() -> None:
    """The exchange hands on what the reader believed."""
    play = ExchangeScript(group(1))
    step = play.exchange.on_reply(play.exchange.attempts[0], IDENT, MESSAGES["good"], 100.1)
    assert isinstance(step, Reply)
    assert step.kind is ReplyKind.POSITIVE


def test_the_trail_is_for_upstreams_of_local_use() -> None:
    """No public resolver learns which of its queries come from one instance."""
    upstreams = UpstreamGroup([Address("10.0.0.53"), Address("8.8.8.8"), Address("fe80::1%eth0")])
    exchange = Exchange(QUESTION, upstreams, ForwardCounters(), now=0.0, loop_markers=encode_loop_marker(b"12345678"))
    told = [
        bool(dns.message.from_wire(Attempt(exchange, upstream, tcp=False, edns=True).message(IDENT)).options)
        for upstream in range(3)
    ]
    assert told == [True, False, True]


def test_an_upstream_over_tls_is_asked_over_tls_alone() -> None:
    """From the first send on, and its queries are padded."""
    play = ExchangeScript(UpstreamGroup([Address("192.0.2.1", 853, UpstreamTls("dns.test")), Address("192.0.2.2")]))
    assert play.run("") == ["0.00 ask 0 tcp", "0.50 ask 1", "1.10 ask 0 tcp", "1.70 fail 22"]
    attempts = [Attempt(play.exchange, upstream, tcp=not upstream, edns=True) for upstream in (0, 1)]
    assert [len(attempt.message(IDENT)) for attempt in attempts] == [128, 40]


MIXED = _message().replace(b"\x03www\x07example", b"\x03WwW\x07ExAmPlE", 1)


@pytest.mark.parametrize(
    ("reply", "believed"),
    [(MIXED, True), (MESSAGES["good"], False), (MIXED.replace(b"ExAmPlE", b"ExAmPle"), False)],
)
def test_a_reply_in_other_letters_than_were_sent_is_asked_for_over_tcp(reply: bytes, *, believed: bool) -> None:
    """Forged, or of a server that does not keep them."""
    play = ExchangeScript(group(1), random_bits=bytes([0, 1, 0, 1] * 4))
    (attempt,) = play.exchange.attempts
    assert dns.message.from_wire(attempt.message(IDENT)).question[0].name.to_text() == "WwW.ExAmPlE."
    step = play.exchange.on_reply(attempt, IDENT, reply, 100.1)
    assert isinstance(step, Reply) if believed else isinstance(step, Attempt) and step.tcp
    assert play.counters.mismatches == (not believed)


def test_letters_do_not_matter_over_tcp() -> None:
    """The reply of a server that lowers them is taken there."""
    play = ExchangeScript(group(1), random_bits=b"\1" * 13)
    assert play.run("0.1 0 good; 0.2 1 good") == ["0.00 ask 0", "0.10 ask 0 tcp", "0.20 positive"]


@given(
    st.lists(st.from_regex(rb"[A-Za-z0-9_-]{1,63}", fullmatch=True), min_size=1, max_size=3), st.binary(min_size=200)
)
def test_letters_alone_are_mixed(labels: list[bytes], coins: bytes) -> None:
    """Lengths, digits, type and class stay; without its case the name is the same."""
    name = b"".join(bytes([len(label)]) + label.lower() for label in labels) + b"\0"
    question = Question(name + b"\0\x61\0\x61", do=True, cd=True)
    out = randomize_case(question, coins)
    assert (out.wire.lower(), out.wire[-4:], out.do, out.cd) == (question.wire, b"\0\x61\0\x61", True, True)
