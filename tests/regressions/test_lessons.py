"""The lessons of `lessons.LESSONS` that no other test holds, and the table itself."""

import ast
import asyncio
import re
import time
import tomllib
from pathlib import Path

import dns.message
import pytest

import meshdns
from meshdns.dns import names
from meshdns.dns.codes import FORMERR, NOTIMP, REFUSED
from meshdns.dns.query import parse_query
from meshdns.forwarding.question import cache_key
from meshdns.forwarding.upstreams import Address
from tests.dns.test_query import A_IN, header, opt
from tests.e2e.load import message
from tests.fuzz.cost import MOST_UDP, answering, cost
from tests.regressions.lessons import LESSONS, NOT_APPLICABLE
from tests.simulators.upstream import Upstream
from tests.upstream.forwarder_client import ForwarderClient
from tests.worker.responder_fixture import PORT, ResponderFixture

TESTS = Path(__file__).parents[1]
SOURCE = bytes([127, 0, 0, 1])
KNOWN = {"one.global": ["203.0.113.1"]}
ONE = b"\3one\6global\0"


def _ask(bench: ResponderFixture, data: bytes, *, tcp: bool, source: bytes = SOURCE) -> bytes | None:
    bench.responder.begin_read()
    try:
        return bench.responder.respond(data, source, PORT, lambda: lambda _: None, tcp=tcp)
    finally:
        bench.responder.end_read()


def _rcode(reply: bytes | None) -> int:
    assert reply is not None
    return reply[3] & 15


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.cves[0])
def test_every_lesson_has_its_tests(lesson: object) -> None:
    """Each test that a row names exists."""
    for place in lesson.tests:  # type: ignore[attr-defined]
        file, _, function = place.partition("::")
        tree = ast.parse((TESTS / file).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place


def test_no_lesson_is_listed_twice() -> None:
    """A CVE stands in one row, or among those that do not apply."""
    every = [cve for lesson in LESSONS for cve in lesson.cves] + list(NOT_APPLICABLE)
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("tcp", [False, True])
def test_strangers_are_refused_over_tcp(*, tcp: bool) -> None:
    """CVE-2026-33190: who is outside allowQuery hears nothing else, for a name that is ready as well."""
    bench = ResponderFixture(KNOWN, allow=["192.0.2.0/24"])
    _ask(bench, message("one.global", 1), tcp=False, source=bytes([192, 0, 2, 1]))
    assert _rcode(_ask(bench, message("one.global", 1), tcp=tcp)) == REFUSED


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("counts", [(65535, 0, 0, 0), (1, 65535, 0, 0), (1, 0, 65535, 0), (1, 0, 0, 65535)])
def test_a_header_is_judged_first(counts: tuple[int, int, int, int], *, tcp: bool) -> None:
    """CVE-2026-82399: counts that cannot be cost nothing, over both transports."""
    questions, answers, authorities, additionals = counts
    data = header(qd=questions, an=answers, ns=authorities, ar=additionals) + ONE + A_IN + bytes(60_000)
    assert _rcode(_ask(ResponderFixture(KNOWN), data, tcp=tcp)) == FORMERR
    bench = ResponderFixture(KNOWN)
    assert cost(lambda each: _ask(bench, each, tcp=tcp), data) < MOST_UDP


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("opcode", range(1, 16))
def test_other_opcodes_reach_no_upstream(opcode: int, *, tcp: bool) -> None:
    """CVE-2026-86003: they are not implemented, and nothing is forwarded."""
    bench = ResponderFixture({})
    data = header(flags=opcode << 11 | 0x0100) + b"\3www\7example\0" + A_IN
    assert _rcode(_ask(bench, data, tcp=tcp)) == NOTIMP
    assert bench.upstream.waiting == []


def test_notify_over_tcp_changes_nothing() -> None:
    """CVE-2025-59030: what is ready stays ready."""
    bench = ResponderFixture(KNOWN)
    _ask(bench, message("one.global", 1), tcp=False)
    ready = dict(bench.responder.cached_replies)
    assert ready
    for name in (ONE, b"\6global\0", b"\0"):
        _ask(bench, header(flags=0x2400) + name + b"\0\6\0\1", tcp=True)
    assert bench.responder.cached_replies == ready


def test_a_client_subnet_opens_nothing() -> None:
    """CVE-2026-4893: a stranger that claims an address of allowQuery in an option is refused."""
    bench = ResponderFixture(KNOWN, allow=["192.0.2.0/24"])
    subnet = b"\0\1\x18\0\xc0\0\2"
    assert _rcode(_ask(bench, header(ar=1) + ONE + A_IN + opt((8, subnet)), tcp=False)) == REFUSED


def test_options_without_end_are_cheap() -> None:
    """CVE-2026-41292: an OPT full of options is walked once."""
    for option in ((3, b""), (11, b""), (10, b"x" * 8), (12, b""), (65001, b"")):
        data = header(ar=1) + ONE + A_IN + opt(*[option] * (4000 // (4 + len(option[1]))))
        assert cost(answering(tcp=False), data) < MOST_UDP


def test_a_denial_of_one_route_is_not_of_another() -> None:
    """CVE-2026-44687: the same question has another key behind another route."""
    query = parse_query(dns.message.make_query("a.corp.example", "A").to_wire())
    assert query is not None
    assert cache_key(query, 0) != cache_key(query, 1)


def test_one_packet_does_not_take_edns_from_an_upstream() -> None:
    """CVE-2026-52690: after an upstream that rejected EDNS for one name the next name is asked with it."""

    async def run() -> list[int]:
        upstream = Upstream()
        await upstream.start()
        client = ForwarderClient(Address("127.0.0.1", upstream.port))
        try:
            await client.ask("noedns.test")
            await client.ask("good.test")
        finally:
            await client.forwarder.close()
            await upstream.stop()
        return [dns.message.from_wire(wire).edns for wire in upstream.wires]

    assert asyncio.run(run()) == [0, -1, 0]


def test_no_name_goes_through_idna() -> None:
    """CVE-2022-45061: the codec is quadratic; no module names it."""
    for module in Path(meshdns.__file__).parent.rglob("*.py"):
        assert "idna" not in module.read_text(), module


@pytest.mark.parametrize("host", ["a" * 1_000_000, "a." * 500_000, "ß" * 1_000_000, "xn--" * 250_000])
def test_a_host_of_a_million_octets_is_refused_at_once(host: str) -> None:
    """CVE-2022-45061: before anything is done with it; what is quadratic would take minutes."""
    began = time.process_time()
    assert names.invalid_reason(host)
    assert time.process_time() - began < 1


def test_aiohttp_is_new_enough() -> None:
    """Its faults up to 3.14.0 are in no version that may be installed."""
    declared = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())["project"]["dependencies"]
    (floor,) = (match[1] for each in declared if (match := re.match(r"aiohttp>=([\d.]+)", each)))
    assert tuple(map(int, floor.split("."))) >= (3, 14, 1)
