"""A server that lies in every way we know of, over UDP and TCP, to a cache that is cold, warm or stale.

What a client hears in the cold is the table. With a warm cache it hears the honest answer, and nobody is asked. With a
stale one it hears what it would in the cold, but the honest answer with an extended error in place of every failure.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import dns.flags
import dns.rcode
import pytest

from meshdns.forwarding.addresses import Address
from meshdns.forwarding.policy import MAX_SENDS
from tests.simulators.behaviours import BEHAVIOURS, FORGED
from tests.simulators.upstream import HONEST, Upstream
from tests.upstream.client import Client, LeapingLoop, answers, ede

DEADLINE: Final = 1.8  # seconds
_LEAP: Final = 3600.0  # seconds, beyond the lifetime of every honest answer


class Heard(NamedTuple):
    """What a client heard: rcode, answer and authority, extended error; and how many queries that took."""

    status: str
    records: tuple[str, ...]
    ede: int | None
    sends: int


GOOD: Final = ("{}. 60 A 192.0.2.1",)
SOA: Final = ("test. 20 SOA ns.test. hostmaster.test. 1 2 3 4 20",)
BIG: Final = tuple(f"{{}}. 60 A 198.51.100.{i}" for i in range(1, 201))


def _good(sends: int = 1, records: tuple[str, ...] = GOOD) -> Heard:
    return Heard("NOERROR", records, None, sends)


def _failed(code: int, sends: int = 1) -> Heard:
    return Heard("SERVFAIL", (), code, sends)


_TRUE: Final = _good()
_SILENT: Final = _failed(22, MAX_SENDS)
_ERROR: Final = _failed(23)
_MALFORMED: Final = _failed(24)

COLD: Final[dict[str, Heard]] = {
@@
}
"""Behind a good first UDP query each."""

COLD_TCP: Final[dict[str, Heard]] = {
@@T
}
"""What differs where UDP only says TC, apart from one more send."""


def test_the_table_covers_all_that_the_server_can_do() -> None:
    """Every behaviour has an expected outcome, and they are many."""
    assert set(COLD) == set(BEHAVIOURS)
    assert set(COLD_TCP) <= set(COLD)
    assert len(COLD) >= 60


class Stage(NamedTuple):
    """The state of the cache, and over what the server lies."""

    cache: str
    tcp: bool

    def label(self, behaviour: str) -> str:
        """The first label of the question that has the server behave so."""
        return behaviour + "-tcp" * self.tcp + "-after" * (self.cache != "cold")

    def expected(self, behaviour: str) -> Heard:
        """What a client hears of it."""
        cold = COLD[behaviour]
        if self.tcp:
            cold = COLD_TCP.get(behaviour, cold._replace(sends=min(cold.sends + 1, MAX_SENDS)))
        if self.cache == "warm":
            cold = Heard("NOERROR", (f"{{}}. 60 A {HONEST}",), None, 0)
        elif self.cache == "stale" and cold.status == "SERVFAIL":
            cold = Heard("NOERROR", (f"{{}}. 30 A {HONEST}",), 3, cold.sends)
        named = tuple(sorted(record.format(f"{self.label(behaviour)}.test") for record in cold.records))
        return cold._replace(records=named)


class Run(NamedTuple):
    """What came of one stage: what was heard by behaviour, after how long, with which flags."""

    stage: Stage
    heard: dict[str, Heard]
    seconds: dict[str, float]
    flags: dict[str, int]


STAGES: Final = [Stage(cache, tcp) for cache in ("cold", "warm", "stale") for tcp in (False, True)]


@pytest.fixture(scope="module", params=STAGES, ids=lambda stage: f"{stage.cache}-{'tcp' if stage.tcp else 'udp'}")
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """All behaviours at once, against one forwarder."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        yield runner.run(_play(request.param))


async def _play(stage: Stage) -> Run:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, LeapingLoop)
    upstream = Upstream()
    await upstream.start()
    client = Client(Address("127.0.0.1", upstream.port))
    out = Run(stage, {}, {}, {})
    try:
        if stage.cache != "cold":
            await asyncio.gather(*(client.ask(f"{stage.label(behaviour)}.test") for behaviour in BEHAVIOURS))
        if stage.cache == "stale":
            loop.leapt += _LEAP
        await asyncio.gather(*(_ask(behaviour, upstream, client, out) for behaviour in BEHAVIOURS))
    finally:
        await client.forwarder.close()
        await upstream.stop()
    return out


async def _ask(behaviour: str, upstream: Upstream, client: Client, out: Run) -> None:
    label = out.stage.label(behaviour)
    before = upstream.seen[label]
    began = client.loop.time()
    message = await client.ask(f"{label}.test")
    out.seconds[behaviour] = client.loop.time() - began
    out.flags[behaviour] = int(message.flags)
    with contextlib.suppress(KeyError):
        status = dns.rcode.to_text(message.rcode())
    sends = upstream.seen[label] - before
    out.heard[behaviour] = Heard(status, tuple(sorted(answers(message))), ede(message), sends)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_client_hears_the_truth_or_of_a_failure(run: Run, behaviour: str) -> None:
    """The believable part of what the server says, an honest answer kept from before, or SERVFAIL and its cause."""
    assert run.heard[behaviour] == run.stage.expected(behaviour)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_no_forgery_reaches_a_client(run: Run, behaviour: str) -> None:
    """Neither what strangers send, nor what a server adds unasked, nor the data of a broken message."""
    assert not any(FORGED in record or "evil" in record for record in run.heard[behaviour].records)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_client_hears_within_its_patience_for_three_sends_at_most(run: Run, behaviour: str) -> None:
    """RFC 9520 3.1, and CoreDNS waits for 2 s."""
    assert run.heard[behaviour].sends <= MAX_SENDS
    assert run.seconds[behaviour] <= DEADLINE


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_the_flags_of_a_reply_are_ours(run: Run, behaviour: str) -> None:
    """QR, RD and RA; no AA, AD or TC of the server's (RFC 1034 4.3.1, RFC 6840 5.8)."""
    assert run.flags[behaviour] & 0xFFF0 == dns.flags.QR | dns.flags.RD | dns.flags.RA
