"""Settings of a worker from the supervisor: one JSON line per generation, read without pydantic."""

from collections.abc import Callable
from typing import Final

import msgspec

from meshdns.authority.rrl import RrlSettings
from meshdns.authority.special import SpecialNameGroup
from meshdns.authority.zone import ServedZone
from meshdns.forwarding.upstreams import Address, Route, UpstreamTls

ANY_CLIENT: Final = ("0.0.0.0/0", "::/0")
"""Any client. A supervisor of version 0.1 sends an empty list instead; see `admitted_prefixes`."""
NO_CLIENT: Final = ("255.255.255.255/32",)
"""No client: no query has this source address."""


class WorkerSettings(msgspec.Struct, frozen=True):
    """The settings of one worker. File descriptors are inherited; `allow` are CIDRs.

    `number` is the worker's slot on the scoreboard; `private` a UDP socket that only this worker reads, for health
    checks; `nsid` identifies the server to clients that send NSID (RFC 5001); `identity` and `version` are answered in
    class CHAOS, an empty one is refused; `special` are the special names that are answered here, those of them in
    `special_auto` only if the upstreams do not serve them; `cookie_secret` is that of all workers of the instance, 16
    bytes, `previous_cookie_secret` the one before it, empty at first; `namedb` is the directory of the name database,
    empty while there is none; `rate_limit` bounds replies over UDP. `debug` are
    the CIDRs of the clients that may query the diagnostic names; `sample` is the share of queries that the query log
    takes, 0 to 1, with replies of the classes in `sample_classes`.
    """

    generation: int
    number: int
    scoreboard: int
    udp: tuple[int, ...]
    tcp: tuple[int, ...]
    private: int
    zones: tuple[ServedZone, ...]
    routes: tuple[Route, ...]
    cookie_secret: bytes
    allow: tuple[str, ...] = ANY_CLIENT
    nsid: bytes = b""
    identity: bytes = b""
    version: bytes = b""
    special: tuple[SpecialNameGroup, ...] = ()
    previous_cookie_secret: bytes = b""
    rate_limit: RrlSettings | None = None
    namedb: str = msgspec.field(default="", name="view")
    log_level: str = "info"
    log_format: str = "auto"
    debug: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    sample: float = 0.0
    sample_classes: tuple[str, ...] = ()
    special_auto: tuple[SpecialNameGroup, ...] = ()
    authorities: dict[str, str] = {}  # on the line alone: PEM texts by the key that stands for them in `routes`


def admitted_prefixes(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the prefixes of `allow` or `debug`, with any client for an empty list, as version 0.1 means it."""
    return prefixes or ANY_CLIENT


def encode(settings: WorkerSettings) -> bytes:
    """One line of JSON. Each text of authorities is in it once, however many servers it may vouch for."""
    keys: dict[str, str] = {"": ""}
    routes = _with_authorities(settings.routes, lambda text: keys.setdefault(text, str(len(keys))))
    authorities = {key: text for text, key in keys.items() if text}
    return msgspec.json.encode(msgspec.structs.replace(settings, routes=routes, authorities=authorities))


def decode(line: bytes) -> WorkerSettings:
    """The settings from one line; raises `msgspec.ValidationError` on anything else."""
    settings = msgspec.json.decode(line, type=WorkerSettings)
    texts = settings.authorities
    routes = _with_authorities(settings.routes, lambda key: texts.get(key, key))
    return msgspec.structs.replace(settings, routes=routes, authorities={})


def _with_authorities(routes: tuple[Route, ...], replaced: Callable[[str], str]) -> tuple[Route, ...]:
    return tuple(
        msgspec.structs.replace(route, upstreams=tuple(_with_authority(each, replaced) for each in route.upstreams))
        for route in routes
    )


def _with_authority(server: Address, replaced: Callable[[str], str]) -> Address:
    if server.tls is None:
        return server
    return msgspec.structs.replace(server, tls=UpstreamTls(server.tls.name, replaced(server.tls.ca)))
