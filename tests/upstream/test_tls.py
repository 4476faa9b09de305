"""Upstreams over TLS: who is believed, how connections are kept, and that nothing is ever sent in clear."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from meshdns.config.model import Settings
from meshdns.config.named_files import FileForm, FileUse
from meshdns.forwarding.upstreams import Address, UpstreamTls
from meshdns.upstream import routes
from meshdns.upstream.file_forms import read_named_file
from meshdns.upstream.tls import MAX_CONNECTIONS
from tests.rig.unbound import Unbound
from tests.simulators.stalled_clock_loop import run_with_stalled_clock
from tests.upstream.certificates import Authority
from tests.upstream.forwarder_client import TIMEOUT, ForwarderClient, answers, ede
from tests.upstream.tls_server import TlsServer, serving

pytestmark = pytest.mark.rig

NAMES = "DNS:dns.test,IP:127.0.0.1"
GOOD = ["good.test. 60 A 192.0.2.1"]
PROMPT = 3.0  # seconds on a busy machine; the 1.8 s of the policy are proven in virtual time

Body = Callable[[TlsServer, ForwarderClient], Awaitable[None]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that clients trust."""
    return Authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    """A certificate for dns.test and 127.0.0.1."""
    return authority.sign("good", NAMES)


def against(server: TlsServer, authority: Authority, body: Body, *, name: str = "dns.test") -> None:
    """Run `body` with a client whose only upstream the server is."""

    async def main(server: TlsServer) -> None:
        client = ForwarderClient(Address("127.0.0.1", server.port, UpstreamTls(name, authority.pem)))
        try:
            await body(server, client)
        finally:
            await client.forwarder.close()
            assert client.counters.in_flight == 0

    run_with_stalled_clock(serving(server, main))


@pytest.mark.parametrize("name", ["dns.test", ""])
def test_a_certificate_for_the_name_or_the_address_is_believed(
    authority: Authority, certificate: Path, name: str
) -> None:
    """By the name behind # where there is one, else by the address in the certificate."""

    async def body(server: TlsServer, client: ForwarderClient) -> None:
        assert answers(await client.ask("good.test")) == GOOD
        assert server.protocols == {"dot"}
        assert not client.counters.malformed

    against(TlsServer(certificate), authority, body, name=name)


def _wrong_name(authority: Authority, _other: Authority) -> Path:
    return authority.sign("wrong", "DNS:other.test,IP:127.0.0.2")


def _expired(authority: Authority, _other: Authority) -> Path:
    return authority.sign("expired", NAMES, days=-1)


def _self_signed(_authority: Authority, other: Authority) -> Path:
    return other.self_signed(NAMES)


def _other_authority(_authority: Authority, other: Authority) -> Path:
    return other.sign("foreign", NAMES)


@pytest.mark.parametrize("name", ["dns.test", ""])
@pytest.mark.parametrize("lie", [_wrong_name, _expired, _self_signed, _other_authority])
def test_a_server_that_cannot_prove_its_name_gets_no_question(
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lie: Callable[[Authority, Authority], Path],
    name: str,
) -> None:
    """The client hears of a failure, the server nothing, and the operator once what is wrong."""

    async def body(server: TlsServer, client: ForwarderClient) -> None:
        for number in range(3):
            reply = await client.ask(f"good-{number}.test")
            assert (reply.rcode(), ede(reply)) == (dns.rcode.SERVFAIL, 23)
        assert server.wires == []

    with caplog.at_level(logging.WARNING, "meshdns.upstream"):
        against(TlsServer(lie(authority, Authority(tmp_path))), authority, body, name=name)
    (record,) = caplog.records
    assert "certificate verify failed" in record.getMessage()
    assert record.getMessage().endswith("; check its address, name and ca under forward")


def test_old_tls_is_refused(authority: Authority, certificate: Path) -> None:
    """TLS 1.1 was laid to rest by RFC 8996."""

    async def body(server: TlsServer, client: ForwarderClient) -> None:
        assert (await client.ask("good.test")).rcode() == dns.rcode.SERVFAIL
        assert server.wires == []

    server = TlsServer(certificate)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        server.limit(ssl.TLSVersion.TLSv1_1)
    against(server, authority, body)


def test_nothing_is_sent_in_clear_where_tls_fails() -> None:
    """A server that speaks no TLS hears a handshake and no name, over TCP; over UDP nothing."""

    async def main() -> None:
        heard = bytearray()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.extend(await reader.read(4096))
            writer.write(b"\0\x0cnot TLS at all")
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", port))
            datagrams.setblocking(False)
            client = ForwarderClient(Address("127.0.0.1", port, UpstreamTls("dns.test")))
            assert (await client.ask("secretname.test")).rcode() == dns.rcode.SERVFAIL
            with pytest.raises(BlockingIOError):
                datagrams.recv(1)
        assert heard[:1] == b"\x16"  # a TLS handshake record
        assert b"secretname" not in heard
        await client.forwarder.close()
        server.close()
        await server.wait_closed()

    run_with_stalled_clock(main())


def test_a_stalled_handshake_gives_way_to_the_next_upstream(authority: Authority, certificate: Path) -> None:
    """It is silence: the second server is asked when the first one's patience is over."""

    async def body(server: TlsServer, _client: ForwarderClient) -> None:
        with socket.create_server(("127.0.0.1", 0)) as stalled:
            tls = UpstreamTls("dns.test", authority.pem)
            client = ForwarderClient(
                Address("127.0.0.1", stalled.getsockname()[1], tls), Address("127.0.0.1", server.port, tls)
            )
            assert answers(await client.ask("good.test")) == GOOD
            assert client.counters.timeouts == 1
            await client.forwarder.close()

    against(TlsServer(certificate), authority, body)


def test_a_server_that_stalls_in_the_handshake_costs_no_more_than_silence() -> None:
    """SERVFAIL in time, three sends that were never written, and a bounded number of connections."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=100) as stalled:
            client = ForwarderClient(Address("127.0.0.1", stalled.getsockname()[1], UpstreamTls("dns.test")))
            began = client.loop.time()
            replies = await asyncio.gather(*(client.ask(f"good-{number}.test") for number in range(100)))
            assert client.loop.time() - began < PROMPT
            assert {(reply.rcode(), ede(reply)) for reply in replies} == {(dns.rcode.SERVFAIL, 22)}
            assert client.counters.sends <= 300
            await client.forwarder.close()
            stalled.setblocking(False)
            assert 1 <= _accepted(stalled) <= MAX_CONNECTIONS

    run_with_stalled_clock(main())


def _accepted(listener: socket.socket) -> int:
    """How many connections wait."""
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("silent", ("SERVFAIL", 22, 3)),
        ("second", ("NOERROR", None, 2)),
        ("delayed", ("NOERROR", None, 1)),
        ("tcpcut", ("SERVFAIL", 23, 1)),
        ("tcphalf", ("SERVFAIL", 23, 1)),
        ("tcpcloses", ("SERVFAIL", 23, 1)),
        ("wrongq", ("SERVFAIL", 24, 1)),
        ("rdlen", ("SERVFAIL", 24, 1)),
        ("tctwice", ("SERVFAIL", 24, 1)),
        ("servfail", ("SERVFAIL", 23, 1)),
        ("noedns", ("NOERROR", None, 2)),
        ("huge", ("NOERROR", None, 1)),
        ("wrongid", ("NOERROR", None, 1)),
        ("manyids", ("SERVFAIL", 23, 1)),
    ],
)
def test_lies_over_tls_end_in_the_truth_or_in_a_failure(
    authority: Authority, certificate: Path, behaviour: str, expected: tuple[str, int | None, int]
) -> None:
    """In time, and after three sends at most."""

    async def body(server: TlsServer, client: ForwarderClient) -> None:
        began = client.loop.time()
        reply = await client.ask(f"{behaviour}.test")
        assert client.loop.time() - began < PROMPT
        assert (dns.rcode.to_text(reply.rcode()), ede(reply), server.seen[behaviour]) == expected
        assert not any("192.0.2.66" in record for record in answers(reply))

    against(TlsServer(certificate), authority, body)


def test_many_questions_share_one_connection(authority: Authority, certificate: Path) -> None:
    """Pipelined: a slow reply holds up nobody (RFC 7766 6.2.1.1)."""

    async def body(server: TlsServer, client: ForwarderClient) -> None:
        slow = asyncio.create_task(client.ask("delayed.test"), name="slow")
        quick = [asyncio.create_task(client.ask(f"good-{number}.test"), name="quick") for number in range(200)]
        done, _ = await asyncio.wait([slow, *quick], return_when=asyncio.FIRST_COMPLETED)
        assert slow not in done
        replies = await asyncio.gather(slow, *quick)
        assert {reply.rcode() for reply in replies} == {dns.rcode.NOERROR}
        assert server.connections <= 2  # a second one where the machine stood still
        assert len(server.wires) >= 201

    against(TlsServer(certificate), authority, body)


def test_a_server_that_closes_after_each_reply_loses_no_question(authority: Authority, certificate: Path) -> None:
    """Row 61: what was open on the connection is asked again, one at a time from then on."""

    async def body(server: TlsServer, client: ForwarderClient) -> None:
        replies = await asyncio.gather(*(client.ask(f"good-{number}.test") for number in range(6)))
        assert [reply.rcode() for reply in replies] == [dns.rcode.NOERROR] * 6
        assert max(server.seen.values()) <= 3

    against(TlsServer(certificate, farewell=1), authority, body)


def test_a_server_that_restarts_is_asked_over_a_new_connection(authority: Authority, certificate: Path) -> None:
    """The end of an idle connection is noticed, and costs the next question nothing."""

    async def body(server: TlsServer, client: ForwarderClient) -> None:
        await client.ask("good-1.test")
        await server.stop()
        await server.start(server.port)
        assert (await client.ask("good-2.test")).rcode() == dns.rcode.NOERROR
        assert server.connections == 2

    against(TlsServer(certificate), authority, body)


def test_a_connection_that_fell_silent_gets_no_more_questions(authority: Authority, certificate: Path) -> None:
    """A peer may be gone for minutes before TCP says so: the second send leaves by a new connection."""

    async def body(server: TlsServer, client: ForwarderClient) -> None:
        await client.ask("good.test")
        assert (await client.ask("second.test")).rcode() == dns.rcode.NOERROR
        assert server.connections == 2

    against(TlsServer(certificate), authority, body)


def test_idle_connections_are_closed(authority: Authority, certificate: Path) -> None:
    """After two rests without a question between them."""

    async def body(server: TlsServer, client: ForwarderClient) -> None:
        await client.ask("good.test")
        assert server.open == 1
        pool = client.forwarder._pools.pool_for(  # else the test would last half a minute
            Address("127.0.0.1", server.port, UpstreamTls("dns.test", authority.pem))
        )
        pool.close_idle()
        pool.close_idle()
        async with asyncio.timeout(TIMEOUT):
            while server.open or len(pool):  # noqa: ASYNC110 — a number is no event
                await asyncio.sleep(0.01)

    against(TlsServer(certificate), authority, body)


def test_queries_over_tls_are_padded(authority: Authority, certificate: Path) -> None:
    """To 128 octets, so that their length tells nothing (RFC 8467 4.1); those in clear are not."""

    async def body(server: TlsServer, client: ForwarderClient) -> None:
        await client.ask("good.test")
        await client.ask(f"good-{'x' * 50}.test", want_dnssec=True)
        assert [len(wire) for wire in server.wires] == [128, 128]
        seen = [dns.message.from_wire(wire) for wire in server.wires]
        assert [option.otype for message in seen for option in message.options] == [dns.edns.OptionType.PADDING] * 2
        assert [bool(message.ednsflags & dns.flags.DO) for message in seen] == [False, True]

    against(TlsServer(certificate), authority, body)


def test_a_real_resolver_over_tls(authority: Authority, certificate: Path) -> None:
    """Unbound with a certificate for its name; what is too big for UDP comes whole."""
    big = [f'big.example. 60 IN TXT "{number:02} {"x" * 90}"' for number in range(40)]

    async def ask(address: Address) -> Sequence[list[str]]:
        client = ForwarderClient(address)
        try:
            return [answers(await client.ask("www.example.com")), answers(await client.ask("big.example", "TXT"))]
        finally:
            await client.forwarder.close()

    config = f"  tls-service-pem: {certificate}\n  tls-service-key: {certificate}\n"
    with _TlsUnbound(["www.example.com. 60 IN A 192.0.2.80", *big], config) as unbound:
        address = Address("127.0.0.1", unbound.tls_port, UpstreamTls("dns.test", authority.pem))
        small, large = asyncio.run(ask(address))
    assert small == ["www.example.com. 60 A 192.0.2.80"]
    assert len(large) == 40


class _TlsUnbound(Unbound):
    """An Unbound with a second port, for TLS."""

    def __init__(self, local_data: Sequence[str], config: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.tls_port = probe.getsockname()[1]
        super().__init__(local_data, f"{config}  tls-port: {self.tls_port}\n  interface: 127.0.0.1@{self.tls_port}\n")


# ---------------------------------------------------------------------------------------------- settings and files


def test_the_settings_say_who_is_asked_over_tls(authority: Authority) -> None:
    """Address, port 853, name, and who vouches for it."""
    ca = "/etc/ca.pem"
    forward = [{"zone": ".", "to": ["tls://9.9.9.9#dns.quad9.net", "tls://192.0.2.1:8853"], "ca": ca}]
    settings = Settings.model_validate({"forward": forward})
    (route,) = routes.build_routes(settings, {FileForm.AUTHORITIES: {ca: authority.pem}})
    assert route.upstreams == (
        Address("9.9.9.9", 853, UpstreamTls("dns.quad9.net", authority.pem)),
        Address("192.0.2.1", 8853, UpstreamTls("", authority.pem)),
    )
    assert [str(address) for address in route.upstreams] == ["tls://9.9.9.9:853#dns.quad9.net", "tls://192.0.2.1:8853"]


def test_without_its_authorities_no_server_over_tls_is_asked() -> None:
    """Those that the system trusts are no substitute for a file that cannot be read; servers in clear are asked."""
    forward = [{"zone": ".", "to": ["tls://9.9.9.9#dns.quad9.net", "192.0.2.1"], "ca": "/absent/ca.pem"}]
    (route,) = routes.build_routes(Settings.model_validate({"forward": forward}), {})
    assert route.upstreams == (Address("192.0.2.1"),)


def test_no_key_leaves_a_file_of_authorities(authority: Authority, certificate: Path, tmp_path: Path) -> None:
    """Nor a comment, which may hold any bytes: what is handed on is the certificates alone."""
    path = tmp_path / "ca.pem"
    path.write_bytes(certificate.read_bytes() + "# Zürich\n".encode() + authority.file.read_bytes())
    text = read_named_file(FileUse(FileForm.AUTHORITIES, str(path)), ()).text
    assert text is not None
    assert "PRIVATE" in path.read_text()
    assert set(text.replace("-----\n", "-----").split("-----")[1::2]) == {"BEGIN CERTIFICATE", "END CERTIFICATE"}
    assert text.endswith(authority.pem)
