"""A folder of clusters as a source: ``<folder>/<cluster name>/**/*.yaml``, watched.

Rules:
- A subfolder is a cluster. Its files at any depth are read, as `meshdns.sources.folder.tree` finds them. What lies
  there and is not read is a problem: of the file, of the cluster's folder (an `UnreadableObject` by the name ``.``), or
  of the source.
- A cluster without any object that is read has synced, and a problem: it is seldom meant.
- Two folders that hold one cluster, by the UID of ``kube-system``, are both read, and a problem of the source.
- A path is taken as changed, added or removed only once two looks 50 ms apart agree on it. So a file is not read while
  it is being written, one that an editor renames away and rewrites is not removed in between, and whatever is
  written after the reading carries a later time stamp than what was read.
- An empty file counts as broken, not as one without objects: ``kubectl get … >file`` empties it for seconds first. A
  writer that pauses for longer than 50 ms behind a complete document cannot be told from one that is done.
- What is there and cannot be read now removes nothing: a folder that cannot be looked into, a file that became a folder
  or a FIFO, a link that leads nowhere or in a circle. It keeps what the last reading gave, with a problem.
- Whatever a cluster's folder makes this program do costs that cluster, and it is looked at again.

Why looking (a stat of each file, four times a second, in a thread) and no kernel notifications: it is one code for
every platform and file system (NFS, FUSE and overlay mounts deliver no events), it has no limits to run out of, no
events to lose, and it sees through the symbolic links that a ConfigMap swaps. A look at 100 files takes one to two
milliseconds.
"""

import asyncio
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from meshdns.instance.clocks import boot_time
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, key_of, kind_of
from meshdns.mesh.objects.foreign import describe_error
from meshdns.mesh.objects.problems import Problem
from meshdns.sources.folder.files import FileContent, merge_files, read_file, unreadable_file
from meshdns.sources.folder.notes import add_folder_problems, duplicate_problems, file_problem, root_problems, uid_of
from meshdns.sources.folder.tree import FolderLook, Stamp, has_manifest_suffix, is_hidden, look_at, reason_of
from meshdns.sources.registry import is_cluster_name
from meshdns.sources.settings import ManifestsSource
from meshdns.sources.sink import (
    ClusterAdded,
    ClusterRemoved,
    ContactMade,
    KindListed,
    ObjectChanged,
    ObjectRemoved,
    ReadFailed,
    Sink,
    SourceListed,
    SourceProblems,
)

_POLL_INTERVAL: Final = 0.25  # seconds between looks
_SETTLE_TIME: Final = 0.05  # seconds between the two looks that must agree
_CONTACT_INTERVAL: Final = 10.0  # seconds between reports of contact; a cluster is stale after 90

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FolderContents:
    """A folder read once: declarations by cluster, and problems that belong to no cluster."""

    clusters: Mapping[str, tuple[AnyDeclaration, ...]]
    problems: tuple[Problem, ...]
    path: Path = Path()


@dataclass(slots=True)
class _ClusterFolder:
    stamps: dict[str, Stamp] = field(default_factory=dict)
    contents: dict[str, FileContent] = field(default_factory=dict)
    look: FolderLook | None = None
    """The last look that was taken over, for what is not read."""
    declarations: dict[ObjectKey, AnyDeclaration] = field(default_factory=dict)
    is_listed: bool = False
    failure: str = ""

    def is_unchanged(self, found: FolderLook | str) -> bool:
        """Whether a look found just what was taken over before; a file whose reading is not final has no stamp."""
        return (
            not isinstance(found, str)
            and found.stamps == self.stamps
            and self.stamps.keys() == self.contents.keys()
            and self.look is not None
            and found.notes == self.look.notes
        )


class _RootLook(NamedTuple):
    """What a look finds: by cluster its files, or why its folder cannot be looked into; and what is no cluster."""

    clusters: dict[str, FolderLook | str]
    strangers: frozenset[str]


async def watch_folder(*, source: ManifestsSource, sink: Sink) -> None:
    """Report the folder and every change of it to `sink` until cancelled. A folder that is not there is waited for."""
    watched = FolderPoller(source.path, sink)
    while True:
        await watched.poll()
        await asyncio.sleep(_POLL_INTERVAL)


def load_folder(path: Path) -> FolderContents:
    """Read a folder once, for tools. Never raises: what is wrong is a problem of the folder or of a declaration."""
    try:
        names, strangers = _scan_root(path)
    except OSError as error:
        problem = file_problem(path, f"cannot be read: {reason_of(error)}", "name a folder of cluster folders")
        return FolderContents({}, (problem,))
    problems: list[Problem] = []
    clusters: dict[str, dict[ObjectKey, AnyDeclaration]] = {}
    for name in names:
        try:
            look = look_at(path / name)
            contents = {file: _read_content(path / name, file, FileContent(), look)[0] for file in look.stamps}
            clusters[name] = _merge_cluster(path / name, contents, look)
        except OSError as error:
            clusters[name] = {}
            problems.append(file_problem(path / name, f"cannot be read: {reason_of(error)}", "check who may read it"))
    problems += root_problems(path, names, strangers)
    return FolderContents({name: tuple(found.values()) for name, found in clusters.items()}, tuple(problems), path)


def _scan_root(path: Path) -> tuple[list[str], frozenset[str]]:
    """The names of the cluster folders, and what else is there: manifests, and folders that cannot be clusters.

    A name that is no text (of bytes that are not UTF-8) names no cluster. Raises `OSError`.
    """
    names: list[str] = []
    strangers: set[str] = set()
    with os.scandir(path) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if _is_folder(entry):
                (names.append if is_cluster_name(entry.name) else strangers.add)(entry.name)
            elif has_manifest_suffix(entry.name):
                strangers.add(entry.name)
    return sorted(names), frozenset(strangers)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symbolic link that leads to itself
        return False


def _read_content(folder: Path, name: str, previous: FileContent, look: FolderLook) -> tuple[FileContent, bool]:
    """The content of a file, and whether the reading is final (else it is tried again though nothing changed)."""
    stamp, path = look.stamps[name], folder / name
    if isinstance(stamp, str):
        return unreadable_file(path, stamp, previous, name), True
    try:
        return read_file(path, previous, name), True
    except OSError as error:
        return unreadable_file(path, reason_of(error), previous, name), False


def _merge_cluster(
    folder: Path, contents: Mapping[str, FileContent], look: FolderLook
) -> dict[ObjectKey, AnyDeclaration]:
    """All declarations of a cluster by identity, with what is wrong with its files and its folder."""
    merged = merge_files(contents)
    add_folder_problems(
        merged, folder, look, has_objects=any(each.declarations or each.kept for each in contents.values())
    )
    return merged


def _scan_folder(path: Path, known: Mapping[str, Collection[str]]) -> _RootLook:
    """One look at all clusters. Raises `OSError` for `path` itself.

    `known` are the clusters that were found before, with their files: for these a link that leads nowhere is something
    that cannot be read, for others it is nothing.
    """
    names, strangers = _scan_root(path)
    found: dict[str, FolderLook | str] = {}
    for name in dict.fromkeys((*names, *known)):
        try:
            found[name] = look_at(path / name, known.get(name, ()))
        except FileNotFoundError:
            if (path / name).is_symlink():
                found[name] = "the link leads nowhere"
        except NotADirectoryError:
            continue
        except OSError as error:
            found[name] = reason_of(error)
    return _RootLook(found, strangers)


class FolderPoller:
    """Reports a folder to `sink` as each look finds it, and remembers what was reported."""

    def __init__(self, path: Path, sink: Sink) -> None:
        self._path = path
        self._sink = sink
        self._clusters: dict[str, _ClusterFolder] = {}
        self._last_contact = -_CONTACT_INTERVAL
        self._strangers: frozenset[str] = frozenset()
        self._problems: tuple[Problem, ...] = ()

    async def poll(self) -> None:
        """Look once, and report what two looks agree on."""
        try:
            known = {name: frozenset(cluster.contents) for name, cluster in self._clusters.items()}
            first = await asyncio.to_thread(_scan_folder, self._path, known)
            second = first
            if not self._is_unchanged(first):
                await asyncio.sleep(_SETTLE_TIME)
                second = await asyncio.to_thread(_scan_folder, self._path, known)
        except OSError as error:
            self._fail_all(f"cannot be read: {reason_of(error)}", "make it a readable folder of cluster folders")
            return
        for name in [name for name in self._clusters if not (name in first.clusters or name in second.clusters)]:
            del self._clusters[name]
            self._sink.report(ClusterRemoved(name))
        for name in first.clusters.keys() & second.clusters.keys():
            await self._apply_isolated(name, first.clusters[name], second.clusters[name])
        if first.strangers == second.strangers:
            self._strangers = second.strangers
        uids = {self._path / name: uid_of(cluster.declarations) for name, cluster in self._clusters.items()}
        own = root_problems(self._path, self._clusters, self._strangers)
        self._set_problems((*own, *duplicate_problems(uids)))
        self._sink.report(SourceListed(f"manifests {self._path}"))
        self._report_contact()

    def _is_unchanged(self, found: _RootLook) -> bool:
        """Whether a look found just what was taken over before."""
        return (
            found.strangers == self._strangers
            and found.clusters.keys() == self._clusters.keys()
            and all(self._clusters[name].is_unchanged(look) for name, look in found.clusters.items())
        )

    def _report_contact(self) -> None:
        now = boot_time()
        if now - self._last_contact < _CONTACT_INTERVAL:
            return
        self._last_contact = now
        for name, cluster in self._clusters.items():
            if not cluster.failure:
                for kind in ObjectKind:
                    self._sink.report(ContactMade(name, kind))

    def _fail_all(self, reason: str, advice: str) -> None:
        self._set_problems((file_problem(self._path, reason, advice),))
        for name, cluster in self._clusters.items():
            self._report_failure(name, cluster, f"{self._path} {reason}; {advice}")

    def _set_problems(self, problems: tuple[Problem, ...]) -> None:
        """Report the problems of the folder itself where they changed."""
        if problems != self._problems:
            self._problems = problems
            self._sink.report(SourceProblems(f"manifests {self._path}", problems))

    async def _apply_isolated(self, name: str, first: FolderLook | str, second: FolderLook | str) -> None:
        """Take over what was found of one cluster; a fault costs this cluster until the next look."""
        try:
            await self._apply_scans(name, first, second)
        except Exception as error:  # noqa: BLE001 — the border between clusters
            reason = f"{self._path / name} cannot be read: {describe_error(error)}; report this with the log"
            if name in self._clusters and self._clusters[name].failure != reason:
                _log.exception("cluster %s cannot be read", name)
                self._report_failure(name, self._clusters[name], reason)

    def _report_failure(self, name: str, cluster: _ClusterFolder, reason: str) -> None:
        if cluster.failure == reason:
            return
        cluster.failure = reason
        for kind in ObjectKind:
            self._sink.report(ReadFailed(name, kind, reason))

    async def _apply_scans(self, name: str, first: FolderLook | str, second: FolderLook | str) -> None:
        """Take over what two looks agree on; a new cluster is listed once all of its files have settled."""
        if name not in self._clusters:
            self._clusters[name] = _ClusterFolder()
            kinds = frozenset(ObjectKind)
            self._sink.report(ClusterAdded(name, kinds, f"manifests {self._path}", can_relist=False))
        cluster = self._clusters[name]
        if isinstance(second, str):
            self._report_failure(name, cluster, f"{self._path / name} cannot be read: {second}; check who may read it")
            return
        if isinstance(first, str) or (first.stamps != second.stamps and not cluster.is_listed):
            return
        if cluster.failure:
            cluster.failure, self._last_contact = "", -_CONTACT_INTERVAL  # tell at once that it is well again
        if not (cluster.is_unchanged(second) and cluster.is_listed):
            await self._apply_changes(name, cluster, first, second)

    async def _apply_changes(self, name: str, cluster: _ClusterFolder, first: FolderLook, second: FolderLook) -> None:
        for file in sorted(cluster.contents.keys() | second.stamps.keys()):
            stamp = second.stamps.get(file)
            if first.stamps.get(file) == stamp and (stamp is None or stamp != cluster.stamps.get(file)):
                await self._apply_file(cluster, self._path / name, file, second)
        if cluster.look is None or first.notes == second.notes:
            cluster.look = second
        before, cluster.declarations = (
            cluster.declarations,
            await asyncio.to_thread(_merge_cluster, self._path / name, dict(cluster.contents), cluster.look),
        )
        if cluster.is_listed:
            self._report_changes(name, before, cluster.declarations)
        else:
            cluster.is_listed = True
            self._report_list(name, cluster.declarations)

    async def _apply_file(self, cluster: _ClusterFolder, folder: Path, file: str, look: FolderLook) -> None:
        stamp = look.stamps.get(file)
        if stamp is None:
            cluster.stamps.pop(file, None)
            cluster.contents.pop(file, None)
            return
        last = cluster.contents.get(file, FileContent())
        content, final = await asyncio.to_thread(_read_content, folder, file, last, look)
        cluster.contents[file] = content
        if final:
            cluster.stamps[file] = stamp

    def _report_list(self, name: str, declared: Mapping[ObjectKey, AnyDeclaration]) -> None:
        for kind in ObjectKind:
            listed = tuple(value for value in declared.values() if kind_of(value) is kind)
            self._sink.report(KindListed(name, kind, listed))

    def _report_changes(
        self, name: str, before: Mapping[ObjectKey, AnyDeclaration], after: Mapping[ObjectKey, AnyDeclaration]
    ) -> None:
        for declaration in after.values():
            if before.get(key_of(declaration)) != declaration:
                self._sink.report(ObjectChanged(name, declaration))
        for key in before.keys() - after.keys():
            self._sink.report(ObjectRemoved(name, key))
