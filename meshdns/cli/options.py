"""The flags that several commands share, and the one way in which wrong settings end a command."""

import os
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NoReturn

import click

from meshdns.cli import exit_codes
from meshdns.cli.printing import print_lines
from meshdns.config import Overrides, Settings, SettingsError, load_settings, place_of, resolve_sources
from meshdns.config.document import KeyPath
from meshdns.config.values import read_namespace

_Command = Callable[..., Any]

_FLAGS: Final[dict[str, dict[str, Any]]] = {
    "config": {"metavar": "FILE", "help": "Settings file (meshdns.yaml)."},
    "kubeconfig": {"metavar": "FILE", "help": "Kubeconfig to read clusters from."},
    "context": {"multiple": True, "metavar": "NAME", "help": "Context to read; repeatable."},
    "cluster": {"metavar": "NAME", "help": "The cluster this server stands in."},
    "network": {"metavar": "NAME", "help": "The network this server stands on."},
    "listen": {"multiple": True, "metavar": "ADDRESS:PORT", "help": "Where to answer; repeatable."},
    "workers": {"type": int, "metavar": "N", "help": "Processes that answer."},
    "state-dir": {"metavar": "DIR", "help": "Directory of the name database."},
    "log-level": {"metavar": "LEVEL", "help": "debug, info, warning or error."},
}
_CLIENT_FLAGS: Final = frozenset({"config", "state-dir"})
"""The flags that find a running server, or what a stopped one left behind."""

_START_FLAG: Final = "is heeded when a server starts; give it to meshdns serve"
_PLACE_FLAG: Final = (
    "is heeded when a server starts, and changes nothing that it has computed; see what another place would be told, "
    "where the sources are folders, with: meshdns zone --{flag} {value} --config FILE"
)
PLACE_FLAGS: Final = ("cluster", "network")
SOURCE_FLAGS: Final = ("kubeconfig", "context")


def settings_flags(command: _Command) -> _Command:
    """Add the flags that override settings."""
    return _with_flags(command, hidden=frozenset())


def client_flags(command: _Command) -> _Command:
    """Add the flags that find a server; those that only a server heeds when it starts are hidden, to be refused."""
    return _with_flags(command, hidden=frozenset(_FLAGS) - _CLIENT_FLAGS)


def _with_flags(command: _Command, hidden: Collection[str]) -> _Command:
    for name, attributes in reversed(_FLAGS.items()):
        names = (f"--{name}", *(("contexts",) if name == "context" else ()))
        command = click.option(*names, hidden=name in hidden, **{"type": str, **attributes})(command)
    return command


def read_namespace_option(_context: click.Context, parameter: click.Parameter, text: str) -> str:
    """Return the namespace that an option names. Raises `UsageError`."""
    try:
        return read_namespace(text)
    except ValueError as error:
        raise click.UsageError(f"{parameter.opts[-1]}: {error}") from None


def refuse_flags(flags: Mapping[str, Any], names: Collection[str] = tuple(_FLAGS)) -> None:
    """Raise `UsageError` if a flag among `names` was given that a command cannot heed, which asks a server."""
    for name in names:
        value = flags.get({"context": "contexts"}.get(name, name.replace("-", "_")))
        if name in _CLIENT_FLAGS or value in (None, ()):
            continue
        text = _PLACE_FLAG if name in PLACE_FLAGS else _START_FLAG
        raise click.UsageError(f"--{name} {text.format(flag=name, value=value)}")


def settings_or_exit(flags: dict[str, Any]) -> Settings:
    """Settings from file, environment and flags, with sources found; ends the program where they are wrong."""
    try:
        return settings_from_flags(flags)
    except SettingsError as error:
        exit_with_settings_error(error)


def settings_from_flags(flags: dict[str, Any]) -> Settings:
    """Settings from file, environment and flags, with sources found. Raises `SettingsError`."""
    settings = load_settings(Overrides(**flags), os.environ)
    return settings.model_copy(update={"sources": resolve_sources(settings, os.environ, path_exists)})


def place_from_flags(flags: dict[str, Any], path: KeyPath) -> str:
    """Where a key of these settings stands, for people."""
    return place_of(path, Overrides(**flags), os.environ)


def exit_with_settings_error(error: SettingsError, consequence: str = "") -> NoReturn:
    """Print what is wrong with the settings, and what came of it, and exit with 65."""
    print_lines("\n".join(filter(None, (str(error), consequence))), err=True)
    sys.exit(exit_codes.WRONG_SETTINGS)


def path_exists(path: str) -> bool:
    """Whether there is something at a path; what may not be looked at is as good as not there."""
    return os.path.exists(os.path.expanduser(path))  # noqa: PTH110, PTH111 — those of pathlib raise
