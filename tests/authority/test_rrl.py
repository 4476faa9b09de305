"""How many replies a block of addresses draws, in virtual time."""

from ipaddress import ip_address, ip_network

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.authority.rrl import RateLimiter, ReplyClass, RrlAction, RrlSettings, is_local, reply_class

VICTIM = ip_address("203.0.113.7").packed


def drawn(
    quota: RateLimiter, number: int, *, now: float, source: bytes = VICTIM, of: ReplyClass = ReplyClass.ANSWER
) -> list[RrlAction]:
    """What becomes of so many replies at once."""
    return [quota.check(source, of, now) for _ in range(number)]


def test_a_block_has_its_share_each_second() -> None:
    """That of one second at once, then as fast as it comes back; silence earns no more than a second's."""
    quota = RateLimiter(RrlSettings(per_second=10, slip=0))
    assert drawn(quota, 12, now=5.0) == [RrlAction.PASS] * 10 + [RrlAction.DROP] * 2
    assert drawn(quota, 3, now=5.2) == [RrlAction.PASS] * 2 + [RrlAction.DROP]
    assert drawn(quota, 12, now=99.0) == [RrlAction.PASS] * 10 + [RrlAction.DROP] * 2


@given(st.integers(1, 50), st.lists(st.floats(0, 3), min_size=1, max_size=300))
def test_no_second_sees_more_than_two_shares(per_second: int, moments: list[float]) -> None:
    """Whenever the queries come."""
    quota = RateLimiter(RrlSettings(per_second=per_second, slip=0))
    passed = [now for now in sorted(moments) if quota.check(VICTIM, ReplyClass.ANSWER, now) is RrlAction.PASS]
    assert all(sum(start <= now < start + 1 for now in passed) <= 2 * per_second for start in passed)


@pytest.mark.parametrize(
    ("slip", "expected"),
    [(0, "....."), (1, "ttttt"), (2, ".t.t."), (3, "..t..")],
)
def test_every_nth_reply_over_the_share_slips(slip: int, expected: str) -> None:
    """So that an honest client among forged ones gets through, over TCP."""
    quota = RateLimiter(RrlSettings(per_second=1, slip=slip))
    assert drawn(quota, 1, now=0.0) == [RrlAction.PASS]
    marks = {RrlAction.SLIP: "t", RrlAction.DROP: "."}
    assert "".join(marks[ruling] for ruling in drawn(quota, 5, now=0.0)) == expected


@pytest.mark.parametrize(
    ("source", "of", "shared"),
    [
        ("203.0.113.250", ReplyClass.ANSWER, True),
        ("::ffff:203.0.113.9", ReplyClass.ANSWER, True),
        ("203.0.114.7", ReplyClass.ANSWER, False),
        ("203.0.113.7", ReplyClass.DENIAL, False),
        ("203.0.113.7", ReplyClass.ERROR, False),
    ],
)
def test_a_share_is_that_of_a_block_and_a_kind(source: str, of: ReplyClass, *, shared: bool) -> None:
    """A /24 shares a line; a flood of errors leaves the answers."""
    quota = RateLimiter(RrlSettings(per_second=5, slip=0))
    drawn(quota, 5, now=0.0)
    ruling = quota.check(ip_address(source).packed, of, 0.0)
    assert ruling is (RrlAction.DROP if shared else RrlAction.PASS)


@pytest.mark.parametrize(("source", "shared"), [("2001:db8:0:ff::9", True), ("2001:db8:0:100::9", False)])
def test_a_block_of_ipv6_is_a_56(source: str, *, shared: bool) -> None:
    """What one customer is given."""
    quota = RateLimiter(RrlSettings(per_second=1, slip=0))
    drawn(quota, 1, now=0.0, source=ip_address("2001:db8::1").packed)
    assert quota.check(ip_address(source).packed, ReplyClass.ANSWER, 0.0) is (
        RrlAction.DROP if shared else RrlAction.PASS
    )


def test_what_is_remembered_is_bounded_and_the_victim_stays() -> None:
    """A flood from random addresses between the victim's cannot have it forgotten."""
    quota = RateLimiter(RrlSettings(per_second=1, slip=0), max_entries=100)
    assert drawn(quota, 1, now=0.0) == [RrlAction.PASS]
    for number in range(5_000):
        quota.check((number << 8 | 1 << 24).to_bytes(4, "big"), ReplyClass.ANSWER, 0.0)
        if number % 50 == 0:
            assert drawn(quota, 1, now=0.0) == [RrlAction.DROP]
    assert len(quota) == 100


LOCAL = (
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
    *("::1/128", "fc00::/7", "fe80::/10"),
)


@pytest.mark.parametrize("prefix", LOCAL)
def test_local_blocks_end_where_their_prefixes_do(prefix: str) -> None:
    """The first and last address are inside, their neighbours are not."""
    network = ip_network(prefix)
    assert is_local(network[0].packed)
    assert is_local(network[-1].packed)
    assert not is_local((network[0] - 1).packed)
    assert not is_local((network[-1] + 1).packed)


@pytest.mark.parametrize(
    ("source", "by_default", "with_private"),
    [
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("::ffff:127.0.0.1", False, False),
        ("10.1.2.3", False, True),
        ("::ffff:10.1.2.3", False, True),
        ("fd00::1", False, True),
        ("203.0.113.7", True, True),
        ("2001:db8::1", True, True),
    ],
)
def test_who_is_counted(source: str, *, by_default: bool, with_private: bool) -> None:
    """Addresses of local use only where that is asked for, loopback never."""
    packed = ip_address(source).packed
    assert RateLimiter(RrlSettings(per_second=1)).is_limited(packed) is by_default
    assert RateLimiter(RrlSettings(per_second=1, private=True)).is_limited(packed) is with_private


def _reply(rcode: str, answers: int, *, tc: bool = False) -> bytes:
    out = dns.message.make_response(dns.message.make_query("www.example", "A"))
    out.set_rcode(dns.rcode.from_text(rcode))
    for number in range(answers):
        out.answer.append(dns.rrset.from_text(f"{number}.example.", 60, "IN", "A", "192.0.2.1"))
    if tc:
        out.flags |= dns.flags.TC
    return out.to_wire()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (_reply("NOERROR", 1), ReplyClass.ANSWER),
        (_reply("NOERROR", 0, tc=True), ReplyClass.ANSWER),
        (_reply("NOERROR", 0), ReplyClass.DENIAL),
        (_reply("NXDOMAIN", 0), ReplyClass.DENIAL),
        (_reply("NXDOMAIN", 1), ReplyClass.DENIAL),
        (_reply("SERVFAIL", 0), ReplyClass.ERROR),
        (_reply("REFUSED", 0), ReplyClass.ERROR),
        (_reply("FORMERR", 0), ReplyClass.ERROR),
    ],
    ids=lambda value: value.name if isinstance(value, ReplyClass) else "",  # messages have random ids
)
def test_the_kind_of_a_reply(reply: bytes, expected: ReplyClass) -> None:
    """By rcode and answers."""
    assert reply_class(reply) is expected
