"""What strangers get over UDP when their block draws too much."""

import socket

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from meshdns.authority.authority import Authority
from meshdns.authority.rrl import RrlSettings
from meshdns.authority.special import ChaosNames, SpecialNameGroup, SpecialNames
from meshdns.authority.zone import ServedZone
from meshdns.dns import cookies, names
from meshdns.worker.acl import AccessList, source_key
from meshdns.worker.diagnostic_names import DiagnosticNames
from meshdns.worker.local_answers import LocalAnswers
from meshdns.worker.settings import ANY_CLIENT
from tests.worker.responder_fixture import PORT, ResponderFixture

STRANGER = bytes([203, 0, 113, 7])
NEIGHBOUR = bytes([192, 168, 0, 7])
SECRET, OLD, OTHER = b"0123456789abcdef", b"fedcba9876543210", bytes(16)
NOW = 1_800_000_000.0


def _bench(*, slip: int = 2) -> ResponderFixture:
    """Two replies a second to strangers; the clock stands still."""
    bench = ResponderFixture({"one.global": ["203.0.113.1"], "two.global": ["203.0.113.1", "203.0.113.2"]})
    bench.responder.reconfigure(
        authority=Authority([ServedZone(names.to_wire("global"))]),
        access_list=AccessList(ANY_CLIENT),
        forwarder=bench.upstream,
        local_answers=LocalAnswers(
            special=SpecialNames(SpecialNameGroup),
            chaos=ChaosNames(identity=b"node-1", version=b""),
            nsid=b"",
            secret=SECRET,
            previous_secret=OLD,
            clock=lambda: NOW,
            rate_limit=RrlSettings(per_second=2, slip=slip),
        ),
        diagnostic_names=DiagnosticNames(Authority([]), [], AccessList([])),
    )
    return bench


def _ask(
    bench: ResponderFixture,
    name: str = "one.global",
    *,
    source: bytes = STRANGER,
    tcp: bool = False,
    cookie: bytes = b"",
) -> dns.message.Message | None:
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)
    options: list[dns.edns.Option] | None = [option] if cookie else None
    wire = dns.message.make_query(name, "A", use_edns=0, options=options).to_wire()
    bench.responder.begin_read()
    try:
        reply = bench.responder.respond(wire, source, PORT, lambda: lambda _: None, tcp=tcp)
    finally:
        bench.responder.end_read()
    return None if reply is None else dns.message.from_wire(reply)


def _heard(reply: dns.message.Message | None) -> str:
    if reply is None:
        return "nothing"
    return "cut" if reply.flags & dns.flags.TC else dns.rcode.to_text(reply.rcode())


def test_what_is_over_the_limit_is_dropped_or_cut() -> None:
    """A cut reply has question and OPT, and no more octets than the query."""
    bench = _bench()
    heard = [_ask(bench) for _ in range(6)]
    assert [_heard(reply) for reply in heard] == ["NOERROR", "NOERROR", "nothing", "cut", "nothing", "cut"]
    cut = heard[3]
    assert cut is not None
    assert (len(cut.question), cut.answer, cut.authority, cut.edns) == (1, [], [], 0)
    assert len(cut.to_wire()) == len(dns.message.make_query("one.global", "A", use_edns=0).to_wire())
    assert (bench.responder.counters.dropped_by_rrl, bench.responder.counters.truncated_by_rrl) == (2, 2)


@pytest.mark.parametrize("name", ["one.global", "two.global"])
def test_a_known_reply_is_limited_too(name: str) -> None:
    """A stranger's address never enters the set that transports answer from without a look."""
    bench = _bench(slip=0)
    assert _heard(_ask(bench, name, source=NEIGHBOUR)) == "NOERROR"
    assert bench.responder.cached_replies
    assert [_heard(_ask(bench, name)) for _ in range(4)] == ["NOERROR", "NOERROR", "nothing", "nothing"]
    assert source_key(STRANGER) not in bench.responder.access_list.admitted_keys
    assert source_key(NEIGHBOUR) in bench.responder.access_list.admitted_keys


def test_neighbours_and_tcp_are_not_limited() -> None:
    """Only where an address may be forged and the victim be outside."""
    bench = _bench(slip=0)
    assert {_heard(_ask(bench, source=NEIGHBOUR)) for _ in range(20)} == {"NOERROR"}
    assert {_heard(_ask(bench, tcp=True)) for _ in range(20)} == {"NOERROR"}


def test_errors_are_never_cut() -> None:
    """They are as short as a cut reply; those that slip are told as they are."""
    bench = _bench()
    bench.responder.access_list = AccessList(["192.168.0.0/16"])
    assert [_heard(_ask(bench)) for _ in range(4)] == ["REFUSED", "REFUSED", "nothing", "REFUSED"]


@pytest.mark.parametrize(("secret", "expected"), [(SECRET, "NOERROR"), (OLD, "NOERROR"), (OTHER, "nothing")])
def test_a_good_cookie_proves_the_address(secret: bytes, expected: str) -> None:
    """Made with the secret in force or the one before it."""
    bench = _bench(slip=0)
    for _ in range(3):
        _ask(bench)
    cookie = cookies.issue(secret, bytes(8), STRANGER, now=int(NOW))
    assert _heard(_ask(bench, cookie=cookie)) == expected


def test_replies_that_come_later_are_limited_when_they_come() -> None:
    """Forwarded names amplify most."""
    bench = _bench(slip=0)
    heard: list[bytes] = []
    for number in range(5):
        wire = dns.message.make_query(f"{number}.example", "A").to_wire()
        assert bench.responder.respond(wire, STRANGER, PORT, lambda: heard.append, tcp=False) is None
    bench.upstream.answer()
    assert len(heard) == 2


@pytest.mark.parametrize(("secret", "rcode"), [(SECRET, "NOERROR"), (OLD, "NOERROR"), (OTHER, "BADCOOKIE")])
def test_cookies_of_the_secret_before_are_good(secret: bytes, rcode: str) -> None:
    """A rotation turns nobody's cookie into a bad one; the reply carries one made with the new secret."""
    cookie = cookies.issue(secret, bytes(8), STRANGER, now=int(NOW))
    query = dns.message.make_query("", "A", options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)])
    query.question.clear()
    bench = _bench()
    reply = bench.responder.respond(query.to_wire(), STRANGER, PORT, lambda: lambda _: None, tcp=False)
    assert reply is not None
    message = dns.message.from_wire(reply)
    assert dns.rcode.to_text(message.rcode()) == rcode
    (option,) = message.options
    assert cookies.is_valid(SECRET, option.to_wire() or b"", STRANGER, now=int(NOW))


def test_strangers_are_told_from_neighbours_over_ipv6_sockets() -> None:
    """An IPv4 address that comes mapped is what it is."""
    local = LocalAnswers(
        special=SpecialNames(SpecialNameGroup),
        chaos=ChaosNames(identity=b"", version=b""),
        nsid=b"",
        secret=SECRET,
        clock=lambda: NOW,
        rate_limit=RrlSettings(per_second=1),
    )
    addresses = {"::ffff:203.0.113.7": True, "::ffff:10.0.0.1": False, "fd00::1": False, "2001:db8::1": True}
    assert {text: local.is_rate_limited(socket.inet_pton(socket.AF_INET6, text)) for text in addresses} == addresses
