"""Problems of what is not read in a folder of clusters: of the folder itself, and of each cluster's folder."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from meshdns.mesh.objects.declarations import (
    AnyDeclaration,
    Namespace,
    ObjectKey,
    ObjectKind,
    UnreadableObject,
    key_of,
)
from meshdns.mesh.objects.foreign import counted, listed
from meshdns.mesh.objects.problems import Problem, ProblemKind, first_problems
from meshdns.sources.folder.tree import SUFFIXES, FolderLook, has_manifest_suffix

_IDENTITY: Final[ObjectKey] = (ObjectKind.NAMESPACE, "", "kube-system")
_SUFFIX_NAMES: Final = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"


def file_problem(path: Path, reason: str, advice: str, kind: ProblemKind = ProblemKind.UNREADABLE) -> Problem:
    """Return the problem of a file or folder that belongs to no cluster."""
    return Problem(kind, "file", "", path.name, "", reason, advice, os.fspath(path))


def root_problems(path: Path, clusters: Collection[str], strangers: Collection[str]) -> tuple[Problem, ...]:
    """What lies beside the cluster folders, mistakes that are easily made, and that there are none."""
    found = []
    for name in sorted(strangers):
        if has_manifest_suffix(name):
            found.append(file_problem(path / name, "is in no cluster's folder", f"move it to {path}/<cluster>/"))
        else:
            reason = "is not read: its name cannot be that of a cluster, one line of text of at most 253 bytes"
            found.append(file_problem(path / name, reason, "rename the folder"))
    if not clusters:
        advice = f"put manifests into {path}/<cluster>/"
        found.append(file_problem(path, "holds no folder of a cluster", advice, ProblemKind.EMPTY))
    return first_problems(found)


def uid_of(declared: Mapping[ObjectKey, AnyDeclaration]) -> str:
    """Return the UID of a cluster, that of its namespace ``kube-system``; empty where it is not known."""
    namespace = declared.get(_IDENTITY)
    return namespace.uid if isinstance(namespace, Namespace) else ""


def duplicate_problems(uids: Mapping[Path, str]) -> Iterator[Problem]:
    """That folders hold one cluster; `uids` are by the paths of cluster folders."""
    paths = defaultdict(list)
    for path, uid in uids.items():
        if uid:
            paths[uid].append(path)
    for same in paths.values():
        for path in sorted(same) if len(same) > 1 else ():
            others = [other for other in sorted(same) if other != path]
            named = listed(other.name if other.parent == path.parent else os.fspath(other) for other in others)
            yield Problem(
                ProblemKind.CONFLICT,
                "cluster",
                "",
                path.name,
                "",
                f"is the same cluster as {named}, by the UID of kube-system; each is read as a cluster of its own",
                "remove the folders that are too many, or export each from its own cluster",
                os.fspath(path),
            )


def add_folder_problems(
    declared: dict[ObjectKey, AnyDeclaration], folder: Path, look: FolderLook, *, has_objects: bool
) -> None:
    """Add what is wrong with a cluster's folder as a whole, as an object without parts that is named ``.``."""
    problems = first_problems(_folder_problems(folder, look, has_objects=has_objects))
    if problems:
        whole = UnreadableObject(object_kind=ObjectKind.SERVICE_ENTRY, namespace="", name=".", problems=problems)
        declared[key_of(whole)] = whole


def _folder_problems(folder: Path, look: FolderLook, *, has_objects: bool) -> Iterator[Problem]:
    for fault in look.faults:
        path = folder / fault.name if fault.name else folder
        name = f"{folder.name}/{fault.name}".rstrip("/")
        yield Problem(ProblemKind.UNREADABLE, "folder", "", name, "", fault.reason, fault.advice, os.fspath(path))
    if not has_objects:
        files = "one file" if len(look.stamps) == 1 else counted(len(look.stamps), "file")
        where = f"in {files}" if look.stamps else f"and no file whose name ends in {_SUFFIX_NAMES}"
        yield Problem(
            ProblemKind.EMPTY,
            "folder",
            "",
            folder.name,
            "",
            f"holds no object that is read, {where}",
            "put the manifests of the cluster into it, or remove it",
            os.fspath(folder),
        )
    if look.stranger_count:
        many = counted(look.stranger_count, "file")
        one = look.stranger_count == 1
        reason = "a file is not read, for its name does" if one else f"{many} are not read, for their names do"
        more = look.stranger_count - len(look.strangers)
        named = listed(look.strangers) + (f" and {more} more" if more else "")
        yield Problem(
            ProblemKind.SKIPPED,
            "folder",
            "",
            folder.name,
            "",
            f"{reason} not end in {_SUFFIX_NAMES}: {named}",
            "rename what is to be read, or keep it elsewhere",
            os.fspath(folder),
        )
