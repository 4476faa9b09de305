"""What the supervisor hands to a worker: one JSON line per generation, read without pydantic."""

import msgspec

from meshdns.authority.authority import ServedZone
from meshdns.authority.special import Special
from meshdns.forwarding.routes import Route


class WorkerSettings(msgspec.Struct, frozen=True):
    """Everything a worker needs. File descriptors are inherited; `allow` are CIDRs, empty = any asker.

    `number` is the worker's slot on the scoreboard; `private` a UDP socket that only this worker reads, through which
    it is asked whether it is well; `nsid` identifies the server to those who ask (RFC 5001); `identity` and `version`
    are told in class CHAOS, empty is refused; `special` are the special names that are answered here; `cookie_secret`
    is that of all workers of the instance, 16 octets; `view` is the directory of the view, empty while there is none.
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
    allow: tuple[str, ...] = ()
    nsid: bytes = b""
    identity: bytes = b""
    version: bytes = b""
    special: tuple[Special, ...] = ()
    view: str = ""
    log_level: str = "info"


def encode(settings: WorkerSettings) -> bytes:
    """One line of JSON."""
    return msgspec.json.encode(settings)


def decode(line: bytes) -> WorkerSettings:
    """The settings from one line; raises `msgspec.ValidationError` on anything else."""
    return msgspec.json.decode(line, type=WorkerSettings)
