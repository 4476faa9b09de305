"""Loader of the settings: the file, flags and environment variables joined, defaults filled in.

Rules:
- All faults of a file are reported together: first those of YAML and of single values, and once there are none, those
  of values that contradict each other.
- Whatever the bytes of the file are, the result is `Settings` or a `SettingsError`.
- Precedence: flag > environment > file > default.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from meshdns.config.consistency import conflicts
from meshdns.config.document import KeyPath, SettingsDocument, decode_text, dotted_path
from meshdns.config.errors import SettingsError, error_message, faults_from_validation, validation_errors
from meshdns.config.foreign_files import manifest_fault
from meshdns.config.model import SETTINGS_API_VERSION, Settings
from meshdns.config.paths import fill_in_paths, with_absolute_paths
from meshdns.config.regular_file import read_regular_file
from meshdns.config.sections import KubeconfigSection


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Values of flags, or of the variables of the environment; None or empty is not given.

    `config` names the settings file. A `kubeconfig` or `contexts` take the place of all sources.
    """

    config: str | None = None
    kubeconfig: str | None = None
    contexts: tuple[str, ...] = ()
    cluster: str | None = None
    network: str | None = None
    listen: tuple[str, ...] = ()
    http_listen: str | None = None
    workers: int | str | None = None
    state_dir: str | None = None
    log_level: str | None = None
    is_from_environment: bool = False  # whether an error names the variable rather than the flag


class SettingsReader(NamedTuple):
    """How the settings are read again. Both functions may be called in a thread.

    `read` raises `SettingsError`, whose lines hold the place of each fault; `place_of` returns the place of a key.
    """

    read: Callable[[], Settings]
    place_of: Callable[[KeyPath], str] = dotted_path


_FLAGS: Final = {
    "kubeconfig": "--kubeconfig",
    "contexts": "--context",
    "cluster": "--cluster",
    "network": "--network",
    "listen": "--listen",
    "httpListen": "http.listen",  # no flag: only the environment may override it
    "workers": "--workers",
    "stateDir": "--state-dir",
    "logLevel": "--log-level",
}


def overrides_from_environment(environ: Mapping[str, str]) -> Overrides:
    """The overrides in the variables ``MESHDNS_*``; lists are separated by commas, an empty variable is not set."""

    def one(name: str) -> str | None:
        return environ.get(f"MESHDNS_{name}") or None

    def several(name: str) -> tuple[str, ...]:
        return tuple(item.strip() for item in (one(name) or "").split(",") if item.strip())

    return Overrides(
        config=one("CONFIG"),
        kubeconfig=one("KUBECONFIG"),
        contexts=several("CONTEXT"),
        cluster=one("CLUSTER"),
        network=one("NETWORK"),
        listen=several("LISTEN"),
        http_listen=one("HTTP_LISTEN"),
        workers=one("WORKERS"),
        state_dir=one("STATE_DIR"),
        log_level=one("LOG_LEVEL"),
        is_from_environment=True,
    )


def apply_overrides(settings: Settings, overrides: Overrides) -> Settings:
    """Settings with the given overrides in place. Raises `SettingsError`, which names the flag or variable."""
    changes = _changes(settings, overrides)
    if not changes:
        return settings
    tree = settings.model_dump(mode="json")
    for section in ("vantage", "http"):
        changes[section] = {**tree[section], **changes.get(section, {})}
    tree.update(changes)
    try:
        changed = Settings.model_validate(tree, by_alias=True, by_name=False)
    except ValidationError as error:
        raise SettingsError(
            [f"{_origin(item['loc'], overrides)}: {error_message(item)}" for item in validation_errors(error)]
        ) from error
    faults = [f"{_origin(path, overrides)}: {message}" for path, message in conflicts(changed)]
    if faults:
        raise SettingsError(faults)
    return changed


def _changes(settings: Settings, overrides: Overrides) -> dict[str, Any]:
    """What changes in the tree of the settings file."""
    vantage = {"cluster": overrides.cluster, "network": overrides.network}
    changes = {
        "vantage": {key: value for key, value in vantage.items() if value is not None},
        "sources": _overriding_sources(settings, overrides),
        "listen": list(overrides.listen),
        "http": {"listen": overrides.http_listen} if overrides.http_listen is not None else {},
        "workers": _as_integer(overrides.workers),
        "stateDir": overrides.state_dir,
        "logLevel": overrides.log_level,
    }
    return {key: value for key, value in changes.items() if value not in (None, {}, [])}


def _overriding_sources(settings: Settings, overrides: Overrides) -> list[dict[str, Any]]:
    """The one source that a kubeconfig or contexts ask for; contexts alone narrow the file's kubeconfig."""
    if overrides.kubeconfig is None and not overrides.contexts:
        return []
    given = next((source.path for source in settings.sources if isinstance(source, KubeconfigSection)), None)
    return [
        {"kind": "kubeconfig", "path": overrides.kubeconfig or given, "contexts": list(overrides.contexts)},
    ]


def _as_integer(value: int | str | None) -> int | str | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value


def _origin(loc: tuple[str | int, ...], overrides: Overrides) -> str:
    """The flag or variable that a place in the settings came from."""
    key = next((str(part) for part in reversed(loc) if part in _FLAGS), "")
    if loc[:1] == ("sources",) and key not in ("kubeconfig", "contexts"):
        key = "kubeconfig"
    if loc[-1:] == ("path",):
        key = "kubeconfig"
    if loc[:1] == ("http",):
        key = "httpListen"
    flag = _FLAGS.get(key, str(loc[0]))
    if not overrides.is_from_environment:
        return flag
    return "MESHDNS_" + flag.removeprefix("--").replace("-", "_").replace(".", "_").upper()


_MAX_SIZE: Final = 1 << 20
"""Bytes: far beyond any settings, far below what would delay a start."""


def read_settings_file(path: Path, home: str) -> Settings:
    """The settings in the file at `path`; relative paths in it are relative to its folder, ``~`` is `home`.

    Raises `SettingsError`.
    """
    try:
        content = _read(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError([f"{path}: cannot be read ({reason}); name another settings file"]) from error
    except ValueError as error:
        raise SettingsError([f"{str(path)!r}: is no path ({error}); name another settings file"]) from error
    return with_absolute_paths(parse_settings(content, str(path)), os.path.abspath(path.parent), home)  # noqa: PTH100  keeps symlinks


def _read(path: Path) -> bytes:
    """Return the content of a settings file; a pipe is read where a shell makes one, and nowhere else."""
    if not str(path).startswith("/dev/"):
        return read_regular_file(path, max_size=_MAX_SIZE)[0]
    with path.open("rb") as file:
        return file.read(_MAX_SIZE + 1)


def parse_settings(data: bytes, file_name: str) -> Settings:
    """The settings in `data`; `file_name` is the name for error lines. Raises `SettingsError`."""
    if len(data) > _MAX_SIZE:
        raise SettingsError([f"{file_name}: is larger than 1 MiB; name another settings file"])
    text, faults = decode_text(data)
    if not faults:
        document = SettingsDocument(text)
        if found := manifest_fault(document.tree, text):
            raise SettingsError([f"{file_name}: {found}"])
        faults = document.faults
        settings = _validate(document)
        if settings is not None and not faults:
            return settings
    raise SettingsError([f"{file_name}:{fault}" for fault in sorted(faults, key=lambda fault: fault[:2])])


def _validate(document: SettingsDocument) -> Settings | None:
    """The settings of a document; None where that failed, after adding what is wrong to its faults."""
    tree, faults = document.tree, document.faults
    if tree is None:
        if not faults:
            faults.append(document.fault((), f"is empty; begin with apiVersion: {SETTINGS_API_VERSION}"))
        return None
    if not isinstance(tree, dict):
        faults.append(document.fault((), f"holds no keys; begin with apiVersion: {SETTINGS_API_VERSION}"))
        return None
    if tree.get("apiVersion") not in (None, SETTINGS_API_VERSION):
        message = f"is no version that meshdns knows; begin with apiVersion: {SETTINGS_API_VERSION}"
        faults.append(document.fault(("apiVersion",), message))
        return None
    try:
        settings = Settings.model_validate(tree, by_alias=True, by_name=False)
    except ValidationError as error:
        seen = {fault[:2] for fault in faults}
        faults += [fault for fault in faults_from_validation(error, document) if fault[:2] not in seen]
        return None
    faults += [document.fault(path, message) for path, message in conflicts(settings)]
    return settings


def load_settings(flags: Overrides, environ: Mapping[str, str]) -> Settings:
    """Settings by flag > environment > file > default, with ``stateDir`` and ``admin.socket`` filled in.

    Reads the settings file, if one is named. Sources are left as they were set: a command that needs them calls
    `resolve_sources`. Raises `SettingsError`.
    """
    variables = overrides_from_environment(environ)
    if flags.config == "":
        raise SettingsError(["--config: '' is no path; name a settings file, or leave the flag out"])
    file = flags.config or variables.config
    settings = read_settings_file(Path(file), environ.get("HOME", "/")) if file else Settings()
    return fill_in_paths(apply_overrides(apply_overrides(settings, variables), flags), environ, os.geteuid())


def place_of(path: KeyPath, flags: Overrides, environ: Mapping[str, str], *, of_key: bool = False) -> str:
    """Where a key of the settings stands, for people: ``file:line:column: key``, or the key if no file has it.

    The place is that of its value, or with `of_key` that of the key itself.
    """
    key = dotted_path(path)
    file = flags.config or overrides_from_environment(environ).config
    try:
        document = SettingsDocument(decode_text(_read(Path(file)))[0]) if file else None
    except OSError:
        document = None
    if document is None:
        return key
    line, column, found = document.position_of(path, key=of_key)
    return f"{file}:{line}:{column}: {key}" if found == path else key
