"""How many replies a block of addresses draws, in virtual time."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.authority.rrl import RateLimiter, RrlAction, RrlSettings
from meshdns.dns.response import ReplyClass

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


def test_an_empty_reply_counts_as_a_denial() -> None:
    """Who floods with questions for what is not there gets no second share by another name."""
    quota = RateLimiter(RrlSettings(per_second=5, slip=0))
    drawn(quota, 5, now=0.0, of=ReplyClass.DENIAL)
    assert quota.check(VICTIM, ReplyClass.EMPTY, 0.0) is RrlAction.DROP
