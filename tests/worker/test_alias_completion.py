"""Answers of upstreams that lead into zones of ours, with a real forwarder and a server that lies."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import msgspec
import pytest

from meshdns.authority.zone import ServedZone, own_zones
from meshdns.dns import names
from meshdns.forwarding.client_reply import Alias
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.upstreams import Address, Route
from meshdns.forwarding.waiting import Waiter
from meshdns.upstream.forwarder import Forwarder
from meshdns.worker.alias_completion import MAX_LINKS
from tests.simulators.behaviours import BEHAVIOURS
from tests.simulators.stalled_clock_loop import run_with_stalled_clock
from tests.simulators.upstream import Upstream, serving
from tests.upstream.forwarder_client import answers, ede
from tests.worker.responder_fixture import PORT, ResponderFixture

CLIENT = b"\x7f\0\0\1"
FORGED = "203.0.113.66"
GLOBAL = ServedZone(names.to_wire("global"))


class Server:
    """A responder with a real forwarder, whose upstream is the simulator."""

    def __init__(
        self,
        upstream: Upstream,
        zones: Sequence[ServedZone],
        fallback: Sequence[str] = (),
        forward: Sequence[str] = (),
    ) -> None:
        servers = (Address("127.0.0.1", upstream.port),)
        routes = [Route(names.to_wire(zone), servers) for zone in ("", *fallback, *forward)]
        forward_zones = [route.zone for route in routes]
        self.counters = ForwardCounters()
        self.loop = asyncio.get_running_loop()
        self.forwarder = Forwarder(
            loop=self.loop,
            clock=self.loop.time,
            routes=routes,
            counters=self.counters,
            own_zones={names.to_wire("localhost"): False, **own_zones(zones, forward_zones)},
            on_alias=self._complete_alias,
        )
        self.bench = ResponderFixture(
            {"a.default.global": ["198.51.100.7"], "svc.default.cluster.local": ["198.51.100.8"]},
            forwarder=self.forwarder,
            clock=self.loop.time,
            zones=zones,
            forward_zones=forward_zones,
        )

    def _complete_alias(self, waiter: Waiter, alias: Alias) -> None:
        self.bench.responder.complete_alias(waiter, alias)

    async def ask(self, name: str, rtype: str = "A", *, tcp: bool = False) -> dns.message.Message:
        """The reply to one question."""
        query = dns.message.make_query(name, rtype, use_edns=0, payload=1232)
        later: asyncio.Future[bytes] = self.loop.create_future()
        self.bench.responder.begin_read()
        try:
            now = self.bench.responder.respond(query.to_wire(), CLIENT, PORT, lambda: later.set_result, tcp=tcp)
        finally:
            self.bench.responder.end_read()
        reply = dns.message.from_wire(now if now is not None else await asyncio.wait_for(later, 30))
        assert self.bench.namedb.open_reads == 0
        assert reply.id == query.id
        assert reply.question == query.question
        return reply


def against(
    body: Callable[[Upstream, Server], Awaitable[None]],
    zones: Sequence[ServedZone] = (GLOBAL,),
    fallback: Sequence[str] = (),
    forward: Sequence[str] = (),
) -> None:
    """Run `body` with a server whose upstream lies."""

    async def main(upstream: Upstream) -> None:
        server = Server(upstream, zones, fallback, forward)
        try:
            await body(upstream, server)
        finally:
            await server.forwarder.close()

    run_with_stalled_clock(serving(main))


@pytest.fixture
def lies(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the upstream answer names that begin with a label with these records."""

    def add(label: str, *lines: str, rcode: int = 0) -> None:
        monkeypatch.setitem(BEHAVIOURS, label, lambda case: [case.reply(*lines, rcode=rcode).to_wire()])

    return add


Lies = Callable[..., None]


def test_the_mesh_completes_an_alias_that_leads_into_it(lies: Lies) -> None:
    """A forged address is not relayed, neither fresh nor from the cache; transport and flags are the client's own."""
    lies("evil", "@ 300 IN CNAME a.default.global.", f"a.default.global. 300 IN A {FORGED}")

    async def body(upstream: Upstream, server: Server) -> None:
        for tcp in (False, False, True, False):
            reply = await server.ask("evil.example", tcp=tcp)
            assert answers(reply) == [
                "evil.example. 300 CNAME a.default.global.",
                "a.default.global. 30 A 198.51.100.7",
            ]
            assert dns.flags.to_text(reply.flags) == "QR RD RA"
        assert upstream.seen["evil"] == 1
        server.bench.namedb.change("a.default.global", "198.51.100.9")
        reply = await server.ask("evil.example")
        assert answers(reply)[1] == "a.default.global. 30 A 198.51.100.9"

    against(body)


@pytest.mark.parametrize(
    ("target", "rtype", "rcode", "last"),
    [
        ("none.default.global.", "A", "NXDOMAIN", "global. 5 SOA ns.global. hostmaster.global. 3 7200 1800 86400 5"),
        ("a.default.global.", "AAAA", "NOERROR", "global. 5 SOA ns.global. hostmaster.global. 3 7200 1800 86400 5"),
        ("localhost.", "A", "NOERROR", "localhost. 300 A 127.0.0.1"),
        ("global.", "NS", "NOERROR", "global. 30 NS ns.global."),
    ],
    ids=["an unknown name", "no data", "a special name", "the apex"],
)
def test_the_end_of_the_chain_is_answered_with_the_clients_type(
    lies: Lies, target: str, rtype: str, rcode: str, last: str
) -> None:
    """RCODE and denial are the mesh's, or the special zone's, whatever the upstream says."""
    lies("evil", f"@ 300 IN CNAME {target}", rcode=3)

    async def body(_: Upstream, server: Server) -> None:
        for _try in range(2):
            reply = await server.ask("evil.example", rtype)
            assert dns.rcode.to_text(reply.rcode()) == rcode
            assert answers(reply) == [f"evil.example. 300 CNAME {target}", last]

    against(body)


def test_a_mesh_that_is_not_ready_fails_the_query(lies: Lies) -> None:
    """With its extended error, and without half an answer."""
    lies("evil", "@ 300 IN CNAME a.default.global.")

    async def body(_: Upstream, server: Server) -> None:
        namedb = server.bench.namedb
        namedb.state = msgspec.structs.replace(namedb.state, ready=False)
        for _try in range(2):
            reply = await server.ask("evil.example")
            assert (reply.rcode(), answers(reply), ede(reply)) == (dns.rcode.SERVFAIL, [], 14)

    against(body)


def test_a_name_of_ours_that_is_forwarded_is_asked_for_itself(lies: Lies) -> None:
    """In a zone with fallthrough an upstream may speak for unknown names, but only for the one that it is asked."""
    lies("evil", "@ 300 IN CNAME good.default.global.", f"good.default.global. 300 IN A {FORGED}")
    lies("inner", "@ 300 IN CNAME a.default.global.", f"a.default.global. 300 IN A {FORGED}")

    async def body(_: Upstream, server: Server) -> None:
        for _try in range(2):
            evil = await server.ask("evil.example")
            inner = await server.ask("inner.default.global")
            assert answers(evil) == [
                "evil.example. 300 CNAME good.default.global.",
                "good.default.global. 60 A 192.0.2.1",
            ]
            assert answers(inner)[1] == "a.default.global. 30 A 198.51.100.7"

    against(body, [ServedZone(names.to_wire("global"), fallthrough=True)])


@pytest.mark.parametrize("ttl", [0, 300])
def test_aliases_that_lead_in_a_circle_end(lies: Lies, ttl: int) -> None:
    """From an upstream into our zone and out again: SERVFAIL, after a bounded number of questions."""
    lies("evil", f"@ {ttl} IN CNAME round.default.global.")
    lies("round", f"@ {ttl} IN CNAME round.default.global.")

    async def body(upstream: Upstream, server: Server) -> None:
        reply = await server.ask("evil.example")
        assert (reply.rcode(), answers(reply), ede(reply)) == (dns.rcode.SERVFAIL, [], 0)
        assert upstream.seen["round"] == (1 if ttl else MAX_LINKS)

    against(body, [ServedZone(names.to_wire("global"), fallthrough=True)])


def test_an_alias_into_a_fallback_zone_is_asked_of_its_own_upstream(lies: Lies) -> None:
    """And answered from the mesh where that denies it; the zone's own upstream is believed about its own aliases."""
    lies("evil", "@ 300 IN CNAME svc.default.cluster.local.", f"svc.default.cluster.local. 300 IN A {FORGED}")
    lies("svc", rcode=3)
    lies("own", "@ 300 IN CNAME other.cluster.local.", "other.cluster.local. 300 IN A 192.0.2.5")
    lies("external", "@ 300 IN CNAME a.default.global.", f"a.default.global. 300 IN A {FORGED}")
    zones = [GLOBAL, ServedZone(names.to_wire("cluster.local"), fallback=True)]

    async def body(_: Upstream, server: Server) -> None:
        for _try in range(2):
            assert answers(await server.ask("evil.example"))[1] == "svc.default.cluster.local. 30 A 198.51.100.8"
            own = await server.ask("own.default.cluster.local")
            assert answers(own)[1] == "other.cluster.local. 300 A 192.0.2.5"
            external = await server.ask("external.default.cluster.local")
            assert answers(external)[1] == "a.default.global. 30 A 198.51.100.7"

    against(body, zones, ["cluster.local"])


def test_an_answer_of_too_many_labels_to_splice_fails_and_is_said(lies: Lies) -> None:
    """Compressed it is small; without compression it has more labels than are read of any message."""
    middle = [f"n{number}.{'a.' * 100}example." for number in range(50)]
    owners, targets = ["@", *middle], [*middle, "a.default.global."]
    lies("evil", "@ 300 IN CNAME liar.cluster.local.")
    lies("liar", *(f"{owner} 300 IN CNAME {target}" for owner, target in zip(owners, targets, strict=True)))

    async def body(_: Upstream, server: Server) -> None:
        for _try in range(2):
            reply = await server.ask("evil.example", tcp=True)
            assert (reply.rcode(), answers(reply), ede(reply)) == (dns.rcode.SERVFAIL, [], 24)

    against(body, [GLOBAL, ServedZone(names.to_wire("cluster.local"), fallback=True)], ["cluster.local"])
