"""What the authority says, in presentation format: question → RCODE, flags, answer, authority, extended error."""

from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.authority import row_format
from meshdns.authority.authority import Authority, Verdict
from meshdns.authority.row_format import RowStatus
from meshdns.authority.state import NamedbState
from meshdns.authority.zone import ServedZone
from meshdns.dns import names
from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.dns.query import Query, parse_query


@dataclass
class MemoryRowReader:
    """A name database in memory: rows in a dict."""

    served: dict[bytes, bytes]
    state: NamedbState
    serial: int = 7

    def row(self, owner: bytes) -> bytes | None:
        """The row of a lower-case wire name."""
        return self.served.get(owner)


def row(
    *addresses: str, ttl: int = 30, clusters: tuple[int, ...] = (0,), static: bool = False, level: int = 0
) -> bytes:
    """The row of a name with these addresses; without any it is NODATA."""
    packed = [ip_address(text) for text in addresses]
    rrsets = {
        rtype: [address.packed for address in packed if address.version == version]
        for rtype, version in ((TYPE_A, 4), (TYPE_AAAA, 6))
    }
    present = {rtype: found for rtype, found in rrsets.items() if found}
    return row_format.encode_row(RowStatus.DATA, present, ttl=ttl, clusters=clusters, static=static, level=level)


PENDING = row_format.encode_row(RowStatus.PENDING, {}, ttl=0)
NAMES: dict[str, bytes] = {
    "reviews.prod.global": row("198.51.100.7"),
    "both.prod.global": row("198.51.100.7", "2001:db8::7"),
    "six.prod.global": row("2001:db8::6"),
    "prod.global": row(clusters=()),
    "pending.prod.global": PENDING,
    "fixed.prod.global": row("192.0.2.1", static=True),
    "old.prod.global": row("198.51.100.9", clusters=(1,)),
    "short.prod.global": row("10.1.2.3", ttl=5),
    "ent.global": row(clusters=()),
    "c.ent.global": row(clusters=()),
    "b.c.ent.global": row("198.51.100.8"),
    "wild.global": row(clusters=()),
    "*.wild.global": row("203.0.113.50"),
    "api.wild.global": row("203.0.113.51"),
    "eu.wild.global": row(clusters=()),
    "*.eu.wild.global": row("203.0.113.52"),
    "deep.api.wild.global": row("203.0.113.53"),
    "*.soon.global": PENDING,
    "soon.global": row(clusters=()),
    "in.corp.global": row("192.0.2.9"),
    "a.mesh.example": row("192.0.2.10"),
}
READY = NamedbState(ready=True, complete=True, clusters=("east", "west"), wildcards=True)
ZONES = (ServedZone(names.to_wire("global")), ServedZone(names.to_wire("x.corp.global"), ttl=60, negative_ttl=9))
SOA = "global. 5 IN SOA ns.global. hostmaster.global. 7 7200 1800 86400 5"


def view(state: NamedbState = READY, served: dict[str, bytes] | None = None) -> MemoryRowReader:
    """The name database of the names above, and of those in `served`."""
    return MemoryRowReader({names.to_wire(name): value for name, value in {**NAMES, **(served or {})}.items()}, state)


def asked(question: str, *, edns: int = 0, payload: int = 1232) -> Query:
    """The parsed query for ``NAME TYPE``."""
    name, rtype = question.split()
    query = parse_query(dns.message.make_query(name, rtype, use_edns=edns, payload=payload, id=1).to_wire())
    assert query is not None
    return query


def answered(
    question: str,
    looked: MemoryRowReader | None,
    zones: tuple[ServedZone, ...] = ZONES,
    *,
    tcp: bool = False,
    rotation: int = 0,
) -> dns.message.Message:
    """The reply, read by dnspython."""
    reply = Authority(zones).respond(asked(question), looked, tcp=tcp, rotation=rotation)
    assert not isinstance(reply, Verdict), reply
    return dns.message.from_wire(reply[0])


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    """The records of a section in presentation format."""
    return [line for rrset in section for line in rrset.to_text().splitlines()]


@dataclass(frozen=True)
class Case:
    """One row of the table. `aa` is expected wherever data or a denial is given."""

    question: str
    rcode: str = "NOERROR"
    answer: tuple[str, ...] = ()
    authority: tuple[str, ...] = ()
    ede: int | None = None
    state: NamedbState = field(default=READY)

    def check(self, reply: dns.message.Message) -> None:
        """Compare a reply with this row."""
        assert dns.rcode.to_text(reply.rcode()) == self.rcode
        assert (lines(reply.answer), lines(reply.authority)) == (list(self.answer), list(self.authority))
        assert [int(error.code) for error in reply.extended_errors()] == ([] if self.ede is None else [self.ede])
        shown = dns.flags.to_text(reply.flags).split()
        assert shown == (["QR", "RD", "RA"] if self.rcode in ("SERVFAIL", "REFUSED") else ["QR", "AA", "RD", "RA"])
        assert reply.edns == 0


UNREADY = NamedbState()
WAITING = NamedbState(ready=True, complete=False, clusters=("east", "west"), wildcards=True)
STALE = NamedbState(ready=True, complete=True, clusters=("east", "west"), stale=(1,), wildcards=True)
SILENT = NamedbState(ready=True, complete=True, clusters=("east", "west"), wildcards=True, is_controller_silent=True)

TABLE: dict[str, Case] = {
    "an exact name": Case("reviews.prod.global. A", answer=("reviews.prod.global. 30 IN A 198.51.100.7",)),
    "its other family is NODATA": Case("reviews.prod.global. AAAA", authority=(SOA,)),
    "an IPv6 name": Case("six.prod.global. AAAA", answer=("six.prod.global. 30 IN AAAA 2001:db8::6",)),
    "A of an IPv6 name is NODATA": Case("six.prod.global. A", authority=(SOA,)),
    "an unknown type is NODATA": Case("reviews.prod.global. TYPE1000", authority=(SOA,)),
    "HTTPS is NODATA": Case("reviews.prod.global. HTTPS", authority=(SOA,)),
    "DS in an unsigned zone is NODATA": Case("reviews.prod.global. DS", authority=(SOA,)),
    "a pod's TTL": Case("short.prod.global. A", answer=("short.prod.global. 5 IN A 10.1.2.3",)),
    "the question's case comes back": Case(
        "ReViEwS.pRoD.gLoBaL. A", answer=("ReViEwS.pRoD.gLoBaL. 30 IN A 198.51.100.7",)
    ),
    "the case comes back in a denial": Case(
        "NoPe.gLoBaL. A", "NXDOMAIN", authority=("gLoBaL. 5 IN SOA ns.gLoBaL. hostmaster.gLoBaL. 7 7200 1800 86400 5",)
    ),
    "an unknown name": Case("nope.prod.global. A", "NXDOMAIN", authority=(SOA,)),
    "below an exact name": Case("x.reviews.prod.global. A", "NXDOMAIN", authority=(SOA,)),
    "an empty non-terminal": Case("ent.global. A", authority=(SOA,)),
    "a deeper empty non-terminal": Case("c.ent.global. A", authority=(SOA,)),
    "beside an empty non-terminal": Case("d.ent.global. A", "NXDOMAIN", authority=(SOA,)),
    "a wildcard": Case("x.wild.global. A", answer=("x.wild.global. 30 IN A 203.0.113.50",)),
    "a wildcard covers any depth": Case("x.y.z.wild.global. A", answer=("x.y.z.wild.global. 30 IN A 203.0.113.50",)),
    "the longest wildcard": Case("x.eu.wild.global. A", answer=("x.eu.wild.global. 30 IN A 203.0.113.52",)),
    "an exact name before the wildcard": Case("api.wild.global. A", answer=("api.wild.global. 30 IN A 203.0.113.51",)),
    "Istio: below an exact name": Case("x.api.wild.global. A", answer=("x.api.wild.global. 30 IN A 203.0.113.50",)),
    "Istio: an empty non-terminal under a wildcard": Case(
        "eu.wild.global. A", answer=("eu.wild.global. 30 IN A 203.0.113.50",)
    ),
    "a wildcard does not cover its apex": Case("wild.global. A", authority=(SOA,)),
    "a wildcard asked literally": Case("*.wild.global. A", answer=("*.wild.global. 30 IN A 203.0.113.50",)),
    "a wildcard's other family is NODATA": Case("x.wild.global. AAAA", authority=(SOA,)),
    "a service label matches no wildcard": Case("_acme-challenge.wild.global. TXT", "NXDOMAIN", authority=(SOA,)),
    "a service label matches no wildcard for A": Case("_x.wild.global. A", "NXDOMAIN", authority=(SOA,)),
    "a wildcard that waits": Case("x.soon.global. A", "SERVFAIL", ede=22),
    "a name that waits": Case("pending.prod.global. A", "SERVFAIL", ede=22),
    "the apex SOA": Case("global. SOA", answer=(SOA,)),
    "the apex NS": Case("global. NS", answer=("global. 30 IN NS ns.global.",)),
    "the apex has no address": Case("global. A", authority=(SOA,)),
    "DNSKEY of the apex is NODATA": Case("global. DNSKEY", authority=(SOA,)),
    "ANY at the apex": Case("global. ANY", answer=(SOA,)),
    "the NS target exists": Case("ns.global. A", authority=(SOA,)),
    "ANY is one RRset": Case("both.prod.global. ANY", answer=("both.prod.global. 30 IN A 198.51.100.7",)),
    "ANY of an empty non-terminal": Case("ent.global. ANY", authority=(SOA,)),
    "not ready": Case("reviews.prod.global. A", "SERVFAIL", ede=14, state=UNREADY),
    "not ready: an unknown name": Case("nope.prod.global. A", "SERVFAIL", ede=14, state=UNREADY),
    "not ready: a static record": Case(
        "fixed.prod.global. A", answer=("fixed.prod.global. 30 IN A 192.0.2.1",), state=UNREADY
    ),
    "not ready: a static record's other type": Case("fixed.prod.global. AAAA", authority=(SOA,), state=UNREADY),
    "incomplete: an unknown name": Case("nope.prod.global. A", "SERVFAIL", ede=14, state=WAITING),
    "incomplete: a wildcard hides no name": Case("x.wild.global. A", "SERVFAIL", ede=14, state=WAITING),
    "incomplete: a known name": Case(
        "reviews.prod.global. A", answer=("reviews.prod.global. 30 IN A 198.51.100.7",), state=WAITING
    ),
    "incomplete: another type of a known name": Case("reviews.prod.global. AAAA", authority=(SOA,), state=WAITING),
    "stale: an answer that rests on the silent cluster": Case(
        "old.prod.global. A", answer=("old.prod.global. 30 IN A 198.51.100.9",), ede=3, state=STALE
    ),
    "stale: an answer that does not": Case(
        "reviews.prod.global. A", answer=("reviews.prod.global. 30 IN A 198.51.100.7",), state=STALE
    ),
    "the controller is silent": Case(
        "reviews.prod.global. A", answer=("reviews.prod.global. 30 IN A 198.51.100.7",), ede=3, state=SILENT
    ),
    "the controller is silent: a static record": Case(
        "fixed.prod.global. A", answer=("fixed.prod.global. 30 IN A 192.0.2.1",), state=SILENT
    ),
    "a zone within the zone": Case(
        "x.corp.global. SOA",
        answer=("x.corp.global. 9 IN SOA ns.x.corp.global. hostmaster.x.corp.global. 7 7200 1800 86400 9",),
    ),
    "the inner zone denies for itself": Case(
        "nope.x.corp.global. A",
        "NXDOMAIN",
        authority=("x.corp.global. 9 IN SOA ns.x.corp.global. hostmaster.x.corp.global. 7 7200 1800 86400 9",),
    ),
    "the outer zone goes on beside the inner": Case("y.corp.global. A", "NXDOMAIN", authority=(SOA,)),
    "the NS of the inner zone": Case("x.corp.global. NS", answer=("x.corp.global. 60 IN NS ns.x.corp.global.",)),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    """Each question gets the RCODE, flags, sections and extended error of its row."""
    case = TABLE[name]
    case.check(answered(case.question, view(case.state)))


def test_what_lies_between_two_zones_exists() -> None:
    """An ancestor of an inner zone is an empty non-terminal of the outer one (RFC 8020 section 2)."""
    empty = MemoryRowReader({}, READY)
    Case("corp.global. A", authority=(SOA,)).check(answered("corp.global. A", empty))


def test_without_a_view_every_name_of_ours_fails() -> None:
    """A zone without a name database is SERVFAIL with EDE 14, never a denial."""
    for question in ("reviews.prod.global. A", "global. SOA", "nope.global. A"):
        Case(question, "SERVFAIL", ede=14).check(answered(question, None))


CLOSEST = (ServedZone(names.to_wire("global"), closest_encloser=True),)
CLOSEST_ENCLOSER: dict[str, Case] = {
    "one label": Case("x.wild.global. A", answer=("x.wild.global. 30 IN A 203.0.113.50",)),
    "several labels": Case("x.y.wild.global. A", answer=("x.y.wild.global. 30 IN A 203.0.113.50",)),
    "an existing name cuts the wildcard off": Case("x.api.wild.global. A", "NXDOMAIN", authority=(SOA,)),
    "so does an empty non-terminal": Case("eu.wild.global. A", authority=(SOA,)),
    "the closest encloser's own wildcard": Case(
        "x.eu.wild.global. A", answer=("x.eu.wild.global. 30 IN A 203.0.113.52",)
    ),
}


@pytest.mark.parametrize("name", CLOSEST_ENCLOSER)
def test_wildcards_by_rfc_4592(name: str) -> None:
    """With ``wildcards: dns`` only the wildcard of the closest encloser covers a name (RFC 4592 3.3.1)."""
    case = CLOSEST_ENCLOSER[name]
    case.check(answered(case.question, view(), CLOSEST))


@pytest.mark.parametrize(
    ("name", "owner", "closest"),
    [
        ("x.y.wild.global", "*.wild.global", "*.wild.global"),
        ("x.eu.wild.global", "*.eu.wild.global", "*.eu.wild.global"),
        ("x.api.wild.global", "*.wild.global", None),
        ("api.wild.global", "api.wild.global", "api.wild.global"),
        ("x.example.com", None, None),
    ],
)
def test_the_covering_owner_is_the_one_that_answers(name: str, owner: str | None, closest: str | None) -> None:
    """What tells about a name speaks of the row that answers for it, by the rule of its zone."""
    for zones, expected in ((ZONES, owner), (CLOSEST, closest)):
        found = Authority(zones).covering_owner(names.to_wire(name), view())
        assert found == (names.to_wire(expected) if expected is not None else None)


@pytest.mark.parametrize(
    ("name", "declared", "expected"),
    [
        ("ns.global", "", True),
        ("ns.global", "ns.global", False),
        ("ns.global", "a.ns.global", True),
        ("corp.global", "", True),  # between x.corp.global and global
        ("corp.global", "corp.global", False),
        ("x.corp.global", "", False),
        ("global", "", False),
        ("other.global", "", False),
        ("ns.example.com", "", False),
        ("ns.fallback.example", "", False),
    ],
)
def test_names_of_the_zones_themselves_are_told_apart(name: str, declared: str, *, expected: bool) -> None:
    """They are answered for whatever is declared elsewhere; one that is declared itself is none of them."""
    zones = (
        ServedZone(names.to_wire("global"), servers=("192.0.2.53",)),
        ServedZone(names.to_wire("x.corp.global")),
        ServedZone(names.to_wire("fallback.example"), fallback=True),
    )
    served = {declared: row("203.0.113.9")} if declared else {}
    hollow = {name: row()} if declared.endswith(f".{name}") else {}
    looked = MemoryRowReader({names.to_wire(each): value for each, value in {**served, **hollow}.items()}, READY)
    assert Authority(zones).is_of_zone(names.to_wire(name), looked) is expected


def test_service_labels_without_such_a_service_match_no_wildcard() -> None:
    """A wildcard covers SRV of its names where there is such a service, and nothing else with an underscore."""
    Case("_grpc._tcp.x.wild.global. SRV", "NXDOMAIN", authority=(SOA,)).check(
        answered("_grpc._tcp.x.wild.global. SRV", view())
    )


OUTSIDE = [
    "example.com. A",
    "xglobal. A",
    "a.xglobal. A",
    "global.example. A",
    r"a\006global. A",  # one label that contains the octets of the zone
    r"x\006global\000.test. A",
    ". NS",
    "lobal. A",
    "a.mesh.example. A",  # the name database has a row for it, the settings no zone
    "reviews.prod.globa. A",
]


@pytest.mark.parametrize("question", OUTSIDE)
def test_what_is_in_no_zone_is_forwarded(question: str) -> None:
    """Zones end at label boundaries; everything else is for somebody else, with and without a name database."""
    authority = Authority(ZONES)
    for looked in (view(), view(UNREADY), None):
        assert authority.respond(asked(question), looked, tcp=False) is Verdict.FORWARD


def test_a_label_with_the_octets_of_a_wildcard_is_no_wildcard() -> None:
    """A dot inside a label is part of the label: no prefix of octets may pass for a name."""
    case = Case(r"x\004wild.global. A", "NXDOMAIN", authority=(SOA,))
    case.check(answered(case.question, view()))


FALLTHROUGH = (ServedZone(names.to_wire("global"), fallthrough=True),)


def test_fallthrough_forwards_only_what_is_unknown() -> None:
    """With ``fallthrough`` an unknown name is forwarded; a known name without the type stays NODATA."""
    authority = Authority(FALLTHROUGH)
    assert authority.respond(asked("nope.prod.global. A"), view(), tcp=False) is Verdict.FORWARD
    Case("reviews.prod.global. AAAA", authority=(SOA,)).check(
        answered("reviews.prod.global. AAAA", view(), FALLTHROUGH)
    )


def test_fallthrough_waits_for_clusters_that_have_not_synced() -> None:
    """An outsider is not asked for a name that a cluster may still declare."""
    Case("nope.prod.global. A", "SERVFAIL", ede=14).check(answered("nope.prod.global. A", view(WAITING), FALLTHROUGH))


MANY = tuple(f"192.0.2.{i}" for i in range(1, 16))


def test_rotation_puts_every_address_first_once() -> None:
    """Over as many spins as there are addresses, each comes first exactly once and none is lost."""
    looked = view(served={"many.global": row(*MANY)})
    firsts = []
    for spin in range(len(MANY)):
        found = [rdata.address for rdata in answered("many.global. A", looked, rotation=spin).answer[0]]
        assert sorted(found) == sorted(MANY)
        firsts.append(found[0])
    assert sorted(firsts) == sorted(MANY)


def test_fifteen_addresses_and_a_long_name_fit_512_octets() -> None:
    """The cap of 15 addresses exists so that a client without EDNS needs no TCP."""
    name = ".".join(["x" * 60] * 3 + ["global"])
    reply = Authority(ZONES).respond(asked(f"{name}. A", edns=-1), view(served={name: row(*MANY)}), tcp=False)
    assert not isinstance(reply, Verdict)
    assert not dns.message.from_wire(reply[0]).flags & dns.flags.TC


WIDE = tuple(f"2001:db8::{i:x}" for i in range(1, 41))


@pytest.mark.parametrize("edns", [-1, 0])
def test_what_does_not_fit_is_truncated_over_udp(edns: int) -> None:
    """TC, the question and the OPT stay; no partial RRset is sent."""
    query = asked("wide.global. AAAA", edns=edns, payload=512)
    reply = Authority(ZONES).respond(query, view(served={"wide.global": row(*WIDE)}), tcp=False)
    assert not isinstance(reply, Verdict)
    message = dns.message.from_wire(reply[0])
    assert len(reply[0]) <= 512
    assert (bool(message.flags & dns.flags.TC), message.answer, message.edns) == (True, [], edns)
    assert message.question[0].to_text() == "wide.global. IN AAAA"


@pytest.mark.parametrize("payload", [512, 1232])
def test_any_number_of_stale_clusters_truncates_no_answer(payload: int) -> None:
    """45 clusters with long names are out of contact: the addresses are sent, and as much of the reason as fits."""
    state = NamedbState(
        ready=True,
        complete=True,
        clusters=tuple(f"production-cluster-number-{number:02}-in-europe" for number in range(45)),
        stale=tuple(range(45)),
    )
    merged = {"shop.global": row(*(f"192.0.2.{i}" for i in range(15)), clusters=tuple(range(45)))}
    for tcp in (False, True):
        found = Authority(ZONES).respond(asked("shop.global A", payload=payload), view(state, merged), tcp=tcp)
        assert not isinstance(found, Verdict)
        reply = dns.message.from_wire(found[0])
        assert (bool(reply.flags & dns.flags.TC), len(reply.answer[0])) == (False, 15)
        assert [int(error.code) for error in reply.extended_errors()] == [3]
        assert all((error.text or "").startswith("last known data of prod") for error in reply.extended_errors())


def test_over_tcp_everything_fits() -> None:
    """A stream carries the whole RRset, without TC."""
    message = answered("wide.global. AAAA", view(served={"wide.global": row(*WIDE)}), tcp=True)
    assert (message.flags & dns.flags.TC, len(message.answer[0])) == (0, len(WIDE))


@pytest.mark.parametrize(
    ("question", "rcode"), [("global. AXFR", "REFUSED"), ("global. IXFR", "REFUSED"), ("global. TKEY", "FORMERR")]
)
def test_refusals_come_before_zones(question: str, rcode: str) -> None:
    """What is never answered is refused inside and outside our zones alike, with OPT and without AA."""
    for name in (question, question.replace("global", "example")):
        reply = answered(name, view())
        assert (dns.rcode.to_text(reply.rcode()), reply.flags & dns.flags.AA, reply.edns) == (rcode, 0, 0)


def test_nsid_says_which_instance_answers() -> None:
    """NSID is answered where it is asked for, and with the NSID of this instance."""
    options: list[dns.edns.Option] = [dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")]
    query = parse_query(dns.message.make_query("reviews.prod.global.", "A", use_edns=0, options=options).to_wire())
    assert query is not None
    reply = Authority(ZONES, nsid=b"node-7").respond(query, view(), tcp=False)
    assert not isinstance(reply, Verdict)
    assert dns.edns.NSIDOption(b"node-7") in dns.message.from_wire(reply[0]).options


KEPT = [
    "reviews.prod.global. A",
    "REVIEWS.prod.global. A",
    "reviews.prod.global. AAAA",
    "pending.prod.global. A",
    "*.wild.global. A",
]


@pytest.mark.parametrize("question", KEPT)
def test_a_reply_that_rests_on_one_row_may_be_kept(question: str) -> None:
    """The owner name whose change drops the ready reply is the question's own."""
    query = asked(question)
    assert Authority(ZONES).cacheable_owner(query, view()) == query.qname_lower


NOT_KEPT = {
    "unknown": "nope.prod.global. A",
    "covered by a wildcard": "x.wild.global. A",
    "an apex": "global. SOA",
    "an empty non-terminal that a wildcard may cover": "eu.wild.global. A",
    "outside": "example.com. A",
}


@pytest.mark.parametrize("case", NOT_KEPT)
def test_other_replies_are_not_kept(case: str) -> None:
    """What rests on more than one row is never kept."""
    assert Authority(ZONES).cacheable_owner(asked(NOT_KEPT[case]), view()) is None


QUESTION = st.builds(
    "{} {}".format,
    st.sampled_from(
        [name.replace("*", "w") + "." for name in NAMES if name.endswith(".global")]
        + ["global.", "a.b.global.", "x.x.corp.global."]
    ),
    st.sampled_from(["A", "AAAA", "SOA", "NS", "SRV", "TXT", "ANY", "PTR", "DS"]),
)


STATE = st.sampled_from([READY, WAITING, STALE, UNREADY])


@given(question=QUESTION, tcp=st.booleans(), spin=st.integers(0, 255), state=STATE, closest=st.booleans())
def test_every_reply_is_a_valid_message(
    *, question: str, tcp: bool, spin: int, state: NamedbState, closest: bool
) -> None:
    """Every reply is read by dnspython, answers this question, is within the size, and a denial carries the SOA."""
    zone = ServedZone(names.to_wire("global"), closest_encloser=closest)
    reply = Authority((zone, ZONES[1])).respond(asked(question), view(state), tcp=tcp, rotation=spin)
    assert not isinstance(reply, Verdict)
    message = dns.message.from_wire(reply[0])
    assert len(reply[0]) <= 1232
    assert message.question[0].name.to_text() == question.partition(" ")[0]
    assert all(rrset.name == message.question[0].name for rrset in message.answer)
    denied = not message.answer and message.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    assert [rrset.rdtype == dns.rdatatype.SOA for rrset in message.authority] == ([True] if denied else [])
    if denied:
        assert message.authority[0].ttl == message.authority[0][0].minimum


SOURCED = {
    "near.global": row("198.51.100.1", level=3),
    "far.global": row("198.51.100.2", clusters=(1,), level=6),
    "*.any.global": row("198.51.100.3", clusters=(0, 1), level=4),
    "any.global": row(clusters=()),
    "fixed.global": row("192.0.2.1", clusters=(), static=True, level=1),
}
SILENT = NamedbState(ready=True, complete=True, wildcards=True, clusters=("east", "west"), is_controller_silent=True)


@pytest.mark.parametrize(
    ("question", "state", "source"),
    [
        ("near.global. A", READY, (3, False)),
        ("near.global. A", STALE, (3, False)),
        ("far.global. A", READY, (6, False)),
        ("far.global. A", STALE, (6, True)),
        ("x.any.global. A", STALE, (4, True)),
        ("near.global. A", SILENT, (3, True)),
        ("fixed.global. A", SILENT, (1, False)),
        ("far.global. AAAA", STALE, (0, False)),
        ("none.global. A", STALE, (0, False)),
        ("global. SOA", STALE, (0, False)),
        ("pending.prod.global. A", STALE, (0, False)),
    ],
)
def test_a_reply_names_the_source_of_its_answer(question: str, state: NamedbState, source: tuple[int, bool]) -> None:
    """The level of the row and whether it is last known data; nothing for whatever has no answer of a row."""
    reply = Authority(ZONES).respond(asked(question), view(state, SOURCED), tcp=True)
    assert not isinstance(reply, Verdict)
    assert reply[1] == source
