"""Default places that the settings do not name, and relative paths in them. No I/O: look-ups are arguments."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Final

from meshdns.config.errors import SettingsError
from meshdns.config.model import FallbackSection, ForwardSection, Settings
from meshdns.config.sections import (
    InClusterSection,
    KubeconfigSection,
    ManifestsSection,
    RemoteSecretsSection,
    SourceSection,
)
from meshdns.config.values import is_path

_DEFAULT_FOLDER: Final = "./clusters"
_SYSTEM_STATE: Final = "/var/lib/meshdns"
_SYSTEM_SOCKET: Final = "/run/meshdns/admin.sock"

PathExists = Callable[[str], bool]


def resolve_sources(settings: Settings, environ: Mapping[str, str], exists: PathExists) -> tuple[SourceSection, ...]:
    """The sources to read: those of the settings, else what is there.

    In a pod that is its own cluster and the remote secrets of its namespace, else the folder ``./clusters``, else the
    current context of the kubeconfig. `exists` says whether a path exists. Raises `SettingsError`, with what was looked
    for, where nothing is there.
    """
    if settings.sources:
        return tuple(_with_path(source, environ, exists) for source in settings.sources)
    if environ.get("KUBERNETES_SERVICE_HOST"):
        own = InClusterSection(cluster=settings.vantage.cluster) if settings.vantage.cluster else InClusterSection()
        return (own, RemoteSecretsSection())
    if exists(_DEFAULT_FOLDER):
        return (ManifestsSection(path=_DEFAULT_FOLDER),)
    kubeconfig = _kubeconfig(environ)
    if _any_exists(kubeconfig, exists):
        return (KubeconfigSection(path=kubeconfig),)
    raise SettingsError([_no_source_message(kubeconfig or "~/.kube/config")])


def fill_in_paths(settings: Settings, environ: Mapping[str, str], uid: int) -> Settings:
    """Settings with ``stateDir`` and ``admin.socket`` filled in for the user `uid` (0 is root).

    Raises `SettingsError` where there is no home directory to put them in.
    """
    state = settings.state_dir or _state_dir(environ, uid)
    root = uid == 0 and settings.state_dir is None
    socket = settings.admin.socket or (_SYSTEM_SOCKET if root else str(PurePosixPath(state, "admin.sock")))
    admin = settings.admin.model_copy(update={"socket": socket})
    return settings.model_copy(update={"state_dir": state, "admin": admin})


def with_absolute_paths(settings: Settings, folder: str, home: str) -> Settings:
    """Settings whose relative paths are made absolute from `folder`, and ``~/`` from `home`."""

    def absolute(path: str) -> str:
        expanded = home + path[1:] if path == "~" or path.startswith("~/") else path
        return str(PurePosixPath(folder, expanded))

    admin = settings.admin
    if admin.socket is not None:
        admin = admin.model_copy(update={"socket": absolute(admin.socket)})
    return settings.model_copy(
        update={
            "sources": tuple(_absolute_source(source, absolute) for source in settings.sources),
            "fallback": tuple(_absolute_fallback(fallback, absolute) for fallback in settings.fallback),
            "forward": tuple(_absolute_forward(forward, absolute) for forward in settings.forward),
            "state_dir": None if settings.state_dir is None else absolute(settings.state_dir),
            "admin": admin,
        }
    )


def _absolute_source(source: SourceSection, absolute: Callable[[str], str]) -> SourceSection:
    if isinstance(source, ManifestsSection):
        return source.model_copy(update={"path": absolute(source.path)})
    if isinstance(source, KubeconfigSection | RemoteSecretsSection) and source.path is not None:
        return source.model_copy(update={"path": ":".join(absolute(part) for part in source.path.split(":") if part)})
    return source


def _absolute_forward(forward: ForwardSection, absolute: Callable[[str], str]) -> ForwardSection:
    to = tuple(absolute(item) if is_path(item) else item for item in forward.to)
    return forward.model_copy(update={"to": to, "ca": None if forward.ca is None else absolute(forward.ca)})


def _absolute_fallback(fallback: FallbackSection, absolute: Callable[[str], str]) -> FallbackSection:
    upstream = tuple(absolute(item) if is_path(item) else item for item in fallback.upstream)
    ca = None if fallback.ca is None else absolute(fallback.ca)
    return fallback.model_copy(update={"upstream": upstream, "ca": ca})


def _no_source_message(kubeconfig: str) -> str:
    return (
        "no source of clusters: there is no pod's service account (KUBERNETES_SERVICE_HOST is not set), no folder "
        f"{_DEFAULT_FOLDER} and no kubeconfig {kubeconfig}; set sources in the settings or --kubeconfig, or see "
        "it work with: meshdns demo"
    )


def _state_dir(environ: Mapping[str, str], uid: int) -> str:
    if uid == 0:
        return _SYSTEM_STATE
    base = environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):  # the XDG base directory specification: relative paths are to be ignored
        return str(PurePosixPath(base, "meshdns"))
    if home := environ.get("HOME"):
        return str(PurePosixPath(home, ".local/state/meshdns"))
    raise SettingsError(["no place for the state: HOME is not set; set --state-dir"])


def _kubeconfig(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME")
    return environ.get("KUBECONFIG") or (str(PurePosixPath(home, ".kube/config")) if home else "")


def _any_exists(paths: str, exists: PathExists) -> bool:
    return any(exists(path) for path in paths.split(":") if path)


def _with_path(source: SourceSection, environ: Mapping[str, str], exists: PathExists) -> SourceSection:
    if not isinstance(source, KubeconfigSection):
        return source
    path = source.path or _kubeconfig(environ)
    if not _any_exists(path, exists):
        raise SettingsError([f"no kubeconfig {path or '~/.kube/config'}; name one with --kubeconfig or in KUBECONFIG"])
    return source.model_copy(update={"path": path})
