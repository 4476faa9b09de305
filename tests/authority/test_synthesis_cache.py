"""What a query for a synthesized name costs does not grow with what somebody declared, counted in decoded rows."""

import sys
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Self

import dns.message
import pytest

from meshdns.authority import explain_txt, synthesis_cache
from meshdns.authority.authority import Authority, Verdict
from meshdns.authority.row_format import ClusterPart, RowService, RowStatus, SynthesisData, encode_row
from meshdns.authority.state import NamedbState
from meshdns.authority.synthesis import MAX_TARGETS
from meshdns.authority.zone import ServedZone
from meshdns.dns import names
from meshdns.dns.codes import TYPE_A
from meshdns.dns.query import Query, parse_query
from meshdns.dns.response import record

PORTS = 1500


def row(first_port: int = 1) -> bytes:
    """The row of a host with many ports, near the largest that there is."""
    parts = tuple(
        ClusterPart(b"west", port, {TYPE_A: (1, record(TYPE_A, 30, bytes([192, 0, 2, 1])))})
        for port in (0, *range(first_port, first_port + PORTS))
    )
    services = (RowService(b"http", b"tcp", 30, tuple((port, b"west") for port in range(1, 300))),)
    made = encode_row(RowStatus.DATA, {}, ttl=30, synthesis=SynthesisData(parts, services))
    assert len(made) > 40_000
    return made


@dataclass
class Rows:
    """Rows in a dict."""

    served: dict[bytes, bytes]
    state: NamedbState = field(default_factory=lambda: NamedbState(ready=True, complete=True, wildcards=True))
    serial: int = 7

    def row(self, owner: bytes) -> bytes | None:
        """A copy, as each read of the database makes one."""
        found = self.served.get(owner)
        return None if found is None else bytes(bytearray(found))


class Decodes:
    """Counts calls of msgspec's functions that decode, while it is entered."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._record)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _record(self, _frame: FrameType, event: str, argument: Any) -> None:
        self.count += event == "c_call" and "decode" in argument.__name__ and "msgspec" in (argument.__module__ or "")


def query(name: str, rtype: str = "A") -> Query:
    """A parsed query."""
    found = parse_query(dns.message.make_query(name, rtype).to_wire())
    assert found is not None
    return found


def answer(authority: Authority, rows: Rows, name: str, rtype: str = "A") -> dns.message.Message:
    """The reply over TCP."""
    reply = authority.respond(query(name, rtype), rows, tcp=True)
    assert not isinstance(reply, Verdict)
    return dns.message.from_wire(reply[0])


@pytest.fixture
def authority() -> Authority:
    """An authority for zone ``global``."""
    return Authority([ServedZone(names.to_wire("global"))])


KNOWN = [("west.h.global", "A"), ("p7.west.h.global", "A"), ("_http._tcp.h.global", "SRV"), ("_tcp.h.global", "A")]


@pytest.mark.parametrize(("name", "rtype"), KNOWN, ids=[name for name, _ in KNOWN])
def test_a_row_is_decoded_once(authority: Authority, name: str, rtype: str) -> None:
    """However many queries there are for the names that are synthesized from it."""
    rows = Rows({names.to_wire("h.global"): row()})
    with Decodes() as decodes:
        for _ in range(20):
            authority.respond(query(name, rtype), rows, tcp=False)
    assert decodes.count == 1
    assert answer(authority, rows, name, rtype).rcode() == dns.rcode.NOERROR


def test_random_names_decode_nothing(authority: Authority) -> None:
    """Labels that the row does not hold are synthesized from nothing, below its clusters too."""
    rows = Rows({names.to_wire("h.global"): row()})
    with Decodes() as decodes:
        for number in range(20):
            for name in (f"x{number}.h.global", f"_x{number}._tcp.h.global", f"p{number}.y{number}.h.global"):
                authority.respond(query(name), rows, tcp=False)
    assert decodes.count == 0


def test_a_wildcards_row_is_decoded_once_for_all_that_it_covers(authority: Authority) -> None:
    """Its owner name counts, not those that are queried."""
    rows = Rows({names.to_wire("*.w.global"): row()})
    with Decodes() as decodes:
        for number in range(20):
            authority.respond(query(f"_http._tcp.x{number}.w.global", "SRV"), rows, tcp=False)
    assert decodes.count == 1


def test_a_changed_row_is_decoded_again(authority: Authority) -> None:
    """What was decoded before the change is not answered after it."""
    rows = Rows({names.to_wire("h.global"): row()})
    assert answer(authority, rows, "p2.west.h.global").answer
    rows.served[names.to_wire("h.global")] = row(first_port=PORTS * 2)
    assert not answer(authority, rows, "p2.west.h.global").answer
    assert answer(authority, rows, f"p{PORTS * 2}.west.h.global").answer


def test_decoded_rows_are_bounded(authority: Authority) -> None:
    """Whoever declares many large hosts, and queries them all, takes no more memory than this."""
    encoded = row()
    hosts = [f"h{number}.global" for number in range(3 * synthesis_cache.MAX_BYTES // len(encoded))]
    rows = Rows({names.to_wire(host): encoded for host in hosts})
    cache = authority._synthesis_cache
    for host in hosts:
        assert answer(authority, rows, f"west.{host}").answer
        kept = sum(len(index.encoded) for index in cache._indexes.values())
        assert 0 < kept <= cache._size <= synthesis_cache.MAX_BYTES


def test_a_service_has_as_many_records_as_are_useful(authority: Authority) -> None:
    """Of hundreds of targets the first are named."""
    rows = Rows({names.to_wire("h.global"): row()})
    assert len(answer(authority, rows, "_http._tcp.h.global", "SRV").answer[0]) == MAX_TARGETS


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_each_transport_has_services_of_its_own(authority: Authority, protocol: str) -> None:
    """The name above them exists as well, and those of other transports do not."""
    services = (RowService(b"sip", protocol.encode(), 30, ((5060, b""),)),)
    encoded = encode_row(RowStatus.DATA, {}, ttl=30, synthesis=SynthesisData((), services))
    rows = Rows({names.to_wire("h.global"): encoded})
    for each in ("tcp", "udp", "sctp"):
        found = answer(authority, rows, f"_sip._{each}.h.global", "SRV")
        above = answer(authority, rows, f"_{each}.h.global", "SRV")
        rcode = dns.rcode.NOERROR if each == protocol else dns.rcode.NXDOMAIN
        assert ([len(rrset) for rrset in found.answer], found.rcode(), above.rcode()) == (
            [1] * (each == protocol),
            rcode,
            rcode,
        )


def test_a_huge_provenance_is_not_decoded() -> None:
    """Its reader is told where it is shown instead."""
    with Decodes() as decodes:
        huge = bytes(explain_txt.MAX_PROVENANCE + 1)
        reply = explain_txt.explain_reply(query("_explain.h.global", "TXT"), huge, tcp=True)
    assert decodes.count == 0
    assert b"meshdns explain" in reply
