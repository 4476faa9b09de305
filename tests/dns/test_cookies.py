"""Server cookies: what is issued is good, for an hour, for one client, under one secret."""

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns import cookies
from meshdns.dns.codes import BADVERS, FORMERR, NOERROR
from meshdns.dns.query import HEADER_SIZE, parse_query
from meshdns.dns.response import build_reply

SECRET = b"0123456789abcdef"
CLIENT = bytes.fromhex("2464c4abcf10c957")
SOURCE = bytes([198, 51, 100, 100])
NOW = 1_559_731_985


def issued(*, at: int = NOW, secret: bytes = SECRET, source: bytes = SOURCE) -> bytes:
    """A full cookie."""
    return cookies.issue(secret, CLIENT, source, now=at)


def test_a_cookie_has_the_layout_of_rfc_9018() -> None:
    """Client cookie, version, three zeros, seconds, eight octets of hash; the version is one for private use."""
    cookie = issued()
    assert (len(cookie), cookie[:8], cookie[8:16]) == (24, CLIENT, b"\xf0\0\0\0" + NOW.to_bytes(4, "big"))


def test_a_cookie_of_one_server_is_good_at_another_with_its_secret() -> None:
    """The secret and the client's address are all that it rests on (row 49)."""
    assert cookies.is_valid(SECRET, issued(), SOURCE, now=NOW)
    assert not cookies.is_valid(SECRET[::-1], issued(), SOURCE, now=NOW)
    assert not cookies.is_valid(SECRET, issued(), bytes([198, 51, 100, 101]), now=NOW)


@pytest.mark.parametrize(
    ("age", "good"), [(0, True), (3600, True), (3601, False), (-300, True), (-301, False), (1 << 31, False)]
)
def test_a_cookie_is_good_for_an_hour(age: int, *, good: bool) -> None:
    """And from a server whose clock is at most five minutes ahead (row 49)."""
    assert cookies.is_valid(SECRET, issued(at=NOW - age), SOURCE, now=NOW) is good


def test_seconds_wrap_around() -> None:
    """The time is a serial number of 32 bits (RFC 9018 section 4.3)."""
    assert cookies.is_valid(SECRET, issued(at=(1 << 32) - 10), SOURCE, now=(1 << 32) + 10)


@given(st.integers(8, 23), st.integers(1, 255))
def test_another_octet_spoils_a_cookie(place: int, change: int) -> None:
    """Every octet of the server's part counts."""
    spoiled = bytearray(issued())
    spoiled[place] ^= change
    assert not cookies.is_valid(SECRET, bytes(spoiled), SOURCE, now=NOW)


@given(st.binary(max_size=40))
def test_no_octets_raise(cookie: bytes) -> None:
    """Whatever is sent as a cookie is judged."""
    assert not cookies.is_valid(SECRET, cookie, SOURCE, now=NOW)


@pytest.mark.parametrize(
    ("additional", "fault"),
    [
        ("0001 000029 04d0 00000000 000c 000a 0008 2464c4abcf10c957", NOERROR),
        ("0001 000029 04d0 00000000 0000", FORMERR),
        ("0001 000029 04d0 00000000 0006 000a 0002 2464", FORMERR),
        ("0001 000029 04d0 00010000 000c 000a 0008 2464c4abcf10c957", BADVERS),
        ("0001 000001 0001 00000000 0000", FORMERR),
        ("0002 000029 04d0 00000000 0000", FORMERR),
        ("0000", FORMERR),
    ],
)
def test_only_a_cookie_excuses_a_query_without_a_question(additional: str, fault: int) -> None:
    """RFC 7873 section 5.4; everything else without a question is malformed (row 2)."""
    query = parse_query(bytes.fromhex("beef 0100 0000 0000 0000" + additional))
    assert query is not None
    assert (query.error_rcode, query.question_end, query.qname) == (fault, HEADER_SIZE, b"")


def test_the_reply_carries_the_cookie_that_is_due() -> None:
    """In its OPT, counted into its size."""
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, CLIENT)
    query = parse_query(dns.message.make_query("a.global.", "A", use_edns=0, options=[option]).to_wire())
    assert query is not None
    query.reply_cookie = issued()
    (carried,) = dns.message.from_wire(build_reply(query, NOERROR)).options
    assert carried.to_wire() == issued()
