"""What the authority says where zones and forward zones lie inside each other, and of zones with fallthrough.

A reply is told in one word: what its first record says, ``NODATA`` or ``NXDOMAIN`` with the zone of its SOA, the code
of its extended error, or the verdict.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from itertools import product

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import msgspec
import pytest

from meshdns.authority.authority import Authority, Verdict
from meshdns.authority.row_format import RowStatus, encode_row
from meshdns.authority.state import NamedbState
from meshdns.authority.zone import ServedZone
from meshdns.dns import names
from meshdns.dns.codes import TYPE_A
from meshdns.dns.query import Query, parse_query
from meshdns.mesh.zone_hashes import ZoneHashes
from tests.authority.test_authority import MemoryRowReader

READY = NamedbState(ready=True, complete=True, clusters=("east",), wildcards=True)
EMPTY = encode_row(RowStatus.DATA, {}, ttl=30)
DECLARED = encode_row(RowStatus.DECLARED, {}, ttl=0)
PENDING = encode_row(RowStatus.PENDING, {}, ttl=0)
TYPES = ("A", "AAAA", "SOA", "NS", "DS", "MX", "TXT", "ANY")
NODATA = tuple(rtype for rtype in TYPES if rtype not in ("SOA", "NS", "ANY"))
"""The types of which an apex without records has none; of any type the SOA is enough (RFC 8482 section 4.1)."""


def row(text: str) -> bytes:
    """The row of a name with one address."""
    return encode_row(RowStatus.DATA, {TYPE_A: [ip_address(text).packed]}, ttl=30, clusters=(0,))


def zone(name: str, *, fallthrough: bool = False, **more: object) -> ServedZone:
    """A zone of the settings, which listens on one address."""
    base = ServedZone(names.to_wire(name), fallthrough=fallthrough, servers=("192.0.2.53",))
    return msgspec.structs.replace(base, **more)


NESTED = (zone("global"), zone("eu.global", ttl=60, negative_ttl=9), zone("mesh.corp.example"), zone("x.gap.global"))
FORWARD = ("", "legacy.global", "old.deep.global", "corp.example", "in.eu.global")
ROWS = {
    "*.global": row("192.0.2.1"),
    "a.global": row("192.0.2.2"),
    "*.eu.global": row("192.0.2.3"),
    "a.eu.global": row("192.0.2.4"),
    "a.mesh.corp.example": row("192.0.2.5"),
    "left.legacy.global": row("192.0.2.6"),  # a row of other settings: the zone was none of the mesh then
    "*.legacy.global": row("192.0.2.7"),
}


def asked(name: str, rtype: str, *, edns: bool = True) -> Query:
    """The parsed query, with the letters of the name as given."""
    query = parse_query(dns.message.make_query(name, rtype, use_edns=0 if edns else -1, id=1).to_wire())
    assert query is not None
    return query


def word(reply: tuple[bytes, object] | Verdict, query: Query) -> str:
    """A reply in one word."""
    if isinstance(reply, Verdict):
        return reply.name
    message = dns.message.from_wire(reply[0])
    assert (message.edns == 0) is query.edns
    assert message.question[0].name.to_wire() == query.qname, "the letters are the client's"
    if message.rcode() == dns.rcode.SERVFAIL:
        assert not message.answer
        assert not message.authority
        return "SERVFAIL" + "".join(f" {int(error.code)}" for error in message.extended_errors())
    assert message.flags & dns.flags.AA
    if message.answer:
        found = message.answer[0]
        assert not message.authority
        return f"{found.name}" if found.rdtype == dns.rdatatype.SOA else f"{found[0]}"
    (soa,) = message.authority
    return f"{'NODATA' if message.rcode() == 0 else dns.rcode.to_text(message.rcode())} {soa.name}".lower()


class Served:
    """An authority around rows."""

    def __init__(
        self,
        zones: Sequence[ServedZone] = NESTED,
        forward: Sequence[str] = FORWARD,
        rows: Mapping[str, bytes] = ROWS,
        state: NamedbState = READY,
    ) -> None:
        self.authority = Authority(zones, [names.to_wire(each) for each in forward])
        self.rows = MemoryRowReader({names.to_wire(name): found for name, found in rows.items()}, state)

    def says(self, name: str, rtype: str = "A") -> str:
        """What is replied, the same over UDP and TCP, with EDNS and without, whatever the case of the letters."""
        found = {True: set[str](), False: set[str]()}  # with EDNS, and without
        for spelt, edns, tcp in product((name, name.upper()), (True, False), (False, True)):
            query = asked(spelt, rtype, edns=edns)
            found[edns].add(word(self.authority.respond(query, self.rows, tcp=tcp), query).lower())
        ((told,), (plain,)) = found.values()
        assert plain == ("servfail" if told.startswith("servfail") else told), "no extended error without EDNS"
        return told

    def says_after_denial(self, name: str, rtype: str) -> str:
        """What is replied once the upstream has denied the name; empty if the denial stands."""
        query = asked(name, rtype)
        reply = self.authority.answer_after_denial(query, self.rows, tcp=False)
        return "" if reply is None else word(reply, query).lower()


NESTED_TABLE: dict[str, str] = {
    **{f"global {rtype}": "nodata global." for rtype in NODATA},
    "global SOA": "global.",
    "global ANY": "global.",
    "global NS": "ns.global.",
    "eu.global SOA": "eu.global.",
    "eu.global ANY": "eu.global.",
    "eu.global NS": "ns.eu.global.",
    **{f"eu.global {rtype}": "nodata eu.global." for rtype in NODATA if rtype != "DS"},
    "eu.global DS": "nodata global.",
    "a.eu.global DS": "nodata eu.global.",
    "a.eu.global A": "192.0.2.4",
    "a.eu.global MX": "nodata eu.global.",
    "b.eu.global A": "192.0.2.3",
    "b.eu.global TXT": "nodata eu.global.",
    "x.y.eu.global A": "192.0.2.3",
    "ns.eu.global A": "192.0.2.53",
    "ns.global A": "192.0.2.53",
    "a.global A": "192.0.2.2",
    "b.global A": "192.0.2.1",
    "eux.global A": "192.0.2.1",
    # a forward zone inside: all of it is forwarded, but for the DS of its apex, which is the outer zone's
    **{f"legacy.global {rtype}": "forward" for rtype in TYPES if rtype != "DS"},
    "legacy.global DS": "nodata global.",
    **{f"left.legacy.global {rtype}": "forward" for rtype in TYPES},
    **{f"b.legacy.global {rtype}": "forward" for rtype in TYPES},
    "in.eu.global A": "forward",
    "in.eu.global DS": "nodata eu.global.",
    "b.in.eu.global A": "forward",
    "_x._tcp.in.eu.global SRV": "forward",
    # names between a zone and one inside it exist, and have no data
    **{f"deep.global {rtype}": "nodata global." for rtype in TYPES},
    **{f"gap.global {rtype}": "nodata global." for rtype in TYPES},
    "b.deep.global A": "192.0.2.1",
    "old.deep.global A": "forward",
    "x.gap.global DS": "nodata global.",
    "x.gap.global A": "nodata x.gap.global.",
    "b.x.gap.global A": "nxdomain x.gap.global.",
    "ns.x.gap.global A": "192.0.2.53",
    # a zone inside a forward zone: whatever is above it is forwarded, and it has no parent here
    **{f"corp.example {rtype}": "forward" for rtype in TYPES},
    "b.corp.example A": "forward",
    "mesh.corp.example DS": "nodata mesh.corp.example.",
    "mesh.corp.example SOA": "mesh.corp.example.",
    "a.mesh.corp.example A": "192.0.2.5",
    "b.mesh.corp.example A": "nxdomain mesh.corp.example.",
    "example A": "forward",
}


@pytest.mark.parametrize("question", NESTED_TABLE)
def test_the_longest_match_decides(question: str) -> None:
    """The names of a zone end where another zone or a forward zone begins."""
    assert Served().says(*question.split()) == NESTED_TABLE[question]


@pytest.mark.parametrize("question", [each for each in NESTED_TABLE if each.split()[1] != "ANY"])
def test_the_order_of_the_settings_is_of_no_account(question: str) -> None:
    """The same zones the other way round say the same."""
    assert Served(NESTED[::-1], FORWARD[::-1]).says(*question.split()) == NESTED_TABLE[question]


def test_a_delegation_follows_from_the_settings_alone() -> None:
    """DS at an inner apex is denied whatever is known of the mesh; a fallback zone has no DS to give."""
    zones = (*NESTED, zone("k8s.global", fallback=True), zone("in.k8s.global"))
    for state in (READY, NamedbState(), NamedbState(ready=True)):
        served = Served(zones, state=state)
        assert served.says("eu.global", "DS") == "nodata global."
        assert served.says("k8s.global", "DS") == "nodata global."
    assert Served(zones).says("in.k8s.global", "DS") == "nodata in.k8s.global."
    query = asked("eu.global", "DS")
    assert word(Served().authority.respond(query, None, tcp=False), query) == "nodata global."


def test_what_is_of_a_forward_zone_is_none_of_ours() -> None:
    """Nothing that stands in the database speaks for it, no reply of it is shared or kept."""
    served = Served()
    for name in ("legacy.global", "left.legacy.global", "b.legacy.global"):
        wire = names.to_wire(name)
        assert not served.authority.serves(wire)
        assert not served.authority.is_of_zone(wire, served.rows)
        assert not served.authority.is_denial_shared(asked(name, "A"), served.rows)
        assert served.authority.covering_owner(wire, served.rows) is None
        assert served.says_after_denial(name, "A") == ""


def test_a_wildcard_of_the_outer_zone_ends_at_the_inner_one() -> None:
    """For synthesized names, too."""
    rows = {"*.global": row("192.0.2.1"), "a.x.gap.global": row("192.0.2.9")}
    served = Served(rows=rows)
    assert served.says("b.x.gap.global") == "nxdomain x.gap.global."
    assert served.says("b.eu.global") == "nxdomain eu.global."
    assert served.says("_http._tcp.b.eu.global", "SRV") == "nxdomain eu.global."
    assert served.authority.covering_owner(names.to_wire("b.eu.global"), served.rows) is None
    assert served.authority.covering_owner(names.to_wire("b.global"), served.rows) == names.to_wire("*.global")


# ------------------------------------------------------------------------------------------------- fallthrough

CORP = zone("corp.example", fallthrough=True)
CORP_ROWS = {
    "sso.corp.example": row("192.0.2.1"),
    "api.eu.corp.example": row("192.0.2.2"),
    "eu.corp.example": EMPTY,
    "dead.corp.example": DECLARED,
    "late.corp.example": PENDING,
    "dead.wild.corp.example": DECLARED,
    "*.wild.corp.example": row("192.0.2.3"),
    "wild.corp.example": EMPTY,
}
CORP_ZONES = (CORP, zone("lab.gap.corp.example"), zone("eu.global"))
FALLTHROUGH_TABLE: dict[str, str] = {
    **{f"corp.example {rtype}": "fall_through" for rtype in TYPES},
    **{f"eu.corp.example {rtype}": "fall_through" for rtype in TYPES},
    **{f"wild.corp.example {rtype}": "fall_through" for rtype in TYPES},
    **{f"gap.corp.example {rtype}": "fall_through" for rtype in TYPES},
    **{f"www.corp.example {rtype}": "forward" for rtype in TYPES},
    **{f"ns.corp.example {rtype}": "forward" for rtype in TYPES},
    **{f"sso.corp.example {rtype}": "nodata corp.example." for rtype in TYPES if rtype not in ("A", "ANY")},
    "sso.corp.example A": "192.0.2.1",
    "sso.corp.example ANY": "192.0.2.1",
    "_acme-challenge.sso.corp.example TXT": "forward",
    **{f"dead.corp.example {rtype}": "nodata corp.example." for rtype in TYPES},
    **{f"dead.wild.corp.example {rtype}": "nodata corp.example." for rtype in TYPES},
    "b.wild.corp.example A": "192.0.2.3",
    "b.wild.corp.example MX": "nodata corp.example.",
    **{f"late.corp.example {rtype}": "servfail 22" for rtype in TYPES},
    "lab.gap.corp.example A": "nodata lab.gap.corp.example.",
    "b.lab.gap.corp.example A": "nxdomain lab.gap.corp.example.",
}


@pytest.mark.parametrize("question", FALLTHROUGH_TABLE)
def test_what_nobody_declares_falls_through(question: str) -> None:
    """The apex and names above declared ones are the other server's; a declared name never is."""
    assert Served(CORP_ZONES, [""], CORP_ROWS).says(*question.split()) == FALLTHROUGH_TABLE[question]


@pytest.mark.parametrize("question", [each for each, said in FALLTHROUGH_TABLE.items() if said == "fall_through"])
def test_the_other_servers_nxdomain_becomes_nodata(question: str) -> None:
    """Names below exist, so it is no NXDOMAIN (RFC 8020); at the apex SOA and NS are ours then."""
    own = {
        "corp.example SOA": "corp.example.",
        "corp.example ANY": "corp.example.",
        "corp.example NS": "ns.corp.example.",
    }
    said = Served(CORP_ZONES, [""], CORP_ROWS).says_after_denial(*question.split())
    assert said == own.get(question, "nodata corp.example.")


def test_a_declared_apex_does_not_fall_through() -> None:
    """But for SOA and NS, which nobody declares."""
    for declared, said in ((row("192.0.2.8"), "192.0.2.8"), (DECLARED, "nodata corp.example.")):
        served = Served(CORP_ZONES, [""], {**CORP_ROWS, "corp.example": declared})
        assert served.says("corp.example") == said
        assert served.says("corp.example", "ANY") == said
        for rtype in ("AAAA", "MX", "TXT"):
            assert served.says("corp.example", rtype) == "nodata corp.example."
        assert {served.says("corp.example", rtype) for rtype in ("SOA", "NS")} == {"fall_through"}


@pytest.mark.parametrize("rtype", TYPES)
def test_a_declared_name_is_covered_by_no_wildcard(rtype: str) -> None:
    """It is known, whatever its endpoints came to, by either rule of wildcards."""
    for closest_encloser in (False, True):
        zones = [zone("global", closest_encloser=closest_encloser)]
        rows = {"*.global": row("192.0.2.1"), "dead.global": DECLARED, "*.dead.global": DECLARED}
        served = Served(zones, [], rows)
        assert served.says("dead.global", rtype) == "nodata global."
        assert served.says("b.dead.global", rtype) == "nodata global."


WAITING = msgspec.structs.replace(READY, complete=False)
HASHES = ZoneHashes("new", "records", ".")


@pytest.mark.parametrize("name", ["corp.example", "eu.corp.example", "gap.corp.example"])
@pytest.mark.parametrize("rtype", TYPES)
def test_what_a_cluster_may_still_declare_does_not_fall_through(name: str, rtype: str) -> None:
    """While the mesh is not known the other server is not asked for a name that may turn out to be declared."""
    for state in (WAITING, msgspec.structs.replace(READY, ready=False)):
        assert Served(CORP_ZONES, [""], CORP_ROWS, state).says(name, rtype) == "servfail 14"


@pytest.mark.parametrize("name", ["corp.example", "eu.corp.example", "gap.corp.example"])
@pytest.mark.parametrize("rtype", NODATA)
@pytest.mark.parametrize("fallthrough", [False, True])
@pytest.mark.parametrize(
    ("before", "said"),
    [
        (ZoneHashes("old", "records", "."), "fall_through"),
        (ZoneHashes("old", "records", ""), "servfail 14"),
        (ZoneHashes("old", "records", "corp.example"), "servfail 14"),
    ],
    ids=["fell through", "did not", "fell through to another server"],
)
def test_names_above_others_are_not_denied_while_settings_change(
    name: str, rtype: str, before: ZoneHashes, said: str, *, fallthrough: bool
) -> None:
    """Where they fell through before they still do, and the other server's NXDOMAIN is still none."""
    changed = msgspec.structs.replace(CORP, fallthrough=fallthrough, hashes=HASHES, route=".", server=b"\x02ns\0")
    state = msgspec.structs.replace(READY, zones={"corp.example": before})
    served = Served((changed, *CORP_ZONES[1:]), [""], CORP_ROWS, state)
    assert served.says(name, rtype) == said
    if said == "fall_through":
        assert served.says_after_denial(name, rtype) == "nodata corp.example."


@pytest.mark.parametrize("rtype", TYPES)
@pytest.mark.parametrize(
    "state",
    [
        msgspec.structs.replace(READY, zones={"corp.example": ZoneHashes("old", "records", ".")}),
        msgspec.structs.replace(READY, zones={"corp.example": HASHES}, is_unwritable=True),
        msgspec.structs.replace(READY, zones={}),
    ],
    ids=["other settings", "full", "new"],
)
def test_a_declared_name_is_never_forwarded(rtype: str, state: NamedbState) -> None:
    """While it may not be denied either, for an address may come with what is computed or written next."""
    held = msgspec.structs.replace(CORP, hashes=HASHES, route=".")
    served = Served((held, *CORP_ZONES[1:]), [""], {**CORP_ROWS, "*.dead.corp.example": DECLARED}, state)
    assert served.says("dead.corp.example", rtype) == "servfail 14"
    assert served.says("b.dead.corp.example", rtype) == "servfail 14"


def test_a_name_that_was_declared_meanwhile_is_answered() -> None:
    """The other server's denial comes later than the question: what is known then counts."""
    served = Served(CORP_ZONES, [""], CORP_ROWS)
    assert served.says("eu.corp.example") == "fall_through"
    served.rows.served[names.to_wire("eu.corp.example")] = row("192.0.2.9")
    assert served.says_after_denial("eu.corp.example", "A") == "192.0.2.9"
    served.rows.served[names.to_wire("eu.corp.example")] = DECLARED
    assert served.says_after_denial("eu.corp.example", "A") == "nodata corp.example."
    served.rows.served.clear()
    assert served.says_after_denial("eu.corp.example", "A") == ""
