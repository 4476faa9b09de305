"""What the authority denies while names are computed for other settings, or while nothing can be written."""

from dataclasses import dataclass

import dns.flags
import dns.message
import dns.rcode
import msgspec
import pytest

from meshdns.authority import row_format
from meshdns.authority.authority import Authority, Verdict
from meshdns.authority.denial import outdated_zones
from meshdns.authority.row_format import RowStatus
from meshdns.authority.state import NamedbState, decode_state, encode_state
from meshdns.authority.zone import ServedZone
from meshdns.dns import names
from meshdns.dns.codes import TYPE_A, TYPE_TXT
from meshdns.dns.query import Query, parse_query
from meshdns.mesh.zone_hashes import UNKNOWN_HASH, ZoneHashes

NEW = ZoneHashes("new", "records")
OTHER_RECORDS = ZoneHashes("new", "other records")
RECORDS = (
    (names.to_wire("fresh.a.global"), TYPE_A),
    (names.to_wire("*.wide.global"), TYPE_A),
    (names.to_wire("known.global"), TYPE_TXT),
)
ZONE = ServedZone(names.to_wire("global"), hashes=NEW, route=".", records=RECORDS)
KNOWN = row_format.encode_row(RowStatus.DATA, {TYPE_A: [bytes([192, 0, 2, 1])]}, ttl=30)
EMPTY = row_format.encode_row(RowStatus.DATA, {}, ttl=30)
ROWS = {
    "known.global": KNOWN,
    "under.empty.global": KNOWN,
    "empty.global": EMPTY,
    "waiting.global": row_format.encode_row(RowStatus.PENDING, {}, ttl=0),
}


@dataclass
class Rows:
    """The rows above in a state."""

    state: NamedbState
    serial: int = 7

    def row(self, owner: bytes) -> bytes | None:
        """The row of a lower-case wire name."""
        return {names.to_wire(name): row for name, row in ROWS.items()}.get(owner)


def state(zones: dict[str, ZoneHashes] | None, *, ready: bool = True, complete: bool = True) -> NamedbState:
    """The state of a name database with these hashes."""
    return NamedbState(ready=ready, complete=complete, zones=zones)


def query(name: str, rtype: str = "A", *, edns: bool = True) -> Query:
    """A parsed query."""
    found = parse_query(dns.message.make_query(name, rtype, use_edns=0 if edns else -1).to_wire())
    assert found is not None
    return found


def outcome(zone: ServedZone, found: NamedbState, name: str, rtype: str = "A") -> str:
    """RCODE and extended error of the reply, or FORWARD; NODATA for a denial of the type."""
    reply = Authority([zone]).respond(query(name, rtype), Rows(found), tcp=False)
    if isinstance(reply, Verdict):
        return reply.name
    message = dns.message.from_wire(reply[0])
    errors = "".join(f" {int(error.code)}" for error in message.extended_errors())
    if message.rcode() == dns.rcode.SERVFAIL:
        assert (message.authority, bool(message.flags & dns.flags.AA)) == ([], False)
        return "SERVFAIL" + errors
    if message.rcode() == dns.rcode.NXDOMAIN:
        assert message.authority
        return "NXDOMAIN" + errors
    return ("DATA" if message.answer else "NODATA") + errors


@pytest.mark.parametrize("zones", [None, {}, {"global": ZoneHashes("old", "records")}], ids=["unknown", "new", "other"])
def test_known_names_are_served_as_they_are(zones: dict[str, ZoneHashes] | None) -> None:
    """Whatever they were computed for; of another type they have no data, but for a static record."""
    zone = msgspec.structs.replace(ZONE, route="")
    assert outcome(zone, state(zones), "known.global") == "DATA"
    assert outcome(zone, state(zones), "known.global", "AAAA") == "NODATA"
    assert outcome(zone, state(zones), "known.global", "TXT") == "SERVFAIL 14"
    assert outcome(zone, state(zones), "waiting.global") == "SERVFAIL 22"
    assert outcome(zone, state(zones), "global", "SOA") == "DATA"


OUTDATED = [
    ("nosuch.global", "A"),
    ("empty.global", "A"),
    ("global", "A"),
    ("ns.global", "A"),
    ("_http._tcp.nosuch.global", "SRV"),
]


@pytest.mark.parametrize(("name", "rtype"), OUTDATED, ids=[name for name, _ in OUTDATED])
def test_unknown_names_are_not_denied_for_other_settings(name: str, rtype: str) -> None:
    """Names without data of their own may get some: neither NXDOMAIN nor NODATA is said of them."""
    for zones in (None, {"global": ZoneHashes("old", "records")}, {"global": ZoneHashes(UNKNOWN_HASH, "records")}):
        assert outcome(ZONE, state(zones), name, rtype) == "SERVFAIL 14"
    assert outcome(ZONE, state({"global": NEW}), name, rtype) in ("NXDOMAIN", "NODATA")


def test_a_zone_that_was_none_is_forwarded_until_its_names_are_there() -> None:
    """Where the root's names went: known names are served already, whether or not clusters have synced."""
    for found in (state({}), state({}, complete=False), state({"other.example": NEW})):
        assert outcome(ZONE, found, "nosuch.global") == "FORWARD"
        assert outcome(ZONE, found, "global") == "FORWARD"
        assert outcome(ZONE, found, "global", "SOA") == "FORWARD"
        assert outcome(ZONE, found, "known.global") == "DATA"
    assert outcome(ZONE, state({}, ready=False), "nosuch.global") == "FORWARD"
    assert outcome(ZONE, state({}, ready=False), "known.global") == "SERVFAIL 14"


def test_a_forward_zone_that_is_gone_is_not_asked_for_at_the_root() -> None:
    """Its upstream is not in the settings any more, and the root's would deny the names."""
    assert outcome(ZONE, state({"global": ZoneHashes(upstream="global")}), "nosuch.global") == "SERVFAIL 14"
    inside = msgspec.structs.replace(ZONE, route="corp.global")
    assert outcome(inside, state({"global": ZoneHashes(upstream="corp.global")}), "nosuch.global") == "FORWARD"


def test_fallthrough_goes_on_and_does_not_begin() -> None:
    """A zone whose unknown names were forwarded forwards them; one that has just got the option does not yet."""
    zone = msgspec.structs.replace(ZONE, fallthrough=True)
    before = ZoneHashes("old", "records", upstream=".")
    assert outcome(zone, state({"global": before}), "nosuch.global") == "FORWARD"
    assert outcome(zone, state({"global": before}, complete=False), "nosuch.global") == "SERVFAIL 14"
    assert outcome(zone, state({"global": ZoneHashes("old", "records")}), "nosuch.global") == "SERVFAIL 14"
    assert outcome(zone, state({"global": NEW}), "nosuch.global") == "FORWARD"


def test_other_records_are_about_their_names_alone() -> None:
    """A new record holds up the denial of its name, of those above it and of those that its wildcard covers."""
    found = state({"global": OTHER_RECORDS})
    for name in ("fresh.a.global", "a.global", "x.wide.global", "x.y.wide.global"):
        assert outcome(ZONE, found, name) == "SERVFAIL 14", name
    for name in ("nosuch.global", "x.fresh.a.global", "b.a.global"):
        assert outcome(ZONE, found, name) == "NXDOMAIN", name
    assert outcome(ZONE, found, "known.global", "TXT") == "SERVFAIL 14"
    assert outcome(ZONE, found, "known.global", "AAAA") == "NODATA"


def test_nothing_is_denied_while_nothing_can_be_written() -> None:
    """What the database lacks may be in the changes that wait; what it has is old."""
    found = msgspec.structs.replace(state({"global": NEW}), is_unwritable=True)
    assert outcome(ZONE, found, "nosuch.global") == "SERVFAIL 14"
    assert outcome(ZONE, found, "empty.global") == "SERVFAIL 14"
    assert outcome(ZONE, found, "known.global") == "DATA 3"
    assert outcome(ZONE, found, "known.global", "AAAA") == "NODATA 3"
    assert outcome(msgspec.structs.replace(ZONE, fallthrough=True), found, "nosuch.global") == "FORWARD"


def test_denials_are_shared_only_where_all_names_may_be_denied() -> None:
    """A denied name's sibling may be one that must not be."""
    authority = Authority([ZONE])
    unknown = query("nosuch.global", edns=False)
    assert authority.is_denial_shared(unknown, Rows(state({"global": NEW})))
    assert not authority.is_denial_shared(unknown, Rows(state({"global": OTHER_RECORDS})))


def test_zones_are_outdated_until_names_and_records_are_computed() -> None:
    """A zone without hashes never is."""
    plain = ServedZone(names.to_wire("plain.example"))
    zones = [ZONE, plain, msgspec.structs.replace(ZONE, apex=names.to_wire("a.example"))]
    assert outdated_zones(zones, state(None)) == ("a.example", "global")
    assert outdated_zones(zones, state({"global": OTHER_RECORDS, "a.example": NEW})) == ("global",)
    assert outdated_zones(zones, state({"global": NEW, "a.example": NEW})) == ()


def test_the_first_version_reads_the_state() -> None:
    """It knows none of the new keys, and its own are as they were."""

    class FirstState(msgspec.Struct, frozen=True):
        ready: bool = False
        complete: bool = False
        clusters: tuple[str, ...] = ()
        stale: tuple[int, ...] = ()
        wildcards: bool = False

    written = encode_state(state({"global": NEW}))
    assert msgspec.json.decode(written, type=FirstState) == FirstState(ready=True, complete=True)
    assert decode_state(msgspec.json.encode(FirstState(ready=True))).zones is None
