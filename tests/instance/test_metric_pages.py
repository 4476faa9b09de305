"""Sums that carry metrics from whoever counts to whoever is asked."""

from meshdns.instance import metric_pages
from meshdns.instance.metric_pages import MetricPage
from meshdns.instance.scoreboard import CONTROLLER, MAX_WORKERS, PAGE_SIZE, SAMPLE_RING_SIZE, Scoreboard


def test_a_ledger_survives_its_encoding() -> None:
    """Counters and histograms come back as they were, and go on."""
    ledger = MetricPage()
    ledger.add(metric_pages.ANSWERS, "global.", "static", amount=3)
    ledger.observe(metric_pages.PROPAGATION, value=0.003)
    again = MetricPage(ledger.encode())
    again.add(metric_pages.ANSWERS, "global.", "static")
    assert list(again.samples(metric_pages.ANSWERS)) == [(("global.", "static"), [4])]
    ((_, sums),) = again.samples(metric_pages.PROPAGATION)
    assert (sum(sums[:-1]), sums[2], sums[-1]) == (1, 1, 0.003)


def test_ledgers_add_up() -> None:
    """The ledgers of several workers make one, series by series."""
    whole = MetricPage()
    for zone in ("global.", "global.", "."):
        part = MetricPage()
        part.add(metric_pages.LEAKED_QUERIES, zone)
        whole.merge(part.encode())
    assert sorted(whole.samples(metric_pages.LEAKED_QUERIES)) == [((".",), [1]), (("global.",), [2])]


def test_what_is_no_ledger_counts_nothing() -> None:
    """Octets of another version are passed over."""
    assert list(MetricPage(b"\xc1nonsense").samples(metric_pages.ANSWERS)) == []


def test_every_meter_has_its_own_name() -> None:
    """No two meters share a name, and counters end in _total."""
    known = (*metric_pages.WORKER_METRICS, *metric_pages.CONTROLLER_METRICS)
    assert len({meter.name for meter in known}) == len(known)
    assert all(meter.name.endswith("_total") is (meter.kind is metric_pages.MetricKind.COUNTER) for meter in known)


def test_a_page_is_replaced_as_a_whole() -> None:
    """Pages of all processes stand apart, and the last one is read; one that is too long is refused."""
    board = Scoreboard.create()
    for process in (CONTROLLER, 0, MAX_WORKERS - 1):
        assert board.read_page(process) == b""
        for page in (b"long" * 100, b"short"):
            assert board.publish_page(process, page)
        assert board.read_page(process) == b"short"
    assert not board.publish_page(0, b"x" * PAGE_SIZE)
    assert board.read_page(0) == b"short"


def test_a_ring_keeps_the_newest_samples() -> None:
    """Who comes late finds the newest `SAMPLE_RING_SIZE`, in order; who comes in time finds what is new."""
    board = Scoreboard.create()
    for number in range(SAMPLE_RING_SIZE + 10):
        board.write_sample(3, b"%d" % number)
    assert board.samples_written(3) == SAMPLE_RING_SIZE + 10
    assert list(board.read_samples(3, 0)) == [b"%d" % number for number in range(10, SAMPLE_RING_SIZE + 10)]
    assert list(board.read_samples(3, SAMPLE_RING_SIZE + 8)) == [
        b"%d" % (SAMPLE_RING_SIZE + 8),
        b"%d" % (SAMPLE_RING_SIZE + 9),
    ]
    assert list(board.read_samples(2, 0)) == []


def test_a_sample_is_cut_to_its_place() -> None:
    """A sample that is too long does not touch the next one."""
    board = Scoreboard.create()
    board.write_sample(0, b"x" * 10_000)
    board.write_sample(0, b"y")
    first, second = board.read_samples(0, 0)
    assert (set(first), second) == (set(b"x"), b"y")


def test_live_queries_are_watched_for_a_while() -> None:
    """A look lasts until its time; without another one sampling ends, whoever died."""
    board = Scoreboard.create()
    board.watch_live_queries(12.0)
    assert [board.is_watching_live_queries(now) for now in (11.9, 12.1)] == [True, False]
