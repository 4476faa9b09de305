"""The name of this server, ``ns.<zone>``: its addresses are those that are listened on."""

import dns.rcode
import pytest

from meshdns.authority.authority import Authority, Verdict
from meshdns.authority.state import NamedbState
from meshdns.authority.zone import ServedZone
from meshdns.dns import names
from tests.authority.test_authority import READY, SOA, Case, MemoryRowReader, answered, asked, row, view

BOTH = (
    ServedZone(names.to_wire("global"), servers=("192.0.2.53", "2001:db8::53")),
    ServedZone(names.to_wire("x.corp.global"), ttl=60, servers=("192.0.2.54",)),
)
TABLE: dict[str, Case] = {
    "IPv4": Case("ns.global A", answer=("ns.global. 30 IN A 192.0.2.53",)),
    "IPv6": Case("ns.global AAAA", answer=("ns.global. 30 IN AAAA 2001:db8::53",)),
    "of any type": Case("ns.global ANY", answer=("ns.global. 30 IN A 192.0.2.53",)),
    "another type": Case("ns.global TXT", authority=(SOA,)),
    "the zone's TTL": Case("ns.x.corp.global A", answer=("ns.x.corp.global. 60 IN A 192.0.2.54",)),
    "before the own cluster has synced": Case(
        "ns.global A", answer=("ns.global. 30 IN A 192.0.2.53",), state=NamedbState()
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_servers_name_has_the_servers_addresses(case: str) -> None:
    """In every state, with the TTL of the zone."""
    wanted = TABLE[case]
    wanted.check(answered(wanted.question, view(wanted.state), BOTH))


def test_the_servers_name_needs_no_view() -> None:
    """It rests on the settings alone."""
    assert [str(rrset) for rrset in answered("ns.global A", None, BOTH).answer] == ["ns.global. 30 IN A 192.0.2.53"]


@pytest.mark.parametrize("spin", [0, 1])
def test_several_addresses_are_rotated(spin: int) -> None:
    """As those of every other name."""
    zones = (ServedZone(names.to_wire("global"), servers=("192.0.2.53", "192.0.2.54")),)
    (found,) = answered("ns.global A", view(), zones, rotation=spin).answer
    assert [str(each) for each in found] == [f"192.0.2.{53 + spin}", f"192.0.2.{54 - spin}"]


DECLARED = {"ns.global": row("198.51.100.53")}


@pytest.mark.parametrize(
    ("question", "answer"),
    [("ns.global A", ["ns.global. 30 IN A 198.51.100.53"]), ("ns.global AAAA", [])],
)
def test_a_declared_name_wins(question: str, answer: list[str]) -> None:
    """What a cluster or the settings say of ``ns.<zone>`` is all that is said of it."""
    found = answered(question, view(READY, DECLARED), BOTH)
    assert [str(rrset) for rrset in found.answer] == answer


def test_names_below_do_not_hide_it() -> None:
    """A name below makes ``ns.<zone>`` an empty non-terminal in the database, which says nothing of its addresses."""
    looked: MemoryRowReader = view(READY, {"ns.global": row(clusters=()), "a.ns.global": row("198.51.100.1")})
    assert [str(rrset) for rrset in answered("ns.global A", looked, BOTH).answer] == ["ns.global. 30 IN A 192.0.2.53"]


FOREIGN = ServedZone(names.to_wire("corp.example"), fallthrough=True, servers=("192.0.2.53",))
REVERSE = ServedZone(names.to_wire("10.in-addr.arpa"), server=names.to_wire("ns.global"), servers=("192.0.2.53",))


@pytest.mark.parametrize("rtype", ["A", "AAAA", "TXT", "ANY"])
def test_a_fallthrough_zone_has_no_server_of_ours(rtype: str) -> None:
    """Its name is the other server's, or that of whoever declares it."""
    assert Authority([FOREIGN]).respond(asked(f"ns.corp.example {rtype}"), view(), tcp=False) is Verdict.FORWARD
    declared = view(READY, {"ns.corp.example": row("198.51.100.53")})
    (found,) = answered("ns.corp.example A", declared, (FOREIGN,)).answer
    assert str(found) == "ns.corp.example. 30 IN A 198.51.100.53"


@pytest.mark.parametrize("rtype", ["A", "AAAA", "PTR", "TXT", "ANY"])
def test_a_reverse_zone_has_its_server_in_another_zone(rtype: str) -> None:
    """There is none in it, whatever is listened on."""
    reply = answered(f"ns.10.in-addr.arpa {rtype}", view(), (REVERSE, *BOTH))
    assert dns.rcode.to_text(reply.rcode()) == "NXDOMAIN"
    (ns,) = answered("10.IN-ADDR.arpa NS", view(), (REVERSE, *BOTH)).answer
    assert str(ns) == "10.IN-ADDR.arpa. 30 IN NS ns.global."


WILD = {"*.global": row("198.51.100.9"), "ns.global": row(clusters=()), "a.ns.global": row("198.51.100.8")}


@pytest.mark.parametrize("servers", [(), ("192.0.2.53",)], ids=["without addresses", "with addresses"])
def test_no_wildcard_covers_the_servers_name(servers: tuple[str, ...]) -> None:
    """Nor where a name below makes it an empty non-terminal and nothing but wildcard addresses is listened on."""
    zones = (ServedZone(names.to_wire("global"), servers=servers),)
    assert [rdata.to_text() for each in answered("ns.global A", view(READY, WILD), zones).answer for rdata in each] == [
        *servers
    ]
    assert answered("ns.global TXT", view(READY, WILD), zones).answer == []


def test_no_wildcard_covers_the_gateways_of_a_cluster_without_any() -> None:
    """A name of the zone itself is there without data (level 7); beside it the wildcard covers what is unknown."""
    served = {"*.global": row("198.51.100.9"), "west.gateways.global": row(clusters=(), level=7)}
    reply = answered("west.gateways.global A", view(READY, served))
    assert (dns.rcode.to_text(reply.rcode()), reply.answer) == ("NOERROR", [])
    assert len(answered("north.gateways.global A", view(READY, served)).answer) == 1
