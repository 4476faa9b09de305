"""Where names go, and how upstream addresses are written."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshdns.dns.names import to_wire
from meshdns.dns.query import parse_query
from meshdns.forwarding.question import suffix_key
from meshdns.forwarding.upstreams import Address, Route, parse_address, parse_resolv_conf, parse_upstream, route_indexes
from meshdns.forwarding.waiting import PerKeyLimit

ROUTES = route_indexes(
    [Route(to_wire(zone), ()) for zone in ("", "corp.example", "deep.corp.example", "example", "corp.example")]
)

PLACES = {
    "corp.example": 1,
    "www.corp.example": 1,
    "deep.corp.example": 2,
    "a.b.deep.corp.example": 2,
    "notcorp.example": 3,
    "example": 3,
    "example.com": 0,
    "": 0,
}


@pytest.mark.parametrize("name", PLACES)
def test_the_longest_zone_takes_a_name(name: str) -> None:
    """By whole labels, the first of equal zones."""
    assert ROUTES.find(to_wire(name)) == PLACES[name]


def test_a_name_outside_all_zones_has_no_route() -> None:
    """Without a route for the root."""
    assert route_indexes([Route(to_wire("corp"), ())]).find(to_wire("example.com")) is None
    assert route_indexes([]).find(b"\0") is None


ADDRESSES = {
    "10.0.0.53": "10.0.0.53:53",
    "10.0.0.53:5353": "10.0.0.53:5353",
    "2001:db8::1": "[2001:db8::1]:53",
    "[2001:db8::1]": "[2001:db8::1]:53",
    "[2001:DB8:0::1]:5353": "[2001:db8::1]:5353",
    "fe80::1%eth0": "[fe80::1%eth0]:53",
    "[fe80::1%eth0]:5353": "[fe80::1%eth0]:5353",
    "::ffff:10.0.0.53": "10.0.0.53:53",
    "240.0.0.1": "240.0.0.1:53",
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses_are_read_as_people_write_them(text: str) -> None:
    """With and without port, in canonical form."""
    assert str(parse_address(text)) == ADDRESSES[text]


BAD = (
    "",
    "dns.example",
    "10.0.0.256",
    "10.0.0.53:",
    "10.0.0.53:0",
    "10.0.0.53:65536",
    "10.0.0.53:99999999999999999999",
    "10.0.0.53:٣",
    "10.0.0.53:-1",
    "[2001:db8::1",
    "[2001:db8::1]5353",
    "[10.0.0.53:53",
    "2001:db8::1:::53",
    "0.0.0.0",  # noqa: S104 - refused, not bound
    "::",
    "224.0.0.251",
    "10.0.0.53/24",
    "255.255.255.255",
    "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
    "ff02::1",
    "fe80::1",
    "fe80::1%",
    "fe80::1%eth0%eth1",
    "fe80::1%a/b",
    "fe80::1%a b",
    "[fe80::1%a#b]:53",
    "fe80::1%sixteen-letters-x",
    "10.0.0.53:000001053",
    "10.0.0.53%eth0",
)


HOSTS = ("0.0.0.0", "::", "224.0.0.1", "fe80::1", "fe80::2%e0", "::ffff:127.0.0.1", "10.0.0.53", "2001:db8::1")  # noqa: S104
MARKS = ("tls://", "[", "]", ":", ":0", ":53", ":00853", ":99999", "#", "%", "é", "1", ".")
NAMES = ("dns.test", "DNS.test.", "_x.y")
SERVERS = st.lists(st.sampled_from(HOSTS + MARKS + NAMES), max_size=5).map("".join)


@given(SERVERS)
@example("tls://[2001:db8::1]:853#a.b")
def test_a_server_is_written_as_it_is_read(text: str) -> None:
    """The settings keep the text of a server; whoever reads that again gets the same one, and never a refusal."""
    try:
        server = parse_upstream(text)
    except ValueError:
        return
    assert parse_upstream(str(server)) == server
    assert 0 < server.port < 65_536
    if server.tls is not None:
        (server.tls.name or server.host).encode("idna")  # as ssl does with the name that it expects


@pytest.mark.parametrize("text", BAD)
def test_a_bad_address_is_refused_with_advice(text: str) -> None:
    """The message quotes what was written and says what to write."""
    with pytest.raises(ValueError, match=r"; write ") as refusal:
        parse_address(text)
    assert repr(text) in str(refusal.value)


RESOLV_CONF = """\
# made by hand
; and commented twice
domain cluster.local
search default.svc.cluster.local
nameserver 10.96.0.10
nameserver\t10.96.0.11   # the second
 nameserver 2001:db8::53 ; the third
nameserver fe80::1%eth0
nameserver 10.96.0.10
nameserver dns.example
nameserver
nameservers 10.96.0.99
options ndots:5
nameserver 127.0.0.1
"""


def test_resolv_conf_gives_its_name_servers_in_order() -> None:
    """Each once; comments, other lines and what is no address are passed over."""
    hosts = [address.host for address in parse_resolv_conf(RESOLV_CONF)]
    assert hosts == ["10.96.0.10", "10.96.0.11", "2001:db8::53", "fe80::1%eth0", "127.0.0.1"]


@pytest.mark.parametrize(
    ("own", "left"),
    [
        (Address("127.0.0.1", 53), 0),
        (Address("0.0.0.0", 53), 0),  # noqa: S104 - compared, not bound
        (Address("::", 53), 0),
        (Address("127.0.0.1", 1053), 1),
        (Address("10.0.0.1", 53), 1),
    ],
)
def test_own_addresses_are_no_upstreams(own: Address, left: int) -> None:
    """A wildcard listener is reached through loopback."""
    assert len(parse_resolv_conf("nameserver 127.0.0.1", own_addresses=[own])) == left


SUFFIXES = {
    "": "",
    "example": "example",
    "corp.example": "corp.example",
    "www.corp.example": "corp.example",
    "a.b.c.WWW.Corp.Example": "corp.example",
}


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_flood_is_told_by_its_last_two_labels(name: str) -> None:
    """And by its route, whatever the letters."""
    query = parse_query(bytes(4) + b"\0\1" + bytes(6) + wire_as_is(name) + b"\0\1\0\1")
    assert query is not None
    assert suffix_key(query, 3) == b"\0\3" + to_wire(SUFFIXES[name])


def wire_as_is(name: str) -> bytes:
    """The name with its letters."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def test_shares_are_counted_and_forgotten() -> None:
    """Who has nothing is not remembered, so that a flood leaves nothing behind."""
    shares = PerKeyLimit(2)
    shares.acquire(b"a")
    assert not shares.is_at_limit(b"a")
    shares.acquire(b"a")
    shares.acquire(b"b")
    assert (shares.is_at_limit(b"a"), shares.is_at_limit(b"b"), shares.is_at_limit(b"c")) == (True, False, False)
    assert len(shares) == 2
    for owner in (b"a", b"a", b"b"):
        shares.release(owner)
    assert len(shares) == 0
