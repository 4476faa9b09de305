"""Replies of our own, decoded by dnspython."""

from typing import Final

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rrset
import pytest

from meshdns.dns.codes import BADVERS, FORMERR, NOERROR, NOTIMP, NXDOMAIN, REFUSED, SERVFAIL, TYPE_A
from meshdns.dns.query import Query, parse_query
from meshdns.dns.response import (
    QUESTION_POINTER,
    ReplyClass,
    Section,
    build_opt,
    build_reply,
    record,
    reply_class,
    reply_options,
    with_extended_error,
)


def asked(name: str = "ReViEwS.prod.global.", *, flags: int = dns.flags.RD, edns: int = -1, **more: object) -> Query:
    """The parsed query."""
    message = dns.message.make_query(name, "A", id=0xBEEF, use_edns=edns, **more)  # type: ignore[arg-type]
    message.flags = dns.flags.Flag(flags)
    query = parse_query(message.to_wire())
    assert query is not None
    return query


def addresses(count: int) -> Section:
    """`count` A records of the question's name."""
    return Section(count, b"".join(record(TYPE_A, 30, bytes((192, 0, 2, i))) for i in range(count)))


@pytest.mark.parametrize("rcode", [NOERROR, FORMERR, SERVFAIL, NXDOMAIN, REFUSED])
def test_the_reply_echoes_id_question_and_rd(rcode: int) -> None:
    """Id, question (with its letter case) and RD are the query's; QR is set (rows 1 and 9)."""
    query = asked()
    reply = dns.message.from_wire(build_reply(query, rcode))
    assert (reply.id, reply.rcode()) == (0xBEEF, rcode)
    assert reply.question[0].name.to_text() == "ReViEwS.prod.global."
    assert reply.flags & (dns.flags.QR | dns.flags.RD) == dns.flags.QR | dns.flags.RD


@pytest.mark.parametrize(
    ("asked_flags", "kept"), [(0x0100, 0x0100), (0, 0), (0x0010, 0x0010), (0x0070, 0x0010), (0x0620, 0)]
)
def test_rd_and_cd_are_copied_and_nothing_else(asked_flags: int, kept: int) -> None:
    """RD and CD come back (RFC 4035 3.2.2); AA, TC, Z and AD of a query do not (row 1)."""
    reply = build_reply(asked(flags=asked_flags), NOERROR)
    assert (reply[2] << 8 | reply[3]) & 0x0770 == kept


def test_an_unknown_opcode_comes_back_in_a_bare_header() -> None:
    """NOTIMP is a header with the opcode, without AA (row 12), and without RA, which is about queries."""
    query = parse_query(b"\xbe\xef\x78\x00" + b"\0" * 8)
    assert query is not None
    assert build_reply(query, NOTIMP, aa=False) == b"\xbe\xef\xf8\x04" + b"\0" * 8


@pytest.mark.parametrize("edns", [-1, 0])
def test_an_opt_answers_an_opt(edns: int) -> None:
    """OPT in the query means OPT in the reply: version 0, size 1232 (row 39)."""
    reply = dns.message.from_wire(build_reply(asked(edns=edns), REFUSED))
    assert (reply.edns, reply.payload) == ((0, 1232) if edns == 0 else (-1, 0))


def test_badvers_is_an_extended_rcode() -> None:
    """RCODE 16 stands in header and OPT; no AA, no data, version 0 (row 40)."""
    reply = dns.message.from_wire(build_reply(asked(edns=0), BADVERS, aa=True))
    assert (reply.rcode(), reply.edns, bool(reply.flags & dns.flags.AA)) == (dns.rcode.BADVERS, 0, False)


def test_do_comes_back() -> None:
    """DO is copied into the reply's OPT (row 46)."""
    assert dns.message.from_wire(build_reply(asked(edns=0, want_dnssec=True), NOERROR)).ednsflags == dns.flags.DO


def test_an_extended_error_carries_its_code_and_text() -> None:
    """RFC 8914: INFO-CODE and EXTRA-TEXT."""
    query = asked(edns=0)
    extra = reply_options(query, ede=14, text=b"the mesh has not been read yet")
    found = dns.message.from_wire(build_reply(query, SERVFAIL, edns_options=extra)).extended_errors()
    assert [(int(error.code), error.text) for error in found] == [(14, "the mesh has not been read yet")]


def test_nsid_comes_only_where_asked() -> None:
    """NSID answers NSID (row 47)."""
    wanted = asked(edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")])
    assert reply_options(wanted, nsid=b"east-1") == b"\x00\x03\x00\x06east-1"
    assert reply_options(asked(edns=0), nsid=b"east-1") == b""


def test_keepalive_comes_only_over_tcp_and_where_asked() -> None:
    """The timeout, in units of 100 ms, answers the option; 0 stands for UDP (row 50)."""
    wanted = asked(edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType(11), b"")])
    assert reply_options(wanted, keepalive=100) == b"\x00\x0b\x00\x02\x00\x64"
    assert reply_options(wanted, keepalive=0) == reply_options(asked(edns=0), keepalive=100) == b""


@pytest.mark.parametrize("edns", [-1, 0])
def test_truncation_keeps_question_and_opt(edns: int) -> None:
    """TC with question and OPT and no partial RRset (row 44)."""
    query = asked(edns=edns, payload=512) if edns == 0 else asked()
    wire = build_reply(query, NOERROR, answer=addresses(60), aa=True)
    reply = dns.message.from_wire(wire)
    assert len(wire) <= 512
    assert (bool(reply.flags & dns.flags.TC), len(reply.question), reply.answer, reply.edns) == (True, 1, [], edns)


TEXT: Final = b"last known data of 45 clusters, each of which has a name of ordinary length; see meshdns get"
SHORT: Final = "last known data of 45 clusters, each of which has a name of o..."
NSID: Final = b"east-1"
COOKIE: Final = b"c" * 24
FITTING: Final = {
    # case: records, UDP size, extended errors and NSID in the reply; without them 27 records are 508 bytes
    "all but the text's end": (10, 512, [SHORT], True),
    "no text": (26, 512, [""], True),
    "no error": (26, 505, [], True),
    "no NSID": (27, 512, [], False),
    "nothing was in the way": (0, 1232, [SHORT], True),
}


@pytest.mark.parametrize("case", FITTING)
def test_what_is_said_gives_way_to_data(case: str) -> None:
    """The text first, then the extended error, then NSID, before any record (RFC 8914 section 3); the cookie stays."""
    count, size, texts, has_nsid = FITTING[case]
    query = asked(edns=0, payload=size, options=[dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")])
    query.udp_size = size
    query.reply_cookie = COOKIE
    extra = reply_options(query, ede=3, text=TEXT, nsid=NSID)
    wire = build_reply(query, NOERROR, answer=addresses(count), edns_options=extra)
    reply = dns.message.from_wire(wire)
    assert len(wire) <= size
    assert (bool(reply.flags & dns.flags.TC), len(reply.answer[0]) if count else 0) == (False, count)
    assert [error.text or "" for error in reply.extended_errors()] == texts
    options = {int(option.otype): option for option in reply.options}
    assert (3 in options, 10 in options) == (has_nsid, True)


def test_a_truncated_reply_says_why_again() -> None:
    """If data does not fit without them either, error and NSID have room."""
    query = asked(edns=0, payload=512)
    wire = build_reply(query, NOERROR, answer=addresses(60), edns_options=reply_options(query, ede=3, text=TEXT))
    reply = dns.message.from_wire(wire)
    assert (bool(reply.flags & dns.flags.TC), reply.answer) == (True, [])
    assert [error.text for error in reply.extended_errors()] == [SHORT]


def test_over_tcp_the_text_is_whole_and_bounded() -> None:
    """64 characters are for UDP; over TCP 512 tell of some clusters, not of all that an attacker can add."""
    query = asked(edns=0)
    for text, shown in ((TEXT, TEXT.decode()), (b"x" * 60_000, "x" * 509 + "...")):
        extra = reply_options(query, ede=3, text=text)
        reply = dns.message.from_wire(build_reply(query, NOERROR, answer=addresses(9), edns_options=extra, tcp=True))
        assert [error.text for error in reply.extended_errors()] == [shown]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a reason of ordinary length", "a reason of ordinary length"),
        (
            "known in cluster north, but it is not exported to all; see meshdns explain",
            "known in cluster north, but it is not exported to all",
        ),
        ("ä" * 40, "ä" * 30 + "..."),
        ("a; " + "x" * 80, "a; " + "x" * 58 + "..."),
    ],
    ids=["short", "advice", "umlauts", "an early semicolon"],
)
def test_a_text_over_udp_loses_its_advice_first(text: str, shown: str) -> None:
    """64 bytes of UTF-8, cut between characters."""
    query = asked(edns=0)
    extra = reply_options(query, ede=0, text=text.encode())
    for wire in (
        build_reply(query, SERVFAIL, edns_options=extra),
        with_extended_error(build_reply(query, SERVFAIL), 0, text.encode(), limit=512),
    ):
        assert [error.text for error in dns.message.from_wire(wire).extended_errors()] == [shown]


def test_tcp_is_never_truncated() -> None:
    """A stream carries the whole RRset."""
    reply = dns.message.from_wire(build_reply(asked(), NOERROR, answer=addresses(60), tcp=True))
    assert (reply.flags & dns.flags.TC, len(reply.answer[0])) == (0, 60)


@pytest.mark.parametrize(("count", "truncated"), [(29, False), (30, True)])
def test_the_limit_is_the_last_octet(count: int, *, truncated: bool) -> None:
    """37 octets of header and question and 29 records of 16 are 501; one more is over 512."""
    wire = build_reply(asked(), NOERROR, answer=addresses(count))
    assert bool(dns.message.from_wire(wire).flags & dns.flags.TC) is truncated


def test_records_point_at_the_question() -> None:
    """An owner is a pointer to the question, so that any letter case fits."""
    assert record(TYPE_A, 30, b"\xc0\0\2\1") == QUESTION_POINTER + b"\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\1"


def test_an_opt_counts_its_options() -> None:
    """RDLENGTH is the octets of the options."""
    assert build_opt(asked(edns=0), NOERROR, b"abcd") == b"\0\0\x29\x04\xd0\0\0\0\0\0\4abcd"


def _foreign_reply(rcode: str, answers: int, *, tc: bool = False, soa: bool = False) -> bytes:
    out = dns.message.make_response(dns.message.make_query("www.example", "A"))
    out.set_rcode(dns.rcode.from_text(rcode))
    for number in range(answers):
        out.answer.append(dns.rrset.from_text(f"{number}.example.", 60, "IN", "A", "192.0.2.1"))
    if soa:
        out.authority.append(dns.rrset.from_text("example.", 60, "IN", "SOA", "ns.example. a.example. 1 2 3 4 5"))
    if tc:
        out.flags |= dns.flags.TC
    return out.to_wire()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (_foreign_reply("NOERROR", 1), ReplyClass.ANSWER),
        (_foreign_reply("NOERROR", 1, soa=True), ReplyClass.ANSWER),
        (_foreign_reply("NOERROR", 256), ReplyClass.ANSWER),
        (_foreign_reply("NOERROR", 0, tc=True), ReplyClass.ANSWER),
        (_foreign_reply("NOERROR", 0), ReplyClass.EMPTY),
        (_foreign_reply("NOERROR", 0, soa=True), ReplyClass.DENIAL),
        (_foreign_reply("NXDOMAIN", 0), ReplyClass.DENIAL),
        (_foreign_reply("NXDOMAIN", 1), ReplyClass.DENIAL),
        (_foreign_reply("SERVFAIL", 0), ReplyClass.ERROR),
        (_foreign_reply("REFUSED", 0), ReplyClass.ERROR),
        (_foreign_reply("FORMERR", 0), ReplyClass.ERROR),
    ],
    ids=lambda value: value.name if isinstance(value, ReplyClass) else "",  # messages have random ids
)
def test_the_class_of_a_reply(reply: bytes, expected: ReplyClass) -> None:
    """By RCODE and counts."""
    assert reply_class(reply) is expected
