"""One reply of an upstream, told to many clients."""

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns.query import Query, parse_query
from meshdns.dns.reply import Reply, parse_reply
from meshdns.forwarding.client_reply import STALE_TTL, error_reply, forwarded_reply, stale_reply
from meshdns.forwarding.policy import NO_REPLY
from meshdns.forwarding.question import cache_key, to_question

NAME = "www.example."


def upstream_reply(addresses: int = 1, *, negative: bool = False) -> Reply:
    """What is believed of a reply with so many addresses of TTL 60, or of a denial."""
    message = dns.message.make_response(dns.message.make_query(NAME, "A"))
    for i in range(addresses):
        message.answer.append(dns.rrset.from_text(NAME, 60, "IN", "A", f"192.0.2.{i + 1}"))
    if negative:
        message.set_rcode(dns.rcode.NXDOMAIN)
        message.authority.append(dns.rrset.from_text("example.", 900, "IN", "SOA", "ns. root. 1 2 3 4 60"))
    wire = message.to_wire(max_size=65_535)
    reply = parse_reply(wire, wire[12 : 12 + 17])
    assert reply is not None
    return reply


def query(
    name: str = NAME, *, edns: bool = True, size: int = 1232, flags: int = dns.flags.RD, do: bool = False
) -> Query:
    """A client's query with id 4711."""
    message = dns.message.make_query(name, "A", id=4711, use_edns=edns, payload=size, want_dnssec=do)
    message.flags = dns.flags.Flag(flags)
    parsed = parse_query(message.to_wire())
    assert parsed is not None
    assert parsed.error_rcode == 0
    return parsed


def test_the_client_gets_its_own_id_and_letter_case() -> None:
    """The question comes back octet by octet (RFC 4343 4.1)."""
    asking = query("wWw.ExAmPlE.")
    wire = forwarded_reply(asking, upstream_reply(), age=0, tcp=False)
    assert wire[:2] == asking.data[:2]
    assert wire[12 : asking.question_end] == asking.data[12 : asking.question_end]


@pytest.mark.parametrize("flags", [0, dns.flags.RD, dns.flags.CD, dns.flags.RD | dns.flags.CD | dns.flags.AD])
def test_the_flags_are_the_clients_and_ours(flags: int) -> None:
    """QR and RA set, RD and CD copied, AA, AD and TC clear."""
    message = dns.message.from_wire(forwarded_reply(query(flags=flags), upstream_reply(), age=0, tcp=False))
    assert message.flags == dns.flags.QR | dns.flags.RA | flags & (dns.flags.RD | dns.flags.CD)


@pytest.mark.parametrize(("age", "ttl"), [(0, 60), (1, 59), (59, 1), (60, 0), (100, 0)])
@pytest.mark.parametrize("negative", [False, True])
def test_ttls_fall_with_age(age: int, ttl: int, *, negative: bool) -> None:
    """In the answer and in the SOA of a denial (RFC 2308 section 6)."""
    reply = upstream_reply(0 if negative else 2, negative=negative)
    message = dns.message.from_wire(forwarded_reply(query(), reply, age=age, tcp=False))
    assert [rrset.ttl for rrset in (*message.answer, *message.authority)] == [ttl]


@pytest.mark.parametrize(("edns", "do"), [(False, False), (True, False), (True, True)])
def test_an_opt_answers_an_opt(*, edns: bool, do: bool) -> None:
    """RFC 6891 6.1.1, DO copied (RFC 3225 section 3)."""
    message = dns.message.from_wire(forwarded_reply(query(edns=edns, do=do), upstream_reply(), age=0, tcp=False))
    assert message.edns == (0 if edns else -1)
    assert bool(message.ednsflags & dns.flags.DO) == do
    assert not edns or message.payload == 1232


@pytest.mark.parametrize(
    ("edns", "size", "addresses", "whole"),
    [
        (False, 512, 30, True),
        (False, 512, 31, False),
        (True, 1232, 74, True),
        (True, 1232, 75, False),
        (True, 512, 30, False),
    ],
)
def test_what_does_not_fit_is_truncated_whole(*, edns: bool, size: int, addresses: int, whole: bool) -> None:
    """No partial RRset: all of it, or question and OPT with TC."""
    wire = forwarded_reply(query(edns=edns, size=size), upstream_reply(addresses), age=0, tcp=False)
    message = dns.message.from_wire(wire)
    assert len(wire) <= size
    assert bool(message.flags & dns.flags.TC) != whole
    assert sum(len(rrset) for rrset in message.answer) == (addresses if whole else 0)


def test_on_tcp_all_of_it_is_sent() -> None:
    """The client's UDP size is for UDP."""
    message = dns.message.from_wire(forwarded_reply(query(edns=False), upstream_reply(200), age=0, tcp=True))
    assert len(message.answer[0]) == 200


def test_a_failure_tells_its_cause_to_those_who_understand() -> None:
    """An extended error with OPT, a bare SERVFAIL without."""
    told = dns.message.from_wire(error_reply(query(), NO_REPLY, tcp=False))
    bare = dns.message.from_wire(error_reply(query(edns=False), NO_REPLY, tcp=False))
    assert [option.code for option in told.options if isinstance(option, dns.edns.EDEOption)] == [22]
    assert told.rcode() == bare.rcode() == dns.rcode.SERVFAIL
    assert bare.edns == -1


@pytest.mark.parametrize(("negative", "code"), [(False, 3), (True, 19)])
def test_a_stale_answer_says_so_and_lives_for_30_seconds(*, negative: bool, code: int) -> None:
    """RFC 8767 section 4 and RFC 8914; the cause is told in the text."""
    reply = upstream_reply(0 if negative else 3, negative=negative)
    message = dns.message.from_wire(stale_reply(query(), reply, NO_REPLY, tcp=False))
    assert [rrset.ttl for rrset in (*message.answer, *message.authority)] == [STALE_TTL]
    assert message.rcode() == (dns.rcode.NXDOMAIN if negative else dns.rcode.NOERROR)
    told = [option for option in message.options if isinstance(option, dns.edns.EDEOption)]
    assert [(option.code, option.text) for option in told] == [(code, NO_REPLY.text.decode())]
    bare = dns.message.from_wire(stale_reply(query(edns=False), reply, NO_REPLY, tcp=False))
    assert bare.edns == -1


@given(st.data())
def test_what_a_client_gets_can_always_be_read(data: st.DataObject) -> None:
    """Every reply is valid to dnspython: in any letter case, of any age, at any size."""
    cases = data.draw(st.lists(st.booleans(), min_size=len(NAME), max_size=len(NAME)))
    name = "".join(letter.upper() if upper else letter for letter, upper in zip(NAME, cases, strict=True))
    asking = query(name, edns=data.draw(st.booleans()), size=data.draw(st.integers(0, 65_535)))
    negative = data.draw(st.booleans())
    reply = upstream_reply(0 if negative else data.draw(st.integers(0, 200)), negative=negative)
    tcp = data.draw(st.booleans())
    wire = forwarded_reply(asking, reply, age=data.draw(st.integers(0, 100_000)), tcp=tcp)
    assert dns.message.from_wire(wire).id == 4711
    assert tcp or len(wire) <= asking.udp_size


LABELS = st.lists(st.binary(min_size=1, max_size=5), max_size=4)


@given(
    LABELS,
    LABELS,
    st.tuples(*[st.booleans()] * 4),
    st.tuples(*[st.sampled_from([1, 16, 28])] * 2),
    st.tuples(*[st.integers(0, 2)] * 2),
)
def test_equal_keys_mean_equal_upstream_questions(
    one: list[bytes],
    other: list[bytes],
    bits: tuple[bool, ...],
    types: tuple[int, ...],
    places: tuple[int, ...],
) -> None:
    """A key never stands for two different questions, nor two keys for one."""
    a = _query(one, types[0], do=bits[0], cd=bits[1])
    b = _query(other, types[1], do=bits[2], cd=bits[3])
    same = places[0] == places[1] and to_question(a).message(0) == to_question(b).message(0)
    assert (cache_key(a, places[0]) == cache_key(b, places[1])) == same


def _query(labels: list[bytes], rtype: int, *, do: bool, cd: bool) -> Query:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    flags = b"\x01\x10" if cd else b"\x01\x00"
    opt = b"\0\x00\x29\x04\xd0\0\0" + (b"\x80\0" if do else b"\0\0") + b"\0\0"
    wire = b"\0\0" + flags + b"\0\x01\0\0\0\0\0\x01" + name + rtype.to_bytes(2, "big") + b"\0\x01" + opt
    parsed = parse_query(wire)
    assert parsed is not None
    assert parsed.error_rcode == 0
    return parsed
