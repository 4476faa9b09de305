"""Special names that private upstreams may serve: they are forwarded while no other upstream could see them."""

from collections.abc import Sequence

import dns.message
import dns.reversename
import pytest

from meshdns.authority.special import SpecialNameGroup, SpecialNames
from meshdns.authority.special_routes import forwarded_special_zones
from meshdns.dns import names
from meshdns.dns.query import parse_query
from meshdns.forwarding.upstreams import Route, parse_upstream

ALL = tuple(SpecialNameGroup)
PRIVATE = "10.0.0.53"
PUBLIC = "198.51.100.53"


def route(zone: str, *servers: str) -> Route:
    """A forward zone with these servers."""
    return Route(names.to_wire(zone.removesuffix(".")), tuple(map(parse_upstream, servers)))


def is_forwarded(
    name: str, routes: Sequence[Route], rtype: str = "PTR", auto: Sequence[SpecialNameGroup] = ALL
) -> bool:
    """Whether a name is left to the upstreams of these routes."""
    upstreams = {each.zone: [server.host for server in each.upstreams] for each in routes}
    special = SpecialNames(ALL, list(upstreams), forwarded_special_zones(auto, upstreams))
    query = parse_query(dns.message.make_query(name, rtype, use_edns=0, id=1).to_wire())
    assert query is not None
    return special.respond(query, edns_options=b"", tcp=False) is None


def reverse_name(address: str) -> str:
    """The owner name of an address's PTR record."""
    return dns.reversename.from_address(address).to_text()


SERVABLE = (
    *("www.test.", "TEST.", "printer.home.arpa.", "Metadata.Google.Internal."),
    *map(reverse_name, ("10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.3.4", "169.254.1.1")),
    *map(reverse_name, ("100.64.0.1", "100.127.255.255", "fd00::1", "fdff::1")),
    *("10.in-addr.arpa.", "D.F.IP6.arpa.", "_kerberos._udp.home.arpa."),
)
LOCAL = (
    *("localhost.", "a.localhost.", "x.invalid.", "x.onion.", "x.alt.", "x.local.", "_dns.resolver.arpa."),
    *map(reverse_name, ("127.0.0.2", "0.1.2.3", "192.0.2.1", "198.51.100.1", "203.0.113.1", "255.255.255.255")),
    *map(reverse_name, ("::1", "::", "fe80::1", "2001:db8::1")),
)


@pytest.mark.parametrize("rtype", ["PTR", "A", "AAAA", "SOA", "NS", "TXT", "ANY"])
@pytest.mark.parametrize(("asked", "servable"), [(SERVABLE, True), (LOCAL, False)], ids=["servable", "local"])
def test_private_upstreams_get_what_private_networks_serve(
    asked: tuple[str, ...], *, servable: bool, rtype: str
) -> None:
    """Nothing else of RFC 6303, and never localhost, invalid and onion; whatever the type."""
    assert {name for name in asked if is_forwarded(name, [route(".", PRIVATE)], rtype) is not servable} == set()
    assert {name for name in asked if is_forwarded(name, [route(".", PUBLIC)], rtype)} == set()


@pytest.mark.parametrize(
    ("servers", "private"),
    [
        (["10.0.0.53"], True),
        (["172.31.0.2", "192.168.1.1:5353"], True),
        (["169.254.169.254"], True),
        (["100.100.2.136"], True),
        (["127.0.0.53"], True),
        (["[::1]:5353"], True),
        (["fd00::53"], True),
        (["fe80::1%eth0"], True),
        (["tls://10.0.0.53#dns.example"], True),
        (["::ffff:10.0.0.53"], True),
        ([], False),
        (["198.51.100.53"], False),
        (["2001:db8::53"], False),
        (["172.32.0.1"], False),
        (["100.128.0.1"], False),
        (["tls://198.51.100.53#dns.example"], False),
        (["10.0.0.53", "198.51.100.53"], False),
        (["198.51.100.53", "10.0.0.53"], False),
    ],
)
def test_every_upstream_must_be_private(servers: list[str], *, private: bool) -> None:
    """One public server is enough for a leak; without any server nothing is left to it."""
    assert is_forwarded("1.0.0.10.in-addr.arpa.", [route(".", *servers)]) is private
    assert is_forwarded("x.internal.", [route(".", *servers)], "AAAA") is private


@pytest.mark.parametrize(
    ("routes", "forwarded"),
    [
        ([], False),
        ([route("corp.example", PRIVATE)], False),
        ([route(".", PUBLIC), route("corp.example", PRIVATE)], False),
        ([route(".", PRIVATE), route("corp.example", PUBLIC)], True),
        ([route(".", PUBLIC), route("in-addr.arpa", PRIVATE)], True),
        ([route(".", PUBLIC), route("10.in-addr.arpa", PUBLIC)], True),
        ([route(".", PUBLIC), route("0.10.in-addr.arpa", PRIVATE)], True),
        ([route(".", PUBLIC), route("1.10.in-addr.arpa", PRIVATE)], False),
        ([route(".", PRIVATE), route("1.10.in-addr.arpa", PUBLIC)], True),
    ],
)
def test_the_route_that_the_name_would_take_decides(routes: list[Route], *, forwarded: bool) -> None:
    """The longest forward zone; one that is configured for the name or above it is meant, whatever its servers are."""
    assert is_forwarded("9.0.0.10.in-addr.arpa.", routes) is forwarded


@pytest.mark.parametrize("group", SpecialNameGroup)
def test_what_is_not_set_to_auto_stays(group: SpecialNameGroup) -> None:
    """A group that is set to true is answered here whatever the upstreams are."""
    others = [each for each in SpecialNameGroup if each is not group]
    kept = {name for name in SERVABLE if not is_forwarded(name, [route(".", PRIVATE)], auto=others)}
    suffixes = {
        SpecialNameGroup.TEST: ("test.",),
        SpecialNameGroup.HOME_ARPA: ("home.arpa.",),
        SpecialNameGroup.INTERNAL: ("internal.",),
        SpecialNameGroup.REVERSE: ("in-addr.arpa.", "ip6.arpa."),
    }.get(group, ())
    assert kept == {name for name in SERVABLE if name.lower().endswith(suffixes)}
