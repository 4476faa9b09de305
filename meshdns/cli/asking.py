"""Who is asked: the running server through its admin socket, else the view that a stopped one left behind.

Rules:
- The view is read in one short transaction and closed before anything is printed: a reader that sleeps on a pipe would
  make the view grow.
- Which of the two it was is said on standard error, so that standard output stays what was asked for.
- A view is checked in a process of its own first: a damaged file would end whoever reads it.
"""

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import quote, urlencode

import click
import msgspec

from meshdns.cli import exits
from meshdns.cli.options import refuse
from meshdns.config import Overrides, Settings, SettingsError, effective, resolve_sources

_PATIENCE: Final = 15.0  # seconds for a reply; 100,000 names take a few, a stream says at least each 10 that it lives

_Answer = TypeVar("_Answer")
_Look = Callable[[Any], _Answer]  # the inspection is loaded only where a view is read


class AskingError(Exception):
    """Nobody could be asked; the message says what to do next."""

    status: int = exits.UNREACHABLE


class _RefusalError(AskingError):
    """The answer was a refusal."""

    status = exits.FAILED


class _SilentError(Exception):
    """Nobody answers on the admin socket."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("meshdns", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def give_up(error: AskingError) -> NoReturn:
    """Say why nothing was answered, and end the program."""
    click.echo(str(error), err=True)
    sys.exit(error.status)


def settings_for_asking(flags: dict[str, Any]) -> Settings:
    """The settings by file, environment and flags; ends the program where they are wrong.

    Sources are filled in where there are any, since they may name the vantage; to ask needs none.
    """
    try:
        settings = effective(Overrides(**flags), os.environ)
    except SettingsError as error:
        refuse(error)
    try:
        sources = resolve_sources(settings, os.environ, lambda path: Path(path).expanduser().exists())
    except SettingsError:
        return settings
    return settings.model_copy(update={"sources": sources})


def ask(settings: Settings, path: str, query: dict[str, str], answer: type[_Answer], look: _Look[_Answer]) -> _Answer:
    """The running server's answer on `path`, else what `look` makes of the view. Raises `AskingError`."""
    admin = settings.admin.socket or ""
    try:
        body = _asked(admin, f"/{quote(path)}?{urlencode(query)}")
    except _SilentError as silence:
        result = _looked(settings, look, str(silence))
    else:
        click.echo(f"answered by the running server on {admin}", err=True)
        try:
            return msgspec.json.decode(body, type=answer)
        except msgspec.DecodeError as error:
            message = f"the server on {admin} speaks another version ({error}); use the meshdns command of its version"
            raise _RefusalError(message) from None
    return result


def order(settings: Settings, path: str) -> None:
    """Have the running server do what `path` says. Raises `AskingError`."""
    admin = settings.admin.socket or ""
    try:
        _asked(admin, path, method="POST")
    except _SilentError as silence:
        raise AskingError(f"{silence}; {_NEXT}") from None


def follow(settings: Settings, path: str, query: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """The events of a stream, each with its kind (``message`` or another), as they come. Raises `AskingError`."""
    admin = settings.admin.socket or ""
    connection = _UnixConnection(admin)
    try:
        connection.request("GET", f"/{path}?{urlencode(query)}", headers={"Accept": "text/event-stream"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise _RefusalError(_refusal(response.read(), response.status))
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
        raise AskingError(f"nobody answers on {admin} ({_words(error)}); {_NEXT}") from None
    finally:
        connection.close()


def _asked(admin: str, target: str, *, method: str = "GET") -> bytes:
    connection = _UnixConnection(admin)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _SilentError(f"nobody answers on {admin} ({_words(error)})") from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise _RefusalError(_refusal(body, response.status))
    return body


def _looked(settings: Settings, look: _Look[_Answer], silence: str) -> _Answer:
    """What a look at the view of the stopped server gives."""
    from meshdns.controller.inspection import Inspection  # noqa: PLC0415 — a running server needs no view here
    from meshdns.view.environment import Environment, ViewError  # noqa: PLC0415 — as above
    from meshdns.view.place import current_view, exists  # noqa: PLC0415 — as above

    view = current_view(Path(settings.state_dir or "."))
    if not exists(view):
        raise AskingError(f"{silence}, and {settings.state_dir} holds no view; {_NEXT}")
    if not _sound(view):
        raise AskingError(f"{silence}, and the view {view} is damaged; start meshdns serve, which rebuilds it")
    try:
        environment = Environment(view, writable=False)
        try:
            result = look(Inspection(settings, environment.read))
        finally:
            environment.close()
    except ViewError as error:
        raise AskingError(f"{silence}; {error}; {_NEXT}") from None
    click.echo(f"{silence}: read from the view {view}, as the last server left it", err=True)
    return result


_NEXT: Final = (
    "start meshdns serve, or name the server's settings with --config or --state-dir, as the user that it runs as"
)


def _sound(view: Path) -> bool:
    return not subprocess.run(  # noqa: S603 — our own module and a path of the settings
        [sys.executable, "-m", "meshdns.view.verify", str(view)], check=False, capture_output=True
    ).returncode


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


def _refusal(body: bytes, status: int) -> str:
    try:
        return msgspec.json.decode(body, type=dict[str, str])["error"]
    except (msgspec.DecodeError, KeyError):
        return f"the server refused with status {status}; use the meshdns command of its version"
