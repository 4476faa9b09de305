"""Blocks of addresses: where each ends, and how the sets differ."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns import address_blocks
from meshdns.dns.address_blocks import is_globally_reachable, is_local_client, is_loopback, unmapped

LOCAL = (
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
    *("::1/128", "fc00::/7", "fe80::/10"),
)


@pytest.mark.parametrize("prefix", LOCAL)
def test_local_blocks_end_where_their_prefixes_do(prefix: str) -> None:
    """The first and last address are inside, their neighbours are not."""
    network = ip_network(prefix)
    assert is_local_client(network[0].packed)
    assert is_local_client(network[-1].packed)
    assert not is_local_client((network[0] - 1).packed)
    assert not is_local_client((network[-1] + 1).packed)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), st.sampled_from(LOCAL).map(lambda p: ip_network(p)[0])))
def test_a_local_client_is_in_one_of_the_prefixes(address: object) -> None:
    """The look-up by two bytes agrees with the prefixes."""
    found = ip_address(str(address))
    inside = any(found in ip_network(prefix) for prefix in LOCAL)
    assert is_local_client(found.packed) is inside
    assert set(address_blocks.LOCAL_CLIENT_PREFIXES) == set(LOCAL)


@pytest.mark.parametrize(
    ("mapped", "plain"),
    [("::ffff:10.0.0.1", "10.0.0.1"), ("10.0.0.1", "10.0.0.1"), ("::fffe:a00:1", "::fffe:a00:1"), ("::1", "::1")],
)
def test_ipv4_over_an_ipv6_socket_is_ipv4(mapped: str, plain: str) -> None:
    """Only of ::ffff:0:0/96."""
    assert unmapped(ip_address(mapped).packed) == ip_address(plain).packed


@pytest.mark.parametrize(
    ("text", "loopback", "local", "global_"),
    [
        ("127.255.0.1", True, True, False),
        ("::1", True, True, False),
        ("::2", False, False, True),
        ("128.0.0.1", False, False, True),
        ("10.0.0.53", False, True, False),
        ("240.0.0.1", False, False, False),
        ("192.0.2.1", False, False, False),
        ("2001:db8::1", False, False, False),
        ("fe80::1", False, True, False),
        ("8.8.8.8", False, False, True),
    ],
)
def test_how_the_meanings_differ(text: str, *, loopback: bool, local: bool, global_: bool) -> None:
    """An upstream counts as private in more blocks than a client does."""
    packed = ip_address(text).packed
    assert is_loopback(packed) is loopback
    assert is_local_client(packed) is local
    assert is_globally_reachable(text) is global_


def test_an_upstream_may_have_a_zone() -> None:
    """RFC 4007 section 11."""
    assert not is_globally_reachable("fe80::1%eth0")


def test_no_address_is_of_two_scopes_but_the_broadcast_address() -> None:
    """Which block comes first decides nothing else."""
    double = [
        (one, other)
        for one in map(ip_network, address_blocks.NEVER_SERVED_PREFIXES)
        for other in map(ip_network, address_blocks.SINGLE_NETWORK_PREFIXES)
        if one.version == other.version and one.overlaps(other)
    ]
    assert double == [(ip_network("255.255.255.255/32"), ip_network("240.0.0.0/4"))]
