"""The forwarder over real loopback sockets against a server that lies."""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from meshdns.dns.query import parse_query
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.question import MAX_LOOP_MARKERS
from meshdns.forwarding.upstreams import Address, Route
from meshdns.upstream.forwarder import MAX_PER_CLIENT, Forwarder
from tests.simulators.behaviours import Case, Messages
from tests.simulators.stalled_clock_loop import StalledClockLoop, run_with_stalled_clock
from tests.simulators.upstream import Upstream, serving
from tests.upstream.forwarder_client import ForwarderClient, answers, ede

PATIENCE = 30.0  # seconds; a condition that takes longer is a failure


def against(body: Callable[[Upstream, ForwarderClient], Awaitable[None]]) -> None:
    """Run `body` with one server and a client whose only upstream it is."""

    async def main(upstream: Upstream) -> None:
        client = ForwarderClient(Address("127.0.0.1", upstream.port))
        try:
            await body(upstream, client)
        finally:
            await client.forwarder.close()
            assert client.counters.in_flight == 0

    run_with_stalled_clock(serving(main))


@pytest.mark.parametrize("behaviour", ["good", "servfail", "nxdomain", "nxnosoa", "rdlen", "tc", "cname"])
def test_the_same_question_again_is_answered_from_the_cache(behaviour: str) -> None:
    """Answers, denials and failures alike spare the upstream a second query."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        first = await client.ask(f"{behaviour}.test")
        sends = upstream.seen[behaviour]
        for _ in range(5):
            again = await client.ask(f"{behaviour}.test")
            assert answers(again) == answers(first)
            assert again.rcode() == first.rcode()
        assert upstream.seen[behaviour] == sends

    against(body)


@pytest.mark.parametrize("behaviour", ["ttl0", "topbit"])
def test_an_answer_with_ttl_0_is_asked_for_each_time(behaviour: str) -> None:
    """RFC 1035 3.2.1: TTL 0 is for the question under way only."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        for _ in range(3):
            await client.ask(f"{behaviour}.test")
        assert upstream.seen[behaviour] == 3

    against(body)


@pytest.mark.slow
def test_a_silent_upstream_is_not_asked_again_while_the_failure_is_fresh() -> None:
    """RFC 9520: the second client hears at once."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        await client.ask("silent.test")
        again = await client.ask("silent.test")
        assert again.rcode() == dns.rcode.SERVFAIL
        assert client.counters.failures_cached == 1
        assert upstream.seen["silent"] == 3

    against(body)


@pytest.mark.slow
def test_a_name_slower_than_the_deadline_resolves_the_next_time() -> None:
    """The late answer fills the cache and clears the failure."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        first = await client.ask("slow.test")
        assert first.rcode() == dns.rcode.SERVFAIL
        async with asyncio.timeout(PATIENCE):
            while not client.counters.late_answers:  # noqa: ASYNC110 - a counter is no event
                await asyncio.sleep(0.02)
        again = await client.ask("slow.test")
        assert answers(again) == ["slow.test. 60 A 192.0.2.1"]
        assert upstream.seen["slow"] == 3

    against(body)


def test_a_thousand_identical_questions_make_one_upstream_query() -> None:
    """All clients are answered, each with its own id and letter case."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        def wire(i: int) -> bytes:
            message = dns.message.make_query("GOOD.test" if i % 2 else "good.TEST", "A", id=i)
            return message.to_wire()

        replies = await asyncio.gather(*(client.ask_wire(wire(i)) for i in range(1000)))
        for i, reply in enumerate(replies):
            assert reply[:2] == i.to_bytes(2, "big")
            assert reply[12:23] == wire(i)[12:23]
        assert upstream.seen["good"] == 1
        assert client.counters.misses == 1
        assert client.counters.coalesced == 999

    against(body)


def test_a_cached_answer_says_how_long_it_stays_the_same() -> None:
    """Until its TTLs fall, and until it expires; a failure and a refusal say nothing, so that nobody keeps them."""

    async def body(_: Upstream, client: ForwarderClient) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await client.ask("good.test")
        await client.ask("servfail.test")
        for name, recursive, later in (
            ("servfail.test", True, 0.0),
            ("fresh.test", False, 0.0),
            ("good.test", True, 2.5),
        ):
            now = loop.time() + later
            message = dns.message.make_query(name, "A", use_edns=0, flags=dns.flags.RD if recursive else 0)
            query = parse_query(message.to_wire())
            assert query is not None
            reply = client.forwarder.ask(query, now=now, tcp=False, on_reply=lambda _: None)
            assert reply is not None
            assert reply.message[:2] == message.to_wire()[:2]
            if not later:
                assert (reply.ttls_change_at, reply.expires_at) == (0.0, 0.0)
                continue
            assert 0 < reply.ttls_change_at - now <= 1
            stored_at = reply.ttls_change_at - int(now - started) - 1
            assert started <= stored_at <= now - 2.5
            assert reply.expires_at - stored_at == pytest.approx(60)

    against(body)


def test_questions_that_differ_in_do_cd_or_type_are_asked_apart() -> None:
    """The key holds all that may change the answer (CVE-2024-0874)."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        await client.ask("good.test")
        await client.ask("good.test", want_dnssec=True)
        await client.ask("good.test", "TXT")
        message = dns.message.make_query("good.test", "A")
        message.flags |= dns.flags.CD
        await client.ask_wire(message.to_wire())
        assert upstream.seen["good"] == 4
        assert dns.message.from_wire(upstream.wires[-1]).flags & dns.flags.CD

    against(body)


@pytest.mark.slow
def test_ports_and_ids_are_hard_to_guess() -> None:
    """The first queries leave by ports of their own; later ones by many, and no port is used much."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        await asyncio.gather(*(client.ask(f"good-{i}.test") for i in range(150)))
        assert len(set(upstream.sources)) == 150
        for start in range(150, 3150, 150):
            await asyncio.gather(*(client.ask(f"good-{i}.test") for i in range(start, start + 150)))
        assert len(set(upstream.sources)) > 256
        worn = [port for port, uses in Counter(upstream.sources).items() if uses > 16]
        assert len(worn) <= 10  # the kernel may give a port again that was closed before
        assert len(set(upstream.ids)) > 0.9 * len(upstream.ids)  # 3,150 of 65,536 collide 2.4 % of the time

    against(body)


def test_no_option_of_the_client_reaches_the_upstream() -> None:
    """Client Subnet, cookies and NSID are dropped; size and DO are ours and the client's."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        options = [dns.edns.ECSOption("198.51.100.0", 24), dns.edns.GenericOption(dns.edns.OptionType.COOKIE, bytes(8))]
        message = dns.message.make_query("GooD.test", "A", use_edns=0, payload=4096, options=options, want_dnssec=True)
        await client.ask_wire(message.to_wire())
        seen = dns.message.from_wire(upstream.wires[0])
        assert seen.options == ()
        assert seen.payload == 1232
        assert seen.ednsflags & dns.flags.DO
        assert seen.flags == dns.flags.RD

    against(body)


def test_a_question_without_rd_is_never_forwarded() -> None:
    """RFC 1034 4.3.1: the cache, else REFUSED."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        assert (await client.ask("good.test", rd=False)).rcode() == dns.rcode.REFUSED
        assert not upstream.seen
        await client.ask("good.test")
        assert answers(await client.ask("good.test", rd=False)) == ["good.test. 60 A 192.0.2.1"]
        assert upstream.seen["good"] == 1

    against(body)


def test_a_large_answer_is_truncated_on_udp_and_whole_on_tcp() -> None:
    """TC comes with question and OPT alone (RFC 2181 section 9)."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        small = await client.ask("tc.test", tcp=False)
        assert small.flags & dns.flags.TC
        assert (len(small.question), len(small.answer), small.edns) == (1, 0, 0)
        assert len(answers(await client.ask("tc.test", tcp=True))) == 200

    against(body)


def test_a_cname_target_is_asked_for_itself() -> None:
    """Data learnt on the way of one question answers no other one."""

    async def body(upstream: Upstream, client: ForwarderClient) -> None:
        await client.ask("cname.test")
        await client.ask("y.test")
        assert upstream.seen["y"] == 1

    against(body)


def test_a_refused_port_brings_the_next_upstream_forward() -> None:
    """An ICMP error leads to the second upstream, and the client gets its answer."""

    async def main(upstream: Upstream) -> None:
        client = ForwarderClient(Address("127.0.0.1", _closed_port()), Address("127.0.0.1", upstream.port))
        message = await client.ask("good.test")
        assert answers(message) == ["good.test. 60 A 192.0.2.1"]
        assert client.counters.timeouts == 0
        assert client.counters.unreachable >= 1
        await client.forwarder.close()

    run_with_stalled_clock(serving(main))


@pytest.mark.slow
def test_a_refused_port_does_not_end_the_wait() -> None:
    """With one upstream the ICMP error changes nothing: three sends, then SERVFAIL by silence."""

    async def main() -> None:
        client = ForwarderClient(Address("127.0.0.1", _closed_port()))
        message = await client.ask("good.test")
        assert (message.rcode(), ede(message)) == (dns.rcode.SERVFAIL, 22)
        assert client.counters.timeouts == 3
        await client.forwarder.close()

    run_with_stalled_clock(main())


def test_a_silent_upstream_gives_way_to_the_next() -> None:
    """The answer of the second upstream comes after the first one's patience."""

    async def main(upstream: Upstream) -> None:
        quiet = Upstream()
        await quiet.start()
        quiet.datagram_received = lambda *_: None  # type: ignore[method-assign]  # hears nothing
        client = ForwarderClient(Address("127.0.0.1", quiet.port), Address("127.0.0.1", upstream.port))
        assert answers(await client.ask("good.test")) == ["good.test. 60 A 192.0.2.1"]
        assert client.counters.timeouts == 1
        await client.forwarder.close()
        await quiet.stop()

    run_with_stalled_clock(serving(main))


@pytest.mark.slow
def test_a_flood_of_names_below_one_domain_leaves_room_for_others() -> None:
    """An eighth of what may wait is for one suffix; identical questions and other domains are not held up."""

    async def main(upstream: Upstream) -> None:
        client = ForwarderClient(Address("127.0.0.1", upstream.port), max_in_flight=24)
        flood = [asyncio.create_task(client.ask(f"silent-{i}.victim.test"), name="flood") for i in range(3)]
        await asyncio.sleep(0)
        more = await client.ask("silent-4.victim.test")
        assert (more.rcode(), ede(more)) == (dns.rcode.REFUSED, 0)
        same = asyncio.create_task(client.ask("silent-1.victim.test"), name="same")
        assert (await client.ask("good.other.test")).rcode() == dns.rcode.NOERROR
        assert {reply.rcode() for reply in await asyncio.gather(same, *flood)} == {dns.rcode.SERVFAIL}
        assert (client.counters.over_limit, client.counters.over_suffix_limit) == (1, 1)
        assert (await client.ask("good.victim.test")).rcode() == dns.rcode.NOERROR  # those who heard make room
        await client.forwarder.close()

    run_with_stalled_clock(serving(main))


class OldServer(Upstream):
    """Knows no EDNS, and says so by a bare header."""

    def _behave(self, data: bytes, *, tcp: bool) -> Messages:
        self.wires.append(data)
        if data[10:12] != b"\0\0":
            return [data[:2] + b"\x81\x81" + bytes(8)]
        return [Case(data, tcp=tcp, turn=0).good()]


def test_a_server_that_rejects_edns_by_a_bare_header_is_asked_without() -> None:
    """RFC 6891 section 7: such servers are older than EDNS."""

    async def main() -> None:
        upstream = OldServer()
        await upstream.start()
        client = ForwarderClient(Address("127.0.0.1", upstream.port))
        assert answers(await client.ask("good.test")) == ["good.test. 60 A 192.0.2.1"]
        assert [dns.message.from_wire(wire).edns for wire in upstream.wires] == [0, -1]
        await client.forwarder.close()
        await upstream.stop()

    run_with_stalled_clock(main())


def test_names_are_sent_in_random_case_where_it_is_set() -> None:
    """Each question in letters of its own, and the client hears its own letters; a server that lowers them too."""

    async def main(upstream: Upstream) -> None:
        client = ForwarderClient(Address("127.0.0.1", upstream.port), random_case=True)
        names = [f"good-abcdefghijklmnop{i}.test" for i in range(20)]
        for name in names:
            assert answers(await client.ask(name)) == [f"{name}. 60 A 192.0.2.1"]
        assert len({wire[13:30] for wire in upstream.wires}) > 15
        assert client.counters.tcp == 0
        await client.forwarder.close()

    run_with_stalled_clock(serving(main))


def test_more_clients_than_may_wait_are_refused_at_once() -> None:
    """Beyond the bound the reply is at hand, and those who wait are still answered."""

    async def main(upstream: Upstream) -> None:
        client = ForwarderClient(Address("127.0.0.1", upstream.port), max_in_flight=3)
        replies = await asyncio.gather(*(client.ask(f"good-{i}.test") for i in range(5)))
        rcodes = sorted(dns.rcode.to_text(reply.rcode()) for reply in replies)
        assert rcodes == ["NOERROR"] * 3 + ["REFUSED"] * 2
        assert client.counters.over_limit == 2
        await client.forwarder.close()

    run_with_stalled_clock(serving(main))


def test_one_client_cannot_have_more_than_its_share_wait() -> None:
    """Beyond it REFUSED is at hand (CVE-2024-33655); others are not affected, and heard questions make room."""

    async def main(upstream: Upstream) -> None:
        client = ForwarderClient(Address("127.0.0.1", upstream.port), max_per_client=3)

        async def ask(name: str, source: bytes) -> str:
            wire = dns.message.make_query(f"{name}.test", "A").to_wire()
            return dns.rcode.to_text(dns.message.from_wire(await client.ask_wire(wire, client=source)).rcode())

        greedy = [ask(f"good-{i}", b"\n\0\0\1") for i in range(5)]
        modest = [ask(f"good-{i}", b"\n\0\0\2") for i in range(3)]
        rcodes = await asyncio.gather(*greedy, *modest)
        assert rcodes == ["NOERROR"] * 3 + ["REFUSED"] * 2 + ["NOERROR"] * 3
        assert client.counters.over_limit == client.counters.over_client_limit == 2
        assert await ask("good-9", b"\n\0\0\1") == "NOERROR"
        assert not client.forwarder._wait_limits
        await client.forwarder.close()

    run_with_stalled_clock(serving(main))


class _Flood:
    """Queries that are sent to a forwarder and not awaited; counts those that wait, by client."""

    def __init__(self, client: ForwarderClient) -> None:
        self._client = client
        self._queries: dict[str, bytes] = {}
        self.waiting: Counter[bytes] = Counter()
        self.refused = 0

    def ask(self, name: str, source: bytes) -> None:
        """Ask one question that no upstream answers."""
        if name not in self._queries:
            self._queries[name] = dns.message.make_query(name, "A").to_wire()
        query = parse_query(self._queries[name])
        assert query is not None
        now = self._client.loop.time()
        reply = self._client.forwarder.ask(query, now=now, tcp=False, on_reply=lambda _: None, client=source)
        if reply is None:
            self.waiting[source] += 1
        else:
            self.refused += reply.message[3] & 0x0F == dns.rcode.REFUSED


def test_a_flood_of_one_client_for_many_domains_leaves_room_for_others() -> None:
    """By default 1,024 of its questions wait, however many domains they are spread over; then others still may ask."""
    greedy, modest = b"\n\0\0\1", b"\n\0\0\2"

    async def body(_: Upstream, client: ForwarderClient) -> None:
        flood = _Flood(client)
        for number in range(MAX_PER_CLIENT + 300):
            flood.ask(f"silent-{number}.d{number % 100}.test", greedy)
        for number in range(10):
            flood.ask(f"silent-{number}.other.test", modest)
        assert flood.waiting == {greedy: 1024, modest: 10}
        assert flood.refused == client.counters.over_client_limit == 300
        assert client.counters.over_suffix_limit == 0

    against(body)


def test_a_flood_of_many_clients_is_bounded_in_all() -> None:
    """By default 10,000 questions wait; each client stays below its own limit here, and each domain below its."""

    async def body(_: Upstream, client: ForwarderClient) -> None:
        flood = _Flood(client)
        for number in range(12_000):
            flood.ask(f"silent-{number % 50}.d{number % 7}.test", b"\n\0\0" + bytes([number % 24]))
        assert sum(flood.waiting.values()) == 10_000
        assert max(flood.waiting.values()) < MAX_PER_CLIENT
        assert flood.refused == client.counters.over_limit == 2_000
        assert client.counters.over_client_limit == client.counters.over_suffix_limit == 0

    against(body)


def test_a_query_that_was_here_before_is_refused() -> None:
    """Its trail goes on to upstreams of local use, one step longer; whoever finds its own mark in it ends the loop."""

    async def main(upstream: Upstream) -> None:
        here, there, beyond = (
            ForwarderClient(Address("127.0.0.1", upstream.port), instance_id=mark * 8) for mark in (b"h", b"t", b"b")
        )
        for number, client in enumerate((here, there, beyond, here)):
            name = f"good-{number}.test"
            wire = dns.message.make_query(name, "A", use_edns=0, options=_trail(upstream)).to_wire()
            rcode = dns.message.from_wire(await client.ask_wire(wire)).rcode()
            assert rcode == (dns.rcode.REFUSED if number == 3 else dns.rcode.NOERROR)
        marks = [option.to_wire() for option in _trail(upstream)]
        assert marks == [b"h" * 8, b"t" * 8, b"b" * 8]
        assert here.counters.loops == 1
        for client in (here, there, beyond):
            await client.forwarder.close()

    run_with_stalled_clock(serving(main))


def _trail(upstream: Upstream) -> list[dns.edns.Option]:
    """The options of the last query that the server saw."""
    return list(dns.message.from_wire(upstream.wires[-1]).options) if upstream.wires else []


@pytest.mark.parametrize("steps", [0, 1, 3, 4, 90])
def test_a_trail_that_is_too_long_is_a_loop(steps: int) -> None:
    """However many instances take part in it."""

    async def main(upstream: Upstream) -> None:
        client = ForwarderClient(Address("127.0.0.1", upstream.port), instance_id=bytes(8))
        trail = dns.edns.OptionType.make(65_313)
        options: list[dns.edns.Option] = [dns.edns.GenericOption(trail, b"%8d" % i) for i in range(steps)]
        wire = dns.message.make_query("good.test", "A", use_edns=0, options=options).to_wire()
        rcode = dns.message.from_wire(await client.ask_wire(wire)).rcode()
        assert rcode == (dns.rcode.REFUSED if steps >= MAX_LOOP_MARKERS else dns.rcode.NOERROR)
        await client.forwarder.close()

    run_with_stalled_clock(serving(main))


def test_a_stale_answer_is_refreshed_once_its_upstream_is_back() -> None:
    """Within half a minute nobody is asked again, then the fresh answer is told."""

    async def main(upstream: Upstream) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StalledClockLoop)
        client = ForwarderClient(Address("127.0.0.1", upstream.port))
        await client.ask("servfail-after.test")
        for leap, heard, sends in ((61, (3, 2), 2), (29, (3, 3), 2), (2, (3, 4), 3)):
            loop.skipped_seconds += leap
            stale = await client.ask("servfail-after.test")
            assert (ede(stale), 1 + client.counters.stale_answers) == heard
            assert answers(stale) == ["servfail-after.test. 30 A 192.0.2.7"]
            assert upstream.seen["servfail-after"] == sends
        await client.forwarder.close()

    run_with_stalled_clock(serving(main))


def test_a_stale_answer_gives_way_to_a_fresh_one() -> None:
    """Expired answers are told in place of failures alone (RFC 8767 section 4)."""

    async def main(upstream: Upstream) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StalledClockLoop)
        client = ForwarderClient(Address("127.0.0.1", upstream.port))
        await client.ask("good-after.test")
        loop.skipped_seconds += 61
        fresh = await client.ask("good-after.test")
        assert (answers(fresh), ede(fresh)) == (["good-after.test. 60 A 192.0.2.1"], None)
        await client.forwarder.close()

    run_with_stalled_clock(serving(main))


@pytest.mark.slow
def test_exchanges_whose_clients_have_heard_give_way() -> None:
    """Late exchanges count against the bound, but never against a client."""

    async def main(upstream: Upstream) -> None:
        client = ForwarderClient(Address("127.0.0.1", upstream.port), max_in_flight=2)
        await asyncio.gather(client.ask("silent-1.test"), client.ask("silent-2.test"))
        assert client.counters.in_flight == 2
        replies = await asyncio.gather(client.ask("good-1.test"), client.ask("good-2.test"))
        assert [reply.rcode() for reply in replies] == [dns.rcode.NOERROR] * 2
        await client.forwarder.close()

    run_with_stalled_clock(serving(main))


def test_closing_answers_everybody_who_waits() -> None:
    """Nobody is left without a reply, and nothing stays open."""

    async def main(upstream: Upstream) -> None:
        client = ForwarderClient(Address("127.0.0.1", upstream.port))
        waiting = [
            asyncio.create_task(client.ask(f"{name}.test"), name=name) for name in ("silent", "slow", "tcpcloses")
        ]
        async with asyncio.timeout(PATIENCE):
            while upstream.seen.total() < 3:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        await client.forwarder.close()
        for reply in await asyncio.gather(*waiting):
            assert reply.rcode() == dns.rcode.SERVFAIL
        assert not client.forwarder._tcp_exchanges
        assert (await client.ask("good.test")).rcode() == dns.rcode.SERVFAIL

    run_with_stalled_clock(serving(main))


def test_a_private_address_is_refused_where_it_is_set() -> None:
    """NODATA without an SOA, EDE 15 and a count; from the cache, too, with which the upstream is spared."""

    async def main(upstream: Upstream) -> None:
        for refuse, found in ((True, []), (False, ["good.test. 60 A 192.0.2.1"])):
            client = ForwarderClient(Address("127.0.0.1", upstream.port), refuse_private=refuse)
            for tcp in (False, True, False):
                reply = await client.ask("good.test", tcp=tcp)
                assert (reply.rcode(), answers(reply)) == (dns.rcode.NOERROR, found)
                assert ede(reply) == (15 if refuse else None)
            assert (client.counters.private_addresses, client.counters.hits) == (int(refuse), 2)
            await client.forwarder.close()

    run_with_stalled_clock(serving(main))


def test_a_name_that_no_route_takes_is_refused() -> None:
    """Without a route for it there is nobody to ask."""

    async def main() -> None:
        counters = ForwardCounters()
        forwarder = Forwarder(
            loop=asyncio.get_running_loop(),
            clock=asyncio.get_running_loop().time,
            routes=[Route(b"\x04corp\x00", (Address("127.0.0.1", 9),))],
            counters=counters,
        )
        query = parse_query(dns.message.make_query("www.example.com", "A", use_edns=0).to_wire())
        assert query is not None
        reply = forwarder.ask(query, now=0.0, tcp=False, on_reply=lambda _: None)
        assert reply is not None
        assert dns.message.from_wire(reply.message).rcode() == dns.rcode.REFUSED
        await forwarder.close()

    run_with_stalled_clock(main())


def _closed_port() -> int:
    """A UDP port of loopback on which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_cached_answer_ages_while_the_machine_is_suspended() -> None:
    """An hour by the clock of ages makes it expire; the exchanges under way, timed by the loop, go on."""

    async def main(upstream: Upstream) -> None:
        loop = asyncio.get_running_loop()
        suspended = 1e6  # long before
        client = ForwarderClient(Address("127.0.0.1", upstream.port), clock=lambda: loop.time() + suspended)
        try:
            await client.ask("good.test")
            await client.ask("good.test")
            assert upstream.seen["good"] == 1
            late = asyncio.create_task(client.ask("silent.test"), name="late")
            while not upstream.seen["silent"]:  # noqa: ASYNC110 — what is waited for has no event
                await asyncio.sleep(0.001)
            suspended += 3600.0
            await client.ask("good.test")
            assert upstream.seen["good"] == 2
            assert not late.done()
            await late
        finally:
            await client.forwarder.close()

    run_with_stalled_clock(serving(main))
