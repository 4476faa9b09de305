"""Reading of the files that settings name: from any bytes to the value that is handed on, or why there is none.

Only the supervisor, and `meshdns check`, read files here. Workers and controller get values.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from meshdns.config.model import Settings
from meshdns.config.named_files import FileForm, FileUse
from meshdns.config.regular_file import FileIdentity, read_regular_file
from meshdns.config.values import split_host_port
from meshdns.forwarding.upstreams import Address, parse_resolv_conf
from meshdns.mesh.objects.foreign import bounded_text
from meshdns.upstream.tls_context import read_authorities


class FileReading(NamedTuple):
    """One attempt to read a file: its value or why there is none, and what was read (None if it could not be)."""

    text: str | None
    reason: str = ""
    identity: FileIdentity | None = None


def read_named_file(use: FileUse, own_addresses: Collection[Address]) -> FileReading:
    """Read a file that settings name. Never raises, and never waits for a writer.

    `own_addresses` are the addresses of this server, which no file makes its upstream.
    """
    identity = None
    try:
        data, identity = read_regular_file(use.path)
        return FileReading(_READERS[use.form](data, own_addresses), identity=identity)
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 — whatever is in a file costs that file alone
        reason = f"cannot be read ({type(error).__name__})"
    return FileReading(None, f"{bounded_text(reason)}; {_ADVICE[use.form]}", identity)


def own_addresses(settings: Settings) -> list[Address]:
    """Return the addresses that this server listens on."""
    return [Address(*split_host_port(text)) for text in settings.listen]


def _read_resolv_conf(data: bytes, own_addresses: Collection[Address]) -> str:
    """Return a resolv.conf of nothing but the servers that can be asked."""
    servers = parse_resolv_conf(data.decode("utf-8", "replace"), own_addresses=own_addresses)
    if not servers:
        raise ValueError("names no server that can be asked")
    return "".join(f"nameserver {server.host}\n" for server in servers)


def _read_authorities(data: bytes, _own_addresses: Collection[Address]) -> str:
    return read_authorities(data)


_READERS: Final[Mapping[FileForm, Callable[[bytes, Collection[Address]], str]]] = {
    FileForm.RESOLV_CONF: _read_resolv_conf,
    FileForm.AUTHORITIES: _read_authorities,
}
_ADVICE: Final[Mapping[FileForm, str]] = {
    FileForm.RESOLV_CONF: "name the upstream servers by address under forward, or make the file readable",
    FileForm.AUTHORITIES: "name a readable file of PEM certificates with ca",
}
