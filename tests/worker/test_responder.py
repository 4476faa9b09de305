"""Replies that enter and leave the reply cache, and failures of the name database."""

import secrets

import pytest

from meshdns.namedb.database import DamagedDatabaseError
from meshdns.worker import reply_cache
from meshdns.worker.recorder import SendReply
from tests.e2e.load import message, read
from tests.worker.responder_fixture import PORT, ResponderFixture

SOURCE = bytes([127, 0, 0, 1])
NAMES = {"one.global": ["203.0.113.1"], "two.global": ["203.0.113.2"]}


def _later() -> SendReply:
    return lambda _: None


def _ask(bench: ResponderFixture, data: bytes, source: bytes = SOURCE) -> bytes | None:
    bench.responder.begin_read()
    try:
        return bench.responder.respond(data, source, PORT, _later, tcp=False)
    finally:
        bench.responder.end_read()


@pytest.mark.parametrize(
    "data",
    [
        message("unknown.global", 1),
        message("global", 1, qtype=b"\0\x06\0\x01"),
        message("one.global", 1)[:-2] + b"\0\x05\0\x03\0\x01\0",  # NSID
        message("one.global", 1)[:-2] + b"\0\x08\0\x0c\0\x04abcd",  # padding
        message("www.example", 1),
    ],
    ids=["unknown", "apex", "nsid", "padding", "forwarded"],
)
def test_not_kept(data: bytes) -> None:
    """Only plain questions for names that exist are kept."""
    bench = ResponderFixture(NAMES)
    _ask(bench, data)
    assert bench.responder.cached_replies == {}


@pytest.mark.parametrize("qtype", [b"\0\x01\0\x01", b"\0\x1c\0\x01", b"\0\x10\0\x01"], ids=["A", "AAAA", "TXT"])
def test_kept(qtype: bytes) -> None:
    """Addresses and NODATA of a name that exists are kept under the question's octets."""
    bench = ResponderFixture(NAMES)
    data = message("one.global", 1, qtype=qtype)
    reply = _ask(bench, data)
    assert reply is not None
    assert bench.responder.cached_replies == {data[2:]: (0, (reply[2:],))}


@pytest.mark.parametrize("qtype", [b"\0\x01\0\x01", b"\0\x1c\0\x01", b"\0\x10\0\x01"], ids=["A", "AAAA", "TXT"])
def test_kept_in_lower_case(qtype: bytes) -> None:
    """However a question is spelt first, what is kept is what the lower case would have made, and serves all cases."""
    drawn, lower = ResponderFixture(NAMES), ResponderFixture(NAMES)
    reply = _ask(drawn, message("oNe.GLObal", 1, qtype=qtype))
    _ask(lower, message("one.global", 1, qtype=qtype))
    assert drawn.responder.cached_replies == lower.responder.cached_replies != {}
    assert reply is not None
    assert b"\x03oNe\x06GLObal" in reply
    looks = drawn.namedb.open_reads
    assert _ask(drawn, message("oNe.GLObal", 1, qtype=qtype)) == reply
    assert _ask(drawn, message("one.global", 1, qtype=qtype)) == _ask(lower, message("one.global", 1, qtype=qtype))
    assert drawn.namedb.open_reads == looks


def test_asked_again_by_others_is_kept_once() -> None:
    """A source that is not admitted yet comes the long way; the same question is not noted twice for it."""
    bench = ResponderFixture(NAMES)
    for last in range(100):
        _ask(bench, message("one.global", 1), bytes([10, 0, 0, last]))
    assert sum(map(len, bench.responder._reply_cache._keys_by_owner.values())) == 1


def test_commit_drops_only_what_it_changed() -> None:
    """All forms of a changed name go, others stay, and nothing is left that points at them."""
    bench = ResponderFixture(NAMES)
    for name in NAMES:
        for edns in (True, False):
            _ask(bench, message(name, 1, edns=edns))
    bench.namedb.change("one.global", "203.0.113.9")
    bench.responder.begin_read()
    bench.responder.end_read()
    assert set(bench.responder.cached_replies) == {message("two.global", 1, edns=edns)[2:] for edns in (True, False)}
    assert list(bench.responder._reply_cache._keys_by_owner) == [b"\x03two\x06global\0"]


@pytest.mark.parametrize(
    ("changed", "left", "commits"),
    [
        ((), {"one.global", "two.global"}, 0),
        (("one.global",), {"two.global"}, 1),
        (("three.global",), {"one.global", "two.global"}, 1),
        (None, set(), 1),
    ],
    ids=["no commit", "one name", "a name without replies", "all"],
)
def test_a_read_drops_what_has_changed(changed: tuple[str, ...] | None, left: set[str], commits: int) -> None:
    """The names of the commits since the last read are dropped, or all (None), and each time counts as one commit."""
    bench = ResponderFixture(NAMES)
    for name in NAMES:
        _ask(bench, message(name, 1))
    before = bench.responder.counters.commits
    for name in changed or ():
        bench.namedb.change(name, "203.0.113.9")
    bench.namedb.all_changed = changed is None
    bench.responder.begin_read()
    bench.responder.end_read()
    assert set(bench.responder.cached_replies) == {message(name, 1)[2:] for name in left}
    assert bench.responder.counters.commits - before == commits


@pytest.mark.slow
def test_memory_is_bounded() -> None:
    """Questions in endless forms for a name with many addresses: at the bound all replies go, and caching restarts.

    The bytes of queries and replies are counted here, without what Python adds to each, and stay below the bound.
    """
    addresses = [f"203.0.113.{number}" for number in range(1, 75)]
    bench = ResponderFixture({"many.global": addresses})
    plain = message("many.global", 1)
    held = most = count = 0
    for number in range(2 * reply_cache.MAX_MEMORY // (reply_cache.MAX_VARIANTS * 16 * len(addresses))):
        size = (1232 + number).to_bytes(2, "big")  # the EDNS payload size: another query for the same reply
        _ask(bench, plain[:-8] + size + plain[-6:])
        kept = bench.responder.cached_replies
        if len(kept) <= count:
            break
        count = len(kept)
        newest = next(reversed(kept))
        held += len(newest) + sum(map(len, kept[newest][1]))
        most = max(most, held)
    assert len(bench.responder.cached_replies) == 1 < count
    assert reply_cache.MAX_MEMORY / 2 < most <= reply_cache.MAX_MEMORY
    assert read(_ask(bench, plain) or b"")[0] == 0


def test_damaged_view_costs_a_mesh_name_its_answer_and_nobody_else() -> None:
    """A look-up that fails is SERVFAIL with EDE 14 and told; names that are not ours go on."""
    bench = ResponderFixture(NAMES)
    bench.namedb.read_error = DamagedDatabaseError("view: page 7 is damaged")
    reply = _ask(bench, message("one.global", 1))
    assert reply is not None
    assert (read(reply)[0], b"\0\x0f" in reply) == (2, True)
    assert bench.database_errors == [bench.namedb.read_error]
    assert _ask(bench, message("www.example", 1)) is None
    assert len(bench.upstream.waiting) == 1
    assert bench.namedb.open_reads == 0


def test_junk_never_raises() -> None:
    """Random octets of every length are dropped or refused, and never kept."""
    bench = ResponderFixture(NAMES)
    for length in range(200):
        _ask(bench, secrets.token_bytes(length))
    assert bench.responder.cached_replies == {}
