"""Translation of the operator's settings to what the sources and the controller process take."""

from pathlib import Path

import msgspec

from meshdns.config.model import Settings
from meshdns.config.sections import (
    InClusterSection,
    KubeconfigSection,
    ManifestsSection,
    RemoteSecretsSection,
    SourceSection,
)
from meshdns.controller.supervisor_link import FilesMessage
from meshdns.sources.settings import AnySource, InClusterSource, KubeconfigSource, ManifestsSource, RemoteSecretsSource


class ControllerSettings(msgspec.Struct, frozen=True):
    """The first message of the supervisor: settings as JSON text, paths of name database and snapshot, the scoreboard.

    `files` are the values of the files that the settings name; later ones come as messages of their own.
    """

    generation: int
    settings: str
    namedb: str = msgspec.field(name="view")
    state_dir: str
    scoreboard: int
    files: FilesMessage = FilesMessage()


def max_stale(settings: Settings) -> dict[str, float]:
    """Seconds for which the last known names of a cluster are served, where not for ever."""
    return {name: each.max_stale for name, each in settings.clusters.items() if each.max_stale is not None}


def mass_delete_holds(settings: Settings) -> dict[str, float]:
    """Seconds for which what a list suddenly lacks is kept, by cluster."""
    return {name: each.mass_delete_hold for name, each in settings.clusters.items()}


def believed_uids(settings: Settings) -> dict[str, str]:
    """The UIDs of clusters that the settings give."""
    return {name: each.uid for name, each in settings.clusters.items() if each.uid}


def source_settings(source: SourceSection, *, own_cluster: str) -> AnySource:
    """What the source's reader is told; `own_cluster` is the cluster this instance stands in."""
    match source:
        case ManifestsSection():
            return ManifestsSource(Path(source.path))
        case InClusterSection():
            return InClusterSource(source.cluster)
        case KubeconfigSection():
            return KubeconfigSource(_paths(source.path), source.contexts)
        case RemoteSecretsSection():
            contexts = (source.context,) if source.context else ()
            kubeconfig = KubeconfigSource(_paths(source.path), contexts) if source.path else None
            return RemoteSecretsSource(source.namespace or "", kubeconfig, own_cluster, source.max_clusters)


def _paths(path: str | None) -> tuple[Path, ...]:
    return tuple(Path(part) for part in (path or "").split(":") if part)
