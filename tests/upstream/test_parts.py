"""The small parts of the upstream edge."""

import asyncio
import math
import os
import socket
from collections import Counter, deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.config.model import Settings
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.health import UpstreamGroup
from meshdns.forwarding.policy import Attempt, Exchange
from meshdns.forwarding.question import Question
from meshdns.forwarding.upstreams import Address
from meshdns.upstream import routes
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.poller import LoopPoller, SocketPoller, create_poller
from meshdns.upstream.timer_wheel import TimerWheel
from meshdns.upstream.udp import MAX_AGE, MAX_RETIRED, MAX_SOCKETS, MAX_USES, UdpPool
from tests.simulators.stalled_clock_loop import run_with_stalled_clock
from tests.simulators.upstream import Upstream, serving


@pytest.mark.parametrize(
    ("listen", "to", "left"),
    [
        ("127.0.0.1:5300", "127.0.0.1:5300", 0),
        ("0.0.0.0:5300", "127.0.0.1:5300", 0),
        ("0.0.0.0:5300", "127.0.0.53:5300", 0),
        ("[::]:5300", "[::1]:5300", 0),
        ("127.0.0.1:5300", "127.0.0.1:5301", 1),
        ("0.0.0.0:5300", "192.0.2.1:5300", 1),
    ],
)
def test_an_own_address_is_no_upstream(listen: str, to: str, left: int) -> None:
    """Neither the one that is listened on nor one that a wildcard listener takes."""
    settings = Settings.model_validate({"listen": [listen], "forward": [{"zone": ".", "to": [to]}]})
    assert [len(route.upstreams) for route in routes.build_routes(settings, {})] == [left]


@pytest.mark.parametrize(
    ("written", "refused"),
    [({}, False), ({"privateAddresses": "allow"}, False), ({"privateAddresses": "refuse"}, True)],
    ids=["default", "allow", "refuse"],
)
def test_private_addresses_are_refused_where_the_settings_say_so(written: dict[str, str], *, refused: bool) -> None:
    """For each forward zone by itself."""
    forward = [{"zone": ".", "to": ["192.0.2.53"], **written}, {"zone": "corp", "to": ["192.0.2.53"]}]
    found = routes.build_routes(Settings.model_validate({"forward": forward}), {})
    assert [route.refuse_private for route in found] == [refused, False]


def test_random_numbers_are_spread_evenly() -> None:
    """Chi-square of 65,536 octets over 256 values: beyond 400 with probability below 1 in 10 million."""
    entropy = Entropy()
    counts = [0] * 256
    for _ in range(65_536):
        counts[entropy.randbelow(256)] += 1
    assert sum((count - 256) ** 2 / 256 for count in counts) < 400


@given(st.integers(1, 256))
def test_random_numbers_stay_below_their_bound(bound: int) -> None:
    """For every bound that is allowed."""
    entropy = Entropy()
    assert all(0 <= entropy.randbelow(bound) < bound for _ in range(50))


@pytest.mark.parametrize("period", [0.025, 1 / 16])
@given(st.lists(st.floats(0, 10)))
def test_timers_come_after_their_time_and_within_a_period(period: float, delays: list[float]) -> None:
    """Taken once, never early, at most one period late when looked at once a period."""
    wheel: TimerWheel[tuple[int, float]] = TimerWheel(period)
    now = 1000.0
    for number, delay in enumerate(delays):
        wheel.schedule((number, now + delay), now + delay)
    taken: list[int] = []
    while wheel:
        now += period / 2
        for number, due in wheel.pop_due(now):
            assert due <= now <= due + 2 * period
            taken.append(number)
    assert sorted(taken) == list(range(len(delays)))
    assert wheel.next_due == math.inf


@given(st.lists(st.floats(0, 10), min_size=1), st.floats(0, 12))
def test_nothing_is_due_before_the_next_due_time(delays: list[float], passed: float) -> None:
    """What is left has its time ahead; whatever lies a period back is taken, and in order of the periods."""
    wheel: TimerWheel[float] = TimerWheel(0.25)
    for delay in delays:
        wheel.schedule(delay, delay)
    assert min(delays) < wheel.next_due <= min(delays) + 0.25
    taken = wheel.pop_due(passed)
    assert [int(due / 0.25) for due in taken] == sorted(int(due / 0.25) for due in taken)
    assert all(due <= passed for due in taken)
    assert len(taken) >= sum(due + 0.25 <= passed for due in delays)
    assert wheel.next_due > passed
    assert len(wheel.pop_due(math.inf)) == len(delays) - len(taken)


class RecordingListener:
    """Notes what a pool hears."""

    def __init__(self) -> None:
        self.messages: list[tuple[Attempt, int, bytes]] = []

    def on_reply(self, attempt: Attempt, ident: int, message: bytes) -> None:
        """A reply with an awaited id."""
        self.messages.append((attempt, ident, message))

    def on_unexpected(self, attempts: tuple[Attempt, ...]) -> None:
        """Nothing of the kind happens here."""

    def on_icmp_error(self, attempts: tuple[Attempt, ...]) -> None:
        """Nothing of the kind happens here."""


def _attempt(address: Address, now: float = 0.0) -> Attempt:
    question = Question(b"\x04good\x04test\x00\x00\x01\x00\x01")
    step = Exchange(question, UpstreamGroup([address]), ForwardCounters(), now=now).start(now)
    assert isinstance(step, Attempt)
    return step


WAITING = {"one epoll": create_poller, "portable": LoopPoller}


@pytest.mark.slow
@pytest.mark.parametrize("waiting", WAITING.values(), ids=WAITING)
def test_sockets_are_many_short_lived_and_closed_when_idle(
    waiting: Callable[[asyncio.AbstractEventLoop], SocketPoller],
) -> None:
    """256 in use, none for more than 16 queries, none when nothing was sent for two calls of rest."""

    async def main(upstream: Upstream) -> None:
        ear = RecordingListener()
        address = Address("127.0.0.1", upstream.port)
        ready = waiting(asyncio.get_running_loop())
        pool = UdpPool(ready, address, Entropy(), ear)
        for sent in range(1, 3000):
            attempt = _attempt(address)
            pool.send(attempt)
            async with asyncio.timeout(30):
                while len(ear.messages) < sent:  # noqa: ASYNC110 - a list is no event
                    await asyncio.sleep(0)
            pool.cancel(attempt)
        assert MAX_SOCKETS - 1 <= len(pool) <= MAX_SOCKETS
        worn = [port for port, uses in Counter(upstream.sources).items() if uses > MAX_USES]
        assert len(worn) <= 10  # the kernel may give a port again that was closed before
        pool.close_idle()
        assert len(pool) > 0
        pool.close_idle()
        assert len(pool) == 0
        ready.close()

    run_with_stalled_clock(serving(main))


class PortLog:
    """A poller and the server behind the sockets: notes when each port was opened, and when it sent."""

    def __init__(self) -> None:
        self.now = 0.0
        self.opened: dict[int, float] = {}
        self.uses: Counter[tuple[int, float]] = Counter()  # by port and opening
        self.oldest = 0.0  # age of a socket that sent, in seconds
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 0))
        self.server.settimeout(30)
        self.address = Address(*self.server.getsockname())

    def add(self, fd: int, on_readable: Callable[[], None]) -> None:
        """Note a new socket."""
        assert callable(on_readable)
        with socket.socket(fileno=os.dup(fd)) as sock:
            self.opened[sock.getsockname()[1]] = self.now

    def remove(self, fd: int) -> None:
        """Sockets are closed at any time."""

    def close(self) -> None:
        """Close the server's socket."""
        self.server.close()

    def note_query(self) -> int:
        """Note the port that the next query comes from."""
        port: int = self.server.recvfrom(512)[1][1]
        self.uses[port, self.opened[port]] += 1
        self.oldest = max(self.oldest, self.now - self.opened[port])
        return port


@pytest.mark.parametrize("rate", [10, 100, 300, 4000])
def test_a_port_is_used_for_two_seconds_and_sixteen_queries_at_most(rate: int) -> None:
    """2,000 queries, each answered after 50 ms; up to 100 a second nearly each has a port of its own."""
    log = PortLog()
    pool = UdpPool(log, log.address, Entropy(), RecordingListener())
    waiting: deque[Attempt] = deque()
    ports = set()
    for number in range(2_000):
        log.now = number / rate
        attempt = _attempt(log.address, log.now)
        pool.send(attempt)
        waiting.append(attempt)
        ports.add(log.note_query())
        while waiting[0].sent_at < log.now - 0.05:
            pool.cancel(waiting.popleft())
    assert log.oldest <= MAX_AGE
    assert max(log.uses.values()) <= MAX_USES
    assert len(ports) >= (1_600 if rate <= 100 else MAX_SOCKETS)  # the kernel may give a closed port again
    assert len(pool) <= MAX_SOCKETS + len(waiting)
    pool.close()
    log.close()


def test_open_sockets_are_bounded_while_nobody_replies() -> None:
    """Retired sockets wait for late replies, but not without number."""

    async def main(upstream: Upstream) -> None:
        address = Address("127.0.0.1", upstream.port)
        ready = create_poller(asyncio.get_running_loop())
        pool = UdpPool(ready, address, Entropy(), RecordingListener())
        attempts = [_attempt(address) for _ in range(10_000)]
        for attempt in attempts:
            pool.send(attempt)
        assert len(pool) <= MAX_SOCKETS + MAX_RETIRED
        assert MAX_USES * MAX_RETIRED > 10_000  # so none of them is closed that still has a query
        attempts += [_attempt(address) for _ in range(10_000)]
        for attempt in attempts[10_000:]:
            pool.send(attempt)
        assert len(pool) <= MAX_SOCKETS + MAX_RETIRED
        for attempt in attempts:
            pool.cancel(attempt)
            pool.cancel(attempt)
        assert len(pool) <= MAX_SOCKETS
        pool.close()
        assert len(pool) == 0
        ready.close()

    run_with_stalled_clock(serving(main))
