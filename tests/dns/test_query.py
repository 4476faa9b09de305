"""The query parser against the conformance rows of the wire format: what is silent, refused, or may be answered."""

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshdns.dns.codes import BADVERS, FORMERR, NOERROR, NOTIMP, REFUSED
from meshdns.dns.query import HEADER_SIZE, Query, parse_query

NAME = b"\x07reviews\x04prod\x06global\x00"
QUESTION = NAME + b"\x00\x01\x00\x01"


def header(*, flags: int = 0x0100, qd: int = 1, an: int = 0, ns: int = 0, ar: int = 0) -> bytes:
    """A header with id 0x4D44."""
    return b"MD" + b"".join(field.to_bytes(2, "big") for field in (flags, qd, an, ns, ar))


def opt(
    *options: tuple[int, bytes],
    size: int = 1232,
    version: int = 0,
    flags: int = 0,
    owner: bytes = b"\0",
    overrun: int = 0,
) -> bytes:
    """An OPT record (RFC 6891 6.1.2); `overrun` octets more are claimed than there are."""
    rdata = b"".join(code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value for code, value in options)
    fixed = b"\x00\x29" + size.to_bytes(2, "big") + bytes((0, version)) + flags.to_bytes(2, "big")
    return owner + fixed + (len(rdata) + overrun).to_bytes(2, "big") + rdata


def asked(qtype: int, qclass: int = 1) -> bytes:
    """The question for the name with another type or class."""
    return NAME + qtype.to_bytes(2, "big") + qclass.to_bytes(2, "big")


def labels(*lengths: int) -> bytes:
    """A name of labels of these lengths."""
    return b"".join(bytes((length,)) + b"x" * length for length in lengths) + b"\0"


A_IN = b"\x00\x01\x00\x01"
PLAIN = header() + QUESTION
ONE_MORE = header(ar=1) + QUESTION

SILENT = {
    "row 4: no octet": b"",
    "row 4: one octet": b"M",
    "row 4: eleven octets": header()[:11],
    "row 3: a response": header(flags=0x8180) + QUESTION,
    "row 3: a response with another opcode": header(flags=0xF800) + QUESTION,
    "row 3: a response of a header alone": header(flags=0x8000, qd=0),
}

REFUSED_QUERIES: dict[str, tuple[bytes, int, bool, bool]] = {
    # row: message, RCODE, whether the question can be echoed, whether the reply carries an OPT
    "row 2: no question": (header(qd=0), FORMERR, False, False),
    "row 2: two questions": (header(qd=2) + QUESTION + QUESTION, FORMERR, False, False),
    "row 2: 65535 questions": (header(qd=65535) + QUESTION, FORMERR, False, False),
    "row 5: a label without its octets": (header() + b"\x3fabc", FORMERR, False, False),
    "row 5: a name of 256 octets": (header() + labels(63, 63, 63, 62) + A_IN, FORMERR, False, False),
    "row 5: a name of 128 labels": (header() + labels(*[1] * 128) + A_IN, FORMERR, False, False),
    "row 5: no root label": (header() + NAME[:-1], FORMERR, False, False),
    "row 5: no type": (header() + NAME, FORMERR, False, False),
    "row 5: half a class": (PLAIN[:-1], FORMERR, False, False),
    "row 6: label type 01": (header() + b"\x41" + b"x" * 65 + b"\0" + A_IN, FORMERR, False, False),
    "row 6: label type 10": (header() + b"\x81" + b"x" * 129 + b"\0" + A_IN, FORMERR, False, False),
    "row 7: a pointer to itself": (header() + b"\xc0\x0c" + A_IN, FORMERR, False, False),
    "row 7: a pointer forward": (header() + b"\xc0\x14" + A_IN + NAME, FORMERR, False, False),
    "row 7: a pointer into the header": (header() + b"\xc0\x00" + A_IN, FORMERR, False, False),
    "row 7: a pointer behind a label": (header() + b"\x01a\xc0\x0c" + A_IN, FORMERR, False, False),
    "row 11: an answer": (header(an=1) + QUESTION + b"\xc0\x0c" + A_IN + b"\0" * 6, FORMERR, False, False),
    "row 11: an authority": (header(ns=1) + QUESTION + b"\xc0\x0c" + A_IN + b"\0" * 6, FORMERR, False, False),
    "row 11: an additional record": (ONE_MORE + b"\xc0\x0c" + A_IN + b"\0" * 6, FORMERR, True, False),
    "row 11: 65535 additional records in 40 octets": (header(ar=65535) + QUESTION + b"\0" * 40, FORMERR, True, False),
    "row 12: opcode 15": (header(flags=0x7800, qd=0), NOTIMP, False, False),
    "row 13: IQUERY": (header(flags=0x0800) + QUESTION, NOTIMP, False, False),
    "row 13: STATUS": (header(flags=0x1000) + QUESTION, NOTIMP, False, False),
    "row 13: NOTIFY": (header(flags=0x2000) + QUESTION, NOTIMP, False, False),
    "row 13: UPDATE": (header(flags=0x2800) + asked(6), NOTIMP, False, False),
    "row 14: DSO": (header(flags=0x3000, qd=0), NOTIMP, False, False),
    "row 15: class CH": (header() + asked(1, 3), REFUSED, True, False),
    "row 15: class HS": (header() + asked(1, 4), REFUSED, True, False),
    "row 15: class NONE": (header() + asked(1, 254), REFUSED, True, False),
    "row 15: class ANY": (header() + asked(1, 255), REFUSED, True, False),
    "row 15: class 0": (header() + asked(1, 0), REFUSED, True, False),
    "row 16: OPT": (header() + asked(41), FORMERR, True, False),
    "row 16: TKEY": (header() + asked(249), FORMERR, True, False),
    "row 16: TSIG": (header() + asked(250), FORMERR, True, False),
    "row 16: MAILB": (header() + asked(253), FORMERR, True, False),
    "row 16: MAILA": (header() + asked(254), FORMERR, True, False),
    "row 16: IXFR": (header() + asked(251), REFUSED, True, False),
    "row 16: AXFR": (header() + asked(252), REFUSED, True, False),
    "row 17: version.bind CH TXT": (header() + b"\x07version\x04bind\0\x00\x10\x00\x03", REFUSED, True, False),
    "row 17: id.server CH TXT": (header() + b"\x02id\x06server\0\x00\x10\x00\x03", REFUSED, True, False),
    "row 39: OPT on REFUSED": (header(ar=1) + asked(1, 3) + opt(), REFUSED, True, True),
    "row 39: OPT on FORMERR": (header(ar=1) + asked(250) + opt(), FORMERR, True, True),
    "row 40: version 1": (ONE_MORE + opt(version=1), BADVERS, True, True),
    "row 40: version 255 with an option": (ONE_MORE + opt((100, b""), version=255), BADVERS, True, True),
    "row 40: version 1 with a flag": (ONE_MORE + opt(version=1, flags=0x0040), BADVERS, True, True),
    "row 42: two OPTs": (header(ar=2) + QUESTION + opt() + opt(), FORMERR, True, False),
    "row 42: an OPT with an owner": (ONE_MORE + opt(owner=b"\x01a\0"), FORMERR, True, False),
    "row 42: RDLENGTH past the end": (ONE_MORE + opt(overrun=1), FORMERR, True, True),
    "row 42: an option past RDLENGTH": (ONE_MORE + opt()[:-2] + b"\x00\x04\x00\x03\x00\x01", FORMERR, True, True),
    "row 42: three octets of an option": (ONE_MORE + opt()[:-2] + b"\x00\x03\x00\x03\x00", FORMERR, True, True),
    "row 42: half an OPT": (ONE_MORE + opt()[:9], FORMERR, True, False),
    "row 42: no OPT where one is counted": (ONE_MORE, FORMERR, True, False),
    "row 48: a cookie of two octets": (ONE_MORE + opt((10, b"\1\2")), FORMERR, True, True),
    "row 48: an empty cookie": (ONE_MORE + opt((10, b"")), FORMERR, True, True),
    "row 48: a cookie of 15 octets": (ONE_MORE + opt((10, b"x" * 15)), FORMERR, True, True),
    "row 48: a cookie of 41 octets": (ONE_MORE + opt((10, b"x" * 41)), FORMERR, True, True),
}

ANSWERED: dict[str, bytes] = {
    "row 1: Z and AD set": header(flags=0x0170) + QUESTION,
    "row 5: a name of 255 octets": header() + labels(63, 63, 63, 61) + A_IN,
    "row 5: a name of 127 labels": header() + labels(*[1] * 127) + A_IN,
    "row 5: the root": header() + b"\0" + A_IN,
    "row 8: any octet in a label": header() + b"\x03\xff\x00\x2e\x06global\0" + A_IN,
    "row 10: twenty octets behind the message": PLAIN + b"\xaa" * 20,
    "row 10: octets behind the OPT": ONE_MORE + opt() + b"\xaa" * 20,
    "row 19: TYPE1000": header() + asked(1000),
    "row 35: ANY": header() + asked(255),
    "row 41: an unknown option": ONE_MORE + opt((100, b"abc")),
    "row 41: an unknown flag": ONE_MORE + opt(flags=0x0040),
    "row 48: a client cookie": ONE_MORE + opt((10, b"x" * 8)),
    "row 48: a client and a server cookie": ONE_MORE + opt((10, b"x" * 40)),
    "row 54: 300 empty options": ONE_MORE + opt(*[(100, b"")] * 300),
    "row 54: 50 of NSID, cookie and padding": ONE_MORE + opt(*[(3, b""), (10, b"x" * 8), (12, b"\0" * 8)] * 50),
}


def parsed(data: bytes) -> Query:
    """The query; it must not be silence."""
    query = parse_query(data)
    assert query is not None
    return query


@pytest.mark.parametrize("case", SILENT)
def test_silence(case: str) -> None:
    """What is shorter than a header, or a response, is never answered."""
    assert parse_query(SILENT[case]) is None


@pytest.mark.parametrize("case", REFUSED_QUERIES)
def test_refusals(case: str) -> None:
    """A query that may not be answered says with which RCODE, and what its reply can echo."""
    data, rcode, echo, edns = REFUSED_QUERIES[case]
    query = parsed(data)
    assert (query.error_rcode, query.question_end > HEADER_SIZE, query.edns) == (rcode, echo, edns)


@pytest.mark.parametrize("case", ANSWERED)
def test_what_may_be_answered(case: str) -> None:
    """A well-formed query of class IN has no fault, whatever it asks for and drags along."""
    assert parsed(ANSWERED[case]).error_rcode == NOERROR


def test_the_question_ends_where_trailing_octets_begin() -> None:
    """Octets behind the message are no part of what is echoed (row 10)."""
    query = parsed(PLAIN + b"\xaa" * 20)
    assert query.data[: query.question_end] == PLAIN


def test_letter_case_is_kept_and_folded_beside() -> None:
    """The question keeps its case (row 9); the lookup name folds ASCII letters and nothing else (row 8)."""
    query = parsed(header() + b"\x06GlObAl\x03\xc4\xd6[\x00" + A_IN)
    assert (query.qname, query.qname_lower) == (b"\x06GlObAl\x03\xc4\xd6[\0", b"\x06global\x03\xc4\xd6[\0")


@pytest.mark.parametrize(
    ("advertised", "taken"),
    [(0, 512), (100, 512), (511, 512), (512, 512), (1000, 1000), (1232, 1232), (1233, 1232), (65535, 1232)],
)
def test_the_udp_size_has_bounds(advertised: int, taken: int) -> None:
    """Less than 512 means 512, and no reply over UDP is larger than 1232 octets (row 43)."""
    assert parsed(ONE_MORE + opt(size=advertised)).udp_size == taken


def test_without_edns_a_reply_has_512_octets() -> None:
    """A client without EDNS takes 512 octets (RFC 1035 2.3.4)."""
    assert parsed(PLAIN).udp_size == 512


def test_do_is_read_from_the_opt_alone() -> None:
    """DO is the top bit of the OPT's flags (row 46)."""
    assert [parsed(ONE_MORE + opt(flags=flags)).do for flags in (0x8000, 0x7FFF)] == [True, False]


@pytest.mark.parametrize("options", [[(3, b"")], [(100, b"ab"), (3, b"")], [(3, b""), (100, b"ab")]])
def test_nsid_is_seen_wherever_it_stands(options: list[tuple[int, bytes]]) -> None:
    """NSID is the zero-length option of a query: alone, first or last (row 47)."""
    assert parsed(ONE_MORE + opt(*options)).nsid


def test_nsid_is_seen_only_where_it_was_asked_for() -> None:
    """Another option does not ask for NSID (row 47)."""
    assert not parsed(ONE_MORE + opt((100, b"\0\3\0\0"))).nsid


def test_the_first_cookie_counts() -> None:
    """RFC 7873 5.2: only the first one is considered; all others are ignored, even malformed ones."""
    assert parsed(ONE_MORE + opt((10, b"A" * 8), (10, b"B" * 8))).cookie == b"A" * 8
    second_malformed = parsed(ONE_MORE + opt((10, b"A" * 8), (10, b"B" * 7)))
    assert (second_malformed.error_rcode, second_malformed.cookie) == (NOERROR, b"A" * 8)
    assert parsed(ONE_MORE + opt((10, b"A" * 7), (10, b"B" * 8))).error_rcode == FORMERR


@given(st.binary(max_size=600))
@example(b"\0" * 12)
def test_any_octets_are_parsed_without_raising(data: bytes) -> None:
    """Nothing from the network raises, and what is echoed lies inside the message."""
    query = parse_query(data)
    assert query is None or HEADER_SIZE <= query.question_end <= len(data)


@given(st.binary(max_size=120), st.integers(0, 2), st.sampled_from([0x0000, 0x0100, 0x0120]))
def test_any_octets_behind_a_good_header_are_parsed_without_raising(body: bytes, ar: int, flags: int) -> None:
    """Bad questions and bad OPTs give a fault, never an exception."""
    query = parsed(header(flags=flags, ar=ar) + body)
    assert query.error_rcode in (NOERROR, FORMERR, REFUSED, BADVERS)


LABEL = st.binary(min_size=1, max_size=20)


@given(
    st.lists(LABEL, max_size=6),
    st.integers(0, 65535).filter(lambda number: number not in (0, 41)),
    st.one_of(st.none(), st.tuples(st.integers(0, 65535), st.booleans(), st.binary(max_size=9))),
    st.integers(0, 65535),
)
def test_accepted_queries_read_as_dnspython_reads_them(
    name: list[bytes], qtype: int, edns: tuple[int, bool, bytes] | None, ident: int
) -> None:
    """Name, type, class, EDNS size and DO agree with another decoder."""
    message = dns.message.Message(id=ident)
    message.flags = dns.flags.RD
    message.find_rrset(
        message.question, dns.name.Name([*name, b""]), dns.rdataclass.IN, dns.rdatatype.RdataType(qtype), create=True
    )
    if edns is not None:
        size, do, option = edns
        message.use_edns(
            0,
            dns.flags.DO if do else 0,
            size,
            options=[dns.edns.GenericOption(dns.edns.OptionType.make(65001), option)],
        )
    query = parsed(message.to_wire())
    oracle = dns.message.from_wire(message.to_wire())
    asked_for = oracle.question[0]
    assert query.qname == asked_for.name.to_wire()
    assert (query.qtype, query.qclass) == (asked_for.rdtype, asked_for.rdclass)
    assert query.edns == (oracle.edns == 0)
    assert query.do == bool(oracle.ednsflags & dns.flags.DO)
    assert query.udp_size == (min(max(oracle.payload, 512), 1232) if query.edns else 512)


@given(st.binary(min_size=17, max_size=80))
def test_what_is_accepted_another_decoder_accepts_too(body: bytes) -> None:
    """No message passes here that dnspython finds malformed."""
    data = header() + body
    query = parsed(data)
    if query.error_rcode == NOERROR:
        oracle = dns.message.from_wire(data, ignore_trailing=True)
        assert oracle.question[0].name.to_wire() == query.qname
