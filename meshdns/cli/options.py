"""The flags that several commands share, and the one way in which wrong settings end a command."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from meshdns.cli import exits
from meshdns.config import Overrides, Settings, SettingsError, effective, resolve_sources
from meshdns.upstream.configured import routes

_Command = Callable[..., Any]

_FLAGS: Final = (
    click.option("--config", type=str, metavar="FILE", help="Settings file (meshdns.yaml)."),
    click.option("--kubeconfig", type=str, metavar="FILE", help="Kubeconfig to read clusters from."),
    click.option("--context", "contexts", type=str, multiple=True, metavar="NAME", help="Context to read; repeatable."),
    click.option("--cluster", type=str, metavar="NAME", help="The cluster this server stands in."),
    click.option("--network", type=str, metavar="NAME", help="The network this server stands on."),
    click.option("--listen", type=str, multiple=True, metavar="ADDRESS:PORT", help="Where to answer; repeatable."),
    click.option("--workers", type=int, metavar="N", help="Processes that answer."),
    click.option("--state-dir", type=str, metavar="DIR", help="Directory of the view."),
    click.option("--log-level", type=str, metavar="LEVEL", help="debug, info, warning or error."),
)


def settings_flags(command: _Command) -> _Command:
    """Add the flags that override settings."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def settings_of(flags: dict[str, Any]) -> Settings:
    """Settings from file, environment and flags, with sources found; ends the program where they are wrong."""
    try:
        return read_settings(flags)
    except SettingsError as error:
        refuse(error)


def read_settings(flags: dict[str, Any]) -> Settings:
    """Settings from file, environment and flags, with sources found. Raises `SettingsError`."""
    settings = effective(Overrides(**flags), os.environ)
    sources = resolve_sources(settings, os.environ, _exists)
    return with_upstreams(settings.model_copy(update={"sources": sources}))


def with_upstreams(settings: Settings) -> Settings:
    """The settings, once the files that they name for upstream servers were read. Raises `SettingsError`."""
    try:
        routes(settings)
    except ValueError as error:
        raise SettingsError([f"forward: {error}"]) from None
    return settings


def refuse(error: SettingsError) -> NoReturn:
    """Print what is wrong with the settings and exit with 65."""
    click.echo(str(error), err=True)
    sys.exit(exits.SETTINGS)


def _exists(path: str) -> bool:
    return Path(path).expanduser().exists()
