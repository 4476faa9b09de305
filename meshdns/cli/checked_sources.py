"""Problems of the kubeconfigs that settings name, found without asking an API server."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from meshdns.config import Overrides, place_of
from meshdns.config.document import dotted_path
from meshdns.config.model import Settings
from meshdns.controller.source_settings import source_settings
from meshdns.mesh.diagnostics import ClusterProblem
from meshdns.sources.auth.kubeconfig import default_paths
from meshdns.sources.kubeconfig_files import kubeconfig_problems
from meshdns.sources.settings import KubeconfigSource, RemoteSecretsSource


def problems_of_kubeconfigs(
    file: Path, settings: Settings, environ: Mapping[str, str] = os.environ
) -> Iterator[ClusterProblem]:
    """Return what keeps clusters from being read: files, contexts, folders without any; places are those in `file`."""
    for index, section in enumerate(settings.sources):
        found = source_settings(section, own_cluster="")
        source = found.kubeconfig if isinstance(found, RemoteSecretsSource) else found
        if not isinstance(source, KubeconfigSource):
            continue
        paths = source.paths or default_paths(environ, Path.home())
        for problem in kubeconfig_problems(KubeconfigSource(paths, source.contexts)):
            yield "", msgspec.structs.replace(problem, where=_place(file, index))


def _place(file: Path, index: int) -> str:
    """The file and line of a source."""
    key = ("sources", index)
    place = place_of(key, Overrides(config=str(file)), {})
    return place.removesuffix(f": {dotted_path(key)}").rpartition(":")[0] or str(file)
