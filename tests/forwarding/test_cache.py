"""What is told again, for how long, and what a flood cannot push out."""

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns.reply import Kind, Part, Reply
from meshdns.dns.response import Section
from meshdns.forwarding.cache import LONGEST_FAILURE, MAX_STALE, RECHECK, Cache
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.policy import ERRORS, SILENCE


def reply(ttl: int, octets: int = 16) -> Reply:
    """An answer of one record that lives for `ttl` seconds."""
    return Reply(Kind.POSITIVE, ttl=ttl, answer=Part(Section(1, bytes(octets)), ((6, ttl),)))


def test_an_answer_is_told_for_its_lifetime_and_not_longer() -> None:
    """Up to the second before, not at the second."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.keep(b"a", reply(30), 100.0)
    assert cache.entry(b"a", 129.9) is not None
    assert cache.entry(b"a", 130.0) is None
    assert cache.entry(b"b", 100.0) is None


def test_ttl_0_is_not_kept() -> None:
    """RFC 1035 3.2.1."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.keep(b"a", reply(0), 100.0)
    assert cache.entry(b"a", 100.0) is None
    assert cache.octets == 0


def test_a_newer_answer_replaces_the_older() -> None:
    """One entry per key, wherever the older one stands."""
    cache = Cache(1 << 20, ForwardCounters())
    for promoted in (False, True):
        cache.keep(b"a", reply(30), 100.0)
        if promoted:
            cache.entry(b"a", 100.0)
        cache.keep(b"a", reply(60), 120.0)
        entry = cache.entry(b"a", 170.0)
        assert entry is not None
        assert entry.stored == 120.0


def test_failures_in_a_row_are_kept_longer_each_time() -> None:
    """RFC 9520 3.2: at least 1 s, then backoff, and an end to it."""
    cache = Cache(1 << 20, ForwardCounters())
    now, periods = 100.0, []
    for _ in range(8):
        cache.fail(b"a", SILENCE, now)
        period = next(p for p in (1, 2, 4, 8, 16, 32, 64) if cache.failure(b"a", now + p) is None)
        assert cache.failure(b"a", now + period - 0.1) is SILENCE
        periods.append(period)
        now += period + 1.75
    assert periods == [1, 2, 4, 8, 16, 32, 32, 32]


def test_an_answer_clears_the_failure() -> None:
    """Also its backoff: the next failure is a first one."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.fail(b"a", SILENCE, 100.0)
    cache.fail(b"a", SILENCE, 102.0)
    cache.keep(b"a", reply(30), 103.0)
    assert cache.failure(b"a", 103.0) is None
    cache.fail(b"a", ERRORS, 104.0)
    assert cache.failure(b"a", 105.0) is None


def test_a_failure_long_after_another_is_a_first_one() -> None:
    """Backoff is for failures in a row."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.fail(b"a", SILENCE, 100.0)
    cache.fail(b"a", SILENCE, 200.0 + LONGEST_FAILURE)
    assert cache.failure(b"a", 201.0 + LONGEST_FAILURE) is None


@pytest.mark.parametrize("asked_for", [False, True])
def test_an_expired_answer_can_be_told_stale_for_a_day(*, asked_for: bool) -> None:
    """Not while it is fresh, and not for ever; RFC 8767 section 5."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.keep(b"a", reply(30), 100.0)
    if asked_for:
        cache.entry(b"a", 100.0)
    assert cache.stale(b"a", 129.9) is None
    assert cache.stale(b"a", 130.0) is not None
    assert cache.stale(b"a", 129.9 + MAX_STALE) is not None
    assert cache.stale(b"a", 130.0 + MAX_STALE) is None
    assert cache.stale(b"b", 130.0) is None


@pytest.mark.parametrize("asked_for", [False, True])
def test_an_answer_with_ttl_0_takes_the_stale_one_with_it(*, asked_for: bool) -> None:
    """What it replaced is known to be wrong."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.keep(b"a", reply(30), 100.0)
    if asked_for:
        cache.entry(b"a", 100.0)
    cache.keep(b"a", reply(0), 140.0)
    assert cache.stale(b"a", 140.0) is None
    assert cache.octets == 0


def test_what_is_told_stale_is_refreshed_every_30_seconds_at_most() -> None:
    """RFC 8767 section 5: also after the first failure."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.keep(b"a", reply(30), 100.0)
    for start in (130.0, 131.0 + RECHECK):
        cache.fail(b"a", SILENCE, start)
        assert cache.failure(b"a", start + RECHECK - 0.1) is SILENCE
        assert cache.failure(b"a", start + LONGEST_FAILURE) is None


def test_a_failure_does_not_cost_the_last_good_answer() -> None:
    """The two are kept apart."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.keep(b"a", reply(30), 100.0)
    cache.fail(b"a", SILENCE, 110.0)
    assert cache.entry(b"a", 111.0) is not None


def test_a_flood_of_random_names_does_not_push_out_what_is_asked_for() -> None:
    """100 popular names survive 20,000 others, refetches included."""
    cache = Cache(1 << 20, ForwardCounters())
    popular = [b"popular %d" % i for i in range(100)]
    for key in popular:
        cache.keep(key, reply(30), 100.0)
        cache.entry(key, 100.0)
    for i in range(20_000):
        cache.keep(b"random %d" % i, reply(3600), 101.0)
        cache.fail(b"failed %d" % i, SILENCE, 101.0)
    assert all(cache.entry(key, 102.0) for key in popular)
    for key in popular:
        cache.keep(key, reply(30), 140.0)
    for i in range(20_000, 40_000):
        cache.keep(b"random %d" % i, reply(3600), 141.0)
    assert all(cache.entry(key, 142.0) for key in popular)


def test_what_came_longest_ago_falls_out_first() -> None:
    """Of what was never asked for again."""
    cache = Cache(100_000, ForwardCounters())
    for i in range(1000):
        cache.keep(b"%d" % i, reply(60), 100.0)
    left = [i for i in range(1000) if cache.stale(b"%d" % i, 160.0)]
    assert left == list(range(1000 - len(left), 1000))
    assert 0 < len(left) < 100


def test_what_was_asked_for_longest_ago_loses_its_protection_first() -> None:
    """It goes back to probation, where the next flood takes it; what was asked for since stays."""
    cache = Cache(100_000, ForwardCounters())
    protected = 50  # of which some 55 have room

    def protect(keys: range) -> None:
        for number in keys:
            cache.keep(b"%d" % number, reply(60), 100.0)
            cache.entry(b"%d" % number, 100.0)

    protect(range(protected))
    cache.entry(b"0", 100.0)
    protect(range(protected, protected + 10))
    for i in range(1000):
        cache.keep(b"random %d" % i, reply(60), 100.0)
    assert [bool(cache.stale(b"%d" % number, 160.0)) for number in (0, 1, protected)] == [True, False, True]


@pytest.mark.parametrize("octets", [16, 1000, 65_000])
def test_the_budget_bounds_what_is_kept(octets: int) -> None:
    """Whatever comes in and is asked for, the cost stays below the budget."""
    cache = Cache(200_000, ForwardCounters())
    for i in range(1000):
        cache.keep(b"%d" % i, reply(60, octets), 100.0)
        cache.entry(b"%d" % (i // 2), 100.0)
        cache.fail(b"%d" % i, SILENCE, 100.0)
        assert cache.octets <= 200_000


def test_an_entry_costs_no_more_than_it_is_charged() -> None:
    """The octets of all objects of an entry stay within what the budget counts for it."""
    cache = Cache(64 << 20, ForwardCounters())
    tracemalloc.start()
    try:
        for i in range(5000):
            cache.keep(b"%16d" % i, reply(60 + i), 100.0 + i)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used <= cache.octets


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
            cache.keep(key, reply(ttl), now)
            kept[key] = (now, ttl)
        entry = cache.entry(key, now)
        if entry is not None:
            assert (entry.stored, entry.reply.ttl) == kept[key]
            assert now - entry.stored < entry.reply.ttl
        assert cache.octets <= 20_000


def test_clear_forgets_everything() -> None:
    """Answers in both segments and failures."""
    cache = Cache(1 << 20, ForwardCounters())
    cache.keep(b"a", reply(30), 100.0)
    cache.entry(b"a", 100.0)
    cache.keep(b"b", reply(30), 100.0)
    cache.fail(b"c", SILENCE, 100.0)
    cache.clear()
    assert cache.octets == 0
    assert cache.entry(b"a", 100.0) is cache.entry(b"b", 100.0) is cache.failure(b"c", 100.0) is None


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from([0, 5, 60]), st.booleans()), max_size=120))
def test_denials_and_evictions_are_counted(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever is kept, replaced, promoted and evicted, what went in is there, was replaced, or counts as evicted."""
    counters = ForwardCounters()
    cache = Cache(20_000, counters)
    known: dict[bytes, bool] = {}
    for number, ttl, denial in steps:
        key = b"%d" % number
        cache.keep(key, msgspec.structs.replace(reply(ttl), kind=Kind.NODATA if denial else Kind.POSITIVE), 0.0)
        found = cache.entry(key, 1.0)
        assert (found is not None) == bool(ttl)
        known[key] = denial
    there = [denial for key, denial in known.items() if cache.entry(key, 1.0) is not None]
    assert cache.denials == sum(there)
    assert len(cache) == len(there)
    assert counters.evicted_answers + counters.evicted_denials <= len(steps) - len(cache)
    cache.clear()
    assert cache.denials == 0
