"""What flags and environment variables change in the settings: flag > environment > file > default."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from meshdns.config.consistency import conflicts
from meshdns.config.errors import SettingsError, message_of, refusals
from meshdns.config.model import Settings
from meshdns.config.sources import Kubeconfig


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
    workers: int | str | None = None
    state_dir: str | None = None
    log_level: str | None = None
    environment: bool = False  # whether an error names the variable rather than the flag


_FLAGS: Final = {
    "kubeconfig": "--kubeconfig",
    "contexts": "--context",
    "cluster": "--cluster",
    "network": "--network",
    "listen": "--listen",
    "workers": "--workers",
    "stateDir": "--state-dir",
    "logLevel": "--log-level",
}


def from_environment(environ: Mapping[str, str]) -> Overrides:
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
        workers=one("WORKERS"),
        state_dir=one("STATE_DIR"),
        log_level=one("LOG_LEVEL"),
        environment=True,
    )


def overlay(settings: Settings, overrides: Overrides) -> Settings:
    """Settings with the given overrides in place. Raises `SettingsError`, which names the flag or variable."""
    changes = _changes(settings, overrides)
    if not changes:
        return settings
    tree = settings.model_dump(mode="json")
    vantage = changes.pop("vantage", {})
    tree.update(changes, vantage={**tree["vantage"], **vantage})
    try:
        changed = Settings.model_validate(tree, by_alias=True, by_name=False)
    except ValidationError as error:
        raise SettingsError(
            [f"{_origin(item['loc'], overrides)}: {message_of(item)}" for item in refusals(error)]
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
        "sources": _sources(settings, overrides),
        "listen": list(overrides.listen),
        "workers": _whole(overrides.workers),
        "stateDir": overrides.state_dir,
        "logLevel": overrides.log_level,
    }
    return {key: value for key, value in changes.items() if value not in (None, {}, [])}


def _sources(settings: Settings, overrides: Overrides) -> list[dict[str, Any]]:
    """The one source that a kubeconfig or contexts ask for; contexts alone narrow the file's kubeconfig."""
    if overrides.kubeconfig is None and not overrides.contexts:
        return []
    given = next((source.path for source in settings.sources if isinstance(source, Kubeconfig)), None)
    return [
        {"kind": "kubeconfig", "path": overrides.kubeconfig or given, "contexts": list(overrides.contexts)},
    ]


def _whole(value: int | str | None) -> int | str | None:
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
    flag = _FLAGS.get(key, str(loc[0]))
    return "MESHDNS_" + flag.removeprefix("--").replace("-", "_").upper() if overrides.environment else flag
