"""Clusters and networks that a settings file names, compared with what its sources bring, for ``meshdns check``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from meshdns.config import Overrides, Settings, place_of
from meshdns.config.document import dotted_path
from meshdns.config.sections import InClusterSection, KubeconfigSection, ManifestsSection
from meshdns.config.translate import mesh_settings
from meshdns.config.unknown_names import UnknownName, unknown_clusters, unknown_networks
from meshdns.controller import offline
from meshdns.mesh.diagnostics import ClusterProblem
from meshdns.sources.folder.source import FolderContents


def unknown_in_settings(file: Path, settings: Settings, folders: Sequence[FolderContents]) -> Iterator[ClusterProblem]:
    """Return the names that nothing brings, with their places in `file`; `folders` are those of the settings.

    Nothing is said of what cannot be known here: clusters of remote Secrets, networks of clusters behind API servers.
    """
    for found in _unknown_names(settings, folders):
        place = place_of(found.path, Overrides(config=str(file)), {}, of_key=True)
        where = place.removesuffix(f": {dotted_path(found.path)}").rpartition(":")[0]
        yield "", msgspec.structs.replace(found.problem, where=where)


def _unknown_names(settings: Settings, folders: Sequence[FolderContents]) -> Iterator[UnknownName]:
    clusters = _clusters_of_sources(settings, folders)
    if not clusters:
        return
    mesh = mesh_settings(settings)
    yield from unknown_clusters(mesh, clusters)
    if all(isinstance(source, ManifestsSection) for source in settings.sources):
        inventory, topology = offline.state_of(folders, mesh)
        yield from unknown_networks(inventory, topology, clusters)


def _clusters_of_sources(settings: Settings, folders: Sequence[FolderContents]) -> set[str]:
    """Return the clusters of all sources; none where a source does not say here which it brings."""
    clusters: set[str] = set()
    for folder in folders:
        if not folder.clusters:
            return set()  # the folder is a problem of its own
        clusters.update(folder.clusters)
    for source in settings.sources:
        match source:
            case ManifestsSection():
                pass
            case InClusterSection():
                clusters.add(source.cluster)
            case KubeconfigSection() if source.contexts:
                clusters.update(source.contexts)
            case _:
                return set()
    return clusters
