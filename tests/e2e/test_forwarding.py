"""What is not ours, through the name servers that stand in front of meshdns and with the faults of those behind it."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import dns.edns
import dns.message
import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshdns.dns.codes import BADCOOKIE
from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.e2e.load import BOUTIQUE, Load, message
from tests.rig.component import Component
from tests.rig.coredns import CoreDNS
from tests.rig.dig import DigReply, dig
from tests.rig.dnsmasq import Dnsmasq
from tests.rig.nameserver import NameServer
from tests.rig.ports import free_port
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually
from tests.upstream.certificates import Authority

pytestmark = [pytest.mark.rig, pytest.mark.long]

MESH_NAMES = {name: addresses for name, addresses in BOUTIQUE.items() if name.endswith(".global")}
_BIG = [f'big.example. 60 IN TXT "{number:02} {"x" * 90}"' for number in range(40)]
_AWAY = """\
  local-zone: "away.example." redirect
  local-data: "away.example. 60 IN A 192.0.2.81"
"""


@pytest.fixture
def upstream() -> Iterator[Unbound]:
    """A resolver that a test may stop: www.example.com, 40 TXT records of big.example, all below away.example."""
    with Unbound(["www.example.com. 60 IN A 192.0.2.80", *_BIG], _AWAY) as unbound:
        yield unbound


@pytest.fixture
def instance(clusters: Path, upstream: Unbound) -> Iterator[Instance]:
    """Online Boutique with the resolver behind it."""
    with on_boutique(clusters, upstream) as instance:
        wait_until_ready(instance)
        yield instance


class Watched(CoreDNS):
    """CoreDNS with `forward` and `cache` in front of an instance, and its metrics."""

    def __init__(self, instance: Instance) -> None:
        self.metrics = free_port()
        super().__init__(
            f"""\
. {{
  bind 127.0.0.1
  cache 30
  forward . {instance.address}:{instance.port}
  prometheus 127.0.0.1:{self.metrics}
}}
"""
        )

    def metric(self, name: str) -> float:
        """The sum of a metric's samples, 0 where there is none."""
        with socket.create_connection((self.address, self.metrics), timeout=10) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            page = b"".join(iter(lambda: client.recv(65_536), b"")).decode().partition("\r\n\r\n")[2]
        families = text_string_to_metric_families(page)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)


@pytest.fixture(params=["CoreDNS", "dnsmasq"])
def front(request: pytest.FixtureRequest, instance: Instance) -> Iterator[NameServer]:
    """A name server that forwards everything to the instance."""
    server: NameServer
    if request.param == "CoreDNS":
        server = Watched(instance)
    else:
        server = Dnsmasq(f"--server={instance.address}#{instance.port}", "--edns-packet-max=1232")
    with server:
        yield server


def _ask(server: Component, name: str, rtype: str = "A", *, tcp: bool = False) -> DigReply:
    return dig(name, rtype, server=server.address, port=server.port, tcp=tcp)


def _fresh() -> str:
    """A name that nobody has cached."""
    return f"{secrets.token_hex(6)}.away.example"


# ---------------------------------------------------------------------------------------------- behind others


@pytest.mark.parametrize("tcp", [False, True])
def test_names_of_the_mesh_and_others_resolve_through_a_front(front: NameServer, *, tcp: bool) -> None:
    """Own names, forwarded ones and both kinds of denial, twice: the second time from the front's cache."""
    for _ in range(2):
        assert _ask(front, "frontend.default.global", tcp=tcp).rdata == ("203.0.113.20",)
        assert _ask(front, "www.example.com", tcp=tcp).rdata == ("192.0.2.80",)
        assert _ask(front, "nosuch.default.global", tcp=tcp).status == "NXDOMAIN"
        assert _ask(front, "nosuch.example.com", tcp=tcp).status == "NXDOMAIN"
        nodata = _ask(front, "frontend.default.global", "AAAA", tcp=tcp)
        assert (nodata.status, nodata.answer) == ("NOERROR", ())


@pytest.mark.parametrize("tcp", [False, True])
def test_a_big_answer_comes_whole_through_a_front(front: NameServer, *, tcp: bool) -> None:
    """Truncated on every UDP leg, and fetched again over TCP."""
    reply = _ask(front, "big.example", "TXT", tcp=tcp)
    assert len(reply.rdata) == len(_BIG)
    assert "tc" not in reply.flags


def test_a_front_lives_through_the_death_of_the_upstream(
    front: NameServer, instance: Instance, upstream: Unbound
) -> None:
    """Meanwhile own names resolve and others fail before a client gives up; once it is back, all resolve."""
    assert _ask(front, _fresh()).rdata == ("192.0.2.81",)
    upstream.stop()
    assert _ask(front, _fresh()).status in {"SERVFAIL", "REFUSED"}
    assert _ask(front, "cartservice.default.global").rdata == ("203.0.113.20",)
    upstream.start()
    eventually(lambda: _ask(front, _fresh()).rdata == ("192.0.2.81",), what="names resolve again", within=60)


@pytest.mark.alone
def test_coredns_holds_on_to_us_while_our_upstreams_are_dead(instance: Instance, upstream: Unbound) -> None:
    """Its health check asks for the root's NS, which we answer at once by ourselves."""
    with Watched(instance) as coredns:
        assert _ask(coredns, _fresh()).rdata == ("192.0.2.81",)
        upstream.pause()
        assert instance.ask(".", "NS").status == "NOERROR"
        with instance.standing(instance.workers[0]):  # one failure of ours is what starts CoreDNS's checks
            _ask(coredns, _fresh())
        assert _ask(coredns, _fresh()).status == "SERVFAIL"  # lasts longer than a check that began before
        checks = coredns.metric("coredns_proxy_healthcheck_failures_total")
        assert checks > 0
        for _ in range(4):
            assert _ask(coredns, _fresh()).status == "SERVFAIL"
            assert _ask(coredns, "frontend.default.global").rdata == ("203.0.113.20",)
        assert coredns.metric("coredns_proxy_healthcheck_failures_total") == checks
        assert coredns.metric("coredns_forward_healthcheck_broken_total") == 0
        upstream.resume()


def test_an_expired_answer_is_told_while_the_upstream_is_dead(clusters: Path) -> None:
    """With TTL 30 and its extended error (RFC 8767)."""
    with (
        Unbound(["brief.example. 1 IN A 192.0.2.82"]) as upstream,
        on_boutique(clusters, upstream) as instance,
    ):
        wait_until_ready(instance)
        assert instance.addresses("brief.example") == ["192.0.2.82"]
        upstream.stop()
        eventually(lambda: instance.ask("brief.example").ede, what="the answer has expired")
        stale = instance.ask("brief.example")
        assert stale.answer == ("brief.example. 30 IN A 192.0.2.82",)
        assert stale.ede[0].startswith("3 (Stale Answer)")


# ---------------------------------------------------------------------------------------------- overload and loops


@pytest.mark.alone
def test_a_flood_of_forwards_costs_own_names_nothing(instance: Instance, upstream: Unbound) -> None:
    """One client has all it may wait for a silent upstream: the rest is refused, and the mesh is answered."""
    upstream.pause()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        Load(instance.server, MESH_NAMES, rate=500) as load,
    ):
        client.connect(instance.server)

        def flooded() -> bool:
            for _ in range(100):
                client.send(message(_fresh(), secrets.randbelow(1 << 16)))
            return instance.metric("meshdns_forward_overflow_client_total") > 500

        eventually(flooded, what="queries over the limit of one client are refused", within=60)
        outcome = load.end()
    upstream.resume()
    assert outcome.clean, outcome
    assert not outcome.late, outcome


def test_two_instances_that_forward_to_each_other_end_a_query(clusters: Path, upstream: Unbound) -> None:
    """The client hears of a failure before it gives up, and at most three packets go round."""
    with (
        on_boutique(clusters, upstream, workers=2) as there,
        on_boutique(clusters, there, workers=2) as here,
    ):
        there.change(forward=[{"zone": ".", "to": [f"{here.address}:{here.port}"]}])
        there.stop()
        there.start()
        for instance in (here, there):
            wait_until_ready(instance)
        assert here.ask(_fresh()).status == "SERVFAIL"
        sends = "meshdns_forward_sends_total"
        eventually(lambda: here.metric(sends) and there.metric(sends), what="both have counted")
        assert here.metric(sends) + there.metric(sends) <= 3


@pytest.mark.alone
def test_a_flood_of_made_up_names_leaves_room_for_other_domains(clusters: Path, upstream: Unbound) -> None:
    """From many addresses below one dead domain (water torture); the mesh and others are answered all the same."""
    with (
        Unbound(["www.live.example. 60 IN A 192.0.2.83"]) as live,
        on_boutique(clusters, upstream) as instance,
        contextlib.ExitStack() as stack,
    ):
        forward = [(".", upstream), ("live.example", live)]
        instance.change(forward=[{"zone": zone, "to": [f"{to.address}:{to.port}"]} for zone, to in forward])
        instance.stop()
        instance.start()
        wait_until_ready(instance)
        upstream.pause()
        clients = [stack.enter_context(_client(instance, f"127.0.1.{number}")) for number in range(1, 17)]
        load = stack.enter_context(Load(instance.server, MESH_NAMES, rate=500))

        def flooded() -> bool:
            for client in clients:
                for _ in range(40):
                    client.send(message(f"{secrets.token_hex(6)}.away.example", secrets.randbelow(1 << 16)))
            assert instance.ask("www.live.example").rdata == ("192.0.2.83",)
            return instance.metric("meshdns_forward_overflow_suffix_total") > 3000

        eventually(flooded, what="names of the domain are refused", within=60)
        assert instance.metric("meshdns_forward_overflow_client_total") == 0
        outcome = load.end()
        upstream.resume()
        assert outcome.clean, outcome
        assert not outcome.late, outcome


def _client(instance: Instance, address: str) -> socket.socket:
    """A client of that address."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind((address, 0))
    client.connect(instance.server)
    client.setblocking(False)
    return client


def test_settings_that_forward_to_their_own_address_are_refused(tmp_path: Path) -> None:
    """The settings say so, with the place, and nothing starts."""
    settings = tmp_path / "meshdns.yaml"
    settings.write_text(
        "apiVersion: meshdns/v1\nlisten: ['0.0.0.0:1053']\nforward:\n- {zone: ., to: ['127.0.0.53:1053']}\n"
    )
    program = Path(sys.executable).with_name("meshdns")
    done = subprocess.run(
        [program, "serve", "--config", settings], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == os.EX_DATAERR
    assert f"{settings}:4:18: forward[0].to[0]: '127.0.0.53:1053' is listened on by this server" in done.stderr


# ---------------------------------------------------------------------------------------------- TLS and cookies


class SecureUnbound(Unbound):
    """An Unbound with a second port, for TLS."""

    def __init__(self, local_data: Sequence[str], certificate: Path) -> None:
        self.tls_port = free_port()
        config = f"  tls-service-pem: {certificate}\n  tls-service-key: {certificate}\n  tls-port: {self.tls_port}\n"
        super().__init__(local_data, f"{config}  interface: 127.0.0.1@{self.tls_port}\n")


def test_names_are_forwarded_over_tls(clusters: Path, tmp_path: Path) -> None:
    """To a resolver that a private authority vouches for by name; by another name it is asked nothing."""
    authority = Authority(tmp_path)
    with SecureUnbound(
        ["www.example.com. 60 IN A 192.0.2.80", *_BIG], authority.sign("dns", "DNS:dns.test")
    ) as upstream:
        server = f"tls://127.0.0.1:{upstream.tls_port}"
        with on_boutique(clusters, upstream) as instance:
            for name, status in (("dns.test", "NOERROR"), ("other.test", "SERVFAIL")):
                instance.change(forward=[{"zone": ".", "to": [f"{server}#{name}"], "ca": str(authority.file)}])
                instance.stop()
                instance.start()
                wait_until_ready(instance)
                assert instance.ask("www.example.com").status == status
            assert "certificate verify failed" in instance.log_tail()


def test_a_cookie_stays_good_over_a_restart_and_at_every_worker(clusters: Path, upstream: Unbound) -> None:
    """The secret is kept in the state directory and is that of all workers (RFC 9018)."""
    with on_boutique(clusters, upstream, workers=2) as instance:
        wait_until_ready(instance)
        rcode, cookie = _refreshed(instance, bytes(8))
        assert (rcode, len(cookie)) == (0, 24)
        for _ in range(2):
            assert {_refreshed(instance, cookie)[0] for _ in range(20)} == {0}
            assert _refreshed(instance, cookie[:8] + bytes(16))[0] == BADCOOKIE
            instance.stop()
            instance.start()
            wait_until_ready(instance)


def _refreshed(instance: Instance, cookie: bytes) -> tuple[int, bytes]:
    """RCODE and cookie of the reply to a query for nothing else, from a port of its own."""
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)
    query = dns.message.make_query(".", "A", use_edns=0, options=[option])
    query.question.clear()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(instance.server)
        client.send(query.to_wire())
        reply = dns.message.from_wire(client.recv(512))
    return int(reply.rcode()), reply.options[0].to_wire() or b""
