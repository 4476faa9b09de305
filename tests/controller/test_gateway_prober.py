"""Probes of gateways over real loopback sockets."""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import secrets
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from meshdns.config.model import ProbeSection
from meshdns.controller.gateway_prober import READY_PORT, SERVER_NAME, GatewayProber, connect_outcome, tls_outcome
from meshdns.mesh.fair_timers import NOBODY
from meshdns.mesh.gateway_health import ProbeOutcome, ProbeTarget
from tests.rig.packages import program
from tests.rig.ports import LOOPBACK, free_port

DEADLINE = 30.0  # seconds; a condition that takes longer is a failure

Health = tuple[str, int, bool]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Gateway:
    """A listener that counts its connections and does with them what it is told."""

    def __init__(self, serve: Serve | None = None) -> None:
        self._serve = serve
        self.seen: asyncio.Queue[None] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def open(self, address: str = LOOPBACK, port: int = 0, *, tls: ssl.SSLContext | None = None) -> ProbeTarget:
        """Listen; the address and port that came of it."""
        self._server = await asyncio.start_server(self._accepted, address, port, ssl=tls)
        bound: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return bound

    async def close(self) -> None:
        """Listen no more: connections are refused."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def probed(self, times: int) -> None:
        """So many connections come from now on."""
        while not self.seen.empty():
            self.seen.get_nowait()
        for _ in range(times):
            await asyncio.wait_for(self.seen.get(), DEADLINE)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.put_nowait(None)
        try:
            if self._serve is not None:
                await self._serve(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


class ProberScene:
    """Probes at work and what is told of them, in order. Each probe's jitter is drawn when it is over."""

    def __init__(self, kind: str = "tcp", interval: str = "100ms", down: int = 3) -> None:
        loop = asyncio.get_running_loop()
        self.changes: asyncio.Queue[Health] = asyncio.Queue()
        self.gateways: list[Gateway] = []
        self.skipped = 0.0  # seconds that the clock is ahead
        self.draws: asyncio.Queue[None] = asyncio.Queue()
        self.prober = GatewayProber(
            settings=ProbeSection.model_validate({"type": kind, "interval": interval, "down": down}),
            on_health_change=lambda address, port, healthy: self.changes.put_nowait((address, port, healthy)),
            loop=loop,
            clock=lambda: loop.time() + self.skipped,
            random=self._draw,
        )

    def _draw(self) -> float:
        self.draws.put_nowait(None)
        return 0.5

    def gateway(self, serve: Serve | None = None) -> Gateway:
        """A gateway that is closed when the watch is over."""
        self.gateways.append(Gateway(serve))
        return self.gateways[-1]

    async def expect_change(self, target: ProbeTarget, *, healthy: bool) -> None:
        """This is told next."""
        assert await asyncio.wait_for(self.changes.get(), DEADLINE) == (*target, healthy)


def with_prober(body: Callable[[ProberScene], Awaitable[None]], kind: str = "tcp", interval: str = "100ms") -> None:
    """Run `body` while gateways are probed; nothing that it did not expect was told."""

    async def main() -> None:
        watch = ProberScene(kind, interval)
        run = asyncio.create_task(watch.prober.run(), name="probes")
        try:
            await body(watch)
            assert watch.changes.empty()
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            for gateway in watch.gateways:
                await gateway.close()

    asyncio.run(main())


class TestTcp:
    def test_a_gateway_that_accepts_stays_healthy(self) -> None:
        """Nothing is told of it, however often it is probed."""

        async def body(watch: ProberScene) -> None:
            gateway = watch.gateway()
            watch.prober.set_targets(dict.fromkeys([await gateway.open()], NOBODY))
            await gateway.probed(5)

        with_prober(body)

    def test_a_gateway_that_refuses_is_unhealthy_until_it_accepts_again(self) -> None:
        """Told once when it goes and once when it is back."""

        async def body(watch: ProberScene) -> None:
            gateway = watch.gateway()
            target = await gateway.open(port=free_port())
            watch.prober.set_targets(dict.fromkeys([target], NOBODY))
            await gateway.probed(1)
            await gateway.close()
            await watch.expect_change(target, healthy=False)
            await gateway.open(*target)
            await watch.expect_change(target, healthy=True)
            await gateway.probed(3)

        with_prober(body)

    def test_a_gateway_that_swallows_everything_is_unhealthy(self) -> None:
        """A listener whose queue is full lets no connection come about, as a firewall does that drops."""

        async def body(watch: ProberScene) -> None:
            loop = asyncio.get_running_loop()
            with socket.socket() as listener:
                listener.bind((LOOPBACK, 0))
                listener.listen(0)
                target: ProbeTarget = listener.getsockname()
                waiting = [await _stuck(loop, target) for _ in range(3)]
                watch.prober.set_targets(dict.fromkeys([target], NOBODY))
                await watch.expect_change(target, healthy=False)
                for client in waiting:
                    client.close()

        with_prober(body)

    def test_one_dead_gateway_does_not_touch_the_others(self) -> None:
        """Each target is judged by itself, also two ports of one address."""

        async def body(watch: ProberScene) -> None:
            gateway = watch.gateway()
            alive = await gateway.open()
            dead = (LOOPBACK, free_port())
            watch.prober.set_targets(dict.fromkeys([alive, dead], NOBODY))
            await watch.expect_change(dead, healthy=False)
            await gateway.probed(3)

        with_prober(body)

    def test_ipv6_gateways_are_probed_too(self) -> None:
        """The same over ::1."""

        async def body(watch: ProberScene) -> None:
            gateway = watch.gateway()
            target = await gateway.open("::1")
            watch.prober.set_targets(dict.fromkeys([target], NOBODY))
            await gateway.probed(2)
            await gateway.close()
            await watch.expect_change(target, healthy=False)

        with_prober(body)

    def test_a_gateway_no_longer_wanted_is_left_alone_and_begins_healthy_on_return(self) -> None:
        """It is told unhealthy a second time: what was told of it before was to be forgotten."""

        async def body(watch: ProberScene) -> None:
            target = (LOOPBACK, free_port())
            watch.prober.set_targets(dict.fromkeys([target], NOBODY))
            await watch.expect_change(target, healthy=False)
            watch.prober.set_targets({})
            watch.prober.set_targets(dict.fromkeys([target], NOBODY))
            await watch.expect_change(target, healthy=False)

        with_prober(body)


async def _stuck(loop: asyncio.AbstractEventLoop, target: ProbeTarget) -> socket.socket:
    """A connection that takes a place in the queue of a listener that never accepts, or waits for one."""
    client = socket.socket()
    client.setblocking(False)
    assert client.connect_ex(target) in (0, errno.EINPROGRESS)
    return client


class TestOwnFaults:
    def test_a_process_without_descriptors_keeps_all_healthy_and_says_why(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A closed port is not held against its gateway while no socket can be had; people hear of it once."""

        async def body(watch: ProberScene) -> None:
            target = (LOOPBACK, free_port())
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            with open(os.devnull) as lowest:  # noqa: ASYNC230, PTH123 — opened for its number
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno(), limits[1]))
            try:
                watch.prober.set_targets(dict.fromkeys([target], NOBODY))
                for _ in range(6):
                    await asyncio.wait_for(watch.draws.get(), DEADLINE)
                assert watch.changes.empty()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            await watch.expect_change(target, healthy=False)

        with caplog.at_level(logging.WARNING):
            with_prober(body)
        assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
            "gateways cannot be probed from here: Too many open files"
        ]

    def test_a_process_that_stood_still_blames_nobody(self) -> None:
        """Where a probe's patience is found to have ended long ago, a reply may have come while nobody looked."""

        async def body(watch: ProberScene) -> None:
            async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
                watch.skipped += 10.0
                while await reader.read(4096):
                    pass

            gateway = watch.gateway(serve)
            watch.prober.set_targets(dict.fromkeys([await gateway.open()], NOBODY))
            for _ in range(6):
                await asyncio.wait_for(watch.draws.get(), DEADLINE)
            watch.prober.set_targets({})

        with_prober(body, "tls")

    @pytest.mark.parametrize(
        ("number", "outcome"),
        [
            (errno.ECONNREFUSED, ProbeOutcome.REFUSED),
            (errno.ECONNRESET, ProbeOutcome.REFUSED),
            (errno.ETIMEDOUT, ProbeOutcome.TIMEOUT),
            (errno.EINVAL, ProbeOutcome.TIMEOUT),
            (errno.ENETUNREACH, ProbeOutcome.NO_ROUTE),
            (errno.EHOSTUNREACH, ProbeOutcome.NO_ROUTE),
            (errno.ENETDOWN, ProbeOutcome.NO_ROUTE),
            (errno.EMFILE, ProbeOutcome.LOCAL_FAILURE),
            (errno.ENFILE, ProbeOutcome.LOCAL_FAILURE),
            (errno.ENOBUFS, ProbeOutcome.LOCAL_FAILURE),
            (errno.EADDRNOTAVAIL, ProbeOutcome.LOCAL_FAILURE),
            (errno.EAFNOSUPPORT, ProbeOutcome.LOCAL_FAILURE),
            (errno.EPERM, ProbeOutcome.LOCAL_FAILURE),
        ],
    )
    def test_errors_are_told_apart_by_whose_fault_they_are(self, number: int, outcome: ProbeOutcome) -> None:
        """The far end's, the way's, or our own."""
        assert connect_outcome(OSError(number, os.strerror(number))) is outcome


class TestNone:
    def test_no_socket_is_ever_opened(self) -> None:
        """While another watch probes one gateway several times, the one that is off has not come near its own."""

        async def body(watch: ProberScene) -> None:
            idle, busy = watch.gateway(), watch.gateway()
            watch.prober.set_targets(dict.fromkeys([await idle.open(), (LOOPBACK, free_port())], NOBODY))
            other = ProberScene()
            other.prober.set_targets(dict.fromkeys([await busy.open()], NOBODY))
            run = asyncio.create_task(other.prober.run(), name="probes")
            await busy.probed(5)
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            assert idle.seen.empty()

        with_prober(body, kind="none")


async def _read_request(reader: asyncio.StreamReader) -> list[str]:
    return (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")


class TestHttp:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("reply", "alive"),
        [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
            ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False),
            ("SSH-2.0-OpenSSH_9.2\r\n", False),
            ("HTTP/1.1", False),
            ("", False),
        ],
        ids=["ready", "not ready", "another protocol", "cut short", "closed"],
    )
    def test_only_a_gateway_that_says_it_is_ready_is_healthy(self, reply: str, *, alive: bool) -> None:
        """GET /healthz/ready on port 15021 of the gateway's address, whatever its own port."""
        asked: list[list[str]] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await _read_request(reader))
            writer.write(reply.encode())
            await writer.drain()

        async def body(watch: ProberScene) -> None:
            gateway = watch.gateway(serve)
            address = f"127.{1 + secrets.randbelow(250)}.{secrets.randbelow(250)}.{2 + secrets.randbelow(250)}"
            await gateway.open(address, READY_PORT)
            target = (address, 15443)
            watch.prober.set_targets(dict.fromkeys([target], NOBODY))
            if alive:
                await gateway.probed(5)
            else:
                await watch.expect_change(target, healthy=False)
            assert asked[0][:2] == ["GET /healthz/ready HTTP/1.1", f"Host: {address}:15021"]

        with_prober(body, "http", interval="300ms")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate that nobody trusts, with its key."""
    path = tmp_path_factory.mktemp("tls") / "gateway.pem"
    subprocess.run(
        [
            *(program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-subj", "/CN=gateway", "-days", "1", "-keyout", path, "-out", path.with_suffix(".crt")),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


def _shake_hands(listener: socket.socket, tls: ssl.SSLContext, times: int) -> None:
    """Serve so many handshakes with blocking sockets: those of asyncio drop the alert of one that failed."""
    for _ in range(times):
        connection, _address = listener.accept()
        connection.settimeout(DEADLINE)
        with connection, contextlib.suppress(OSError):
            tls.wrap_socket(connection, server_side=True).close()


@pytest.mark.rig
class TestTls:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("mutual", [False, True], ids=["simple", "mutual"])
    def test_a_gateway_that_speaks_tls_is_healthy(
        self, certificate: Path, version: ssl.TLSVersion, *, mutual: bool
    ) -> None:
        """Untrusted, or demanding a client's certificate: it is alive. It is asked for a server name."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        tls.maximum_version = version
        if mutual:
            tls.verify_mode = ssl.CERT_REQUIRED
            tls.load_verify_locations(certificate.with_suffix(".crt"))
        names: list[str | None] = []

        def named(_: object, name: str | None, __: object) -> None:
            names.append(name)

        tls.sni_callback = named

        async def body(watch: ProberScene) -> None:
            with socket.create_server((LOOPBACK, 0)) as listener:
                listener.settimeout(DEADLINE)
                watch.prober.set_targets(dict.fromkeys([listener.getsockname()], NOBODY))
                await asyncio.to_thread(_shake_hands, listener, tls, 5)
                watch.prober.set_targets({})

        with_prober(body, "tls", interval="300ms")
        assert names == [SERVER_NAME] * 5

    @pytest.mark.parametrize("greeting", [b"", b"220 mail.example ESMTP\r\n"], ids=["closes", "another protocol"])
    def test_a_port_without_tls_is_unhealthy(self, greeting: bytes) -> None:
        """So is a load balancer that accepts and closes for want of a backend."""

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(greeting)
            await writer.drain()

        async def body(watch: ProberScene) -> None:
            gateway = watch.gateway(serve)
            target = await gateway.open()
            watch.prober.set_targets(dict.fromkeys([target], NOBODY))
            await watch.expect_change(target, healthy=False)

        with_prober(body, "tls", interval="300ms")

    def test_a_port_that_accepts_and_says_nothing_is_unhealthy(self) -> None:
        """A handshake that hangs ends with the probe's patience."""

        async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            while await reader.read(4096):
                pass

        async def body(watch: ProberScene) -> None:
            gateway = watch.gateway(serve)
            target = await gateway.open()
            watch.prober.set_targets(dict.fromkeys([target], NOBODY))
            await watch.expect_change(target, healthy=False)

        with_prober(body, "tls")

    @pytest.mark.parametrize(
        ("reason", "outcome"),
        [
            ("SSLV3_ALERT_HANDSHAKE_FAILURE", ProbeOutcome.ALIVE),
            ("TLSV1_UNRECOGNIZED_NAME", ProbeOutcome.ALIVE),
            ("TLSV13_ALERT_CERTIFICATE_REQUIRED", ProbeOutcome.ALIVE),
            ("TLSV1_ALERT_PROTOCOL_VERSION", ProbeOutcome.ALIVE),
            ("WRONG_VERSION_NUMBER", ProbeOutcome.REFUSED),
            ("UNEXPECTED_EOF_WHILE_READING", ProbeOutcome.REFUSED),
        ],
    )
    def test_an_alert_comes_from_something_alive(self, reason: str, outcome: ProbeOutcome) -> None:
        """Refusing us is more than a dead gateway can do."""
        error = ssl.SSLError(1, reason)
        error.reason = reason
        assert tls_outcome(error) is outcome
