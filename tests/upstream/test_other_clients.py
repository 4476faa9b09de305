"""What one client did, its options and what it used up, is kept for no other client."""

import asyncio
from collections.abc import Awaitable, Callable

import dns.edns
import dns.message
import dns.rcode
import pytest

from meshdns.dns.query import parse_query
from meshdns.forwarding.upstreams import Address
from meshdns.upstream import tcp
from tests.simulators.behaviours import BEHAVIOURS, Case, Messages
from tests.simulators.no_descriptors import no_descriptors
from tests.simulators.stalled_clock_loop import run_with_stalled_clock
from tests.simulators.upstream import Upstream, serving
from tests.upstream.forwarder_client import ForwarderClient, answers, ede

LOOP_MARKER = dns.edns.OptionType.make(65_313)


def against(body: Callable[[Upstream, ForwarderClient], Awaitable[None]]) -> None:
    """Run `body` with one server and a client whose only upstream it is."""

    async def main(upstream: Upstream) -> None:
        client = ForwarderClient(Address("127.0.0.1", upstream.port), instance_id=b"instance")
        try:
            await body(upstream, client)
        finally:
            await client.forwarder.close()

    run_with_stalled_clock(serving(main))


def _fails_on_markers(case: Case) -> Messages:
    """An upstream that takes a query for a loop if it carries a marker beside that of its sender."""
    markers = [option for option in case.query.options if option.otype == LOOP_MARKER]
    return [case.reply(rcode=2).to_wire()] if len(markers) > 1 else [case.good()]


def forged(name: str, *markers: bytes) -> bytes:
    """A query with loop markers of a client's own making."""
    options: list[dns.edns.Option] = [dns.edns.GenericOption(LOOP_MARKER, marker) for marker in markers]
    return dns.message.make_query(name, "A", use_edns=0, payload=1232, options=options).to_wire()


@pytest.mark.parametrize("together", [False, True], ids=["before", "at the same time"])
def test_a_forged_loop_marker_fails_its_own_query_alone(monkeypatch: pytest.MonkeyPatch, *, together: bool) -> None:
    """40 clients ask for the same name without it, and all are answered."""
    monkeypatch.setitem(BEHAVIOURS, "marked", _fails_on_markers)

    async def body(_: Upstream, client: ForwarderClient) -> None:
        attack = asyncio.create_task(client.ask_wire(forged("marked.test", b"forged.1")), name="attack")
        if together:
            await asyncio.sleep(0)
        else:
            await attack
        replies = await asyncio.gather(*(client.ask("marked.test") for _ in range(40)))
        assert [dns.rcode.to_text(reply.rcode()) for reply in replies] == ["NOERROR"] * 40
        assert dns.message.from_wire(await attack).rcode() == dns.rcode.SERVFAIL

    against(body)


def test_nothing_of_a_query_with_a_marker_is_cached() -> None:
    """Neither its success; it is answered from the cache all the same."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        for _ in range(3):
            await client.ask_wire(forged("good.test", b"some one"))
        assert upstream.seen["good"] == 3
        assert client.forwarder.cache_counts == (0, 0)
        await client.ask("good.test")
        await client.ask_wire(forged("good.test", b"some one"))
        assert upstream.seen["good"] == 4

    against(body)


def test_queries_with_the_same_markers_share_an_exchange() -> None:
    """A thousand that come through one instance are still one query for the upstream; other markers are another."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        wires = [forged("good.test", b"neighbor"), forged("good.test", b"neighbor"), forged("good.test", b"stranger")]
        replies = await asyncio.gather(*(client.ask_wire(wire) for wire in wires))
        assert all(answers(dns.message.from_wire(reply)) for reply in replies)
        assert upstream.seen["good"] == 2

    against(body)


def test_tcp_exchanges_that_others_use_up_fail_no_later_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure is told with its reason and forgotten, for no upstream has failed."""

    async def body(_: Upstream, client: ForwarderClient) -> None:
        monkeypatch.setattr(tcp, "MAX_TCP_EXCHANGES", 0)
        failed = await client.ask("tc.test")
        monkeypatch.undo()
        again = await client.ask("tc.test")
        assert (failed.rcode(), ede(failed)) == (dns.rcode.SERVFAIL, 0)
        assert (again.rcode(), client.counters.failures_cached) == (dns.rcode.NOERROR, 0)

    against(body)


def test_descriptors_that_others_use_up_fail_no_later_query() -> None:
    """Every open connection of a client is one; the next query is answered as soon as one is free."""

    async def body(_: Upstream, client: ForwarderClient) -> None:
        with no_descriptors():
            failed = await client.ask("good.test")
        again = await client.ask("good.test")
        assert (failed.rcode(), ede(failed)) == (dns.rcode.SERVFAIL, 0)
        assert (again.rcode(), client.counters.failures_cached) == (dns.rcode.NOERROR, 0)

    against(body)


def test_descriptors_that_are_used_up_while_an_exchange_moves_to_tcp() -> None:
    """The same for the second send."""

    async def body(_: Upstream, client: ForwarderClient) -> None:
        await client.ask("tc-1.test")  # leaves a socket open: the next query needs no other over UDP
        with no_descriptors():
            failed = await client.ask("tc-2.test")
        again = await client.ask("tc-2.test")
        assert (failed.rcode(), ede(failed)) == (dns.rcode.SERVFAIL, 0)
        assert (again.rcode(), client.counters.failures_cached) == (dns.rcode.NOERROR, 0)

    against(body)


def test_a_client_that_cannot_be_answered_costs_no_other() -> None:
    """The others of its exchange are answered, the fault is reported, and nobody's share of waiting is used up."""
    faults: list[BaseException] = []

    async def body(_: Upstream, client: ForwarderClient) -> None:
        client.loop.set_exception_handler(lambda _loop, context: faults.append(context["exception"]))
        query = parse_query(dns.message.make_query("good.test", "A").to_wire())
        assert query is not None

        def fail(_reply: bytes) -> None:
            raise RuntimeError("gone")

        client.forwarder.ask(query, now=client.loop.time(), tcp=True, on_reply=fail, client=b"\x7f\0\0\1")
        reply = await client.ask("good.test")
        assert reply.rcode() == dns.rcode.NOERROR
        assert [str(fault) for fault in faults] == ["gone"]
        assert len(client.forwarder._wait_limits) == 0

    against(body)
