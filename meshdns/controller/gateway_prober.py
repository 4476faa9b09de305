"""Prober of the gateways that answers name: is anything there that would carry a request.

What becomes of an outcome is decided by `meshdns.mesh.gateway_health`. What a probe proves depends on its type:

- ``tcp`` connects to the gateway's port and closes. Many load balancers of clouds accept connections themselves and
  only then look for a backend: behind those a dead gateway looks alive, and ``http`` is the better choice.
- ``http`` asks ``GET /healthz/ready`` on port 15021 of the same address, where Istio's gateways say whether they are
  ready; 200 is alive. The gateway's Service and firewalls must let that port through, as Istio's charts do.
- ``tls`` shakes hands on the gateway's port with the server name `SERVER_NAME`. Certificates are not verified, since
  none is trusted here with anything, and an alert counts as alive, since only something that speaks TLS and wants
  another client sends one. It suits gateways that terminate TLS. One with AUTO_PASSTHROUGH (Istio's east-west gateways,
  15443) drops server names it has no Service for and would always count as dead: use ``tcp`` or ``http`` there.
- ``none`` opens no socket at all: every gateway counts as healthy, and is shown as not probed.

Clients may be let through where this machine is not, and the other way round; see what `explain` says of the gateway.
"""

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Final

from meshdns.config.model import ProbeSection
from meshdns.controller.periodic import PeriodicRunner
from meshdns.mesh.fair_timers import Owners
from meshdns.mesh.gateway_health import (
    MAX_CONCURRENT_PROBES,
    GatewayHealth,
    ProbedGateway,
    ProbeOutcome,
    ProbeTarget,
)

PROBE_TIMEOUT: Final = 3.0  # seconds that a probe waits; a lost SYN is sent again after one
STALL_TOLERANCE: Final = 1.0  # seconds after its patience that a probe may end; later, this process stood still
READY_PORT: Final = 15021  # Istio's status port of gateways
SERVER_NAME: Final = "probe.meshdns.invalid"  # nobody's name (RFC 6761 section 6.4)

_NO_ROUTE_ERRNOS: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_LOCAL_ERRNOS: Final = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM),
        *(errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT),  # no source port or address left, or none of this family
        *(errno.EACCES, errno.EPERM),  # a filter of this machine
    }
)
_ALERT_PREFIXES: Final = ("SSLV3_ALERT_", "TLSV1_", "TLSV13_ALERT_")  # how OpenSSL names the alerts that it receives

_log = logging.getLogger("meshdns.controller")


class GatewayProber:
    """Probes the wanted gateways; `on_health_change` is called with address, port and whether it is healthy.

    It is called on transitions alone, and a gateway begins as healthy whenever it becomes wanted: forget the health
    of one that no longer is. `clock` gives seconds and never goes back, `random` gives numbers from 0 up to 1.
    """

    def __init__(
        self,
        *,
        settings: ProbeSection,
        on_health_change: Callable[[str, int, bool], None],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._on_health_change = on_health_change
        self._loop = loop
        self._clock = clock
        self._timeout = min(settings.interval, PROBE_TIMEOUT)
        self._health = GatewayHealth(
            interval=settings.interval, unhealthy_after=settings.down, healthy_after=settings.up, draw=random
        )
        self._runner = PeriodicRunner(self._health.timers, concurrency=MAX_CONCURRENT_PROBES, clock=clock)
        self._tls = _unverified_context() if settings.type == "tls" else None
        self._logged_errors: set[str] = set()

    def set_targets(self, targets: Mapping[ProbeTarget, Owners]) -> None:
        """The complete set wanted now: IP addresses and ports, with their owners, whose gateways are probed by turns.

        What is no IP address is never probed.
        """
        if self._settings.type != "none":
            self._health.set_targets(targets, self._clock())
            self._runner.wake()

    async def run(self) -> None:
        """Probe what is wanted until cancelled."""
        await self._runner.run(self._probe, name="gateway probe")

    async def _probe(self, gateway: ProbedGateway) -> None:
        begun = self._clock()
        outcome = await self._probe_target(gateway.target)
        now = self._clock()
        if outcome is ProbeOutcome.TIMEOUT and now - begun > self._timeout + STALL_TOLERANCE:
            outcome = ProbeOutcome.LOCAL_FAILURE  # the reply may have come while nobody looked
        for (address, port), healthy in self._health.record_result(gateway, outcome, started=begun, now=now):
            self._on_health_change(address, port, healthy)

    async def _probe_target(self, target: ProbeTarget) -> ProbeOutcome:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._connect(*target)
        except TimeoutError:
            return ProbeOutcome.TIMEOUT
        except ssl.SSLError as error:
            return tls_outcome(error)
        except OSError as error:
            outcome = connect_outcome(error)
            if outcome is ProbeOutcome.LOCAL_FAILURE:
                self._log_own_fault(error)
            return outcome
        except EOFError:
            return ProbeOutcome.REFUSED

    async def _connect(self, address: str, port: int) -> ProbeOutcome:
        """One probe. Raises OSError and EOFError for everything that goes wrong on the way."""
        match self._settings.type:
            case "http":
                return await _probe_readiness(address)
            case "tls":
                transport, _ = await self._loop.create_connection(
                    asyncio.Protocol, address, port, ssl=self._tls, server_hostname=SERVER_NAME
                )
                transport.abort()
            case _:
                with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as sock:
                    sock.setblocking(False)
                    await self._loop.sock_connect(sock, (address, port))
        return ProbeOutcome.ALIVE

    def _log_own_fault(self, error: OSError) -> None:
        """Say, once for each cause, why this machine cannot probe."""
        fault = os.strerror(error.errno or 0)
        if fault not in self._logged_errors:
            self._logged_errors.add(fault)
            _log.warning(
                "gateways cannot be probed from here: %s; the health they had is kept; check this process's limits "
                "(open files, ports) and the machine's filters, or set probe.type to none",
                fault,
            )


async def _probe_readiness(address: str) -> ProbeOutcome:
    """Whether Istio's gateway says that it is ready. HTTP/1.0 would be refused by Envoy."""
    reader, writer = await asyncio.open_connection(address, READY_PORT)
    try:
        host = f"[{address}]" if ":" in address else address
        writer.write(f"GET /healthz/ready HTTP/1.1\r\nHost: {host}:{READY_PORT}\r\nConnection: close\r\n\r\n".encode())
        status = await reader.readexactly(len("HTTP/1.1 200"))
    finally:
        writer.transport.abort()
    return ProbeOutcome.ALIVE if status in (b"HTTP/1.1 200", b"HTTP/1.0 200") else ProbeOutcome.REFUSED


def _unverified_context() -> ssl.SSLContext:
    """TLS as a probe speaks it: nothing secret is sent and nothing received is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def tls_outcome(error: ssl.SSLError) -> ProbeOutcome:
    """What a failed handshake says: an alert comes from something alive, anything else is not TLS."""
    return ProbeOutcome.ALIVE if (error.reason or "").startswith(_ALERT_PREFIXES) else ProbeOutcome.REFUSED


def connect_outcome(error: OSError) -> ProbeOutcome:
    """What a failed connection says of the gateway; an unknown failure counts against it and proves no network."""
    match error.errno:
        case number if number in _LOCAL_ERRNOS:
            return ProbeOutcome.LOCAL_FAILURE
        case number if number in _NO_ROUTE_ERRNOS:
            return ProbeOutcome.NO_ROUTE
        case _:
            return ProbeOutcome.REFUSED if isinstance(error, ConnectionError) else ProbeOutcome.TIMEOUT
