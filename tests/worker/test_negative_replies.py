"""Ready replies and ready denials are worth nothing unless they are the very octets of the long way."""

import itertools
from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from meshdns.authority.row_format import ClusterPart, RowService, RowStatus, SynthesisData, encode_row
from meshdns.dns.codes import FORMERR, NXDOMAIN, TYPE_A
from meshdns.dns.query import parse_query
from meshdns.worker.reply_cache import MAX_NEGATIVE, NegativeReplies
from tests.worker.responder_fixture import PORT, ResponderFixture

pytestmark = pytest.mark.long

LOOPBACK = b"\x7f\0\0\1"
ADDRESS = {TYPE_A: [ip_address("203.0.113.7").packed]}
BLOCKS = SynthesisData(
    parts=(
        ClusterPart(b"west", 0, {TYPE_A: (1, b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\xcb\0\x71\7")}),
        ClusterPart(b"west", 80, {}),
    ),
    services=(RowService(b"http", b"tcp", 30, ((80, b""),)),),
)
SCENE = {
    "shop.global": encode_row(RowStatus.DATA, {}, ttl=30),
    "cart.shop.global": encode_row(RowStatus.DATA, ADDRESS, ttl=30, synthesis=BLOCKS),
    "bill.shop.global": encode_row(RowStatus.DATA, ADDRESS, ttl=30),
    "wild.global": encode_row(RowStatus.DATA, {}, ttl=30),
}
WILDCARD = {"*.wild.global": encode_row(RowStatus.DATA, ADDRESS, ttl=30, synthesis=BLOCKS)}

PARENTS = (
    "global",
    "shop.global",
    "Shop.Global",
    "cart.shop.global",
    "west.cart.shop.global",
    "wild.global",
    "x.wild.global",
)
SIBLINGS = (
    (b"aaaa", b"west", b"cart", b"bill", b"_tcp", b"BiLL", b"shop", b"wild", b"aaa\0", b"aa\0a", b"a\0\1a"),
    (b"_http", b"_grpc", b"aaaaa", b"\0\0\0\0\0"),
    (b"p80", b"p81", b"aaa"),
    (b"ns", b"xx"),
)
TYPES = (1, 16, 33, 65, 97)
OPTS = (b"", b"\0\0\x29\x04\xd0\0\0\0\0\0\0")


def message(labels: tuple[bytes, ...], rtype: int, tail: bytes = b"", flags: bytes = b"\x01\x00") -> bytes:
    """A query for a name of raw labels."""
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    additional = b"\0\1" if tail else b"\0\0"
    return b"\x12\x34" + flags + b"\0\1\0\0\0\0" + additional + name + rtype.to_bytes(2, "big") + b"\0\1" + tail


def bench(rows: Mapping[str, bytes], *, wildcards: bool = False) -> ResponderFixture:
    """An answerer over these rows that has admitted the asker."""
    made = ResponderFixture({})
    made.namedb.put(rows, wildcards=wildcards)
    made.responder.access_list.admits(LOOPBACK)
    return made


def ask(server: ResponderFixture, data: bytes) -> bytes | None:
    """The reply to one message in a wake-up of its own."""
    server.responder.begin_read()
    try:
        return server.responder.respond(data, LOOPBACK, PORT, lambda: lambda _: None, tcp=False)
    finally:
        server.responder.end_read()


@pytest.mark.slow
@pytest.mark.parametrize("wildcards", [False, True], ids=["plain", "wildcards"])
@pytest.mark.parametrize("parent", PARENTS)
def test_what_a_sibling_was_told_changes_no_reply(parent: str, *, wildcards: bool) -> None:
    """Whichever sibling was asked for before, the reply is that of an answerer that has just begun."""
    rows = SCENE | WILDCARD if wildcards else SCENE
    above = tuple(part.encode() for part in parent.split("."))
    for rtype, opt in itertools.product(TYPES, OPTS):
        for siblings in SIBLINGS:
            cold = {
                first: ask(bench(rows, wildcards=wildcards), message((first, *above), rtype, opt)) for first in siblings
            }
            for before, after in itertools.permutations(siblings, 2):
                warm = bench(rows, wildcards=wildcards)
                ask(warm, message((before, *above), rtype, opt))
                assert ask(warm, message((after, *above), rtype, opt)) == cold[after], (before, after, rtype)


def test_a_sibling_of_a_denied_name_is_denied_at_hand() -> None:
    """Of unknown names with a parent in common only the first goes the long way."""
    server = bench(SCENE)
    for first in (b"aaaa", b"bbbb", b"CCcc"):
        reply = ask(server, message((first, b"shop", b"global"), TYPE_A))
        assert reply is not None
        assert reply[3] & 0x0F == NXDOMAIN
    assert server.responder.counters.reply_cache_hits == 2


def test_a_new_name_is_not_denied_by_what_was_kept() -> None:
    """A commit makes denials void, whichever name it brings."""
    server = bench(SCENE)
    ask(server, message((b"aaaa", b"shop", b"global"), TYPE_A))
    server.namedb.change("bbbb.shop.global", "203.0.113.9")
    reply = ask(server, message((b"bbbb", b"shop", b"global"), TYPE_A))
    assert reply is not None
    assert reply.endswith(ip_address("203.0.113.9").packed)


def test_denials_carry_the_serial_of_the_view() -> None:
    """After a commit elsewhere the SOA in a denial is a new one."""
    server = bench(SCENE)
    question = message((b"aaaa", b"shop", b"global"), TYPE_A)
    before = ask(server, question)
    server.namedb.change("other.global", "203.0.113.9")
    assert before != ask(server, question) is not None


@pytest.mark.parametrize("admitted", [True, False], ids=["admitted", "not yet"])
def test_who_may_not_ask_gets_no_denial_either(*, admitted: bool) -> None:
    """What is at hand is at hand for admitted sources only."""
    server = bench(SCENE)
    question = message((b"aaaa", b"shop", b"global"), TYPE_A)
    ask(server, question)
    if not admitted:
        server.responder.access_list.admitted_keys.clear()
    ask(server, question)
    assert server.responder.counters.reply_cache_hits == int(admitted)


def test_denials_are_bounded() -> None:
    """A client that asks in ever new forms makes all be forgotten, not more be kept."""
    denials = NegativeReplies()
    for rtype in range(300, 300 + 2 * MAX_NEGATIVE):
        data = message((b"aaaa", b"shop", b"global"), rtype)
        query = parse_query(data)
        assert query is not None
        denials.store(query, data, 0)
        assert 0 < len(denials) <= MAX_NEGATIVE


def test_a_name_cut_off_by_a_zero_octet_is_no_sibling() -> None:
    """Octets that only look like the rest of a denied name's question are refused as malformed."""
    server = bench(SCENE)
    whole = message((b"aaa", b"shop", b"global"), TYPE_A)
    ask(server, whole)
    reply = ask(server, whole[:14] + b"\0" + whole[16:])
    assert reply is not None
    assert reply[3] & 0x0F == FORMERR
