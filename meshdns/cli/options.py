"""The flags that several commands share, and the one way in which wrong settings end a command."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from meshdns.cli import exit_codes
from meshdns.cli.printing import print_lines
from meshdns.config import Overrides, Settings, SettingsError, load_settings, place_of, resolve_sources
from meshdns.config.document import KeyPath

_Command = Callable[..., Any]

_FLAGS: Final = (
    click.option("--config", type=str, metavar="FILE", help="Settings file (meshdns.yaml)."),
    click.option("--kubeconfig", type=str, metavar="FILE", help="Kubeconfig to read clusters from."),
    click.option("--context", "contexts", type=str, multiple=True, metavar="NAME", help="Context to read; repeatable."),
    click.option("--cluster", type=str, metavar="NAME", help="The cluster this server stands in."),
    click.option("--network", type=str, metavar="NAME", help="The network this server stands on."),
    click.option("--listen", type=str, multiple=True, metavar="ADDRESS:PORT", help="Where to answer; repeatable."),
    click.option("--workers", type=int, metavar="N", help="Processes that answer."),
    click.option("--state-dir", type=str, metavar="DIR", help="Directory of the name database."),
    click.option("--log-level", type=str, metavar="LEVEL", help="debug, info, warning or error."),
)


def settings_flags(command: _Command) -> _Command:
    """Add the flags that override settings."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def settings_or_exit(flags: dict[str, Any]) -> Settings:
    """Settings from file, environment and flags, with sources found; ends the program where they are wrong."""
    try:
        return settings_from_flags(flags)
    except SettingsError as error:
        exit_with_settings_error(error)


def settings_from_flags(flags: dict[str, Any]) -> Settings:
    """Settings from file, environment and flags, with sources found. Raises `SettingsError`."""
    settings = load_settings(Overrides(**flags), os.environ)
    return settings.model_copy(update={"sources": resolve_sources(settings, os.environ, _exists)})


def place_from_flags(flags: dict[str, Any], path: KeyPath) -> str:
    """Where a key of these settings stands, for people."""
    return place_of(path, Overrides(**flags), os.environ)


def exit_with_settings_error(error: SettingsError, consequence: str = "") -> NoReturn:
    """Print what is wrong with the settings, and what came of it, and exit with 65."""
    print_lines("\n".join(filter(None, (str(error), consequence))), err=True)
    sys.exit(exit_codes.WRONG_SETTINGS)


def _exists(path: str) -> bool:
    return Path(path).expanduser().exists()
