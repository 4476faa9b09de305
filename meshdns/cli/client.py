"""Client of the running server through its admin socket, else of the name database that a stopped one left behind.

Rules:
- The name database is read in one short transaction and closed before anything is printed: a reader that sleeps on a
  pipe would make the name database grow.
- Which of the two it was is said on standard error, so that standard output stays what was asked for.
- A name database is checked in a process of its own first: a damaged file would crash its reader.
"""

import errno
import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from meshdns.cli import exit_codes
from meshdns.cli.options import exit_with_settings_error, path_exists, refuse_flags
from meshdns.cli.printing import print_line, print_lines
from meshdns.config import Overrides, Settings, SettingsError, load_settings, resolve_sources

_TIMEOUT: Final = 15.0  # seconds for a reply; 100,000 names take a few, a stream says at least each 10 that it lives
_ORDER_TIMEOUT: Final = 60.0  # seconds; the server replies to an order when it is carried out, or after 50

_Answer = TypeVar("_Answer")
_Fallback = Callable[[Any], _Answer]  # `Reports` is loaded only where a name database is read


class AdminClientError(Exception):
    """No server and no name database could be asked; the message says what to do next."""

    exit_code: int = exit_codes.UNREACHABLE


class _RequestRefusedError(AdminClientError):
    """The answer was a refusal."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.exit_code = exit_codes.WRONG_SETTINGS if status == http.client.CONFLICT else exit_codes.FAILED


class _NotRunningError(Exception):
    """No server answers on the admin socket."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float = _TIMEOUT) -> None:
        super().__init__("meshdns", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def exit_with(error: AdminClientError) -> NoReturn:
    """Say why nothing was answered, and end the program."""
    print_lines(str(error), err=True)
    sys.exit(error.exit_code)


def client_settings(flags: dict[str, Any], *, otherwise: str = "") -> Settings:
    """The settings by file, environment and flags; ends the program where they are wrong, and says `otherwise` then.

    A flag that only a server heeds is wrong usage: whatever it says, the answer is that of the server.

    Sources are filled in where there are any, since they may name the vantage; to ask needs none.
    """
    refuse_flags(flags)
    return settings_without_sources(flags, otherwise)


def settings_without_sources(flags: dict[str, Any], otherwise: str = "") -> Settings:
    """As `client_settings`, with all flags."""
    try:
        settings = load_settings(Overrides(**flags), os.environ)
    except SettingsError as error:
        exit_with_settings_error(error, otherwise)
    try:
        sources = resolve_sources(settings, os.environ, path_exists)
    except SettingsError:
        return settings
    return settings.model_copy(update={"sources": sources})


def fetch(
    settings: Settings, path: str, query: dict[str, str], answer_type: type[_Answer], fallback: _Fallback[_Answer]
) -> _Answer:
    """The running server's answer on `path`, else what `fallback` makes of the database. Raises `AdminClientError`."""
    admin = settings.admin.socket or ""
    try:
        body = _request(admin, f"/{quote(path)}?{urlencode(query)}")
    except _NotRunningError as silence:
        result = _read_namedb(settings, fallback, str(silence))
    else:
        print_line(f"answered by the running server on {admin}", err=True)
        try:
            return msgspec.json.decode(body, type=answer_type)
        except msgspec.DecodeError as error:
            message = f"the server on {admin} speaks another version ({error}); use the meshdns command of its version"
            raise _RequestRefusedError(message) from None
    return result


def post(settings: Settings, path: str, answer_type: type[_Answer]) -> _Answer:
    """Have the running server do what `path` says, and return its reply. Raises `AdminClientError`."""
    admin = settings.admin.socket or ""
    try:
        return msgspec.json.decode(_request(admin, path, method="POST", timeout=_ORDER_TIMEOUT), type=answer_type)
    except _NotRunningError as silence:
        raise AdminClientError(f"{silence}; {_ADVICE}") from None
    except msgspec.DecodeError as error:
        message = f"the server on {admin} speaks another version ({error}); use the meshdns command of its version"
        raise _RequestRefusedError(message) from None


def stream_events(settings: Settings, path: str, query: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """The events of a stream, each with its kind (``message`` or another), as they come. Raises `AdminClientError`."""
    admin = settings.admin.socket or ""
    connection = _UnixConnection(admin)
    try:
        connection.request("GET", f"/{path}?{urlencode(query)}", headers={"Accept": "text/event-stream"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise _RequestRefusedError(_refusal_text(response.read(), response.status))
        kind = "message"
        for line in response:
            word, _, value = line.rstrip(b"\n").partition(b": ")
            if word == b"event":
                kind = value.decode()
            elif word == b"data":
                yield kind, value
            elif not line.strip():
                kind = "message"
    except (OSError, http.client.HTTPException) as error:
        raise _no_connection(admin, error) or AdminClientError(
            f"nobody answers on {admin} ({_error_text(error)}); {_ADVICE}"
        ) from None
    finally:
        connection.close()


def _request(admin: str, target: str, *, method: str = "GET", timeout: float = _TIMEOUT) -> bytes:
    connection = _UnixConnection(admin, timeout)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _no_connection(admin, error) or _NotRunningError(
            f"nobody answers on {admin} ({_error_text(error)})"
        ) from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise _RequestRefusedError(_refusal_text(body, response.status), response.status)
    return body


def _read_namedb(settings: Settings, fallback: _Fallback[_Answer], reason: str) -> _Answer:
    """What a look at the name database of the stopped server gives."""
    from meshdns.controller.admin.reports import Reports  # noqa: PLC0415 — a running server needs no name database here
    from meshdns.namedb.database import NameDatabase, NameDatabaseError  # noqa: PLC0415 — as above
    from meshdns.namedb.tables import read_tables  # noqa: PLC0415 — as above

    database = find_namedb(settings, f"{reason}, and ")
    if not is_intact(database):
        raise AdminClientError(
            f"{reason}, and the name database {database} is damaged; start meshdns serve, which rebuilds it"
        )
    try:
        namedb = NameDatabase(database, writable=False)
        try:
            result = fallback(Reports(settings, partial(read_tables, namedb)))
        finally:
            namedb.close()
    except NameDatabaseError as error:
        raise AdminClientError(f"{reason}; {error}; {_ADVICE}") from None
    print_line(f"{reason}: read from the name database {database}, as the last server left it", err=True)
    return result


def find_namedb(settings: Settings, reason: str = "") -> Path:
    """The name database in the state directory. Raises `AdminClientError`, which begins with `reason`."""
    from meshdns.namedb.location import current_database, is_present  # noqa: PLC0415 — a running server needs none

    directory = Path(settings.state_dir or ".")
    try:
        database = current_database(directory)
    except OSError as error:
        advice = _NO_RIGHT if isinstance(error, PermissionError) else _ADVICE
        raise AdminClientError(f"{reason}{directory}: {_error_text(error)}; {advice}") from None
    for path, right in ((database, os.X_OK), (database / "data.mdb", os.R_OK), (database / "lock.mdb", os.W_OK)):
        if os.path.lexists(path) and not os.access(path, right):
            raise AdminClientError(f"{reason}{path}: {os.strerror(errno.EACCES)}; {_NO_RIGHT}")
    if not is_present(database):
        raise AdminClientError(f"{reason}{directory} holds no name database; {_ADVICE}")
    return database


_ADVICE: Final = (
    "start meshdns serve, or name the server's settings with --config or --state-dir, as the user that it runs as"
)
_NO_RIGHT: Final = (
    "run this as the user that the server runs as, with sudo for one of the system, or have yourself added to the "
    "group of its admin socket"
)


def _no_connection(admin: str, error: Exception) -> AdminClientError | None:
    """The error for a socket that this user may not connect to; None for any other."""
    if not isinstance(error, PermissionError):
        return None
    return AdminClientError(f"{admin}: {_error_text(error)}; {_NO_RIGHT}")


def is_intact(namedb: Path) -> bool:
    """Return whether a name database can be read; a process of its own tries, which a damaged file would crash."""
    return not subprocess.run(  # noqa: S603 — our own module and a path of the settings
        [sys.executable, "-m", "meshdns.namedb.verify", str(namedb)], check=False, capture_output=True
    ).returncode


def _error_text(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


def _refusal_text(body: bytes, status: int) -> str:
    try:
        return msgspec.json.decode(body, type=dict[str, str])["error"]
    except (msgspec.DecodeError, KeyError):
        return f"the server refused with status {status}; use the meshdns command of its version"
