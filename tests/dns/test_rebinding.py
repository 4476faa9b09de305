"""Private addresses in answers of routes that refuse them."""

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns.address_blocks import is_refused_answer
from meshdns.dns.reply import ReplyKind, ReplyRules, parse_reply
from tests.dns.test_reply import question, wire

REFUSE = ReplyRules(refuse_private=True)
RESERVED = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
    *("::1/128", "::/128", "100::/64", "2001:db8::/32", "fc00::/7", "fe80::/10", "ff00::/8", "224.0.0.0/4"),
)
"""The blocks of RFC 6890 that are no global unicast, and those of RFC 6303."""


@pytest.mark.parametrize("prefix", RESERVED)
def test_every_reserved_block_is_refused(prefix: str) -> None:
    """Its first and its last address."""
    network = ip_network(prefix)
    assert is_refused_answer(network[0].packed)
    assert is_refused_answer(network[-1].packed)


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.169.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2002:808:808::1",
        "64:ff9b::808:808",
        "::ffff:8.8.8.8",
    ],
)
def test_public_addresses_are_not(text: str) -> None:
    """Those beside the blocks, and those that carry a public one."""
    assert not is_refused_answer(ip_address(text).packed)


@given(st.sampled_from([p for p in RESERVED if "." in p]), st.integers(0, 2**32 - 1))
def test_ipv4_inside_ipv6_is_refused_in_every_form(prefix: str, offset: int) -> None:
    """IPv4-compatible, IPv4-mapped, NAT64 and 6to4."""
    network = ip_network(prefix)
    inner = IPv4Address(int(network[0]) + offset % network.num_addresses).packed
    for outer in (bytes(12) + inner, bytes(10) + b"\xff\xff" + inner, b"\0\x64\xff\x9b" + bytes(8) + inner):
        assert is_refused_answer(outer)
    assert is_refused_answer(b"\x20\x02" + inner + bytes(10))


_SHORT_HINTS = wire("www.example. 300 IN HTTPS 1 . ipv4hint=8.8.8.8", rtype="HTTPS").replace(
    b"\0\4\0\4\x08\x08\x08\x08", b"\0\4\0\5\x08\x08\x08\x08"
)
REFUSED: dict[str, tuple[bytes, str]] = {
    "a private address": (wire("www.example. 300 IN A 10.0.0.1"), "A"),
    "one among public ones": (wire("www.example. 300 IN A 8.8.8.8", "www.example. 300 IN A 192.168.0.1"), "A"),
    "IPv4 inside IPv6": (wire("www.example. 300 IN AAAA ::ffff:10.0.0.1", rtype="AAAA"), "AAAA"),
    "behind an alias": (wire("www.example. 300 IN CNAME a.example.", "a.example. 300 IN A 127.0.0.1"), "A"),
    "in an answer to ANY": (wire("www.example. 300 IN TXT x", "www.example. 300 IN A 127.0.0.1", rtype="ANY"), "ANY"),
    "a hint": (wire("www.example. 300 IN HTTPS 1 . alpn=h2 ipv4hint=8.8.8.8,10.0.0.1", rtype="HTTPS"), "HTTPS"),
    "a hint of IPv6": (wire("www.example. 300 IN SVCB 1 a. ipv6hint=fd00::1", rtype="SVCB"), "SVCB"),
    "hints that end too early": (_SHORT_HINTS, "HTTPS"),
}
ALLOWED: dict[str, tuple[bytes, str]] = {
    "public addresses": (wire("www.example. 300 IN A 8.8.8.8", "www.example. 300 IN A 9.9.9.9"), "A"),
    "a text": (wire('www.example. 300 IN TXT "10.0.0.1"', rtype="TXT"), "TXT"),
    "public hints": (
        wire("www.example. 300 IN HTTPS 1 . ipv4hint=8.8.8.8 ipv6hint=2606:4700::1", rtype="HTTPS"),
        "HTTPS",
    ),
    "an alias for HTTPS": (wire("www.example. 300 IN HTTPS 0 a.example.", rtype="HTTPS"), "HTTPS"),
    "a foreign owner that is dropped": (wire("www.example. 300 IN A 8.8.8.8", "b.example. 300 IN A 10.0.0.1"), "A"),
}


@pytest.mark.parametrize("case", [*REFUSED, *ALLOWED])
def test_an_answer_with_a_private_address_has_no_records(case: str) -> None:
    """Where the route refuses it; by default nothing of that kind is looked at."""
    message, rtype = {**REFUSED, **ALLOWED}[case]
    asked = question(rtype=rtype)
    allowed, refused = parse_reply(message, asked), parse_reply(message, asked, rules=REFUSE)
    assert allowed is not None
    assert refused is not None
    assert (allowed.kind, allowed.is_blocked) == (ReplyKind.POSITIVE, False)
    if case in REFUSED:
        assert (refused.kind, refused.rcode, refused.is_blocked) == (ReplyKind.NODATA, 0, True)
        assert (refused.answer.section.count, refused.authority.section.count, refused.ttl) == (0, 0, 300)
    else:
        assert (refused.kind, refused.answer.section.wire) == (allowed.kind, allowed.answer.section.wire)
