"""What a denial tells whoever asks by hand: why a declared name is refused, else the nearest name."""

import dns.edns
import dns.message
import msgspec
import pytest

from meshdns.authority.row_format import RowStatus, encode_row
from meshdns.dns import names
from meshdns.mesh.unserved_reasons import MAX_TEXT
from meshdns.worker.ede_hints import MAX_SEARCHES_PER_SECOND
from tests.worker.responder_fixture import PORT, ResponderFixture

LOOPBACK = b"\x7f\0\0\1"  # which the scene lets look inside
STRANGER = b"\xc0\0\2\1"
COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"abcdefgh")
INSIDE = "known in cluster west, but it is not exported to all; see meshdns explain"
SAID = INSIDE.partition(";")[0]  # as much as is said over UDP
PROHIBITED = b"\0\x12" + INSIDE.encode()
UNREACHABLE = b"\0\0known in cluster west: a reason; see meshdns explain"


def bench(*, wildcards: bool = False, **refusals: bytes) -> ResponderFixture:
    """An answerer with two names that are served, one that has no address, and refused ones by their first labels."""
    made = ResponderFixture({"shop.global": ["203.0.113.1"]})
    made.namedb.put({"empty.global": encode_row(RowStatus.DATA, {}, ttl=30)})
    if wildcards:
        made.namedb.change("*.wild.global", "203.0.113.2")
        made.namedb.put({}, wildcards=True)
    made.namedb.unserved_reasons = {names.to_wire(f"{label}.global"): kept for label, kept in refusals.items()}
    return made


def ask(
    server: ResponderFixture,
    name: str,
    rtype: str = "A",
    *,
    source: bytes = LOOPBACK,
    cookie: bool = True,
    size: int = 1232,
) -> tuple[str, tuple[str, ...]]:
    """Code and extended errors of the reply to one query."""
    options: list[dns.edns.Option] = [COOKIE] if cookie else []
    query = dns.message.make_query(name, rtype, use_edns=0, payload=size, options=options)
    server.responder.begin_read()
    try:
        found = server.responder.respond(query.to_wire(), source, PORT, lambda: lambda _: None, tcp=False)
    finally:
        server.responder.end_read()
    assert found is not None
    reply = dns.message.from_wire(found)
    errors = [each for each in reply.options if isinstance(each, dns.edns.EDEOption)]
    return dns.rcode.to_text(reply.rcode()), tuple(f"{int(each.code)} {each.text}" for each in errors)


def test_a_refused_name_is_told_why() -> None:
    """EDE 18 takes the place of the nearest name, however near one is."""
    server = bench(shopp=PROHIBITED)
    assert ask(server, "shopp.global") == ("NXDOMAIN", (f"18 {SAID}",))
    assert ask(server, "ShopP.global") == ("NXDOMAIN", (f"18 {SAID}",))
    assert ask(server, "shoop.global") == ("NXDOMAIN", ("0 no such name; nearest: shop.global",))


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (PROHIBITED, "18 this name is not exported to here; see meshdns explain"),
        (UNREACHABLE, "0 this name is declared, but cannot be reached from here"),
    ],
    ids=["prohibited", "unreachable"],
)
def test_strangers_learn_of_no_cluster(kept: bytes, said: str) -> None:
    """Who is not in allowDebug is told the fact alone."""
    assert ask(bench(secret=kept), "secret.global", source=STRANGER) == ("NXDOMAIN", (said,))


def test_a_refused_wildcard_speaks_for_the_names_below_it() -> None:
    """At any depth, as it would if it were served; the name's own refusal comes first, and its apex has none."""
    server = bench()
    server.namedb.unserved_reasons = {
        names.to_wire("*.far.global"): PROHIBITED,
        names.to_wire("own.far.global"): UNREACHABLE,
    }
    assert ask(server, "a.b.far.global") == ("NXDOMAIN", (f"18 {SAID}",))
    assert ask(server, "own.far.global") == ("NXDOMAIN", ("0 known in cluster west: a reason; see meshdns explain",))
    assert ask(server, "far.global") == ("NXDOMAIN", ())


def test_a_declared_name_without_an_address_is_told_why() -> None:
    """NODATA for a name of which nothing can be reached."""
    said = "0 known in cluster west: a reason; see meshdns explain"
    assert ask(bench(empty=UNREACHABLE), "empty.global") == ("NOERROR", (said,))


@pytest.mark.parametrize("name", ["shop.global", "x.wild.global"], ids=["itself", "by a wildcard"])
def test_what_is_served_in_another_type_is_not_refused(name: str) -> None:
    """No AAAA beside an A is no refusal, whatever another cluster may not export."""
    server = bench(wildcards=True)
    server.namedb.unserved_reasons = {names.to_wire(name): PROHIBITED, names.to_wire("*.global"): PROHIBITED}
    rcode, errors = ask(server, name, "AAAA")
    assert rcode == "NOERROR"
    assert not [each for each in errors if each.startswith("18")]


def test_a_query_without_an_option_gets_the_plain_denial() -> None:
    """What programs ask is answered at hand, and small."""
    assert ask(bench(secret=PROHIBITED), "secret.global", cookie=False) == ("NXDOMAIN", ())


def test_the_longest_reason_fits_the_smallest_reply() -> None:
    """A name of ordinary length, 512 octets, and still as much of it is said as UDP may carry."""
    server = bench(secret=b"\0\x12" + b"x" * MAX_TEXT)
    assert ask(server, "secret.global", size=512) == ("NXDOMAIN", (f"18 {'x' * 61}...",))


def test_reasons_are_told_when_near_names_are_not_looked_for_any_more() -> None:
    """The bound is on what is costly alone."""
    server = bench(secret=PROHIBITED)
    for _ in range(MAX_SEARCHES_PER_SECOND):
        assert ask(server, "shoop.global")[1] != ()
    assert ask(server, "shoop.global") == ("NXDOMAIN", ())
    assert ask(server, "secret.global") == ("NXDOMAIN", (f"18 {SAID}",))


PENDING = b"\0\x16known in cluster west: no reply yet for gw.example; see meshdns explain"


@pytest.mark.parametrize("rtype", ["A", "AAAA", "TXT", "SRV", "MX", "ANY"])
@pytest.mark.parametrize("cookie", [False, True], ids=["EDNS alone", "with an option"])
@pytest.mark.parametrize("name", ["empty.global", "EmPty.Global", "a.b.wild.global"])
def test_a_known_name_without_an_address_is_told_in_every_reply_with_edns(name: str, rtype: str, cookie: bool) -> None:  # noqa: FBT001 — a parameter
    """Whatever its type, and by a wildcard too; twice the same, for the reply is not cached."""
    server = bench(empty=UNREACHABLE)
    server.namedb.put({"*.wild.global": encode_row(RowStatus.DATA, {}, ttl=30)}, wildcards=True)
    server.namedb.unserved_reasons[names.to_wire("*.wild.global")] = UNREACHABLE
    said = ("NOERROR", ("0 known in cluster west: a reason; see meshdns explain",))
    assert ask(server, name, rtype, cookie=cookie) == said
    assert ask(server, name, rtype, cookie=cookie) == said
    closed = ("NOERROR", ("0 this name is declared, but cannot be reached from here",))
    assert ask(server, name, rtype, cookie=cookie, source=STRANGER) == closed


@pytest.mark.parametrize("cookie", [False, True], ids=["EDNS alone", "with an option"])
def test_a_name_that_waits_is_told_for_what(cookie: bool) -> None:  # noqa: FBT001 — a parameter
    """One error of code 22, the one with the reason; asked again, the same."""
    server = bench(wait=PENDING)
    server.namedb.put({"wait.global": encode_row(RowStatus.PENDING, {}, ttl=30)})
    for _ in range(3):
        assert ask(server, "wait.global", cookie=cookie) == (
            "SERVFAIL",
            ("22 known in cluster west: no reply yet for gw.example",),
        )
    assert ask(server, "wait.global", source=STRANGER, cookie=cookie) == (
        "SERVFAIL",
        ("22 no address is known yet for this name; see meshdns explain",),
    )


def test_a_name_that_waits_without_a_reason_keeps_the_plain_error() -> None:
    """That of a name of which nothing is known but that it exists."""
    server = bench()
    server.namedb.put({"wait.global": encode_row(RowStatus.PENDING, {}, ttl=30)})
    assert ask(server, "wait.global") == ("SERVFAIL", ("22 no address is known yet for this name",))


def test_before_the_own_cluster_is_read_nothing_is_told_of_a_name() -> None:
    """SERVFAIL with EDE 14 says all: what is known of the name may be wrong by then."""
    server = bench(wait=PENDING)
    server.namedb.put({"wait.global": encode_row(RowStatus.PENDING, {}, ttl=30)})
    server.namedb.state = msgspec.structs.replace(server.namedb.state, ready=False)
    assert ask(server, "wait.global") == ("SERVFAIL", ("14 the own cluster has not synced yet",))


def test_a_query_without_edns_gets_no_reason() -> None:
    """There is no place for it."""
    server = bench(empty=UNREACHABLE)
    query = dns.message.make_query("empty.global", "A", use_edns=False)
    server.responder.begin_read()
    found = server.responder.respond(query.to_wire(), LOOPBACK, PORT, lambda: lambda _: None, tcp=False)
    server.responder.end_read()
    assert found is not None
    assert dns.message.from_wire(found).edns == -1


def test_a_known_name_without_that_type_is_cached() -> None:
    """What programs ask most, AAAA of a name that has an A, is answered from the cache, without a word."""
    server = bench(shop=UNREACHABLE)
    assert ask(server, "shop.global", "AAAA", cookie=False) == ("NOERROR", ())
    hits = server.responder.counters.reply_cache_hits
    assert ask(server, "shop.global", "AAAA", cookie=False) == ("NOERROR", ())
    assert server.responder.counters.reply_cache_hits == hits + 1


def test_the_gateways_of_a_cluster_without_any_are_told_as_such() -> None:
    """A name of the zone itself (level 7) has the reason of its cluster for every type."""
    server = bench(west=b"\0\0known in cluster west: the cluster has no gateway; see meshdns explain")
    server.namedb.put({"west.global": encode_row(RowStatus.DATA, {}, ttl=30, level=7)})
    for rtype in ("A", "AAAA", "TXT"):
        assert ask(server, "west.global", rtype) == (
            "NOERROR",
            ("0 known in cluster west: the cluster has no gateway",),
        )
