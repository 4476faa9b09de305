"""The settings a process starts with: file, environment and flags joined, defaults filled in."""

import os
from collections.abc import Mapping
from pathlib import Path

from meshdns.config.load import read
from meshdns.config.model import Settings
from meshdns.config.overrides import Overrides, from_environment, overlay
from meshdns.config.places import resolve_places


def effective(flags: Overrides, environ: Mapping[str, str]) -> Settings:
    """Settings by flag > environment > file > default, with ``stateDir`` and ``admin.socket`` filled in.

    Reads the settings file, if one is named. Sources are left as they were set: a command that needs them calls
    `resolve_sources`. Raises `SettingsError`.
    """
    variables = from_environment(environ)
    file = flags.config or variables.config
    settings = read(Path(file), environ.get("HOME", "/")) if file else Settings()
    return resolve_places(overlay(overlay(settings, variables), flags), environ, os.geteuid())
