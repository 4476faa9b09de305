"""What a worker answers by itself while the upstream is silent."""

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import pytest

from tests.worker.responder_fixture import PORT, ResponderFixture

SOURCE = bytes([127, 0, 0, 1])
CLIENT = bytes(range(8))


def _ask(bench: ResponderFixture, message: dns.message.Message) -> dns.message.Message | None:
    bench.responder.begin_read()
    try:
        reply = bench.responder.respond(message.to_wire(), SOURCE, PORT, lambda: lambda _: None, tcp=False)
    finally:
        bench.responder.end_read()
    return None if reply is None else dns.message.from_wire(reply)


def _with_cookie(name: str, cookie: bytes) -> dns.message.Message:
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)
    message = dns.message.make_query(name, "A", use_edns=0, options=[option])
    if not name:
        message.question.clear()
    return message


def _cookie(reply: dns.message.Message | None) -> bytes:
    assert reply is not None
    (option,) = reply.options
    return option.to_wire() or b""


@pytest.mark.parametrize(
    ("name", "rcode"),
    [("one.global.", "NOERROR"), ("no.global.", "NXDOMAIN"), ("x.test.", "NXDOMAIN"), ("", "NOERROR")],
)
def test_a_client_cookie_is_answered_with_a_full_one(name: str, rcode: str) -> None:
    """Whatever was asked, even nothing (RFC 7873 sections 5.2.3 and 5.4; row 48)."""
    reply = _ask(ResponderFixture({"one.global": ["203.0.113.1"]}), _with_cookie(name, CLIENT))
    assert reply is not None
    cookie = _cookie(reply)
    assert (dns.rcode.to_text(reply.rcode()), cookie[:8], len(cookie)) == (rcode, CLIENT, 24)


def test_a_bad_server_cookie_costs_no_answer() -> None:
    """Cookies are never required; a good one comes back (row 48)."""
    reply = _ask(ResponderFixture({"one.global": ["203.0.113.1"]}), _with_cookie("one.global.", CLIENT + b"wrong..."))
    assert reply is not None
    assert (reply.rcode(), len(reply.answer), len(_cookie(reply))) == (0, 1, 24)


def test_a_query_for_nothing_tells_good_cookies_from_bad_ones() -> None:
    """BADCOOKIE with a good one for what is none of ours, NOERROR for what is (RFC 7873 section 5.4)."""
    bench = ResponderFixture({})
    bad = _ask(bench, _with_cookie("", CLIENT + b"wrong..." * 2))
    assert bad is not None
    assert bad.rcode() == dns.rcode.BADCOOKIE
    good = _ask(bench, _with_cookie("", _cookie(bad)))
    assert good is not None
    assert good.rcode() == dns.rcode.NOERROR


def test_the_roots_servers_need_no_upstream() -> None:
    """CoreDNS's health check is answered though the upstream never is."""
    bench = ResponderFixture({})
    reply = _ask(bench, dns.message.make_query(".", "NS"))
    assert reply is not None
    assert (reply.rcode(), reply.answer, bench.upstream.waiting) == (0, [], [])
    assert _ask(bench, dns.message.make_query(".", "SOA")) is None
    assert len(bench.upstream.waiting) == 1


@pytest.mark.parametrize("name", ["localhost.", "x.invalid.", "1.1.168.192.in-addr.arpa."])
def test_special_names_never_leave(name: str) -> None:
    """They are answered though the upstream never answers (rows 86 to 94)."""
    bench = ResponderFixture({})
    assert _ask(bench, dns.message.make_query(name, "A")) is not None
    assert bench.upstream.waiting == []


def test_the_identity_is_told_and_the_version_is_not() -> None:
    """Class CHAOS; what is not told is refused (rows 15 and 17)."""
    bench = ResponderFixture({})
    told = _ask(bench, dns.message.make_query("id.server.", "TXT", dns.rdataclass.CHAOS))
    refused = _ask(bench, dns.message.make_query("version.bind.", "TXT", dns.rdataclass.CHAOS))
    assert told is not None
    assert refused is not None
    assert (told.answer[0].to_text(), refused.rcode()) == ('id.server. 0 CH TXT "node-1"', dns.rcode.REFUSED)
