"""Between real name servers in front and lying or dead ones behind, as running processes."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conformance.observed import DEADLINE, ask
from tests.conformance.probes import IDENTICAL, crowd
from tests.e2e import boutique
from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.e2e.test_forwarding import Watched
from tests.rig.dig import DigReply, dig
from tests.rig.dnsmasq import Dnsmasq
from tests.rig.nameserver import NameServer
from tests.rig.ports import LOOPBACK
from tests.rig.unbound import Unbound
from tests.simulators.behaviours import TRUE
from tests.simulators.lying_servers import LyingServers

pytestmark = pytest.mark.rig

_BIG = 200  # records of the behaviour `tc`
_ROUNDS = 3
_GRACE = 0.5  # seconds that dig and a front may take beside us


@pytest.fixture(scope="module")
def liars() -> Iterator[LyingServers]:
    """Upstreams that behave as the first label of a question says: for all names, and for stub.nxdomain.test."""
    with LyingServers([".", "stub.nxdomain.test"]) as running:
        yield running


@pytest.fixture(scope="module")
def instance(liars: LyingServers) -> Iterator[Instance]:
    """Online Boutique with the lying upstreams behind it."""
    forward = [{"zone": zone, "to": [f"{LOOPBACK}:{port}"]} for zone, port in liars.routes.items()]
    settings = {
        "sources": [{"kind": "manifests", "path": str(boutique.ZONE)}],
        "vantage": {"cluster": "cluster1"},
        "forward": forward,
        "specialNames": {"test": False},
    }
    with Instance(settings) as instance:
        wait_until_ready(instance)
        yield instance


def _fresh(behaviour: str = "good") -> str:
    """A name that nobody has cached."""
    return f"{behaviour}-{secrets.token_hex(6)}.test"


def _timed(server: NameServer, name: str, rtype: str = "A") -> tuple[DigReply, float]:
    began = time.monotonic()
    reply = dig(name, rtype, server=server.address, port=server.port)
    return reply, time.monotonic() - began


def test_a_thousand_identical_questions_make_one_query(instance: Instance, liars: LyingServers) -> None:
    """The upstream takes 0.2 s: all who ask meanwhile wait for the one query, and all are answered (RFC 5452 5)."""
    before = liars.query_count(".")
    assert asyncio.run(crowd(instance, _fresh("delayed"))) == IDENTICAL
    assert liars.query_count(".") - before == 1


def test_a_denial_by_the_upstream_hides_no_name_below(instance: Instance) -> None:
    """Servers that know no empty non-terminals deny what others have names below (RFC 8020 section 3)."""
    assert instance.addresses("nxdomain.test") == ["NXDOMAIN"]
    assert instance.addresses("good.nxdomain.test") == [TRUE]
    assert instance.addresses("good.stub.nxdomain.test") == [TRUE]


@pytest.fixture(scope="module", params=["CoreDNS", "dnsmasq"])
def front(request: pytest.FixtureRequest, instance: Instance) -> Iterator[NameServer]:
    """A name server that forwards everything to the instance."""
    server: NameServer = Watched(instance)
    if request.param == "dnsmasq":
        server = Dnsmasq(f"--server={LOOPBACK}#{instance.port}")
    with server:
        yield server


@pytest.mark.alone
@pytest.mark.parametrize("behaviour", ["wrongid", "wrongq", "qr0", "noise", "tc", "tccut", "tcpdribble", "foreign"])
def test_a_front_hears_the_truth_in_spite_of_lies(front: NameServer, behaviour: str) -> None:
    """What meshdns believes is what its own clients are told, over UDP and after TC over TCP."""
    what, seconds, _ = asyncio.run(ask(_fresh(behaviour), front.address, front.port))
    assert what == "true"
    assert seconds <= DEADLINE


@pytest.mark.alone
@pytest.mark.parametrize("behaviour", ["silent", "servfail", "rdlen", "tctwice", "foreignonly", "failwith"])
def test_a_front_hears_of_a_failure_in_time(front: NameServer, behaviour: str) -> None:
    """Before CoreDNS gives meshdns up at 2 s; and no lie."""
    what, seconds, _ = asyncio.run(ask(_fresh(behaviour), front.address, front.port))
    assert what == "SERVFAIL"
    assert seconds <= DEADLINE + _GRACE


def test_a_front_without_edns_is_told_to_use_tcp(front: NameServer) -> None:
    """A client that can take 512 octets gets TC from the front, and over TCP the whole (RFC 7766 section 5)."""
    name = _fresh("tc")
    small = dig(name, server=front.address, port=front.port, opts=["+noedns", "+ignore"])
    assert "tc" in small.flags
    assert len(dig(name, server=front.address, port=front.port, opts=["+noedns"]).rdata) == _BIG


@pytest.mark.alone
def test_no_front_gives_us_up_while_all_upstreams_are_dead(clusters: Path) -> None:
    """One upstream stands still, the other is gone: mesh names come at once, others fail in time, again and again.

    CoreDNS counts no failed health check, because it has no reason for one.
    """
    with ExitStack() as stack:
        still, gone = (stack.enter_context(Unbound(["www.example.com. 60 IN A 192.0.2.80"])) for _ in range(2))
        both = [{"zone": ".", "to": [f"{LOOPBACK}:{upstream.port}" for upstream in (still, gone)]}]
        instance = stack.enter_context(on_boutique(clusters, still, forward=both))
        wait_until_ready(instance)
        coredns = stack.enter_context(Watched(instance))
        dnsmasq = stack.enter_context(Dnsmasq(f"--server={LOOPBACK}#{instance.port}"))
        still.pause()
        gone.stop()
        for _ in range(_ROUNDS):
            for front in (coredns, dnsmasq):
                failed, seconds = _timed(front, f"{secrets.token_hex(6)}.example.com")
                assert (failed.status, seconds <= DEADLINE + _GRACE) == ("SERVFAIL", True), seconds
                known, seconds = _timed(front, "frontend.default.global")
                assert (known.rdata, seconds <= _GRACE) == (("203.0.113.20",), True), seconds
        assert coredns.metric("coredns_proxy_healthcheck_failures_total") == 0
        assert coredns.metric("coredns_forward_healthcheck_broken_total") == 0
        still.resume()
