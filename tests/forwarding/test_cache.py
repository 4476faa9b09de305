"""What is told again, for how long, and what a flood cannot push out."""

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns.reply import RelayedPart, Reply, ReplyKind
from meshdns.dns.response import Section
from meshdns.forwarding.cache import MAX_FAILURE_TTL, MAX_STALE, STALE_REFRESH_INTERVAL, Cache
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.policy import NO_REPLY, UPSTREAM_ERRORS


def reply(ttl: int, octets: int = 16) -> Reply:
    """An answer of one record that lives for `ttl` seconds."""
    return Reply(ReplyKind.POSITIVE, ttl=ttl, answer=RelayedPart(Section(1, bytes(octets)), ((6, ttl),)))


def test_an_answer_is_told_for_its_lifetime_and_not_longer() -> None:
    """Up to the second before, not at the second."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.store(b"a", reply(30), 100.0)
    assert cache.get(b"a", 129.9) is not None
    assert cache.get(b"a", 130.0) is None
    assert cache.get(b"b", 100.0) is None


def test_ttl_0_is_not_kept() -> None:
    """RFC 1035 3.2.1."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.store(b"a", reply(0), 100.0)
    assert cache.get(b"a", 100.0) is None
    assert cache.bytes_used == 0


def test_a_newer_answer_replaces_the_older() -> None:
    """One entry per key, wherever the older one stands."""
    cache = Cache(1 << 20, ForwardCounters())
    for promoted in (False, True):
        cache.store(b"a", reply(30), 100.0)
        if promoted:
            cache.get(b"a", 100.0)
        cache.store(b"a", reply(60), 120.0)
        entry = cache.get(b"a", 170.0)
        assert entry is not None
        assert entry.stored_at == 120.0


def test_failures_in_a_row_are_kept_longer_each_time() -> None:
    """RFC 9520 3.2: at least 1 s, then backoff, and an end to it."""
    cache = Cache(1 << 20, ForwardCounters())
    now, periods = 100.0, []
    for _ in range(8):
        cache.store_failure(b"a", NO_REPLY, now)
        period = next(p for p in (1, 2, 4, 8, 16, 32, 64) if cache.get_failure(b"a", now + p) is None)
        assert cache.get_failure(b"a", now + period - 0.1) is NO_REPLY
        periods.append(period)
        now += period + 1.75
    assert periods == [1, 2, 4, 8, 16, 32, 32, 32]


def test_an_answer_clears_the_failure() -> None:
    """Also its backoff: the next failure is a first one."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.store_failure(b"a", NO_REPLY, 100.0)
    cache.store_failure(b"a", NO_REPLY, 102.0)
    cache.store(b"a", reply(30), 103.0)
    assert cache.get_failure(b"a", 103.0) is None
    cache.store_failure(b"a", UPSTREAM_ERRORS, 104.0)
    assert cache.get_failure(b"a", 105.0) is None


def test_a_failure_long_after_another_is_a_first_one() -> None:
    """Backoff is for failures in a row."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.store_failure(b"a", NO_REPLY, 100.0)
    cache.store_failure(b"a", NO_REPLY, 200.0 + MAX_FAILURE_TTL)
    assert cache.get_failure(b"a", 201.0 + MAX_FAILURE_TTL) is None


@pytest.mark.parametrize("asked_for", [False, True])
def test_an_expired_answer_can_be_told_stale_for_a_day(*, asked_for: bool) -> None:
    """Not while it is fresh, and not for ever; RFC 8767 section 5."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.store(b"a", reply(30), 100.0)
    if asked_for:
        cache.get(b"a", 100.0)
    assert cache.get_stale(b"a", 129.9) is None
    assert cache.get_stale(b"a", 130.0) is not None
    assert cache.get_stale(b"a", 129.9 + MAX_STALE) is not None
    assert cache.get_stale(b"a", 130.0 + MAX_STALE) is None
    assert cache.get_stale(b"b", 130.0) is None


@pytest.mark.parametrize("asked_for", [False, True])
def test_an_answer_with_ttl_0_takes_the_stale_one_with_it(*, asked_for: bool) -> None:
    """What it replaced is known to be wrong."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.store(b"a", reply(30), 100.0)
    if asked_for:
        cache.get(b"a", 100.0)
    cache.store(b"a", reply(0), 140.0)
    assert cache.get_stale(b"a", 140.0) is None
    assert cache.bytes_used == 0


def test_what_is_told_stale_is_refreshed_every_30_seconds_at_most() -> None:
    """RFC 8767 section 5: also after the first failure."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.store(b"a", reply(30), 100.0)
    for start in (130.0, 131.0 + STALE_REFRESH_INTERVAL):
        cache.store_failure(b"a", NO_REPLY, start)
        assert cache.get_failure(b"a", start + STALE_REFRESH_INTERVAL - 0.1) is NO_REPLY
        assert cache.get_failure(b"a", start + MAX_FAILURE_TTL) is None


def test_a_failure_does_not_cost_the_last_good_answer() -> None:
    """The two are kept apart."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.store(b"a", reply(30), 100.0)
    cache.store_failure(b"a", NO_REPLY, 110.0)
    assert cache.get(b"a", 111.0) is not None


def test_a_flood_of_random_names_does_not_push_out_what_is_asked_for() -> None:
    """100 popular names survive 20,000 others, refetches included."""
    cache = Cache(1 << 20, ForwardCounters())
    popular = [b"popular %d" % i for i in range(100)]
    for key in popular:
        cache.store(key, reply(30), 100.0)
        cache.get(key, 100.0)
    for i in range(20_000):
        cache.store(b"random %d" % i, reply(3600), 101.0)
        cache.store_failure(b"failed %d" % i, NO_REPLY, 101.0)
    assert all(cache.get(key, 102.0) for key in popular)
    for key in popular:
        cache.store(key, reply(30), 140.0)
    for i in range(20_000, 40_000):
        cache.store(b"random %d" % i, reply(3600), 141.0)
    assert all(cache.get(key, 142.0) for key in popular)


def test_what_came_longest_ago_falls_out_first() -> None:
    """Of what was never asked for again."""
    cache = Cache(100_000, ForwardCounters())
    for i in range(1000):
        cache.store(b"%d" % i, reply(60), 100.0)
    left = [i for i in range(1000) if cache.get_stale(b"%d" % i, 160.0)]
    assert left == list(range(1000 - len(left), 1000))
    assert 0 < len(left) < 100


def test_what_was_asked_for_longest_ago_loses_its_protection_first() -> None:
    """It goes back to probation, where the next flood takes it; what was asked for since stays."""
    cache = Cache(100_000, ForwardCounters())
    protected = 50  # of which some 55 have room

    def protect(keys: range) -> None:
        for number in keys:
            cache.store(b"%d" % number, reply(60), 100.0)
            cache.get(b"%d" % number, 100.0)

    protect(range(protected))
    cache.get(b"0", 100.0)
    protect(range(protected, protected + 10))
    for i in range(1000):
        cache.store(b"random %d" % i, reply(60), 100.0)
    assert [bool(cache.get_stale(b"%d" % number, 160.0)) for number in (0, 1, protected)] == [True, False, True]


@pytest.mark.parametrize("octets", [16, 1000, 65_000])
def test_the_budget_bounds_what_is_kept(octets: int) -> None:
    """Whatever comes in and is asked for, the cost stays below the budget."""
    cache = Cache(200_000, ForwardCounters())
    for i in range(1000):
        cache.store(b"%d" % i, reply(60, octets), 100.0)
        cache.get(b"%d" % (i // 2), 100.0)
        cache.store_failure(b"%d" % i, NO_REPLY, 100.0)
        assert cache.bytes_used <= 200_000


def test_an_entry_costs_no_more_than_it_is_charged() -> None:
    """The octets of all objects of an entry stay within what the budget counts for it."""
    cache = Cache(64 << 20, ForwardCounters())
    tracemalloc.start()
    try:
        for i in range(5000):
            cache.store(b"%16d" % i, reply(60 + i), 100.0 + i)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used <= cache.bytes_used


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 40), st.integers(0, 3)), max_size=120))
def test_no_answer_is_told_beyond_its_lifetime(steps: list[tuple[int, int, int]]) -> None:
    """In any order of keeping and asking, an entry is younger than its TTL, and is the last one kept."""
    cache = Cache(20_000, ForwardCounters())
    kept: dict[bytes, tuple[float, int]] = {}
    now = 0.0
    for number, ttl, pause in steps:
        now += pause
        key = b"%d" % number
        if ttl % 2:
            cache.store(key, reply(ttl), now)
            kept[key] = (now, ttl)
        entry = cache.get(key, now)
        if entry is not None:
            assert (entry.stored_at, entry.reply.ttl) == kept[key]
            assert now - entry.stored_at < entry.reply.ttl
        assert cache.bytes_used <= 20_000


def test_clear_forgets_everything() -> None:
    """Answers in both segments and failures."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.store(b"a", reply(30), 100.0)
    cache.get(b"a", 100.0)
    cache.store(b"b", reply(30), 100.0)
    cache.store_failure(b"c", NO_REPLY, 100.0)
    cache.clear()
    assert cache.bytes_used == 0
    assert [cache.get(key, 100.0) for key in (b"a", b"b")] == [None, None]
    assert cache.get_failure(b"c", 100.0) is None


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from([0, 5, 60]), st.booleans()), max_size=120))
def test_denials_and_evictions_are_counted(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever is kept, replaced, promoted and evicted, what went in is there, was replaced, or counts as evicted."""
    counters = ForwardCounters()
    cache = Cache(20_000, counters)
    known: dict[bytes, bool] = {}
    for number, ttl, denial in steps:
        key = b"%d" % number
        cache.store(
            key, msgspec.structs.replace(reply(ttl), kind=ReplyKind.NODATA if denial else ReplyKind.POSITIVE), 0.0
        )
        found = cache.get(key, 1.0)
        assert (found is not None) == bool(ttl)
        known[key] = denial
    there = [denial for key, denial in known.items() if cache.get(key, 1.0) is not None]
    assert cache.denials == sum(there)
    assert len(cache) == len(there)
    assert counters.evicted_answers + counters.evicted_denials <= len(steps) - len(cache)
    cache.clear()
    assert cache.denials == 0
