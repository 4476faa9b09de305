"""What clients get for names of zones inside zones, and of zones with fallthrough, through worker and forwarder."""

import dns.flags
import dns.message
import dns.rcode
import msgspec
import pytest

from meshdns.authority.row_format import RowStatus, encode_row
from meshdns.authority.zone import ServedZone
from meshdns.dns import names
from tests.simulators.upstream import Upstream
from tests.upstream.forwarder_client import answers, ede
from tests.worker.test_alias_completion import FORGED, Lies, Server, against, lies

__all__ = ["lies"]  # the fixture

GLOBAL = ServedZone(names.to_wire("global"))
EU = ServedZone(names.to_wire("eu.global"), ttl=60)
CORP = ServedZone(names.to_wire("corp.example"), fallthrough=True)
EMPTY = encode_row(RowStatus.DATA, {}, ttl=30)
DECLARED = encode_row(RowStatus.DECLARED, {}, ttl=0)
SOA = "corp.example. 5 SOA ns.corp.example. hostmaster.corp.example. {serial} 7200 1800 86400 5"


def told(reply: dns.message.Message) -> tuple[str, list[str]]:
    """RCODE, and the records of answer and authority."""
    return dns.rcode.to_text(reply.rcode()), answers(reply)


@pytest.mark.parametrize("asked", ["evil.legacy.global", "evil.in.legacy.global"])
def test_the_servers_of_an_inner_forward_zone_may_speak_for_its_names(lies: Lies, asked: str) -> None:
    """For all of them, fresh and from the cache, whatever stands in the database; not for names of the mesh."""
    lies(
        "evil",
        "@ 300 IN CNAME db.legacy.global.",
        "db.legacy.global. 300 IN CNAME a.default.global.",
        f"a.default.global. 300 IN A {FORGED}",
    )
    lies("plain", "@ 300 IN CNAME db.legacy.global.", "db.legacy.global. 300 IN A 192.0.2.9")

    async def body(upstream: Upstream, server: Server) -> None:
        server.bench.namedb.change("evil.legacy.global", "198.51.100.66")  # of settings before
        for tcp in (False, False, True):
            assert told(await server.ask(asked, tcp=tcp))[1] == [
                f"{asked}. 300 CNAME db.legacy.global.",
                "db.legacy.global. 300 CNAME a.default.global.",
                "a.default.global. 30 A 198.51.100.7",
            ]
            plain = await server.ask(asked.replace("evil", "plain"), tcp=tcp)
            assert told(plain)[1][1:] == ["db.legacy.global. 300 A 192.0.2.9"]
            assert not plain.flags & dns.flags.AA
        assert upstream.seen["evil"] == 1

    against(body, (GLOBAL, EU), forward=["legacy.global"])


def test_an_alias_of_the_mesh_s_surroundings_may_lead_into_an_inner_forward_zone(lies: Lies) -> None:
    """Its names are not ours, so that what another upstream says of them is relayed as of any other name."""
    lies("out", "@ 300 IN CNAME db.legacy.global.", "db.legacy.global. 300 IN A 192.0.2.9")
    lies("eu", "@ 300 IN CNAME b.eu.global.", f"b.eu.global. 300 IN A {FORGED}")

    async def body(_: Upstream, server: Server) -> None:
        server.bench.namedb.change("b.eu.global", "198.51.100.9")
        for _try in range(2):
            assert answers(await server.ask("out.example"))[1] == "db.legacy.global. 300 A 192.0.2.9"
            assert answers(await server.ask("eu.legacy.global"))[1] == "b.eu.global. 30 A 198.51.100.9"

    against(body, (GLOBAL, EU), forward=["legacy.global"])


def test_a_zone_inside_a_forward_zone_is_ours(lies: Lies) -> None:
    """The servers around it may not set its names."""
    lies("evil", "@ 300 IN CNAME a.mesh.corp.example.", f"a.mesh.corp.example. 300 IN A {FORGED}")

    async def body(_: Upstream, server: Server) -> None:
        server.bench.namedb.change("a.mesh.corp.example", "198.51.100.9")
        for _try in range(2):
            assert answers(await server.ask("evil.corp.example"))[1] == "a.mesh.corp.example. 30 A 198.51.100.9"
            assert told(await server.ask("b.mesh.corp.example"))[0] == "NXDOMAIN"

    against(body, [ServedZone(names.to_wire("mesh.corp.example"))], forward=["corp.example"])


@pytest.mark.parametrize("rtype", ["A", "AAAA", "MX", "TXT", "SOA", "NS"])
@pytest.mark.parametrize("asked", ["corp.example", "eu.corp.example", "mid.gap.corp.example"])
def test_what_nobody_declares_is_the_other_servers(lies: Lies, asked: str, rtype: str) -> None:
    """Its data, its NODATA and its SERVFAIL are relayed; its NXDOMAIN becomes NODATA, for names below exist."""
    label = asked.split(".", maxsplit=1)[0]
    data = {
        "A": "192.0.2.80",
        "AAAA": "2001:db8::80",
        "MX": "10 mail.corp.example.",
        "TXT": '"v=spf1"',
        "SOA": "ns1.example. admin.example. 1 2 3 4 5",
        "NS": "ns1.example.",
    }[rtype]
    own = {
        "SOA": SOA.format(serial=4),
        "NS": "corp.example. 30 NS ns.corp.example.",
    }

    async def body(upstream: Upstream, server: Server) -> None:
        namedb = server.bench.namedb
        namedb.put({"api.eu.corp.example": EMPTY, "eu.corp.example": EMPTY})
        for tcp in (False, True, False):
            lies(label, f"@ 60 IN {rtype} {data}")
            assert told(await server.ask(asked, rtype, tcp=tcp)) == ("NOERROR", [f"{asked}. 60 {rtype} {data}"])
        assert upstream.seen[label] == 1

    against(body, (CORP, ServedZone(names.to_wire("x.mid.gap.corp.example"))))

    async def denied(_: Upstream, server: Server) -> None:
        server.bench.namedb.put({"api.eu.corp.example": EMPTY, "eu.corp.example": EMPTY})
        lies(label, rcode=3)
        for tcp in (False, True, False):
            reply = await server.ask(asked, rtype, tcp=tcp)
            expected = own.get(rtype, SOA.format(serial=4)) if asked == "corp.example" else SOA.format(serial=4)
            assert told(reply) == ("NOERROR", [expected])
            assert reply.flags & dns.flags.AA

    against(denied, (CORP, ServedZone(names.to_wire("x.mid.gap.corp.example"))))

    async def failing(_: Upstream, server: Server) -> None:
        server.bench.namedb.put({"api.eu.corp.example": EMPTY, "eu.corp.example": EMPTY})
        lies(label, rcode=5)
        assert told(await server.ask(asked, rtype)) == ("SERVFAIL", [])

    against(failing, (CORP, ServedZone(names.to_wire("x.mid.gap.corp.example"))))


def test_an_alias_of_the_other_server_is_kept_whatever_it_leads_to(lies: Lies) -> None:
    """Its NXDOMAIN is then said of the target (RFC 6604), and the name itself has the alias."""
    lies("eu", "@ 60 IN CNAME gone.example.", rcode=3)
    lies("evil", "@ 60 IN CNAME eu.corp.example.")
    lies("top", "@ 60 IN CNAME corp.example.")
    lies("corp", rcode=3)

    async def body(_: Upstream, server: Server) -> None:
        server.bench.namedb.put({"api.eu.corp.example": EMPTY, "eu.corp.example": EMPTY})
        for tcp in (False, True, False):
            alias = "eu.corp.example. 60 CNAME gone.example."
            assert told(await server.ask("eu.corp.example", tcp=tcp)) == ("NXDOMAIN", [alias])
            evil = await server.ask("evil.example", tcp=tcp)
            assert told(evil) == ("NXDOMAIN", ["evil.example. 60 CNAME eu.corp.example.", alias])
            top = await server.ask("top.example", tcp=tcp)
            assert told(top) == ("NOERROR", ["top.example. 60 CNAME corp.example.", SOA.format(serial=4)])

    against(body, (CORP,))


def test_a_declared_name_is_answered_from_the_moment_on(lies: Lies) -> None:
    """What the other server said before is not kept for it; and one that lacks an address is never asked for."""
    lies("eu", "@ 3600 IN A 192.0.2.82")
    lies("dead", "@ 3600 IN A 192.0.2.83")

    async def body(upstream: Upstream, server: Server) -> None:
        namedb = server.bench.namedb
        namedb.put({"api.eu.corp.example": EMPTY, "eu.corp.example": EMPTY, "dead.corp.example": DECLARED})
        for tcp in (False, True):
            assert answers(await server.ask("eu.corp.example", tcp=tcp)) == ["eu.corp.example. 3600 A 192.0.2.82"]
            assert told(await server.ask("dead.corp.example", tcp=tcp)) == ("NOERROR", [SOA.format(serial=4)])
        namedb.change("eu.corp.example", "198.51.100.9")
        for tcp in (False, True):
            assert answers(await server.ask("eu.corp.example", tcp=tcp)) == ["eu.corp.example. 30 A 198.51.100.9"]
            assert answers(await server.ask("eu.corp.example", "MX", tcp=tcp))[0].startswith("corp.example. 5 SOA")
        namedb.state = msgspec.structs.replace(namedb.state, complete=False)
        reply = await server.ask("corp.example")
        assert (reply.rcode(), ede(reply)) == (dns.rcode.SERVFAIL, 14)
        assert upstream.seen["dead"] == upstream.seen["corp"] == 0

    against(body, (CORP,))


def test_diagnostic_names_stay_ours(lies: Lies) -> None:
    """`_explain` and `_status` of a zone with fallthrough, and of a zone inside another, are answered here."""
    lies("_status", '@ 60 IN TXT "other"')
    lies("_explain", '@ 60 IN TXT "other"')

    async def body(upstream: Upstream, server: Server) -> None:
        for name in ("_status.corp.example", "_status.eu.global", "_explain.corp.example", "_explain.a.eu.global"):
            reply = await server.ask(name, "TXT")
            assert "other" not in "".join(answers(reply)), name
            assert reply.rcode() == dns.rcode.NOERROR or name.startswith("_explain"), name
        assert not upstream.seen

    against(body, (CORP, GLOBAL, EU))
