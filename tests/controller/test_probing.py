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

from meshdns.config.model import Probe
from meshdns.controller.probing import READY_PORT, SERVER_NAME, Probes, outcome_of, tls_outcome
from meshdns.mesh.probes import Outcome, Target
from tests.rig.packages import program
from tests.rig.ports import LOOPBACK, free_port

PATIENCE = 30.0  # seconds; a condition that takes longer is a failure

Health = tuple[str, int, bool]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Gateway:
    """A listener that counts its connections and does with them what it is told."""

    def __init__(self, serve: Serve | None = None) -> None:
        self._serve = serve
        self.seen: asyncio.Queue[None] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def open(self, address: str = LOOPBACK, port: int = 0, *, tls: ssl.SSLContext | None = None) -> Target:
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
            await asyncio.wait_for(self.seen.get(), PATIENCE)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.put_nowait(None)
        try:
            if self._serve is not None:
                await self._serve(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


class Watch:
    """Probes at work and what is told of them, in order. Each probe's jitter is drawn when it is over."""

    def __init__(self, kind: str = "tcp", interval: str = "100ms", down: int = 3) -> None:
        loop = asyncio.get_running_loop()
        self.told: asyncio.Queue[Health] = asyncio.Queue()
        self.gateways: list[Gateway] = []
        self.skipped = 0.0  # seconds that the clock is ahead
        self.draws: asyncio.Queue[None] = asyncio.Queue()
        self.probes = Probes(
            settings=Probe.model_validate({"type": kind, "interval": interval, "down": down}),
            changed=lambda address, port, healthy: self.told.put_nowait((address, port, healthy)),
            loop=loop,
            clock=lambda: loop.time() + self.skipped,
            draw=self._draw,
        )

    def _draw(self) -> float:
        self.draws.put_nowait(None)
        return 0.5

    def gateway(self, serve: Serve | None = None) -> Gateway:
        """A gateway that is closed when the watch is over."""
        self.gateways.append(Gateway(serve))
        return self.gateways[-1]

    async def heard(self, target: Target, *, healthy: bool) -> None:
        """This is told next."""
        assert await asyncio.wait_for(self.told.get(), PATIENCE) == (*target, healthy)


def watched(body: Callable[[Watch], Awaitable[None]], kind: str = "tcp", interval: str = "100ms") -> None:
    """Run `body` while gateways are probed; nothing that it did not expect was told."""

    async def main() -> None:
        watch = Watch(kind, interval)
        run = asyncio.ensure_future(watch.probes.run())
        try:
            await body(watch)
            assert watch.told.empty()
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            for gateway in watch.gateways:
                await gateway.close()

    asyncio.run(main())


class TestTcp:
    def test_a_gateway_that_accepts_stays_healthy(self) -> None:
        """Nothing is told of it, however often it is probed."""

        async def body(watch: Watch) -> None:
            gateway = watch.gateway()
            watch.probes.want([await gateway.open()])
            await gateway.probed(5)

        watched(body)

    def test_a_gateway_that_refuses_is_unhealthy_until_it_accepts_again(self) -> None:
        """Told once when it goes and once when it is back."""

        async def body(watch: Watch) -> None:
            gateway = watch.gateway()
            target = await gateway.open(port=free_port())
            watch.probes.want([target])
            await gateway.probed(1)
            await gateway.close()
            await watch.heard(target, healthy=False)
            await gateway.open(*target)
            await watch.heard(target, healthy=True)
            await gateway.probed(3)

        watched(body)

    def test_a_gateway_that_swallows_everything_is_unhealthy(self) -> None:
        """A listener whose queue is full lets no connection come about, as a firewall does that drops."""

        async def body(watch: Watch) -> None:
            loop = asyncio.get_running_loop()
            with socket.socket() as listener:
                listener.bind((LOOPBACK, 0))
                listener.listen(0)
                target: Target = listener.getsockname()
                waiting = [await _stuck(loop, target) for _ in range(3)]
                watch.probes.want([target])
                await watch.heard(target, healthy=False)
                for client in waiting:
                    client.close()

        watched(body)

    def test_one_dead_gateway_does_not_touch_the_others(self) -> None:
        """Each target is judged by itself, also two ports of one address."""

        async def body(watch: Watch) -> None:
            gateway = watch.gateway()
            alive = await gateway.open()
            dead = (LOOPBACK, free_port())
            watch.probes.want([alive, dead])
            await watch.heard(dead, healthy=False)
            await gateway.probed(3)

        watched(body)

    def test_ipv6_gateways_are_probed_too(self) -> None:
        """The same over ::1."""

        async def body(watch: Watch) -> None:
            gateway = watch.gateway()
            target = await gateway.open("::1")
            watch.probes.want([target])
            await gateway.probed(2)
            await gateway.close()
            await watch.heard(target, healthy=False)

        watched(body)

    def test_a_gateway_no_longer_wanted_is_left_alone_and_begins_healthy_on_return(self) -> None:
        """It is told unhealthy a second time: what was told of it before was to be forgotten."""

        async def body(watch: Watch) -> None:
            target = (LOOPBACK, free_port())
            watch.probes.want([target])
            await watch.heard(target, healthy=False)
            watch.probes.want([])
            watch.probes.want([target])
            await watch.heard(target, healthy=False)

        watched(body)


async def _stuck(loop: asyncio.AbstractEventLoop, target: Target) -> socket.socket:
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

        async def body(watch: Watch) -> None:
            target = (LOOPBACK, free_port())
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            with open(os.devnull) as lowest:  # noqa: ASYNC230, PTH123 — opened for its number
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno(), limits[1]))
            try:
                watch.probes.want([target])
                for _ in range(6):
                    await asyncio.wait_for(watch.draws.get(), PATIENCE)
                assert watch.told.empty()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            await watch.heard(target, healthy=False)

        with caplog.at_level(logging.WARNING):
            watched(body)
        assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
            "gateways cannot be probed from here: Too many open files"
        ]

    def test_a_process_that_stood_still_blames_nobody(self) -> None:
        """Where a probe's patience is found to have ended long ago, a reply may have come while nobody looked."""

        async def body(watch: Watch) -> None:
            async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
                watch.skipped += 10.0
                while await reader.read(4096):
                    pass

            gateway = watch.gateway(serve)
            watch.probes.want([await gateway.open()])
            for _ in range(6):
                await asyncio.wait_for(watch.draws.get(), PATIENCE)
            watch.probes.want([])

        watched(body, "tls")

    @pytest.mark.parametrize(
        ("number", "outcome"),
        [
            (errno.ECONNREFUSED, Outcome.REFUSED),
            (errno.ECONNRESET, Outcome.REFUSED),
            (errno.ETIMEDOUT, Outcome.SILENT),
            (errno.EINVAL, Outcome.SILENT),
            (errno.ENETUNREACH, Outcome.UNREACHABLE),
            (errno.EHOSTUNREACH, Outcome.UNREACHABLE),
            (errno.ENETDOWN, Outcome.UNREACHABLE),
            (errno.EMFILE, Outcome.OWN_FAULT),
            (errno.ENFILE, Outcome.OWN_FAULT),
            (errno.ENOBUFS, Outcome.OWN_FAULT),
            (errno.EADDRNOTAVAIL, Outcome.OWN_FAULT),
            (errno.EAFNOSUPPORT, Outcome.OWN_FAULT),
            (errno.EPERM, Outcome.OWN_FAULT),
        ],
    )
    def test_errors_are_told_apart_by_whose_fault_they_are(self, number: int, outcome: Outcome) -> None:
        """The far end's, the way's, or our own."""
        assert outcome_of(OSError(number, os.strerror(number))) is outcome


class TestNone:
    def test_no_socket_is_ever_opened(self) -> None:
        """While another watch probes one gateway several times, the one that is off has not come near its own."""

        async def body(watch: Watch) -> None:
            idle, busy = watch.gateway(), watch.gateway()
            watch.probes.want([await idle.open(), (LOOPBACK, free_port())])
            other = Watch()
            other.probes.want([await busy.open()])
            run = asyncio.ensure_future(other.probes.run())
            await busy.probed(5)
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            assert idle.seen.empty()

        watched(body, kind="none")


async def _read_request(reader: asyncio.StreamReader) -> list[str]:
    return (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")


class TestHttp:
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

        async def body(watch: Watch) -> None:
            gateway = watch.gateway(serve)
            address = f"127.{1 + secrets.randbelow(250)}.{secrets.randbelow(250)}.{2 + secrets.randbelow(250)}"
            await gateway.open(address, READY_PORT)
            target = (address, 15443)
            watch.probes.want([target])
            if alive:
                await gateway.probed(5)
            else:
                await watch.heard(target, healthy=False)
            assert asked[0][:2] == ["GET /healthz/ready HTTP/1.1", f"Host: {address}:15021"]

        watched(body, "http", interval="300ms")


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
        connection.settimeout(PATIENCE)
        with connection, contextlib.suppress(OSError):
            tls.wrap_socket(connection, server_side=True).close()


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

        async def body(watch: Watch) -> None:
            with socket.create_server((LOOPBACK, 0)) as listener:
                listener.settimeout(PATIENCE)
                watch.probes.want([listener.getsockname()])
                await asyncio.to_thread(_shake_hands, listener, tls, 5)
                watch.probes.want([])

        watched(body, "tls", interval="300ms")
        assert names == [SERVER_NAME] * 5

    @pytest.mark.parametrize("greeting", [b"", b"220 mail.example ESMTP\r\n"], ids=["closes", "another protocol"])
    def test_a_port_without_tls_is_unhealthy(self, greeting: bytes) -> None:
        """So is a load balancer that accepts and closes for want of a backend."""

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(greeting)
            await writer.drain()

        async def body(watch: Watch) -> None:
            gateway = watch.gateway(serve)
            target = await gateway.open()
            watch.probes.want([target])
            await watch.heard(target, healthy=False)

        watched(body, "tls", interval="300ms")

    def test_a_port_that_accepts_and_says_nothing_is_unhealthy(self) -> None:
        """A handshake that hangs ends with the probe's patience."""

        async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            while await reader.read(4096):
                pass

        async def body(watch: Watch) -> None:
            gateway = watch.gateway(serve)
            target = await gateway.open()
            watch.probes.want([target])
            await watch.heard(target, healthy=False)

        watched(body, "tls")

    @pytest.mark.parametrize(
        ("reason", "outcome"),
        [
            ("SSLV3_ALERT_HANDSHAKE_FAILURE", Outcome.ALIVE),
            ("TLSV1_UNRECOGNIZED_NAME", Outcome.ALIVE),
            ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Outcome.ALIVE),
            ("TLSV1_ALERT_PROTOCOL_VERSION", Outcome.ALIVE),
            ("WRONG_VERSION_NUMBER", Outcome.REFUSED),
            ("UNEXPECTED_EOF_WHILE_READING", Outcome.REFUSED),
        ],
    )
    def test_an_alert_comes_from_something_alive(self, reason: str, outcome: Outcome) -> None:
        """Refusing us is more than a dead gateway can do."""
        error = ssl.SSLError(1, reason)
        error.reason = reason
        assert tls_outcome(error) is outcome
