"""The settings: ``meshdns.yaml``, flags and environment become checked, frozen values.

Belongs here: the shape of every setting, its canonical form, what contradicts what, places that follow from the
environment, and errors with ``file:line:column``. Does not belong here: what a setting does. A worker never imports
this package: it is handed plain values.
"""

from meshdns.config.effective import effective
from meshdns.config.errors import SettingsError
from meshdns.config.load import parse, read
from meshdns.config.model import Settings
from meshdns.config.overrides import Overrides, from_environment, overlay
from meshdns.config.places import resolve_places, resolve_sources

__all__ = [
    "Overrides",
    "Settings",
    "SettingsError",
    "effective",
    "from_environment",
    "overlay",
    "parse",
    "read",
    "resolve_places",
    "resolve_sources",
]
