"""The mesh without processes: what a folder of manifests would be answered with, for tools and tests."""

from collections.abc import Iterable
from pathlib import Path

from meshdns.mesh.answer import Answer
from meshdns.mesh.catalog import Catalog
from meshdns.mesh.declarations import AnyDeclaration
from meshdns.mesh.settings import MeshSettings
from meshdns.sources.manifests import Folder, load_folder


def read_folders(paths: Iterable[Path]) -> list[Folder]:
    """The folders of clusters at `paths`, each read once."""
    return [load_folder(path) for path in paths]


def answers(folders: Iterable[Folder], mesh: MeshSettings) -> dict[str, Answer]:
    """Every known name and its answer, empty non-terminals left out."""
    catalog = Catalog(mesh)
    for cluster, declaration in declarations(folders):
        catalog.upsert(cluster, declaration)
    return {name: answer for name, answer in catalog.refresh().items() if answer is not None and answer.considered}


def declarations(folders: Iterable[Folder]) -> Iterable[tuple[str, AnyDeclaration]]:
    """All declarations with their clusters."""
    for folder in folders:
        for cluster, found in folder.clusters.items():
            for declaration in found:
                yield cluster, declaration
