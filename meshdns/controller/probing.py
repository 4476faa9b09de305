"""Probes the gateways that answers name: is anything there that would carry a request.

What becomes of an outcome is decided by `meshdns.mesh.probes`. What a probe proves depends on its type:

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
from collections.abc import Callable, Collection
from typing import Final

from meshdns.config.model import Probe
from meshdns.controller.rounds import Rounds
from meshdns.mesh.probes import Gateway, Outcome, Target
from meshdns.mesh.probes import Probes as Judged

MOST: Final = 64  # probes at once
PATIENCE: Final = 3.0  # seconds that a probe waits; a lost SYN is sent again after one
LATE: Final = 1.0  # seconds after its patience that a probe may end; later, this process stood still
READY_PORT: Final = 15021  # Istio's status port of gateways
SERVER_NAME: Final = "probe.meshdns.invalid"  # nobody's name (RFC 6761 section 6.4)

_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_OWN: Final = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM),
        *(errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT),  # no source port or address left, or none of this family
        *(errno.EACCES, errno.EPERM),  # a filter of this machine
    }
)
_ALERTS: Final = ("SSLV3_ALERT_", "TLSV1_", "TLSV13_ALERT_")  # how OpenSSL names the alerts that it receives

_log = logging.getLogger("meshdns.controller")


class Probes:
    """Probes the wanted gateways as `settings` say; `changed` is called with address, port and whether it is healthy.

    It is called on transitions alone, and a gateway begins as healthy whenever it becomes wanted: forget what was told
    of one that no longer is. `clock` gives seconds and never goes back, `draw` gives numbers from 0 up to 1.
    """

    def __init__(
        self,
        *,
        settings: Probe,
        changed: Callable[[str, int, bool], None],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._changed = changed
        self._loop = loop
        self._clock = clock
        self._patience = min(settings.interval, PATIENCE)
        self._judged = Judged(interval=settings.interval, down=settings.down, up=settings.up, draw=draw)
        self._rounds = Rounds(self._judged.agenda, most=MOST, clock=clock)
        self._tls = _unverified() if settings.type == "tls" else None
        self._said: set[str] = set()

    def want(self, targets: Collection[Target]) -> None:
        """The complete set wanted now: IP addresses and ports. What is no IP address is never probed."""
        if self._settings.type != "none":
            self._judged.want(targets, self._clock())
            self._rounds.look()

    async def run(self) -> None:
        """Probe what is wanted until cancelled."""
        await self._rounds.run(self._probe, name="gateway probe")

    async def _probe(self, gateway: Gateway) -> None:
        begun = self._clock()
        outcome = await self._outcome(gateway.target)
        now = self._clock()
        if outcome is Outcome.SILENT and now - begun > self._patience + LATE:
            outcome = Outcome.OWN_FAULT  # the reply may have come while nobody looked
        for (address, port), healthy in self._judged.heard(gateway, outcome, begun=begun, now=now):
            self._changed(address, port, healthy)

    async def _outcome(self, target: Target) -> Outcome:
        try:
            async with asyncio.timeout(self._patience):
                return await self._try(*target)
        except TimeoutError:
            return Outcome.SILENT
        except ssl.SSLError as error:
            return tls_outcome(error)
        except OSError as error:
            outcome = outcome_of(error)
            if outcome is Outcome.OWN_FAULT:
                self._complain(error)
            return outcome
        except EOFError:
            return Outcome.REFUSED

    async def _try(self, address: str, port: int) -> Outcome:
        """One probe. Raises OSError and EOFError for everything that goes wrong on the way."""
        match self._settings.type:
            case "http":
                return await _ready(address)
            case "tls":
                transport, _ = await self._loop.create_connection(
                    asyncio.Protocol, address, port, ssl=self._tls, server_hostname=SERVER_NAME
                )
                transport.abort()
            case _:
                with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as sock:
                    sock.setblocking(False)
                    await self._loop.sock_connect(sock, (address, port))
        return Outcome.ALIVE

    def _complain(self, error: OSError) -> None:
        """Say, once for each cause, why this machine cannot probe."""
        fault = os.strerror(error.errno or 0)
        if fault not in self._said:
            self._said.add(fault)
            _log.warning(
                "gateways cannot be probed from here: %s; the health they had is kept; check this process's limits "
                "(open files, ports) and the machine's filters, or set probe.type to none",
                fault,
            )


async def _ready(address: str) -> Outcome:
    """Whether Istio's gateway says that it is ready. HTTP/1.0 would be refused by Envoy."""
    reader, writer = await asyncio.open_connection(address, READY_PORT)
    try:
        host = f"[{address}]" if ":" in address else address
        writer.write(f"GET /healthz/ready HTTP/1.1\r\nHost: {host}:{READY_PORT}\r\nConnection: close\r\n\r\n".encode())
        status = await reader.readexactly(len("HTTP/1.1 200"))
    finally:
        writer.transport.abort()
    return Outcome.ALIVE if status in (b"HTTP/1.1 200", b"HTTP/1.0 200") else Outcome.REFUSED


def _unverified() -> ssl.SSLContext:
    """TLS as a probe speaks it: nothing secret is sent and nothing received is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def tls_outcome(error: ssl.SSLError) -> Outcome:
    """What a failed handshake says: an alert comes from something alive, anything else is not TLS."""
    return Outcome.ALIVE if (error.reason or "").startswith(_ALERTS) else Outcome.REFUSED


def outcome_of(error: OSError) -> Outcome:
    """What a failed connection says of the gateway; an unknown failure counts against it and proves no network."""
    match error.errno:
        case number if number in _OWN:
            return Outcome.OWN_FAULT
        case number if number in _NO_ROUTE:
            return Outcome.UNREACHABLE
        case _:
            return Outcome.REFUSED if isinstance(error, ConnectionError) else Outcome.SILENT
