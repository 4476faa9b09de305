"""Answers of upstreams that are told again while they stay the same, and only then."""

from collections.abc import Callable

import pytest

from meshdns.dns import names
from meshdns.dns.codes import FLAG_TC, NOERROR
from meshdns.dns.query import Query, parse_query
from meshdns.dns.response import Section, build_reply
from meshdns.forwarding.client_reply import ImmediateReply
from meshdns.instance import metric_pages
from meshdns.worker.reply_cache import EXPIRY_PERIOD, MAX_FORWARDED, REVALIDATE_AFTER, ForwardedReplies
from tests.worker.responder_fixture import PORT, ResponderFixture

LOOPBACK = b"\x7f\0\0\1"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
TTL = 3  # seconds, of the second address; the first and the alias live longer
ANSWER = (
    b"\xc0\x0c\0\5\0\1\0\0\1\0\0\4\1a\xc0\x10"
    b"\1A\xc0\x10\0\1\0\1\0\1\0\0\0\4\xc0\0\2\1"
    b"\1a\3www\0\0\1\0\1\0\0\0\3\0\4\xc0\0\2\2"
)
COOKIE = b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh"


class CachingForwarder:
    """A forwarder whose answers are all at hand, TTLs fresh; `is_cached`: they are cached; `truncates`: with TC."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_cached = True
        self.truncates = False
        self.lifetime = 1000  # seconds

    def ask(
        self, query: Query, *, now: float, tcp: bool, on_reply: Callable[[bytes], None], client: bytes
    ) -> ImmediateReply | None:
        """Answer at once."""
        assert callable(on_reply)
        assert client
        self.asked += 1
        out = bytearray(build_reply(query, NOERROR, answer=Section(3, ANSWER), tcp=tcp))
        if self.truncates and not tcp:
            out[2] |= FLAG_TC >> 8
        lifetime = (now + 1, now + self.lifetime) if self.is_cached else (0.0, 0.0)
        return ImmediateReply(bytes(out), *lifetime)


class Server:
    """An answerer in front of cached answers, with a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.upstream = CachingForwarder()
        self.bench = ResponderFixture({"one.global": ["203.0.113.1"]}, forwarder=self.upstream, clock=lambda: self.now)
        self.ask(names.to_wire("first.example.com"))  # from here on the asker is known

    def ask(self, name: bytes, tail: bytes = b"", *, ident: bytes = b"\0\1", tcp: bool = False) -> bytes:
        """The reply to one query for an address."""
        additional = b"\0\1" if tail else b"\0\0"
        data = ident + b"\1\0\0\1\0\0\0\0" + additional + name + b"\0\1\0\1" + tail
        self.bench.responder.begin_read()
        reply = self.bench.responder.respond(data, LOOPBACK, PORT, lambda: lambda _: None, tcp=tcp)
        self.bench.responder.end_read()
        return reply or b""

    def forwarded_count(self, name: bytes, tail: bytes = b"", *, tcp: bool = False) -> int:
        """How often the way out is taken for one query."""
        before = self.upstream.asked
        self.ask(name, tail, tcp=tcp)
        return self.upstream.asked - before


WWW = names.to_wire("www.example.com")


@pytest.mark.parametrize("tail", [b"", OPT], ids=["plain", "EDNS"])
def test_the_same_question_is_told_the_same_with_its_own_id(tail: bytes) -> None:
    """Without asking the cache again, which hears of the name once a second."""
    server = Server()
    first = server.ask(WWW, tail)
    again = server.ask(WWW, tail, ident=b"\x43\x21")
    assert server.upstream.asked == 2
    assert again == b"\x43\x21" + first[2:]


def ttls(reply: bytes) -> list[int]:
    """Those of the three records."""
    start = len(reply) - len(ANSWER)
    return [int.from_bytes(reply[start + at : start + at + 4], "big") for at in (6, 24, 45)]


def test_every_second_takes_one_from_each_ttl() -> None:
    """Not before it is over, and never below 0; nothing else changes."""
    server = Server()
    fresh = server.ask(WWW)
    assert ttls(fresh) == [256, 65536, TTL]
    for seconds, told in ((0.999, 0), (1.0, 1), (1.5, 1), (2.0, 2), (2.97, 2), (5.5, 5)):
        server.now = 100.0 + seconds
        aged = server.ask(WWW)
        assert ttls(aged) == [256 - told, 65536 - told, max(TTL - told, 0)]
        assert len(aged) == len(fresh)
    assert server.upstream.asked == 2


def test_ready_until_shortly_before_it_changes() -> None:
    """A transport finds it among the ready replies, and never in the period in which its second ends."""
    server = Server()
    ready = server.bench.responder.cached_replies
    server.now += EXPIRY_PERIOD / 2
    server.ask(WWW)
    assert len(ready) == 2  # with the first name
    server.now += 1 - EXPIRY_PERIOD
    server.ask(names.to_wire("one.global"))
    assert len(ready) == 3
    server.now += EXPIRY_PERIOD * 3 / 4
    server.ask(WWW)
    assert len(ready) == 1
    server.now += EXPIRY_PERIOD
    server.ask(WWW)
    assert len(ready) == 2


def test_the_cache_is_asked_once_in_a_while() -> None:
    """That is how it learns that a name is popular; and once the answer has expired."""
    server = Server()
    server.ask(WWW)
    server.now += REVALIDATE_AFTER - 0.001
    assert server.forwarded_count(WWW) == 0
    server.now += 1
    server.upstream.lifetime = 2
    assert server.forwarded_count(WWW) == 1
    server.now += 2
    assert server.forwarded_count(WWW) == 1


def test_what_is_not_kept_is_asked_for_each_time() -> None:
    """Failures and expired answers: they may be better the next moment."""
    server = Server()
    server.upstream.is_cached = False
    assert server.forwarded_count(WWW) == server.forwarded_count(WWW) == 1


def test_other_octets_are_another_question() -> None:
    """Another EDNS; and options, which each asker has its own of."""
    server = Server()
    server.ask(WWW, OPT)
    assert server.forwarded_count(WWW) == 1
    assert server.forwarded_count(WWW, COOKIE) == server.forwarded_count(WWW, COOKIE) == 1


def test_letters_come_back_in_the_case_they_were_asked_in() -> None:
    """Whichever case the cache was asked in."""
    server = Server()
    asked = server.ask(WWW.upper())
    assert server.forwarded_count(WWW) == server.forwarded_count(WWW.swapcase()) == 0
    assert server.ask(WWW) == asked[:12] + WWW + asked[12 + len(WWW) :]
    assert server.ask(WWW.upper()) == asked


def test_what_was_cut_short_for_udp_is_told_whole_over_tcp() -> None:
    """TC makes the client come over TCP, so that it must not find the same there."""
    server = Server()
    server.upstream.truncates = True
    assert server.ask(WWW)[2] & 2
    assert not server.ask(WWW, tcp=True)[2] & 2


def test_all_is_forgotten_with_the_settings() -> None:
    """A new way out, or a flushed cache, is asked at once."""
    server = Server()
    server.ask(WWW)
    server.bench.responder.invalidate_all()
    assert server.forwarded_count(WWW) == 1


def test_relayed_answers_are_counted_as_the_cache() -> None:
    """By their plugin, whether they took the long way or not."""
    server = Server()
    for _ in range(3):
        server.ask(WWW)
    accounts = server.bench.responder.metrics
    accounts.flush()
    assert accounts.cached_upstream_hits == 2
    plugins = {labels[2]: sums[0] for labels, sums in accounts.page.samples(metric_pages.RESPONSES)}
    assert plugins == {"cache": 4}


def test_replies_kept_are_bounded() -> None:
    """Beyond the bound it begins anew."""
    replies: dict[bytes, tuple[int, tuple[bytes, ...]]] = {}
    relays = ForwardedReplies(replies)
    for number in range(MAX_FORWARDED + 10):
        query = parse_query(b"\0\1\1\0\0\1\0\0\0\0\0\0\4%04d" % number + b"\0\0\1\0\1")
        assert query is not None
        relays.store(query, build_reply(query, NOERROR), 0, now=0.0, ages_at=1.0, expires_at=9.0)
    assert len(relays) == len(replies) == 10
