"""The settings: ``meshdns.yaml``, flags and environment become checked, frozen values.

Belongs here: the shape of every setting, its canonical form, what contradicts what, places that follow from the
environment, and errors with ``file:line:column``. Does not belong here: what a setting does. A worker never imports
this package: it is handed plain values.
"""

from meshdns.config.errors import SettingsError
from meshdns.config.load import (
    Overrides,
    SettingsReader,
    apply_overrides,
    load_settings,
    overrides_from_environment,
    parse_settings,
    place_of,
    read_settings_file,
)
from meshdns.config.model import Settings
from meshdns.config.paths import fill_in_paths, resolve_sources

__all__ = [
    "Overrides",
    "Settings",
    "SettingsError",
    "SettingsReader",
    "apply_overrides",
    "fill_in_paths",
    "load_settings",
    "overrides_from_environment",
    "parse_settings",
    "place_of",
    "read_settings_file",
    "resolve_sources",
]
