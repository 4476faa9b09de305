"""A server that lies in every way we know of, over UDP and TCP, to a cache that is cold, warm or stale.

What a client hears in the cold is the table. With a warm cache it hears the honest answer, and nobody is asked. With a
stale one it hears what it would in the cold, but the honest answer with an extended error in place of every failure.
"""

import asyncio
from typing import Final, NamedTuple

import dns.flags
import dns.rcode
import pytest

from meshdns.forwarding.policy import MAX_SENDS
from meshdns.forwarding.upstreams import Address
from tests.simulators.behaviours import BEHAVIOURS, FORGED
from tests.simulators.stalled_clock_loop import StalledClockLoop, run_with_stalled_clock
from tests.simulators.upstream import HONEST, Upstream
from tests.upstream.forwarder_client import ForwarderClient, answers, ede

pytestmark = pytest.mark.slow

DEADLINE: Final = 18.0  # seconds: ten times what is promised, which `python -m tests.conformance` measures
_LEAP: Final = 3600.0  # seconds, beyond the lifetime of every honest answer


class ObservedAnswer(NamedTuple):
    """What a client heard: rcode, answer and authority, extended error; and how many queries that took."""

    status: str
    records: tuple[str, ...]
    ede: int | None
    sends: int


GOOD: Final = ("{}. 60 A 192.0.2.1",)
SOA: Final = ("test. 20 SOA ns.test. hostmaster.test. 1 2 3 4 20",)
BIG: Final = tuple(f"{{}}. 60 A 198.51.100.{i}" for i in range(1, 201))


def _good(sends: int = 1, records: tuple[str, ...] = GOOD) -> ObservedAnswer:
    return ObservedAnswer("NOERROR", records, None, sends)


def _failed(code: int, sends: int = 1) -> ObservedAnswer:
    return ObservedAnswer("SERVFAIL", (), code, sends)


def _many(number: int) -> tuple[str, ...]:
    return tuple(f"{{}}. 60 A 198.51.{i // 256}.{i % 256}" for i in range(number))


_TRUE: Final = _good()
_SILENT: Final = _failed(22, MAX_SENDS)
_ERROR: Final = _failed(23)
_MALFORMED: Final = _failed(24)

COLD: Final[dict[str, ObservedAnswer]] = {
    # honest servers, quick and slow
    "good": _TRUE,
    "twice": _TRUE,
    "delayed": _TRUE,
    "silent": _SILENT,
    "second": _good(2),
    "third": _good(3),
    "slow": _SILENT,
    # replies to something else
    "wrongid": _TRUE,
    "wrongids": _good(2),
    "manyids": _good(2),
    "wrongport": _TRUE,
    "wrongq": _TRUE,
    "wrongtype": _TRUE,
    "wrongclass": _TRUE,
    "parentq": _TRUE,
    "childq": _TRUE,
    "noq": _TRUE,
    "noqbare": _TRUE,
    "twoq": _TRUE,
    "qr0": _TRUE,
    "echo": _TRUE,
    "opcode": _TRUE,
    "upcase": _TRUE,
    # no messages at all
    "short": _TRUE,
    "noise": _TRUE,
    "hdronly": _TRUE,
    # sizes
    "tc": _good(2, BIG),
    "tccut": _good(2),
    "tctwice": _failed(24, 2),
    "big": _good(records=_many(100)),
    "huge": _MALFORMED,
    "thousand": _MALFORMED,
    "trailing": _TRUE,
    # TCP streams
    "tcpcloses": _failed(23, 2),
    "tcpsilent": _SILENT,
    "tcpresets": _failed(23, 2),
    "tcphalf": _failed(23, 2),
    "tcpcut": _failed(23, 2),
    "tcpzero": _failed(24, 2),
    "tcpshort": _failed(24, 2),
    "tcpwrongid": _failed(24, 2),
    "tcptwo": _good(2),
    "tcpdribble": _good(2),
    "tcpnoise": _failed(23, 2),
    # errors
    "servfail": _ERROR,
    "refused": _ERROR,
    "formerr": _failed(23, 2),
    "noedns": _good(2),
    "notimp": _ERROR,
    "yxdomain": _ERROR,
    "notauth": _ERROR,
    "rcode15": _ERROR,
    "failwith": _ERROR,
    "badvers": _ERROR,
    "referral": _ERROR,
    "upward": _ERROR,
    # denials
    "nxdomain": ObservedAnswer("NXDOMAIN", SOA, None, 1),
    "nxnosoa": ObservedAnswer("NXDOMAIN", (), None, 1),
    "nxforeign": ObservedAnswer("NXDOMAIN", (), None, 1),
    "nxanswer": _MALFORMED,
    "nodata": _good(records=SOA),
    "nodatalong": _good(records=("test. 3600 SOA ns.test. hostmaster.test. 1 2 3 4 900000",)),
    # broken records
    "pointer": _MALFORMED,
    "ptrself": _MALFORMED,
    "ptrheader": _MALFORMED,
    "ptrcut": _MALFORMED,
    "labeltype": _MALFORMED,
    "longname": _MALFORMED,
    "rdlen": _MALFORMED,
    "rdshort": _MALFORMED,
    "rdempty": _MALFORMED,
    "rdover": _MALFORMED,
    "rdcname": _MALFORMED,
    "counts": _MALFORMED,
    "onemore": _MALFORMED,
    "oneless": _TRUE,
    # EDNS
    "noopt": _TRUE,
    "twoopt": _MALFORMED,
    "optname": _MALFORMED,
    "optoption": _TRUE,
    # flags and TTLs
    "flagged": _TRUE,
    "hugettl": _good(records=("{}. 86400 A 192.0.2.1",)),
    "topbit": _good(records=("{}. 0 A 192.0.2.1",)),
    "ttl0": _good(records=("{}. 0 A 192.0.2.1",)),
    # records that nobody asked for
    "foreign": _TRUE,
    "foreignfirst": _TRUE,
    "foreignonly": _MALFORMED,
    "othertype": _MALFORMED,
    "chaos": _MALFORMED,
    "authority": _TRUE,
    "additional": _TRUE,
    # chains
    "cname": _good(records=("{}. 60 CNAME x.test.", "x.test. 30 CNAME y.test.", "y.test. 40 A 192.0.2.2")),
    "cnameonly": _good(records=("{}. 60 CNAME x.test.",)),
    "cnameself": _good(records=("{0}. 60 CNAME {0}.",)),
    "cnamering": _good(records=("{0}. 60 CNAME x.test.", "x.test. 60 CNAME {0}.")),
    "cnameoff": _good(records=("{}. 60 CNAME x.test.",)),
    "cnametwo": _good(records=("{}. 60 CNAME x.test.",)),
    "cnamelong": _good(
        records=(
            "{}. 60 CNAME c1.test.",
            *(f"c{i}.test. 60 CNAME c{i + 1}.test." for i in range(1, 150)),
            "c150.test. 60 A 192.0.2.1",
        )
    ),
    "dname": _good(records=("test. 60 DNAME z.example.", "{}. 60 CNAME q.z.example.", "q.z.example. 60 A 192.0.2.1")),
}
"""Where the server behaves so at once, over UDP unless the behaviour is one of TCP."""

_LIE_FIRST: Final = (
    *("wrongid", "manyids", "wrongq", "wrongtype", "wrongclass", "parentq", "childq", "noq", "noqbare", "twoq", "qr0"),
    *("echo", "opcode", "short", "noise", "hdronly"),
)
_OVER_TCP_ANYWAY: Final = (
    *("second", "wrongids", "tc", "tccut", "tctwice", "tcpcloses", "tcpsilent", "tcpresets", "tcphalf", "tcpcut"),
    *("tcpzero", "tcpshort", "tcpwrongid", "tcptwo", "tcpdribble", "tcpnoise"),
)

COLD_TCP: Final[dict[str, ObservedAnswer]] = {
    **{behaviour: _failed(24, 2) for behaviour in _LIE_FIRST},  # the connection is no stranger's: nothing to wait for
    **{behaviour: COLD[behaviour] for behaviour in _OVER_TCP_ANYWAY},
    "huge": _good(2, _many(300)),
}
"""What differs where UDP only says TC, apart from one more send."""


def test_the_table_covers_all_that_the_server_can_do() -> None:
    """Every behaviour has an expected outcome, and they are many."""
    assert set(COLD) == set(BEHAVIOURS)
    assert set(COLD_TCP) <= set(COLD)
    assert len(COLD) >= 60


class CacheState(NamedTuple):
    """The state of the cache, and over what the server lies."""

    cache: str
    tcp: bool

    def label(self, behaviour: str) -> str:
        """The first label of the question that has the server behave so."""
        return behaviour + "-tcp" * self.tcp + "-after" * (self.cache != "cold")

    def expected(self, behaviour: str) -> ObservedAnswer:
        """What a client hears of it."""
        cold = COLD[behaviour]
        if self.tcp:
            cold = COLD_TCP.get(behaviour, cold._replace(sends=min(cold.sends + 1, MAX_SENDS)))
        if self.cache == "warm":
            cold = ObservedAnswer("NOERROR", (f"{{}}. 60 A {HONEST}",), None, 0)
        elif self.cache == "stale" and cold.status == "SERVFAIL":
            cold = ObservedAnswer("NOERROR", (f"{{}}. 30 A {HONEST}",), 3, cold.sends)
        named = tuple(sorted(record.format(f"{self.label(behaviour)}.test") for record in cold.records))
        return cold._replace(records=named)


class Run(NamedTuple):
    """What came of one stage: what was heard by behaviour, after how long, with which flags."""

    stage: CacheState
    observed: dict[str, ObservedAnswer]
    seconds: dict[str, float]
    flags: dict[str, int]


STAGES: Final = [CacheState(cache, tcp) for cache in ("cold", "warm", "stale") for tcp in (False, True)]


@pytest.fixture(scope="module", params=STAGES, ids=lambda stage: f"{stage.cache}-{'tcp' if stage.tcp else 'udp'}")
def run(request: pytest.FixtureRequest) -> Run:
    """All behaviours at once, against one forwarder."""
    return run_with_stalled_clock(_play(request.param))


async def _play(stage: CacheState) -> Run:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StalledClockLoop)
    upstream = Upstream()
    await upstream.start()
    client = ForwarderClient(Address("127.0.0.1", upstream.port))
    out = Run(stage, {}, {}, {})
    try:
        if stage.cache != "cold":
            await asyncio.gather(*(client.ask(f"{stage.label(behaviour)}.test") for behaviour in BEHAVIOURS))
        if stage.cache == "stale":
            loop.skipped_seconds += _LEAP
        await asyncio.gather(*(_ask(behaviour, upstream, client, out) for behaviour in BEHAVIOURS))
    finally:
        await client.forwarder.close()
        await upstream.stop()
    return out


async def _ask(behaviour: str, upstream: Upstream, client: ForwarderClient, out: Run) -> None:
    label = out.stage.label(behaviour)
    before = upstream.seen[label]
    began = client.loop.time()
    message = await client.ask(f"{label}.test")
    out.seconds[behaviour] = client.loop.time() - began
    out.flags[behaviour] = int(message.flags)
    status = dns.rcode.to_text(message.rcode())
    sends = upstream.seen[label] - before
    out.observed[behaviour] = ObservedAnswer(status, tuple(sorted(answers(message))), ede(message), sends)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_client_hears_the_truth_or_of_a_failure(run: Run, behaviour: str) -> None:
    """The believable part of what the server says, an honest answer kept from before, or SERVFAIL and its cause."""
    assert run.observed[behaviour] == run.stage.expected(behaviour)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_no_forgery_reaches_a_client(run: Run, behaviour: str) -> None:
    """Neither what strangers send, nor what a server adds unasked, nor the data of a broken message."""
    assert not any(FORGED in record or "evil" in record for record in run.observed[behaviour].records)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_client_hears_within_its_patience_for_three_sends_at_most(run: Run, behaviour: str) -> None:
    """RFC 9520 3.1, and CoreDNS waits for 2 s."""
    assert run.observed[behaviour].sends <= MAX_SENDS
    assert run.seconds[behaviour] <= DEADLINE


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_the_flags_of_a_reply_are_ours(run: Run, behaviour: str) -> None:
    """QR, RD and RA; no AA, AD or TC of the server's (RFC 1034 4.3.1, RFC 6840 5.8)."""
    assert run.flags[behaviour] & 0xFFF0 == dns.flags.QR | dns.flags.RD | dns.flags.RA
