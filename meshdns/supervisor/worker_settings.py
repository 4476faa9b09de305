"""Translation of the operator's settings into those of a worker."""

import ipaddress
import platform
from collections.abc import Sequence

from meshdns import __version__
from meshdns.authority.rrl import RrlSettings
from meshdns.authority.special import SpecialNameGroup
from meshdns.config.model import Settings
from meshdns.config.named_files import FileTexts
from meshdns.config.translate import listen_addresses, served_zones
from meshdns.dns.address_blocks import LOCAL_CLIENT_PREFIXES, is_local_client
from meshdns.supervisor.cookie_secrets import CookieSecrets
from meshdns.supervisor.sockets import Sockets
from meshdns.upstream.routes import build_routes
from meshdns.worker.settings import ANY_CLIENT, NO_CLIENT, WorkerSettings


def worker_settings(  # noqa: PLR0913 — what the supervisor knows, most of it by keyword
    settings: Settings,
    files: FileTexts,
    sockets: Sockets,
    *,
    number: int,
    scoreboard: int,
    namedb: str,
    generation: int,
    cookies: CookieSecrets,
) -> WorkerSettings:
    """Return the settings of one worker; `files` are the values of the files that the settings name."""
    nsid = platform.node().encode()[:64]
    return WorkerSettings(
        generation=generation,
        number=number,
        scoreboard=scoreboard,
        private=sockets.private[number].fileno(),
        udp=tuple(sock.fileno() for sock in sockets.udp),
        tcp=tuple(sock.fileno() for sock in sockets.tcp),
        zones=tuple(served_zones(settings)),
        routes=tuple(build_routes(settings, files)),
        allow=_prefixes(settings.allow_query),
        cookie_secret=cookies.current,
        previous_cookie_secret=cookies.previous,
        rate_limit=rate_limit_settings(settings),
        nsid=nsid,
        identity=nsid if settings.chaos.identity else b"",
        version=f"meshdns {__version__}".encode() if settings.chaos.version else b"",
        special=tuple(SpecialNameGroup(name) for name, value in settings.special_names if value),
        special_auto=tuple(SpecialNameGroup(name) for name, value in settings.special_names if value == "auto"),
        namedb=namedb,
        log_level=settings.log_level,
        log_format=settings.log_format,
        debug=debug_prefixes(settings),
        sample=settings.query_log.sample,
        sample_classes=settings.query_log.classes,
    )


def debug_prefixes(settings: Settings) -> tuple[str, ...]:
    """Return the clients that may query the diagnostic names.

    By default it is this machine, or no client if the server listens on a loopback address: a cache on this machine
    asks there for any of its clients.
    """
    if settings.allow_debug is not None:
        return _prefixes(settings.allow_debug)
    if any(ipaddress.ip_address(host).is_loopback for host, _ in listen_addresses(settings)):
        return NO_CLIENT
    return ("127.0.0.0/8", "::1/128")


def rate_limit_settings(settings: Settings) -> RrlSettings | None:
    """Return the rate limit; None if it is off, or if only private addresses are admitted and not limited."""
    limit = settings.rate_limit
    prefixes = _prefixes(settings.allow_query)
    strangers = prefixes != NO_CLIENT and not all(_is_private_prefix(prefix) for prefix in prefixes)
    if not limit.per_second or not (strangers or limit.private):
        return None
    return RrlSettings(limit.per_second, limit.slip, limit.private)


def _is_private_prefix(prefix: str) -> bool:
    network = ipaddress.ip_network(prefix)
    return is_local_client(network[0].packed) and is_local_client(network[-1].packed)


def _prefixes(clients: Sequence[str]) -> tuple[str, ...]:
    if "any" in clients:
        return ANY_CLIENT
    named = [prefix for item in clients for prefix in (LOCAL_CLIENT_PREFIXES if item == "private" else (item,))]
    return tuple(dict.fromkeys(str(ipaddress.ip_network(prefix, strict=False)) for prefix in named)) or NO_CLIENT
