"""A folder of clusters as a source: ``<folder>/<cluster name>/*.yaml``, watched.

Rules:
- A subfolder is a cluster. Its ``*.yaml``, ``*.yml`` and ``*.json`` files are read; names that begin with a dot are not
  (``..data`` of a mounted ConfigMap, editors' swap files). Symbolic links are followed.
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
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshdns.instance.clocks import boot_time
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, key_of, kind_of
from meshdns.mesh.objects.foreign import describe_error
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.sources.folder.files import FileContent, merge_files, read_file, unreadable_file
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
_SUFFIXES: Final = (".yaml", ".yml", ".json")

_log = logging.getLogger(__name__)

FileStamp = tuple[int, int, int, int, int]
"""Device, inode, size, time of content and time of status change (ns): any rewrite, swap or chmod changes it."""

StampsByName = dict[str, FileStamp]

_UNREADABLE_STAMP: Final[FileStamp] = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class FolderContents:
    """A folder read once: declarations by cluster, and problems that belong to no cluster."""

    clusters: Mapping[str, tuple[AnyDeclaration, ...]]
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class _ClusterFolder:
    stamps: StampsByName = field(default_factory=dict)
    contents: dict[str, FileContent] = field(default_factory=dict)
    declarations: dict[ObjectKey, AnyDeclaration] = field(default_factory=dict)
    is_listed: bool = False
    failure: str = ""

    def is_unchanged(self, found: StampsByName | str) -> bool:
        """Whether a look found just what was taken over before; a file whose reading is not final has no stamp."""
        return found == self.stamps and self.stamps.keys() == self.contents.keys()


async def watch_folder(*, source: ManifestsSource, sink: Sink) -> None:
    """Report the folder and every change of it to `sink` until cancelled. A folder that is not there is waited for."""
    for problem in await asyncio.to_thread(_misplaced_files, source.path):
        _log.warning("%s %s; %s", problem.where, problem.reason, problem.advice)
    watched = FolderPoller(source.path, sink)
    while True:
        await watched.poll()
        await asyncio.sleep(_POLL_INTERVAL)


def load_folder(path: Path) -> FolderContents:
    """Read a folder once, for tools. Never raises: what is wrong is a problem of the folder or of a declaration."""
    try:
        names = _cluster_names(path)
    except OSError as error:
        problem = _file_problem(path, f"cannot be read: {_os_reason(error)}", "name a folder of cluster folders")
        return FolderContents({}, (problem,))
    problems = _misplaced_files(path)
    clusters: dict[str, tuple[AnyDeclaration, ...]] = {}
    for name in names:
        try:
            contents = {file: _read_content(path / name / file, FileContent()) for file in _stat_files(path / name)}
            clusters[name] = tuple(merge_files({file: content for file, (content, _) in contents.items()}).values())
        except OSError as error:
            clusters[name] = ()
            problems.append(_file_problem(path / name, f"cannot be read: {_os_reason(error)}", "check who may read it"))
    return FolderContents(clusters, tuple(problems))


def _file_problem(path: Path, reason: str, advice: str) -> Problem:
    return Problem(ProblemKind.UNREADABLE, "file", "", path.name, "", reason, advice, os.fspath(path))


def _misplaced_files(path: Path) -> list[Problem]:
    """Manifests that lie beside the cluster folders, a mistake that is easily made."""
    names = sorted(name for suffix in _SUFFIXES for name in path.glob(f"[!.]*{suffix}") if name.is_file())
    return [_file_problem(name, "is in no cluster's folder", f"move it to {path}/<cluster>/") for name in names]


def _cluster_names(path: Path) -> list[str]:
    """The names of the cluster folders; a name that is no text (of bytes that are not UTF-8) names no cluster."""
    with os.scandir(path) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and is_cluster_name(entry.name) and _is_folder(entry)
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symbolic link that leads to itself
        return False


def _stat_files(folder: Path, known: Container[str] = ()) -> StampsByName:
    """The manifests of one cluster folder with their stamps; one that vanishes meanwhile is not there.

    A link that leads nowhere is a file that cannot be read if it is one of the `known` ones, else nothing.
    """
    files: StampsByName = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.name.endswith(_SUFFIXES):
                continue
            try:
                stat = entry.stat()
            except FileNotFoundError:
                if entry.name in known and entry.is_symlink():
                    files[entry.name] = _UNREADABLE_STAMP  # a mount or a swap that is not done
                continue
            except OSError:
                files[entry.name] = _UNREADABLE_STAMP  # reading it will say what is wrong
                continue
            files[entry.name] = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return files


def _read_content(path: Path, previous: FileContent) -> tuple[FileContent, bool]:
    """The content of a file, and whether the reading is final (else it is tried again though nothing changed)."""
    try:
        return read_file(path, previous), True
    except OSError as error:
        return unreadable_file(path, _os_reason(error), previous), False


def _os_reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _scan_folder(path: Path, known: Mapping[str, Container[str]]) -> dict[str, StampsByName | str]:
    """By cluster its files, or why its folder cannot be looked into. Raises `OSError` for `path` itself.

    `known` are the clusters that were found before, with their files: for these a link that leads nowhere is something
    that cannot be read, for others it is nothing.
    """
    found: dict[str, StampsByName | str] = {}
    for name in dict.fromkeys((*_cluster_names(path), *known)):
        try:
            found[name] = _stat_files(path / name, known.get(name, ()))
        except FileNotFoundError:
            if (path / name).is_symlink():
                found[name] = "the link leads nowhere"
        except NotADirectoryError:
            continue
        except OSError as error:
            found[name] = _os_reason(error)
    return found


class FolderPoller:
    """Reports a folder to `sink` as each look finds it, and remembers what was reported."""

    def __init__(self, path: Path, sink: Sink) -> None:
        self._path = path
        self._sink = sink
        self._clusters: dict[str, _ClusterFolder] = {}
        self._last_contact = -_CONTACT_INTERVAL
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
            self._fail_all(f"cannot be read: {_os_reason(error)}", "make it a readable folder of cluster folders")
            return
        self._set_failure(())
        for name in [name for name in self._clusters if name not in first and name not in second]:
            del self._clusters[name]
            self._sink.report(ClusterRemoved(name))
        for name in first.keys() & second.keys():
            await self._apply_isolated(name, first[name], second[name])
        self._sink.report(SourceListed(f"manifests {self._path}"))
        self._report_contact()

    def _is_unchanged(self, found: Mapping[str, StampsByName | str]) -> bool:
        """Whether a look found just what was taken over before."""
        return found.keys() == self._clusters.keys() and all(
            self._clusters[name].is_unchanged(stamps) for name, stamps in found.items()
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
        self._set_failure((_file_problem(self._path, reason, advice),))
        for name, cluster in self._clusters.items():
            self._report_failure(name, cluster, f"{self._path} {reason}; {advice}")

    def _set_failure(self, problems: tuple[Problem, ...]) -> None:
        """Report the problems of the folder itself where they changed."""
        if problems != self._problems:
            self._problems = problems
            self._sink.report(SourceProblems(f"manifests {self._path}", problems))

    async def _apply_isolated(self, name: str, first: StampsByName | str, second: StampsByName | str) -> None:
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

    async def _apply_scans(self, name: str, first: StampsByName | str, second: StampsByName | str) -> None:
        """Take over what two looks agree on; a new cluster is listed once all of its files have settled."""
        if name not in self._clusters:
            self._clusters[name] = _ClusterFolder()
            kinds = frozenset(ObjectKind)
            self._sink.report(ClusterAdded(name, kinds, f"manifests {self._path}", can_relist=False))
        cluster = self._clusters[name]
        if isinstance(second, str):
            self._report_failure(name, cluster, f"{self._path / name} cannot be read: {second}; check who may read it")
            return
        if isinstance(first, str) or (first != second and not cluster.is_listed):
            return
        if cluster.failure:
            cluster.failure, self._last_contact = "", -_CONTACT_INTERVAL  # tell at once that it is well again
        if not (cluster.is_unchanged(second) and cluster.is_listed):
            await self._apply_changes(name, cluster, first, second)

    async def _apply_changes(
        self, name: str, cluster: _ClusterFolder, first: StampsByName, second: StampsByName
    ) -> None:
        for file in sorted(cluster.contents.keys() | second.keys()):
            stamp = second.get(file)
            if first.get(file) == stamp and (stamp is None or stamp != cluster.stamps.get(file)):
                await self._apply_file(cluster, self._path / name / file, stamp)
        before, cluster.declarations = (
            cluster.declarations,
            await asyncio.to_thread(merge_files, dict(cluster.contents)),
        )
        if cluster.is_listed:
            self._report_changes(name, before, cluster.declarations)
        else:
            cluster.is_listed = True
            self._report_list(name, cluster.declarations)

    async def _apply_file(self, cluster: _ClusterFolder, path: Path, stamp: FileStamp | None) -> None:
        if stamp is None:
            cluster.stamps.pop(path.name, None)
            cluster.contents.pop(path.name, None)
            return
        last = cluster.contents.get(path.name, FileContent())
        content, final = await asyncio.to_thread(_read_content, path, last)
        cluster.contents[path.name] = content
        if final:
            cluster.stamps[path.name] = stamp

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
