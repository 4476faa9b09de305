"""Answers of upstreams that are told again while they stay the same, and only then."""

from collections.abc import Callable

import pytest

from meshdns import meters
from meshdns.dns import names
from meshdns.dns.codes import FLAG_TC, NOERROR
from meshdns.dns.query import Query
from meshdns.dns.response import build
from meshdns.worker.relays import MAX_KEPT, Relays
from tests.worker.scene import Bench

LOOPBACK = b"\x7f\0\0\1"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
COOKIE = b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh"


class Cached:
    """A way out whose answers are all at hand; `held` is how long each stays the same, `cut` whether it says TC."""

    def __init__(self) -> None:
        self.asked = 0
        self.until = 0.0
        self.held = 1.0
        self.cut = False

    def ask(
        self, query: Query, *, now: float, tcp: bool, reply: Callable[[bytes], None], client: bytes
    ) -> bytes | None:
        """Answer at once."""
        assert callable(reply)
        assert client
        self.asked += 1
        self.until = now + self.held if self.held else 0.0
        out = bytearray(build(query, NOERROR, tcp=tcp))
        if self.cut and not tcp:
            out[2] |= FLAG_TC >> 8
        return bytes(out)


class Server:
    """An answerer in front of cached answers, with a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.upstream = Cached()
        self.bench = Bench({"one.global": ["203.0.113.1"]}, forward=self.upstream, clock=lambda: self.now)
        self.ask(names.wire("first.example.com"))  # from here on the asker is known

    def ask(self, name: bytes, tail: bytes = b"", *, ident: bytes = b"\0\1", tcp: bool = False) -> bytes:
        """The reply to one query for an address."""
        additional = b"\0\1" if tail else b"\0\0"
        data = ident + b"\1\0\0\1\0\0\0\0" + additional + name + b"\0\1\0\1" + tail
        self.bench.answerer.begin()
        reply = self.bench.answerer.respond(data, LOOPBACK, lambda: lambda _: None, tcp=tcp)
        self.bench.answerer.end()
        return reply or b""

    def asks(self, name: bytes, tail: bytes = b"", *, tcp: bool = False) -> int:
        """How often the way out is taken for one query."""
        before = self.upstream.asked
        self.ask(name, tail, tcp=tcp)
        return self.upstream.asked - before


WWW = names.wire("www.example.com")


@pytest.mark.parametrize("tail", [b"", OPT], ids=["plain", "EDNS"])
def test_the_same_question_is_told_the_same_with_its_own_id(tail: bytes) -> None:
    """Without asking the cache again, which hears of the name once a second."""
    server = Server()
    first = server.ask(WWW, tail)
    again = server.ask(WWW, tail, ident=b"\x43\x21")
    assert server.upstream.asked == 2
    assert again == b"\x43\x21" + first[2:]


def test_an_answer_is_told_until_it_changes() -> None:
    """A moment before, and not from then on."""
    server = Server()
    server.ask(WWW)
    server.now += 0.999
    assert server.asks(WWW) == 0
    server.now += 0.001
    assert server.asks(WWW) == 1


def test_what_is_not_kept_is_asked_for_each_time() -> None:
    """Failures and expired answers: they may be better the next moment."""
    server = Server()
    server.upstream.held = 0.0
    assert server.asks(WWW) == server.asks(WWW) == 1


def test_other_octets_are_another_question() -> None:
    """Letters in another case, which must come back; another EDNS; and options, which each asker has its own of."""
    server = Server()
    server.ask(WWW, OPT)
    assert server.asks(WWW.upper(), OPT) == 1
    assert server.asks(WWW) == 1
    assert server.asks(WWW, COOKIE) == server.asks(WWW, COOKIE) == 1


def test_what_was_cut_short_for_udp_is_told_whole_over_tcp() -> None:
    """TC makes the client come over TCP, so that it must not find the same there."""
    server = Server()
    server.upstream.cut = True
    assert server.ask(WWW)[2] & 2
    assert not server.ask(WWW, tcp=True)[2] & 2


def test_all_is_forgotten_with_the_settings() -> None:
    """A new way out, or a flushed cache, is asked at once."""
    server = Server()
    server.ask(WWW)
    server.bench.answerer.forget(None)
    assert server.asks(WWW) == 1


def test_relayed_answers_are_counted_as_the_cache() -> None:
    """By their plugin, whether they took the long way or not."""
    server = Server()
    for _ in range(3):
        server.ask(WWW)
    accounts = server.bench.answerer.accounts
    accounts.carry()
    assert server.bench.answerer.counters.relayed == 2
    plugins = {labels[2]: sums[0] for labels, sums in accounts.ledger.samples(meters.RESPONSES)}
    assert plugins == {"cache": 4}


def test_replies_kept_are_bounded() -> None:
    """Beyond the bound it begins anew."""
    relays = Relays()
    for number in range(MAX_KEPT + 10):
        relays.keep(number.to_bytes(12, "big"), bytes(12), 1.0, 0)
    assert len(relays) == 10
