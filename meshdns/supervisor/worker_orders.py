"""From the operator's settings to what a worker is handed."""

import ipaddress
import platform
from typing import Final

from meshdns import __version__
from meshdns.authority.special import Special
from meshdns.config.model import Settings
from meshdns.controller.zones import served_zones
from meshdns.supervisor.sockets import Sockets
from meshdns.upstream.configured import routes
from meshdns.worker.settings import WorkerSettings

PRIVATE: Final = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
"""The askers that ``private`` admits: loopback, private, shared and link-local addresses."""


def worker_settings(
    settings: Settings,
    sockets: Sockets,
    *,
    number: int,
    scoreboard: int,
    view: str,
    generation: int,
    cookie_secret: bytes,
) -> WorkerSettings:
    """Everything a worker needs, in one value."""
    nsid = platform.node().encode()[:64]
    return WorkerSettings(
        generation=generation,
        number=number,
        scoreboard=scoreboard,
        private=sockets.private[number].fileno(),
        udp=tuple(sock.fileno() for sock in sockets.udp),
        tcp=tuple(sock.fileno() for sock in sockets.tcp),
        zones=tuple(served_zones(settings)),
        routes=tuple(routes(settings)),
        allow=_prefixes(settings),
        cookie_secret=cookie_secret,
        nsid=nsid,
        identity=nsid if settings.chaos.identity else b"",
        version=f"meshdns {__version__}".encode() if settings.chaos.version else b"",
        special=tuple(Special(name) for name, on in settings.special_names if on),
        view=view,
        log_level=settings.log_level,
    )


def _prefixes(settings: Settings) -> tuple[str, ...]:
    if "any" in settings.allow_query:
        return ()
    named = [prefix for item in settings.allow_query for prefix in (PRIVATE if item == "private" else (item,))]
    return tuple(dict.fromkeys(str(ipaddress.ip_network(prefix, strict=False)) for prefix in named))
