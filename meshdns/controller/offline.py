"""The mesh without processes: names, answers and problems of folders of manifests, for tools and tests."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from meshdns.controller.problem_index import problems_of
from meshdns.mesh.answer import Answer
from meshdns.mesh.diagnostics import ClusterProblem, check_answer, with_locations
from meshdns.mesh.inventory import Inventory
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, Namespace, key_of
from meshdns.mesh.objects.problems import ProblemList
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.topology import Topology, build_topology, topology_problems
from meshdns.sources.folder.notes import duplicate_problems, uid_of
from meshdns.sources.folder.source import FolderContents, load_folder


def read_folders(paths: Iterable[Path]) -> list[FolderContents]:
    """The folders of clusters at `paths`, each read once."""
    return [load_folder(path) for path in paths]


def answers(folders: Iterable[FolderContents], mesh: MeshSettings) -> dict[str, Answer]:
    """Every known name and its answer, empty non-terminals left out."""
    name_table = _name_table(folders, mesh)
    return {name: answer for name, answer in name_table.refresh().items() if answer is not None and answer.is_declared}


def problems(folders: Iterable[FolderContents], mesh: MeshSettings) -> list[ClusterProblem]:
    """What is wrong with the folders (their cluster is empty), with each object, and with what the mesh makes of them.

    Each problem is there once, however many names show it; of each object as many as a server lists.
    """
    read = list(folders)
    name_table = _name_table(read, mesh)
    declared, derived = dict.fromkeys(_own_problems(read, mesh)), dict.fromkeys(_derived_problems(name_table))
    return [*declared, *_first_of_each_object(each for each in derived if each not in declared)]


def state_of(folders: Iterable[FolderContents], mesh: MeshSettings) -> tuple[Inventory, Topology]:
    """The inventory of the folders, and the topology that follows from it."""
    inventory = _name_table(folders, mesh).inventory
    return inventory, build_topology(inventory)


def declarations(folders: Iterable[FolderContents]) -> Iterable[tuple[str, AnyDeclaration]]:
    """All declarations with their clusters."""
    for folder in folders:
        for cluster, found in folder.clusters.items():
            for declaration in found:
                yield cluster, declaration


def _first_of_each_object(problems: Iterable[ClusterProblem]) -> Iterator[ClusterProblem]:
    """The first problems of each object in their order, then for each object what stands for the rest of its."""
    objects: dict[tuple[str, str, str, str], ProblemList] = {}
    for cluster, problem in problems:
        of_object = objects.setdefault((cluster, problem.object, problem.namespace, problem.name), ProblemList())
        if not of_object.is_full:
            yield cluster, problem
        of_object.add(problem)
    for (cluster, *_), of_object in objects.items():
        if of_object.rest is not None:
            yield cluster, of_object.rest


def _own_problems(folders: list[FolderContents], mesh: MeshSettings) -> Iterator[ClusterProblem]:
    for folder in folders:
        yield from (("", problem) for problem in folder.problems)
    yield from (("", problem) for problem in duplicate_problems(dict(_uids(folders))))
    for cluster, declaration in declarations(folders):
        yield from ((cluster, problem) for problem in problems_of(cluster, declaration, mesh))


def _uids(folders: Iterable[FolderContents]) -> Iterator[tuple[Path, str]]:
    """The UIDs of clusters by the paths of their folders."""
    for folder in folders:
        for cluster, found in folder.clusters.items():
            yield folder.path / cluster, uid_of({key_of(each): each for each in found if isinstance(each, Namespace)})


def _derived_problems(name_table: NameTable) -> Iterator[ClusterProblem]:
    judged = name_table.refresh()
    yield from with_locations(topology_problems(name_table.inventory, name_table.topology), name_table.inventory)
    for name in sorted(judged):
        answer = judged[name]
        if answer is not None:
            yield from check_answer(name, answer, name_table.inventory, name_table.topology)


def _name_table(folders: Iterable[FolderContents], mesh: MeshSettings) -> NameTable:
    name_table = NameTable(mesh)
    for cluster, declaration in declarations(folders):
        name_table.upsert(cluster, declaration)
    return name_table
