"""Gateway host names against real name servers, and against one that does what a script says."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import dns.rdatatype
import pytest

from meshdns.controller.hostname_resolver import HostnameResolver
from meshdns.forwarding.upstreams import Address, Route
from meshdns.mesh.fair_timers import NOBODY, Owner
from meshdns.mesh.host_resolution import LOOKUP_SHARES
from tests.rig.knot import Knot
from tests.rig.ports import LOOPBACK, free_port
from tests.rig.unbound import Unbound
from tests.simulators.behaviours import BEHAVIOURS, SOA, Case, Messages
from tests.simulators.stalled_clock_loop import run_with_stalled_clock
from tests.simulators.upstream import Upstream, serving

DEADLINE = 30.0  # seconds; a condition that takes longer is a failure
HOST = "gw.test"


class ResolverScene(logging.Handler):
    """Host names being resolved, and what is heard of them in order: addresses by host, and levels of log lines.

    Time passes as it does, and faster where the test says so.
    """

    def __init__(self, *upstreams: Address, zone: bytes = b"\0") -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.failing: list[tuple[str, bool]] = []
        self.skipped = 0.0
        self.resolver = HostnameResolver(
            routes=[Route(zone, upstreams)],
            on_resolved=lambda host, addresses: self.events.put_nowait(" ".join([host, *addresses])),
            on_failing=lambda host, failing: self.failing.append((host, failing)),
            loop=self._loop,
            clock=self.clock,
            random=lambda: 0.5,
        )
        self.hosts: Sequence[str] = ()

    def clock(self) -> float:
        """Seconds."""
        return self._loop.time() + self.skipped

    def emit(self, record: logging.LogRecord) -> None:
        """A log line."""
        self.events.put_nowait(record.levelname)

    def set_hosts(self, *hosts: str) -> None:
        """Want these and no others."""
        self.hosts = hosts
        self.resolver.set_hosts(dict.fromkeys(hosts, NOBODY))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.skipped += seconds
        self.resolver.set_hosts(dict.fromkeys(self.hosts, NOBODY))

    async def expect_events(self, *events: str) -> None:
        """These events come next, in this order."""
        assert [await asyncio.wait_for(self.events.get(), DEADLINE) for _ in events] == list(events)

    @property
    def wait(self) -> float:
        """Seconds to the next look-up; it is due before anything is heard of the last one."""
        due = self.resolver._schedule.timers.next_due
        assert due is not None
        return due - self.clock()


async def with_resolver(watch: ResolverScene, body: Awaitable[None]) -> None:
    """Run `body` while names are resolved; nothing that it did not expect was heard."""
    logger = logging.getLogger("meshdns.controller")
    logger.addHandler(watch)
    logger.setLevel(logging.INFO)
    run = asyncio.create_task(watch.resolver.run(), name="names")
    try:
        await body
        assert watch.events.empty()
    finally:
        logger.removeHandler(watch)
        logger.setLevel(logging.NOTSET)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


def against(server: Unbound | Knot, body: Callable[[ResolverScene], Awaitable[None]]) -> None:
    """Run `body` with a real server as the only upstream."""

    async def main() -> None:
        watch = ResolverScene(Address(server.address, server.port))
        await with_resolver(watch, body(watch))

    run_with_stalled_clock(main())


def restart(unbound: Unbound, *local_data: str) -> None:
    """Let the server hold other records."""
    unbound.stop()
    unbound._local_data = local_data
    for name, text in unbound.files().items():
        (unbound.folder / name).write_text(text)
    unbound.start()


class TestRealServers:
    pytestmark = pytest.mark.rig

    def test_a_host_is_followed_through_change_removal_and_outage(self) -> None:
        """First answer, another one, none of one family, none at all, no such name, and back."""

        async def body(watch: ResolverScene) -> None:
            watch.set_hosts(HOST)
            await watch.expect_events(f"{HOST} 192.0.2.1 2001:db8::1")
            restart(unbound, f"{HOST}. 60 IN A 192.0.2.2", f"{HOST}. 60 IN A 192.0.2.3")
            watch.advance(70)
            await watch.expect_events(f"{HOST} 192.0.2.2 192.0.2.3")
            restart(unbound, f"{HOST}. 60 IN TXT moved")
            watch.advance(70)
            await watch.expect_events(HOST)
            restart(unbound, f"{HOST}. 60 IN A 192.0.2.4")
            watch.advance(4000)  # a denial is believed as long as its SOA says: here the longest, 1 h
            await watch.expect_events(f"{HOST} 192.0.2.4")
            restart(unbound, "other.test. 60 IN A 192.0.2.5")
            watch.advance(70)
            await watch.expect_events(HOST)

        with Unbound([f"{HOST}. 60 IN A 192.0.2.1", f"{HOST}. 60 IN AAAA 2001:db8::1"]) as unbound:
            against(unbound, body)

    def test_last_good_is_kept_while_the_server_is_down(self) -> None:
        """The outage is told to people, not to the mesh; after it the host is followed again."""

        async def body(watch: ResolverScene) -> None:
            watch.set_hosts(HOST)
            await watch.expect_events(f"{HOST} 192.0.2.1")
            unbound.stop()
            watch.advance(70)
            await watch.expect_events("WARNING")
            assert watch.wait < 5.0
            restart(unbound, f"{HOST}. 60 IN A 192.0.2.2")
            watch.advance(10)
            await watch.expect_events("INFO", f"{HOST} 192.0.2.2")

        with Unbound([f"{HOST}. 60 IN A 192.0.2.1"]) as unbound:
            against(unbound, body)

    def test_an_alias_is_followed_and_many_addresses_are_capped(self) -> None:
        """A load balancer behind two aliases, with 60 addresses of each family: too many for a datagram."""

        async def body(watch: ResolverScene) -> None:
            watch.set_hosts("gw.corp.example")
            ipv4 = [f"192.0.2.{number}" for number in range(1, 51)]
            ipv6 = [f"2001:db8::{number:x}" for number in range(1, 51)]
            await watch.expect_events(" ".join(["gw.corp.example", *ipv4, *ipv6]))

        records = [f"lb IN A 192.0.2.{number}\nlb IN AAAA 2001:db8::{number:x}" for number in range(60, 0, -1)]
        zone = "$TTL 60\n@ IN SOA ns hostmaster 1 3600 1200 604800 30\n@ IN NS ns\nns IN A 192.0.2.53\n"
        zone += "gw IN CNAME pool\npool IN CNAME lb\n" + "\n".join(records) + "\n"
        with Knot({"corp.example": zone}) as knot:
            against(knot, body)

    def test_an_alias_out_of_an_authoritative_server_is_a_failure(self) -> None:
        """A server that does not recurse cannot say where the alias ends."""

        async def body(watch: ResolverScene) -> None:
            watch.set_hosts("gw.corp.example")
            await watch.expect_events("WARNING")

        zone = "$TTL 60\n@ IN SOA ns hostmaster 1 3600 1200 604800 30\n@ IN NS ns\nns IN A 192.0.2.53\n"
        with Knot({"corp.example": zone + "gw IN CNAME lb.cloud.example.\n"}) as knot:
            against(knot, body)


class Script:
    """What the scripted server says of a name, by type: records in presentation format, or an rcode."""

    def __init__(self, **said: Sequence[str] | int) -> None:
        self.said = said

    def __call__(self, case: Case) -> Messages:
        """A behaviour; types that are not in the script are NODATA."""
        said = self.said.get(dns.rdatatype.to_text(case.query.question[0].rdtype), ())
        if isinstance(said, int):
            return [case.reply(rcode=said).to_wire()]
        return [case.reply(*said, authority=() if said else (SOA,)).to_wire()]


def scripted(
    monkeypatch: pytest.MonkeyPatch,
    body: Callable[[ResolverScene, Script], Awaitable[None]],
    **said: Sequence[str] | int,
) -> None:
    """Run `body` with a server that says this of `HOST`."""
    script = Script(**said)
    monkeypatch.setitem(BEHAVIOURS, "gw", script)

    async def main() -> None:
        async def with_server(upstream: Upstream) -> None:
            watch = ResolverScene(Address(LOOPBACK, upstream.port))
            await with_resolver(watch, body(watch, script))

        await serving(with_server)

    run_with_stalled_clock(main())


class TestScriptedServer:
    def test_one_failing_family_keeps_what_it_last_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that stops to resolve AAAA changes nothing about AAAA, and A goes on."""

        async def body(watch: ResolverScene, script: Script) -> None:
            watch.set_hosts(HOST)
            await watch.expect_events(f"{HOST} 192.0.2.1 2001:db8::1")
            script.said = {"A": ["@ 60 IN A 192.0.2.2"], "AAAA": 2}
            watch.advance(70)
            await watch.expect_events("WARNING", f"{HOST} 192.0.2.2 2001:db8::1")

        scripted(monkeypatch, body, A=["@ 60 IN A 192.0.2.1"], AAAA=["@ 60 IN AAAA 2001:db8::1"])

    @pytest.mark.parametrize("said", [{"A": 2, "AAAA": 2}, {"A": (), "AAAA": 2}], ids=["both", "one, the other empty"])
    def test_look_ups_that_fail_from_the_beginning_are_told_until_a_reply(
        self, monkeypatch: pytest.MonkeyPatch, said: dict[str, Sequence[str] | int]
    ) -> None:
        """Once when they begin to fail, once when a reply tells something; what fails later is told to nobody."""

        async def body(watch: ResolverScene, script: Script) -> None:
            watch.set_hosts(HOST)
            await watch.expect_events("WARNING")
            assert watch.failing == [(HOST, True)]
            script.said = {"A": ["@ 60 IN A 192.0.2.2"]}
            watch.advance(10)
            await watch.expect_events("INFO", f"{HOST} 192.0.2.2")
            assert watch.failing == [(HOST, True), (HOST, False)]
            script.said = {"A": 2, "AAAA": 2}
            watch.advance(70)
            await watch.expect_events("WARNING")
            assert len(watch.failing) == 2

        scripted(monkeypatch, body, **said)

    def test_a_name_denied_for_aaaa_alone_keeps_its_ipv4_addresses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Servers that say NXDOMAIN where they mean NODATA are believed for the type that was asked."""

        async def body(watch: ResolverScene, script: Script) -> None:
            watch.set_hosts(HOST)
            await watch.expect_events(f"{HOST} 192.0.2.1")

        scripted(monkeypatch, body, A=["@ 60 IN A 192.0.2.1"], AAAA=3)

    @pytest.mark.parametrize(("ttl", "seconds"), [(0, 31.5), (604_800, 3780.0)])
    def test_a_ttl_of_nothing_or_a_week_is_clamped(
        self, monkeypatch: pytest.MonkeyPatch, ttl: int, seconds: float
    ) -> None:
        """30 s and 1 h are the bounds, and nothing in between answers from a cache of our own."""

        async def body(watch: ResolverScene, script: Script) -> None:
            watch.set_hosts(HOST)
            await watch.expect_events(f"{HOST} 192.0.2.1 2001:db8::1")
            assert watch.wait == pytest.approx(seconds, abs=10)
            script.said = {"A": [f"@ {ttl} IN A 192.0.2.2"]}
            watch.advance(seconds)
            await watch.expect_events(f"{HOST} 192.0.2.2")

        scripted(monkeypatch, body, A=[f"@ {ttl} IN A 192.0.2.1"], AAAA=[f"@ {ttl} IN AAAA 2001:db8::1"])

    @pytest.mark.slow
    def test_a_name_slower_than_a_clients_patience_resolves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What comes after 2.5 s is too late for a query and in time for a look-up."""

        async def body(watch: ResolverScene, script: Script) -> None:
            honest = Script(**script.said)
            monkeypatch.setitem(
                BEHAVIOURS, "gw", lambda case: [(2.5, wire) for wire in honest(case) if isinstance(wire, bytes)]
            )
            watch.set_hosts(HOST)
            await watch.expect_events(f"{HOST} 192.0.2.1")

        scripted(monkeypatch, body, A=["@ 60 IN A 192.0.2.1"])

    def test_a_host_that_is_not_wanted_is_not_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wanting another host ends the first; wanting it again tells it anew."""

        async def body(watch: ResolverScene, script: Script) -> None:
            watch.set_hosts(HOST)
            await watch.expect_events(f"{HOST} 192.0.2.1")
            script.said = {"A": ["@ 60 IN A 192.0.2.2"]}
            watch.set_hosts("gw.east.test")
            watch.advance(70)
            await watch.expect_events("gw.east.test 192.0.2.2")
            watch.set_hosts(HOST, "gw.east.test")
            await watch.expect_events(f"{HOST} 192.0.2.2")

        scripted(monkeypatch, body, A=["@ 60 IN A 192.0.2.1"])

    def test_a_failure_is_said_at_once_where_servers_say_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """SERVFAIL is not asked for again in the same look-up; the next one is due in 5 s."""

        async def body(watch: ResolverScene, script: Script) -> None:
            watch.set_hosts(HOST)
            await watch.expect_events("WARNING")
            assert watch.wait == pytest.approx(5.0, abs=1.0)
            script.said = {"A": ["@ 60 IN A 192.0.2.1"]}
            watch.advance(5.0)
            await watch.expect_events("INFO", f"{HOST} 192.0.2.1")

        scripted(monkeypatch, body, A=2, AAAA=2)


def test_a_host_in_no_forward_zone_fails_and_ends_nothing() -> None:
    """There is nobody to ask; people hear of it."""

    async def main() -> None:
        watch = ResolverScene(Address(LOOPBACK, free_port()), zone=b"\x04corp\x07example\0")

        async def body() -> None:
            watch.set_hosts(HOST)
            await watch.expect_events("WARNING")

        await with_resolver(watch, body())

    run_with_stalled_clock(main())


def test_a_run_that_is_ended_and_begun_anew_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up that was cut short is made again."""

    async def body(watch: ResolverScene, script: Script) -> None:
        asked = asyncio.Event()

        def silent(case: Case) -> Messages:
            asked.set()
            return []

        monkeypatch.setitem(BEHAVIOURS, "late", silent)
        watch.set_hosts("late.test")
        await asyncio.wait_for(asked.wait(), DEADLINE)
        (run,) = (task for task in asyncio.all_tasks() if "HostnameResolver.run" in repr(task.get_coro()))
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        monkeypatch.setitem(BEHAVIOURS, "late", script)
        again = asyncio.create_task(watch.resolver.run(), name="names")
        await watch.expect_events("late.test 192.0.2.1")
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)

    scripted(monkeypatch, body, A=["@ 60 IN A 192.0.2.1"])


def test_silent_host_names_of_one_namespace_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """While they wait for their servers, and more of them are due, the name of another namespace is resolved."""

    async def body(watch: ResolverScene, _script: Script) -> None:
        asked = set()

        def silent(case: Case) -> Messages:
            asked.add(case.query.question[0].name)
            return []

        monkeypatch.setitem(BEHAVIOURS, "late", silent)
        greedy = {f"late.n{number}.test": (Owner("east", "greedy"),) for number in range(100)}
        watch.resolver.set_hosts(greedy)
        await asyncio.sleep(0)
        watch.resolver.set_hosts({**greedy, HOST: (Owner("east", "honest"),)})
        await watch.expect_events(f"{HOST} 192.0.2.1")
        assert len(asked) <= LOOKUP_SHARES.owner

    scripted(monkeypatch, body, A=["@ 60 IN A 192.0.2.1"])


def test_other_upstreams_are_asked_from_now_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop came to another network: what is wanted is looked up there."""
    monkeypatch.setitem(BEHAVIOURS, "gw", Script(A=["@ 60 IN A 192.0.2.1"]))

    async def main() -> None:
        async def with_server(upstream: Upstream) -> None:
            watch = ResolverScene()

            async def body() -> None:
                watch.set_hosts(HOST)
                await watch.expect_events("WARNING")
                watch.resolver.set_routes([Route(b"\0", (Address(LOOPBACK, upstream.port),))])
                watch.advance(watch.wait)
                await watch.expect_events("INFO", f"{HOST} 192.0.2.1")

            await with_resolver(watch, body())

        await serving(with_server)

    run_with_stalled_clock(main())
