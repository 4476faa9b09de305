"""Replies of our own as people read them."""

import pytest

from meshdns.dns import names, query
from meshdns.dns.presentation import PresentationRecord, build_query, to_presentation, type_name, type_number
from meshdns.dns.response import Section, build_reply, record, reply_options


@pytest.mark.parametrize(
    ("text", "number"), [("A", 1), ("aaaa", 28), ("TYPE65", 65), ("type1234", 1234), ("TYPE65536", -1), ("BOGUS", -1)]
)
def test_types_are_known_by_name_and_by_number(text: str, number: int) -> None:
    """Any letter case, and the form of RFC 3597 section 5."""
    assert type_number(text) == number


def test_a_question_parses_as_asked() -> None:
    """The query that tools make is one that the authority takes, with an OPT."""
    asked = query.parse_query(build_query("reviews.prod.global", 28))
    assert asked is not None
    assert (asked.error_rcode, asked.qname_lower, asked.qtype, asked.edns) == (
        0,
        names.to_wire("reviews.prod.global"),
        28,
        True,
    )


@pytest.mark.parametrize(
    ("rtype", "rdata", "data"),
    [
        ("A", b"\xcb\0q\7", "203.0.113.7"),
        ("AAAA", b"\x20\x01\r\xb8" + bytes(11) + b"\7", "2001:db8::7"),
        ("SRV", b"\0\0\0\1<S\4west\6global\0", "0 1 15443 west.global."),
        ("PTR", b"\2gw\4west\6global\0", "gw.west.global."),
        ("TXT", b'\5a "b"\1\xff', '"a \\"b\\"" "\\255"'),
        ("TYPE1234", b"\1\2", "\\# 2 0102"),
    ],
)
def test_records_read_in_presentation_format(rtype: str, rdata: bytes, data: str) -> None:
    """RDATA of our types in their own form, of others in that of RFC 3597."""
    asked = query.parse_query(build_query("reviews.prod.global", type_number(rtype)))
    assert asked is not None
    reply = build_reply(asked, 0, answer=Section(1, record(asked.qtype, 30, rdata)), aa=True, tcp=True)
    assert to_presentation(reply).records == (PresentationRecord(rtype, 30, data),)
    assert type_name(asked.qtype) == rtype


def test_an_extended_error_is_shown() -> None:
    """Code and text of RFC 8914 come with the rcode."""
    asked = query.parse_query(build_query("reviews.prod.global", 1))
    assert asked is not None
    reply = to_presentation(build_reply(asked, 2, edns_options=reply_options(asked, ede=14, text=b"not yet"), tcp=True))
    assert (reply.rcode, reply.authoritative, reply.error_code, reply.error) == ("SERVFAIL", False, 14, "not yet")
