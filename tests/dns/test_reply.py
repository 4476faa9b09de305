"""Replies of upstreams: what echoes the question, what is malformed, what is believed."""

import time

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns import reply as replies
from meshdns.dns.compression import MAX_LABELS, MAX_NAME_SIZE, MalformedError, NameReader
from meshdns.dns.fast_reply import read_address_reply
from meshdns.dns.query import parse_query
from meshdns.dns.reply import MAX_RECORDS, MAX_TTL, Reply, ReplyKind, is_reply_to, parse_reply
from meshdns.forwarding.client_reply import forwarded_reply

SOA = "example. 900 IN SOA ns.example. root.example. 1 2 3 4 60"


def question(name: str = "www.example.", rtype: str = "A") -> bytes:
    """Lower-case wire name, type and class."""
    wired = dns.message.make_query(name, rtype).to_wire()[12:]
    return wired[:-4].lower() + wired[-4:]  # the type of HTTPS is a capital letter


def wire(
    *answer: str,
    authority: tuple[str, ...] = (),
    additional: tuple[str, ...] = (),
    rcode: int = 0,
    name: str = "www.example.",
    rtype: str = "A",
    edns: int = -1,
) -> bytes:
    """A reply with id 7, each section in presentation format, as a real encoder compresses it."""
    out = dns.message.make_response(dns.message.make_query(name, rtype, id=7), recursion_available=True)
    out.use_edns(edns)
    out.set_rcode(dns.rcode.Rcode(rcode))
    for section, lines in ((out.answer, answer), (out.authority, authority), (out.additional, additional)):
        for line in lines:
            owner, ttl, rclass, kind, rdata = line.split(None, 4)
            section.append(dns.rrset.from_text(owner, int(ttl), rclass, kind, rdata))
    return out.to_wire(max_size=65_535)


def shown(reply: Reply, name: str = "www.example.", rtype: str = "A") -> tuple[list[str], list[str]]:
    """Answer and authority as dnspython reads them behind the question."""
    query = parse_query(dns.message.make_query(name, rtype, use_edns=0, want_dnssec=True).to_wire())
    assert query is not None
    message = dns.message.from_wire(forwarded_reply(query, reply, age=0, tcp=True))
    sections = [
        [
            f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
            for rrset in section
            for rdata in rrset
        ]
        for section in (message.answer, message.authority)
    ]
    return sections[0], sections[1]


A = "www.example. 300 IN A 192.0.2.1"
RRSIG = "{} 300 IN RRSIG {} 8 2 300 20300101000000 20200101000000 1 example. AAAA"
NSEC = "a.example. 60 IN NSEC z.example. A"

BELIEVED: dict[str, tuple[bytes, ReplyKind, int, list[str], list[str]]] = {
    # case: message, kind, lifetime, answer and authority as relayed
    "an answer": (wire(A), ReplyKind.POSITIVE, 300, ["www.example. 300 A 192.0.2.1"], []),
    "an answer with OPT": (wire(A, edns=0), ReplyKind.POSITIVE, 300, ["www.example. 300 A 192.0.2.1"], []),
    "authority and additional are cut": (
        wire(A, authority=("example. 60 IN NS ns.example.",), additional=("ns.example. 60 IN A 192.0.2.66",)),
        ReplyKind.POSITIVE,
        300,
        ["www.example. 300 A 192.0.2.1"],
        [],
    ),
    "a chain": (
        wire("www.example. 300 IN CNAME b.example.", "b.example. 20 IN A 192.0.2.1"),
        ReplyKind.POSITIVE,
        20,
        ["www.example. 300 CNAME b.example.", "b.example. 20 A 192.0.2.1"],
        [],
    ),
    "a chain by DNAME": (
        wire(
            "example. 300 IN DNAME other.",
            "www.example. 0 IN CNAME www.other.",
            "www.other. 20 IN A 192.0.2.1",
        ),
        ReplyKind.POSITIVE,
        0,
        ["example. 300 DNAME other.", "www.example. 0 CNAME www.other.", "www.other. 20 A 192.0.2.1"],
        [],
    ),
    "a chain that ends in nothing": (
        wire("www.example. 300 IN CNAME b.example.", authority=(SOA,)),
        ReplyKind.NODATA,
        60,
        ["www.example. 300 CNAME b.example."],
        ["example. 60 SOA ns.example. root.example. 1 2 3 4 60"],
    ),
    "a foreign owner between answers": (
        wire(A, "bank.example. 9 IN A 192.0.2.66", "www.example. 300 IN A 192.0.2.2"),
        ReplyKind.POSITIVE,
        300,
        ["www.example. 300 A 192.0.2.1", "www.example. 300 A 192.0.2.2"],
        [],
    ),
    "a foreign owner that the answer is compressed against": (
        wire("far.away. 9 IN NS ns.far.away.", "www.example. 300 IN CNAME far.away.", "far.away. 5 IN A 192.0.2.1"),
        ReplyKind.POSITIVE,
        5,
        ["www.example. 300 CNAME far.away.", "far.away. 5 A 192.0.2.1"],
        [],
    ),
    "a type that was not asked for": (
        wire(A, "www.example. 9 IN TXT boo"),
        ReplyKind.POSITIVE,
        300,
        ["www.example. 300 A 192.0.2.1"],
        [],
    ),
    "data at a name that has a CNAME": (
        wire("www.example. 300 IN CNAME b.example.", A, "b.example. 300 IN A 192.0.2.9"),
        ReplyKind.POSITIVE,
        300,
        ["www.example. 300 CNAME b.example.", "b.example. 300 A 192.0.2.9"],
        [],
    ),
    "a denial": (
        wire(authority=(SOA,), rcode=3),
        ReplyKind.NXDOMAIN,
        60,
        [],
        ["example. 60 SOA ns.example. root.example. 1 2 3 4 60"],
    ),
    "a denial with long times": (
        wire(authority=("example. 99999 IN SOA a. b. 1 2 3 4 99999",), rcode=3),
        ReplyKind.NXDOMAIN,
        3600,
        [],
        ["example. 3600 SOA a. b. 1 2 3 4 99999"],
    ),
    "a denial without SOA": (wire(rcode=3), ReplyKind.NXDOMAIN, 5, [], []),
    "a denial by a foreign SOA": (
        wire(authority=("other. 900 IN SOA a. b. 1 2 3 4 60",), rcode=3),
        ReplyKind.NXDOMAIN,
        5,
        [],
        [],
    ),
    "a type that is not there": (
        wire(authority=("example. 60 IN NS ns.example.", SOA)),
        ReplyKind.NODATA,
        60,
        [],
        ["example. 60 SOA ns.example. root.example. 1 2 3 4 60"],
    ),
    "nothing at all": (wire(), ReplyKind.NODATA, 5, [], []),
    "a signature for a client without DO": (
        wire(A, RRSIG.format("www.example.", "A")),
        ReplyKind.POSITIVE,
        300,
        ["www.example. 300 A 192.0.2.1"],
        [],
    ),
    "a referral": (wire(authority=("example. 60 IN NS ns.example.",)), ReplyKind.FAILURE, 0, [], []),
    "SERVFAIL": (wire(A, rcode=2), ReplyKind.FAILURE, 0, [], []),
    "an extended rcode": (wire(rcode=16, edns=0), ReplyKind.FAILURE, 0, [], []),
}


@pytest.mark.parametrize("case", BELIEVED)
def test_what_is_believed_of_a_well_formed_reply(case: str) -> None:
    """Kind, lifetime, and the records that are relayed."""
    message, kind, ttl, answer, authority = BELIEVED[case]
    assert is_reply_to(message, 7, question())
    reply = parse_reply(message, question())
    assert reply is not None
    assert (reply.kind, reply.ttl) == (kind, ttl)
    shown_answer, shown_authority = shown(reply)
    assert shown_answer == answer
    assert shown_authority == authority


def test_signatures_of_an_answer_are_kept_for_a_validating_client() -> None:
    """With DO, those over the question's own chain stay."""
    signatures = (RRSIG.format("www.example.", "A"), RRSIG.format("bank.example.", "A"))
    reply = parse_reply(wire(A, *signatures), question(), dnssec=True)
    assert reply is not None
    assert [line.split()[:3] for line in shown(reply)[0]] == [
        ["www.example.", "300", "A"],
        ["www.example.", "300", "RRSIG"],
    ]


def test_the_proofs_of_a_denial_are_kept_for_a_validating_client() -> None:
    """With DO, NSEC and the signatures over NSEC and SOA stay; the signature over NS does not."""
    signatures = tuple(
        RRSIG.format(owner, covered)
        for owner, covered in (("example.", "SOA"), ("a.example.", "NSEC"), ("example.", "NS"))
    )
    message = wire(authority=(SOA, NSEC, *signatures), rcode=3)
    plain, proven = parse_reply(message, question()), parse_reply(message, question(), dnssec=True)
    assert plain is not None
    assert proven is not None
    assert [line.split()[2] for line in shown(plain)[1]] == ["SOA"]
    assert sorted(line.split()[2] for line in shown(proven)[1]) == ["NSEC", "RRSIG", "RRSIG", "SOA"]


TTLS = {0: 0, 1: 1, 86_400: 86_400, 86_401: 86_400, 0x7FFFFFFF: 86_400, 0x80000000: 0, 0xFFFFFFFF: 0}


@pytest.mark.parametrize("ttl", TTLS)
def test_ttls_are_capped_and_the_top_bit_means_0(ttl: int) -> None:
    """RFC 2181 section 8, in the lifetime and in what is relayed."""
    message = wire(A).replace(b"\x00\x00\x01\x2c", ttl.to_bytes(4, "big"))
    reply = parse_reply(message, question())
    assert reply is not None
    assert reply.ttl == TTLS[ttl]
    assert shown(reply)[0] == [f"www.example. {TTLS[ttl]} A 192.0.2.1"]


GOOD = wire(A, edns=0)
QUESTION_END = 12 + len(question())


UNEQUAL: dict[str, tuple[bytes, int, list[str], list[str]]] = {
    # case: message, lifetime, answer and authority as relayed to a client with DO
    "addresses": (
        wire("www.example. 300 IN A 192.0.2.1", "www.example. 20 IN A 192.0.2.2", "www.example. 60 IN A 192.0.2.3"),
        20,
        ["www.example. 20 A 192.0.2.1", "www.example. 20 A 192.0.2.2", "www.example. 20 A 192.0.2.3"],
        [],
    ),
    "the lowest last": (
        wire("www.example. 300 IN A 192.0.2.1", "www.example. 20 IN A 192.0.2.2"),
        20,
        ["www.example. 20 A 192.0.2.1", "www.example. 20 A 192.0.2.2"],
        [],
    ),
    "behind an alias, which is an RRset of its own": (
        wire("www.example. 300 IN CNAME b.example.", "b.example. 20 IN A 192.0.2.1", "B.example. 60 IN A 192.0.2.2"),
        20,
        ["www.example. 300 CNAME b.example.", "b.example. 20 A 192.0.2.1", "b.example. 20 A 192.0.2.2"],
        [],
    ),
    "a signature": (
        wire(A, RRSIG.format("www.example.", "A").replace(" 300 IN", " 20 IN", 1)),
        20,
        [
            "www.example. 20 A 192.0.2.1",
            "www.example. 20 RRSIG A 8 2 300 20300101000000 20200101000000 1 example. AAAA",
        ],
        [],
    ),
    "the SOA of a denial": (
        wire(authority=(SOA, RRSIG.format("example.", "SOA")), rcode=3),
        60,
        [],
        [
            "example. 60 SOA ns.example. root.example. 1 2 3 4 60",
            "example. 60 RRSIG SOA 8 2 300 20300101000000 20200101000000 1 example. AAAA",
        ],
    ),
}


@pytest.mark.parametrize("case", UNEQUAL)
def test_an_rrset_is_relayed_with_its_lowest_ttl(case: str) -> None:
    """RFC 2181 5.2: unequal TTLs in an RRset are an error, which a client must not have to judge."""
    message, ttl, answer, authority = UNEQUAL[case]
    reply = parse_reply(message, question(), dnssec=True)
    assert reply is not None
    assert reply.ttl == ttl
    assert shown(reply) == (answer, authority)
    noted = [seconds for part in (reply.answer, reply.authority) for _, seconds in part.ttls]
    assert noted == [int(line.split()[1]) for line in (*answer, *authority)]


def _with(at: int, value: bytes) -> bytes:
    return GOOD[:at] + value + GOOD[at + len(value) :]


STRANGE = {
    "nothing": b"",
    "a short header": GOOD[:11],
    "a header alone": GOOD[:12],
    "another id": _with(0, b"\x00\x08"),
    "a query": _with(2, b"\x01"),
    "another opcode": _with(2, b"\x89"),
    "no question": _with(4, b"\x00\x00"),
    "two questions": _with(4, b"\x00\x02"),
    "many questions": _with(4, b"\x01\x01"),
    "another name": _with(13, b"x"),
    "another type": _with(QUESTION_END - 4, b"\x00\x1c"),
    "another class": _with(QUESTION_END - 2, b"\x00\x03"),
    "a longer name": _with(12, b"\x04"),
    "a question cut short": GOOD[: QUESTION_END - 1],
}


@pytest.mark.parametrize("case", STRANGE)
def test_what_does_not_echo_the_question_is_told_apart(case: str) -> None:
    """RFC 5452 9.1: such a message is ignored, not judged."""
    assert not is_reply_to(STRANGE[case], 7, question())


def test_letter_case_of_the_echo_does_not_matter() -> None:
    """Upstreams may fold case (RFC 4343)."""
    assert is_reply_to(wire(A, name="WWW.Example."), 7, question())


def _record(owner: bytes, rtype: int, rdata: bytes, length: int | None = None) -> bytes:
    size = len(rdata) if length is None else length
    return owner + rtype.to_bytes(2, "big") + b"\x00\x01\x00\x00\x00\x3c" + size.to_bytes(2, "big") + rdata


def _reply(*records: bytes, counts: tuple[int, int, int] | None = None) -> bytes:
    """A reply with the records as its answer section."""
    numbers = counts if counts is not None else (len(records), 0, 0)
    header = b"\x00\x07\x81\x80\x00\x01" + b"".join(number.to_bytes(2, "big") for number in numbers)
    return header + question() + b"".join(records)


OWN = b"\xc0\x0c"
OPT = b"\0\x00\x29\x04\xd0\0\0\0\0\0\0"
HERE = QUESTION_END

MALFORMED = {
    "A of 6 octets": _reply(_record(OWN, 1, bytes(6))),
    "A of 0 octets": _reply(_record(OWN, 1, b"")),
    "AAAA of 4 octets": _reply(_record(OWN, 28, bytes(4))),
    "A that ends the message early": _reply(_record(OWN, 1, bytes(3), 4)),
    "an unknown type that ends the message early": _reply(_record(OWN, 65280, bytes(3), 9)),
    "a record without RDLENGTH": _reply(_record(OWN, 1, bytes(4))[:-5]),
    "a missing record": _reply(_record(OWN, 1, bytes(4)), counts=(2, 0, 0)),
    "a missing additional record": _reply(_record(OWN, 1, bytes(4)), counts=(1, 0, 1)),
    "65,535 records": _reply(_record(OWN, 1, bytes(4)), counts=(65_535, 65_535, 65_535)),
    "CNAME behind its end": _reply(_record(OWN, 5, b"\x01a\x00\x00")),
    "CNAME before its end": _reply(_record(OWN, 5, b"\x01a\x00", 2), _record(OWN, 1, bytes(4))),
    "MX without name": _reply(_record(OWN, 15, b"\x00\x0a")),
    "SRV cut short": _reply(_record(OWN, 33, b"\x00\x01\x00\x01\x00")),
    "SOA with 19 octets of times": _reply(_record(OWN, 6, b"\0\0" + bytes(19))),
    "SOA with one name": _reply(_record(OWN, 6, b"\0" + bytes(20))),
    "a bad address in additional": _reply(
        _record(OWN, 1, bytes(4)), _record(b"\x01x\0", 1, bytes(6)), counts=(1, 0, 1)
    ),
    "a pointer to itself": _reply(_record((0xC000 | HERE).to_bytes(2, "big"), 1, bytes(4))),
    "a pointer forward": _reply(_record((0xC000 | HERE + 20).to_bytes(2, "big"), 1, bytes(4)), bytes(40)),
    "a pointer into the header": _reply(_record(b"\xc0\x02", 1, bytes(4))),
    "a pointer cut in half": _reply(b"\xc0"),
    "two pointers in a ring": _reply(
        _record(b"\x01a" + (0xC000 | HERE).to_bytes(2, "big"), 1, bytes(4)),
    ),
    "a label of type 01": _reply(_record(b"\x41" + bytes(65), 1, bytes(4))),
    "a label of type 10": _reply(_record(b"\x81" + bytes(130), 1, bytes(4))),
    "a name of 256 octets": _reply(_record((b"\x3f" + b"x" * 63) * 3 + b"\x3e" + b"y" * 62 + b"\0", 1, bytes(4))),
    "two OPT": _reply(_record(OWN, 1, bytes(4)), OPT, OPT, counts=(1, 0, 2)),
    "OPT in the answer": _reply(OPT, counts=(1, 0, 0)),
    "OPT below the root": _reply(_record(OWN, 1, bytes(4)), b"\x01x" + OPT, counts=(1, 0, 1)),
    "foreign answers alone": _reply(_record(b"\x01x\0", 1, bytes(4))),
    "a class of its own": _reply(OWN + b"\x00\x01\x00\x03\x00\x00\x00\x3c\x00\x04" + bytes(4)),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_reply_is_refused_whole(case: str) -> None:
    """It echoes the question, but no record of it is believed."""
    assert is_reply_to(MALFORMED[case], 7, question())
    assert parse_reply(MALFORMED[case], question()) is None


def test_what_stands_behind_tc_is_not_read() -> None:
    """RFC 2181 section 9: it may be cut anywhere."""
    assert parse_reply(_with(2, b"\x83")[:-3], question()) == Reply(ReplyKind.TRUNCATED)


def test_octets_behind_the_message_are_not_relayed() -> None:
    """Trailing bytes neither hurt nor travel on."""
    reply, trailed = parse_reply(GOOD, question()), parse_reply(GOOD + b"trailing", question())
    assert reply is not None
    assert trailed is not None
    assert trailed.answer.section.wire == reply.answer.section.wire


def test_unknown_types_are_relayed_octet_by_octet() -> None:
    """RFC 3597 section 3: what looks like a pointer inside unknown RDATA is none."""
    asked = question("www.example.", "TYPE65280")
    message = _reply(_record(OWN, 65280, b"\xc0\xff\xc0\x0c\x00")).replace(question(), asked, 1)
    reply = parse_reply(message, asked)
    assert reply is not None
    assert reply.answer.section.wire == message[QUESTION_END:]


def _seconds(message: bytes, starts: range) -> float:
    """Return the processor time that reading the names at `starts` takes, the least of three runs."""
    least = float("inf")
    for _ in range(3):
        names = NameReader(message)
        began = time.thread_time()
        for at in starts:
            names.read(at)
        least = min(least, time.thread_time() - began)
    return least


def test_a_name_bomb_costs_no_more_than_as_many_plain_names() -> None:
    """Each of 4,000 names leads over all pointers before it; walked anew each time they would cost 1,000 times more."""
    count = 4000
    bomb = bytes(12) + b"\0" + b"".join((0xC000 | max(12, 11 + 2 * i)).to_bytes(2, "big") for i in range(count))
    plain = bytes(12) + b"\1a\0" * count
    assert _seconds(bomb, range(13, 13 + 2 * count, 2)) < 50 * _seconds(plain, range(12, 12 + 3 * count, 3))


def test_the_walk_over_a_message_of_labels_is_cut_off() -> None:
    """65,535 octets of one-octet labels are not all walked."""
    count = 320
    names = NameReader(bytes(12) + (b"\x01a" * 100 + b"\0") * count)
    with pytest.raises(MalformedError):
        list(map(names.read, range(12, 12 + 201 * count, 201)))
    assert 100 < names.labels_read <= MAX_LABELS


def test_a_chain_of_pointers_is_walked_once() -> None:
    """Two-octet pointers, each to the one before, cost their number and no more."""
    message = bytes(12) + b"\0" + b"".join((0xC000 | max(12, 11 + 2 * i)).to_bytes(2, "big") for i in range(4000))
    names = NameReader(message)
    for at in range(13, 13 + 8000, 2):
        assert names.read(at)[0] == b"\0"
    assert names.labels_read <= 4001


@pytest.mark.parametrize("target", range(12))
def test_no_name_leads_into_the_header(target: int) -> None:
    """Not even where its octets would do as a name, as those of an id of 0 do."""
    with pytest.raises(MalformedError):
        NameReader(bytes(12) + b"\1a" + bytes([0xC0, target])).read(12)


def test_a_name_that_runs_through_a_ttl_stays_what_it_was() -> None:
    """The TTL is lowered; the name keeps its octets, written out."""
    asked = question("a.", "CNAME")
    record = b"\xc0\x0c\0\5\0\1\0\2\xff\xff"  # a TTL above the cap, whose second octet reads as a length of two
    ttl_at = 12 + len(asked) + 6
    data = b"\0\1\x81\x80\0\1\0\2\0\0\0\0" + asked + record + b"\0\3\1b\0"
    data += record[:6] + b"\0\0\0\x3c" + b"\0\2" + bytes((0xC0, ttl_at + 1))
    reply = parse_reply(data, asked)
    assert reply is not None
    assert b"\2\xff\xff\0" in reply.answer.section.wire


def test_a_pointer_forward_is_one_however_it_is_reached() -> None:
    """A name may not lead over a pointer to behind its own beginning, whether another name was read there or not."""
    over = bytes(12) + b"\3\1a\0" + b"\xc0\x0d" + b"\xc0\x0c"  # at 12 a label that the name a. is in
    names = NameReader(over)
    assert names.read(16) == (b"\1a\0", 18)
    with pytest.raises(MalformedError):
        names.read(18)
    with pytest.raises(MalformedError):
        NameReader(over).read(18)


def test_names_of_255_octets_are_read_and_longer_ones_refused() -> None:
    """RFC 1035 2.3.4, also where a pointer makes the length."""
    first = b"\x3f" + b"x" * 63
    message = bytes(12) + first * 3 + b"\x3d" + b"y" * 61 + b"\0" + b"\x01z\xc0\x0c"
    names = NameReader(message)
    assert len(names.read(12)[0]) == MAX_NAME_SIZE
    with pytest.raises(MalformedError):
        names.read(12 + 255)


def test_more_records_than_the_bound_are_refused() -> None:
    """1,000 are read, one more is not."""
    assert parse_reply(_reply(*[_record(OWN, 1, bytes(4))] * MAX_RECORDS), question()) is not None
    assert parse_reply(_reply(*[_record(OWN, 1, bytes(4))] * (MAX_RECORDS + 1)), question()) is None


@given(st.binary(max_size=600))
def test_no_bytes_behind_an_echo_raise(noise: bytes) -> None:
    """Whatever follows the question gives a reply or None."""
    message = b"\x00\x07\x81\x80\x00\x01" + (noise + bytes(6))[:6] + question() + noise
    assert is_reply_to(message, 7, question())
    assert isinstance(parse_reply(message, question(), dnssec=True), Reply | None)


@given(st.binary(max_size=80))
def test_no_bytes_at_all_raise_in_echoes(noise: bytes) -> None:
    """Noise is no echo, unless it is the echo."""
    assert is_reply_to(noise, 7, question()) in (False, noise[:2] == b"\x00\x07")


MESSAGES = [message for message, *_ in BELIEVED.values()]


@given(
    st.sampled_from(MESSAGES),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
def test_what_is_relayed_of_a_mutated_reply_can_be_read(
    message: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    """Octets changed and cut behind the question: the result is refused, or what is relayed is well-formed."""
    mutated = bytearray(message)
    for at, value in changes:
        place = QUESTION_END + at
        if place < len(mutated):
            mutated[place] = value
    body = bytes(mutated[: QUESTION_END + cut])
    reply = parse_reply(body, question())
    if reply is not None:
        shown(reply)
        for part in (reply.answer, reply.authority):
            assert len(part.ttls) == part.section.count
            for at, ttl in part.ttls:
                assert int.from_bytes(part.section.wire[at : at + 4], "big") == ttl


PLAIN = {
    "one address": wire("www.example. 300 IN A 192.0.2.1"),
    "several, an OPT": wire(*(f"www.example. {ttl} IN A 192.0.2.{ttl}" for ttl in (9, 0, 5)), edns=0),
    "IPv6": wire("www.example. 300 IN AAAA 2001:db8::1", rtype="AAAA"),
}
"""Replies of the kind that is read at once."""


@pytest.mark.parametrize("message", PLAIN.values(), ids=PLAIN)
def test_commonest_replies_are_read_at_once(message: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a record being made of each record."""
    monkeypatch.delattr(replies, "_Message")
    asked = message[12:].partition(b"\0")[0] + b"\0" + (b"\0\x1c" if b"\0\x1c" in message else b"\0\1") + b"\0\1"
    assert parse_reply(message, asked) is not None


@given(
    st.sampled_from([*PLAIN.values(), *MESSAGES]),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=3),
    st.integers(0, 200),
    st.sampled_from([2, QUESTION_END]),
)
def test_what_is_read_at_once_is_what_is_read_with_care(
    message: bytes, changes: list[tuple[int, int]], cut: int, begin: int
) -> None:
    """Whatever was changed in header and records: the quick way says the same, or leaves it to the other."""
    mutated = bytearray(message)
    for at, value in changes:
        place = begin + (at % 10 if begin == 2 else at)
        if place < len(mutated):
            mutated[place] = value
    body = bytes(mutated[: QUESTION_END + cut])
    for asked in (question(), question(rtype="AAAA")):
        if body[12:QUESTION_END] != asked:
            continue
        quick = read_address_reply(body, asked, max_ttl=MAX_TTL)
        if quick is None:
            continue
        careful = replies._Message(body, asked, dnssec=False).reply(body[2] << 8 | body[3])
        assert (careful.kind, careful.rcode) == (ReplyKind.POSITIVE, 0)
        assert quick == (careful.ttl, careful.answer.section.wire, careful.answer.ttls)
        assert careful.answer.section.count == len(careful.answer.ttls)
        assert careful.authority.section.count == 0


@pytest.mark.parametrize("at", range(11))
def test_an_opt_that_says_more_is_read_with_care(at: int) -> None:
    """Beside the size, the version and the flags nothing in it may differ: the RCODE's upper bits make it a failure."""
    message = bytearray(PLAIN["several, an OPT"])
    message[len(message) - 11 + at] ^= 1
    quick = read_address_reply(bytes(message), question(), max_ttl=MAX_TTL)
    assert (quick is not None) == (at in {3, 4, 6, 7, 8})
