"""From a settings file to `Settings`: the one place that reads it.

Rules:
- All faults of a file are reported together: first those of YAML and of single values, and once there are none, those
  of values that contradict each other.
- Whatever the octets are, the result is `Settings` or a `SettingsError`.
"""

import os
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from meshdns.config.consistency import conflicts
from meshdns.config.document import Document, text_of
from meshdns.config.errors import SettingsError, faults_of
from meshdns.config.model import API_VERSION, Settings
from meshdns.config.places import anchored

_MAX_SIZE: Final = 1 << 20
"""Octets: far beyond any settings, far below what would delay a start."""


def read(path: Path, home: str) -> Settings:
    """The settings in the file at `path`; relative paths in it are relative to its folder, ``~`` is `home`.

    Raises `SettingsError`.
    """
    try:
        with path.open("rb") as file:
            octets = file.read(_MAX_SIZE + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError([f"{path}: cannot be read ({reason}); name another file with --config"]) from error
    except ValueError as error:
        raise SettingsError([f"{str(path)!r}: is no path ({error}); name another file with --config"]) from error
    return anchored(parse(octets, str(path)), os.path.abspath(path.parent), home)  # noqa: PTH100  keeps symlinks


def parse(octets: bytes, file: str) -> Settings:
    """The settings in `octets`; `file` is the name for error lines. Raises `SettingsError`."""
    if len(octets) > _MAX_SIZE:
        raise SettingsError([f"{file}: is larger than 1 MiB; name a settings file with --config"])
    text, faults = text_of(octets)
    if not faults:
        document = Document(text)
        faults = document.faults
        settings = _checked(document)
        if settings is not None and not faults:
            return settings
    raise SettingsError([f"{file}:{fault}" for fault in sorted(faults, key=lambda fault: fault[:2])])


def _checked(document: Document) -> Settings | None:
    """The settings of a document; None where that failed, after adding what is wrong to its faults."""
    tree, faults = document.tree, document.faults
    if tree is None:
        if not faults:
            faults.append(document.fault((), f"is empty; begin with apiVersion: {API_VERSION}"))
        return None
    if not isinstance(tree, dict):
        faults.append(document.fault((), f"holds no keys; begin with apiVersion: {API_VERSION}"))
        return None
    if tree.get("apiVersion") != API_VERSION:
        message = "is missing; begin" if "apiVersion" not in tree else "is no version that meshdns knows; begin"
        lacks = "" if "apiVersion" in tree else "apiVersion"
        fault = document.fault(("apiVersion",), f"{message} with apiVersion: {API_VERSION}", lacks=lacks)
        faults.append(fault)
        return None
    try:
        settings = Settings.model_validate(tree, by_alias=True, by_name=False)
    except ValidationError as error:
        seen = {fault[:2] for fault in faults}
        faults += [fault for fault in faults_of(error, document) if fault[:2] not in seen]
        return None
    faults += [document.fault(path, message) for path, message in conflicts(settings)]
    return settings
