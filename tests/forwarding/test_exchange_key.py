"""Queries that share an exchange send the same message to upstreams."""

import dns.edns
import dns.flags
import dns.message
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns.query import parse_query
from meshdns.forwarding.question import cache_key, exchange_key, read_loop_markers, to_question

LOOP_MARKER = dns.edns.OptionType.make(65_313)

OPTIONS = st.sampled_from(
    [
        dns.edns.GenericOption(LOOP_MARKER, b"01234567"),
        dns.edns.GenericOption(LOOP_MARKER, b"76543210"),
        dns.edns.GenericOption(LOOP_MARKER, b"short"),
        dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"abcdefgh"),
        dns.edns.GenericOption(dns.edns.OptionType.NSID, b""),
        dns.edns.ECSOption("192.0.2.0", 24),
        dns.edns.GenericOption(dns.edns.OptionType.make(11), b""),
    ]
)
FLAGS = st.sampled_from([dns.flags.RD, dns.flags.RD | dns.flags.CD, dns.flags.RD | dns.flags.AD])


@st.composite
def keys_and_messages(draw: st.DrawFn) -> tuple[bytes, bytes, tuple[bytes, ...]]:
    """Both keys of a client's query, and all that may be sent to upstreams because of it."""
    options: list[dns.edns.Option] = draw(st.lists(OPTIONS, max_size=3))
    name, rtype = draw(st.sampled_from(["a.", "A.", "b.a."])), draw(st.sampled_from(["A", "AAAA"]))
    query = dns.message.make_query(
        name,
        rtype,
        id=7,
        use_edns=0,
        want_dnssec=draw(st.booleans()),
        payload=draw(st.integers(0, 4096)),
        options=options,
    )
    query.flags = dns.flags.Flag(draw(FLAGS))
    parsed = parse_query(query.to_wire())
    assert parsed is not None
    markers = read_loop_markers(parsed)
    cached = cache_key(parsed, 0)
    question = to_question(parsed)
    sent = tuple(question.message(1, edns=edns, loop_markers=markers, pad=edns) for edns in (False, True))
    return cached, exchange_key(cached, markers), sent


@given(keys_and_messages(), keys_and_messages())
def test_one_key_is_one_message(
    one: tuple[bytes, bytes, tuple[bytes, ...]], other: tuple[bytes, bytes, tuple[bytes, ...]]
) -> None:
    """In both directions. What is cached is of queries that send on nothing but their question."""
    assert (one[1] == other[1]) == (one[2] == other[2])
    if one[0] == one[1] and other[0] == other[1]:
        assert (one[0] == other[0]) == (one[2] == other[2])
