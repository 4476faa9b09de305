"""Sums that carry metrics from whoever counts to whoever is asked."""

from meshdns import meters
from meshdns.meters import Ledger
from meshdns.scoreboard import CONTROLLER, MAX_WORKERS, PAGE, RING, Scoreboard


def test_a_ledger_survives_its_encoding() -> None:
    """Counters and histograms come back as they were, and go on."""
    ledger = Ledger()
    ledger.add(meters.ANSWERS, "global.", "static", amount=3)
    ledger.observe(meters.PROPAGATION, value=0.003)
    again = Ledger(ledger.encode())
    again.add(meters.ANSWERS, "global.", "static")
    assert list(again.samples(meters.ANSWERS)) == [(("global.", "static"), [4])]
    ((_, sums),) = again.samples(meters.PROPAGATION)
    assert (sum(sums[:-1]), sums[2], sums[-1]) == (1, 1, 0.003)


def test_ledgers_add_up() -> None:
    """The ledgers of several workers make one, series by series."""
    whole = Ledger()
    for zone in ("global.", "global.", "."):
        part = Ledger()
        part.add(meters.LEAKED, zone)
        whole.merge(part.encode())
    assert sorted(whole.samples(meters.LEAKED)) == [((".",), [1]), (("global.",), [2])]


def test_what_is_no_ledger_counts_nothing() -> None:
    """Octets of another version are passed over."""
    assert list(Ledger(b"\xc1nonsense").samples(meters.ANSWERS)) == []


def test_every_meter_has_its_own_name() -> None:
    """No two meters share a name, and counters end in _total."""
    known = (*meters.WORKERS, *meters.CONTROLLERS)
    assert len({meter.name for meter in known}) == len(known)
    assert all(meter.name.endswith("_total") is (meter.kind is meters.Kind.COUNTER) for meter in known)


def test_a_page_is_replaced_as_a_whole() -> None:
    """Pages of all processes stand apart, and the last one is read; one that is too long is refused."""
    board = Scoreboard.create()
    for process in (CONTROLLER, 0, MAX_WORKERS - 1):
        assert board.published(process) == b""
        for page in (b"long" * 100, b"short"):
            assert board.publish(process, page)
        assert board.published(process) == b"short"
    assert not board.publish(0, b"x" * PAGE)
    assert board.published(0) == b"short"


def test_a_ring_keeps_the_newest_samples() -> None:
    """Who comes late finds the newest `RING`, in order; who comes in time finds what is new."""
    board = Scoreboard.create()
    for number in range(RING + 10):
        board.sample(3, b"%d" % number)
    assert board.samples_taken(3) == RING + 10
    assert list(board.samples(3, 0)) == [b"%d" % number for number in range(10, RING + 10)]
    assert list(board.samples(3, RING + 8)) == [b"%d" % (RING + 8), b"%d" % (RING + 9)]
    assert list(board.samples(2, 0)) == []


def test_a_sample_is_cut_to_its_place() -> None:
    """A sample that is too long does not touch the next one."""
    board = Scoreboard.create()
    board.sample(0, b"x" * 10_000)
    board.sample(0, b"y")
    first, second = board.samples(0, 0)
    assert (set(first), second) == (set(b"x"), b"y")


def test_live_queries_are_watched_for_a_while() -> None:
    """A look lasts until its time; without another one sampling ends, whoever died."""
    board = Scoreboard.create()
    board.watch(12.0)
    assert [board.watched(now) for now in (11.9, 12.1)] == [True, False]
