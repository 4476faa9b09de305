"""Special names in presentation format: question → RCODE, flags, answer, authority."""

import dns.flags
import dns.message
import dns.rcode
import dns.reversename
import pytest

from meshdns.authority.special import SpecialNameGroup, SpecialNames
from meshdns.dns import names
from meshdns.dns.query import Query, parse_query

ALL = SpecialNames(SpecialNameGroup)


def asked(question: str) -> Query:
    """The parsed query for ``NAME TYPE``."""
    name, rtype = question.split()
    query = parse_query(dns.message.make_query(name, rtype, use_edns=0, id=1).to_wire())
    assert query is not None
    return query


def answered(question: str, special: SpecialNames = ALL) -> dns.message.Message | None:
    """The reply to a special name, read by dnspython."""
    reply = special.respond(asked(question), edns_options=b"", tcp=False)
    return None if reply is None else dns.message.from_wire(reply)


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    """The records of a section in presentation format."""
    return [line for rrset in section for line in rrset.to_text().splitlines()]


def soa(zone: str) -> str:
    """The SOA of an empty zone, its own name server."""
    return f"{zone} 300 IN SOA {zone} nobody.invalid. 1 3600 1200 604800 300"


@pytest.mark.parametrize(
    ("question", "record"),
    [
        ("localhost. A", "localhost. 300 IN A 127.0.0.1"),
        ("localhost. AAAA", "localhost. 300 IN AAAA ::1"),
        ("foo.LocalHost. A", "foo.LocalHost. 300 IN A 127.0.0.1"),
        ("localhost. ANY", "localhost. 300 IN A 127.0.0.1"),
        ("1.0.0.127.in-addr.arpa. PTR", "1.0.0.127.in-addr.arpa. 300 IN PTR localhost."),
        ("test. SOA", soa("test.")),
        ("10.in-addr.arpa. NS", "10.in-addr.arpa. 300 IN NS 10.in-addr.arpa."),
    ],
)
def test_what_special_names_have(question: str, record: str) -> None:
    """The loopback addresses and their names, and the apex records of RFC 6303 section 3 (rows 86 and 90)."""
    reply = answered(question)
    assert reply is not None
    assert (reply.rcode(), reply.flags & dns.flags.AA, lines(reply.answer)) == (0, dns.flags.AA, [record])


@pytest.mark.parametrize(
    ("question", "rcode", "zone"),
    [
        ("foo.localhost. MX", "NOERROR", "localhost."),
        ("x.invalid. A", "NXDOMAIN", "invalid."),
        ("a.b.test. AAAA", "NXDOMAIN", "test."),
        ("x.alt. A", "NXDOMAIN", "alt."),
        ("x.onion. A", "NXDOMAIN", "onion."),
        ("printer.local. A", "NXDOMAIN", "local."),
        ("x.home.arpa. A", "NXDOMAIN", "home.arpa."),
        ("metadata.google.internal. A", "NXDOMAIN", "internal."),
        ("test. A", "NOERROR", "test."),
        ("_dns.resolver.arpa. SVCB", "NOERROR", "resolver.arpa."),
    ],
)
def test_what_special_names_lack(question: str, rcode: str, zone: str) -> None:
    """NXDOMAIN or NODATA with the SOA of the special zone (rows 86 to 89, 92 and 94)."""
    reply = answered(question)
    assert reply is not None
    assert (dns.rcode.to_text(reply.rcode()), lines(reply.answer), lines(reply.authority)) == (rcode, [], [soa(zone)])


PRIVATE = (
    *("0.1.2.3", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.2", "169.254.1.1", "172.16.0.1"),
    *("172.31.255.255", "192.168.1.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "255.255.255.255"),
    *("::", "fd00::1", "fe80::1", "febf::1", "2001:db8::1"),
)
PUBLIC = (
    *("1.1.1.1", "100.63.0.1", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1", "255.255.255.254"),
    *("::2", "fc00::1", "fec0::1", "2001:db9::1", "2606:4700::1"),
)


@pytest.mark.parametrize(
    ("address", "special"), [*((text, True) for text in PRIVATE), *((text, False) for text in PUBLIC)]
)
def test_reverse_names_of_private_addresses_stay_here(address: str, *, special: bool) -> None:
    """RFC 6303 section 4 and RFC 7793, to the last address (row 90)."""
    reply = answered(f"{dns.reversename.from_address(address)} PTR")
    assert (reply is not None) == special
    assert reply is None or lines(reply.answer) == []


@pytest.mark.parametrize(
    "question",
    ["www.example. A", "a.internals. A", "ipv4only.arpa. AAAA", "latest. A", "a.testing. A", ". SOA"],
)
def test_other_names_are_not_special(question: str) -> None:
    """example, single labels and the root go where they are configured to go (rows 89, 93 and 95)."""
    assert answered(question) is None


@pytest.mark.parametrize(
    ("zone", "question"),
    [
        ("10.in-addr.arpa", "3.2.1.10.in-addr.arpa. PTR"),
        ("1.10.in-addr.arpa", "3.2.1.10.in-addr.arpa. PTR"),
        ("in-addr.arpa", "3.2.1.10.in-addr.arpa. PTR"),
        ("cluster.local", "kubernetes.default.svc.cluster.local. A"),
        ("test", "www.test. A"),
    ],
)
def test_configured_zones_win(zone: str, question: str) -> None:
    """A zone of the mesh, a fallback or a forward zone at, below or above a special one takes its names (row 90)."""
    assert answered(question, SpecialNames(SpecialNameGroup, [names.to_wire(zone)])) is None


def test_the_root_route_is_no_exception() -> None:
    """The route for everything else does not take special names along."""
    assert answered("x.test. A", SpecialNames(SpecialNameGroup, [b"\0"])) is not None


def test_names_above_a_configured_zone_exist() -> None:
    """NXDOMAIN there would deny the configured zone to caches that take it for all below (RFC 8020)."""
    special = SpecialNames(SpecialNameGroup, [names.to_wire("3.2.10.in-addr.arpa")])
    above, beside = answered("2.10.in-addr.arpa. PTR", special), answered("4.10.in-addr.arpa. PTR", special)
    assert above is not None
    assert beside is not None
    assert (above.rcode(), beside.rcode()) == (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


@pytest.mark.parametrize(
    ("group", "question"),
    [
        (SpecialNameGroup.LOCALHOST, "localhost. A"),
        (SpecialNameGroup.INVALID, "x.invalid. A"),
        (SpecialNameGroup.TEST, "x.test. A"),
        (SpecialNameGroup.ALT, "x.alt. A"),
        (SpecialNameGroup.ONION, "x.onion. A"),
        (SpecialNameGroup.LOCAL, "x.local. A"),
        (SpecialNameGroup.HOME_ARPA, "x.home.arpa. A"),
        (SpecialNameGroup.INTERNAL, "x.internal. A"),
        (SpecialNameGroup.RESOLVER_ARPA, "_dns.resolver.arpa. SVCB"),
        (SpecialNameGroup.REVERSE, "1.1.168.192.in-addr.arpa. PTR"),
    ],
)
def test_each_group_is_switched_by_itself(group: SpecialNameGroup, question: str) -> None:
    """What is switched off is asked of an upstream."""
    assert answered(question, SpecialNames([group])) is not None
    assert answered(question, SpecialNames(set(SpecialNameGroup) - {group})) is None


def test_the_roots_servers_are_answered_without_data() -> None:
    """CoreDNS asks for them to see whether we live: NOERROR, no records, no authority; nothing else of the root."""
    reply = ALL.respond_root_ns(asked(". NS"), edns_options=b"", tcp=False)
    assert reply is not None
    read = dns.message.from_wire(reply)
    assert (read.rcode(), read.answer, read.authority, read.flags & dns.flags.AA) == (0, [], [], 0)
    assert ALL.respond_root_ns(asked(". SOA"), edns_options=b"", tcp=False) is None
    assert ALL.respond_root_ns(asked("com. NS"), edns_options=b"", tcp=False) is None
