"""A folder of clusters as a source: ``<folder>/<cluster name>/*.yaml``, watched.

Rules:
- A subfolder is a cluster. Its ``*.yaml``, ``*.yml`` and ``*.json`` files are read; names that begin with a dot are not
  (``..data`` of a mounted ConfigMap, editors' swap files). Symbolic links are followed.
- A path is taken as changed, added or removed only once two looks 50 ms apart agree on it. So a file is not read while
  it is being written, one that an editor renames away and writes anew is not removed in between, and whatever is
  written after the reading carries a later time stamp than what was read.
- An empty file counts as broken, not as one without objects: ``kubectl get … >file`` empties it for seconds first. A
  writer that pauses for longer than 50 ms behind a complete document cannot be told from one that is done.
- A folder that cannot be looked into removes nothing.

Why looking (a stat of each file, four times a second, in a thread) and no kernel notifications: it is one code for
every platform and file system (NFS, FUSE and overlay mounts deliver no events), it has no limits to run out of, no
events to lose, and it sees through the symbolic links that a ConfigMap swaps. A look at 100 files takes one to two
milliseconds.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshdns.mesh.declarations import AnyDeclaration, Key, Kind, key_of, kind_of
from meshdns.mesh.problems import Problem, ProblemKind
from meshdns.sources.clusterfiles import FileContent, merge, read_file, unreadable
from meshdns.sources.port import Sink
from meshdns.sources.settings import ManifestsSource

_LOOK: Final = 0.25  # seconds between looks
_SETTLE: Final = 0.05  # seconds between the two looks that must agree
_CONTACT: Final = 10.0  # seconds between reports of contact; a cluster is stale after 90
_SUFFIXES: Final = (".yaml", ".yml", ".json")

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int, int, int]
"""Device, inode, size, time of content and time of status change (ns): any rewrite, swap or chmod changes it."""

Files = dict[str, Stamp]

_UNKNOWN: Final[Stamp] = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder read once: declarations by cluster, and problems that belong to no cluster."""

    clusters: Mapping[str, tuple[AnyDeclaration, ...]]
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class _Cluster:
    stamps: Files = field(default_factory=dict)
    contents: dict[str, FileContent] = field(default_factory=dict)
    declared: dict[Key, AnyDeclaration] = field(default_factory=dict)
    listed: bool = False
    fault: str = ""


async def run(*, source: ManifestsSource, sink: Sink) -> None:
    """Report the folder and every change of it to `sink` until cancelled. A folder that is not there is waited for."""
    for problem in await asyncio.to_thread(_stray, source.path):
        log.warning("%s %s; %s", problem.where, problem.reason, problem.advice)
    watched = _Watched(source.path, sink)
    while True:
        await watched.look()
        await asyncio.sleep(_LOOK)


def load_folder(path: Path) -> Folder:
    """Read a folder once, for tools. Never raises: what is wrong is a problem of the folder or of a declaration."""
    try:
        names = _clusters(path)
    except OSError as error:
        return Folder({}, (_problem(path, f"cannot be read: {error.strerror}", "name a folder of cluster folders"),))
    problems = _stray(path)
    clusters: dict[str, tuple[AnyDeclaration, ...]] = {}
    for name in names:
        try:
            contents = {file: _content(path / name / file, FileContent()) for file in _files(path / name)}
            clusters[name] = tuple(merge({file: content for file, (content, _) in contents.items()}).values())
        except OSError as error:
            clusters[name] = ()
            problems.append(_problem(path / name, f"cannot be read: {error.strerror}", "check who may read it"))
    return Folder(clusters, tuple(problems))


def _problem(path: Path, reason: str, advice: str) -> Problem:
    return Problem(ProblemKind.UNREADABLE, "file", "", path.name, "", reason, advice, str(path))


def _stray(path: Path) -> list[Problem]:
    """Manifests that lie beside the cluster folders, a mistake that is easily made."""
    names = sorted(name for suffix in _SUFFIXES for name in path.glob(f"[!.]*{suffix}") if name.is_file())
    return [_problem(name, "is in no cluster's folder", f"move it to {path}/<cluster>/") for name in names]


def _clusters(path: Path) -> list[str]:
    """The names of the cluster folders."""
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symbolic link that leads to itself
        return False


def _files(folder: Path) -> Files:
    """The manifests of one cluster folder with their stamps; one that vanishes meanwhile, or dangles, is not there."""
    files: Files = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.name.endswith(_SUFFIXES):
                continue
            try:
                stat = entry.stat()
            except FileNotFoundError:
                continue
            except OSError:
                files[entry.name] = _UNKNOWN  # reading it will say what is wrong
                continue
            files[entry.name] = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return files


def _content(path: Path, last: FileContent) -> tuple[FileContent, bool]:
    """The content of a file, and whether the reading is final (else it is tried again though nothing changed)."""
    try:
        return read_file(path, last), True
    except OSError as error:
        return unreadable(path, error.strerror or type(error).__name__, last), False


def _scan(path: Path) -> dict[str, Files | str]:
    """By cluster its files, or why its folder cannot be looked into. Raises `OSError` for `path` itself."""
    found: dict[str, Files | str] = {}
    for name in _clusters(path):
        try:
            found[name] = _files(path / name)
        except FileNotFoundError:
            continue
        except OSError as error:
            found[name] = error.strerror or type(error).__name__
    return found


class _Watched:
    """What was reported of a folder so far."""

    def __init__(self, path: Path, sink: Sink) -> None:
        self._path = path
        self._sink = sink
        self._clusters: dict[str, _Cluster] = {}
        self._contact = -_CONTACT
        self._fault = ""

    async def look(self) -> None:
        try:
            first = await asyncio.to_thread(_scan, self._path)
            second = first
            if not self._is_known(first):
                await asyncio.sleep(_SETTLE)
                second = await asyncio.to_thread(_scan, self._path)
        except OSError as error:
            self._fail(f"{self._path} cannot be read: {error.strerror}; make it a readable folder of cluster folders")
            return
        self._fault = ""
        for name in [name for name in self._clusters if name not in first and name not in second]:
            del self._clusters[name]
            self._sink.left(name)
        for name in first.keys() & second.keys():
            await self._settled(name, first[name], second[name])
        self._sink.named(f"manifests {self._path}")
        self._report_contact()

    def _is_known(self, found: Mapping[str, Files | str]) -> bool:
        """Whether a look found just what was taken over before."""
        return found == {name: cluster.stamps for name, cluster in self._clusters.items()}

    def _report_contact(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._contact < _CONTACT:
            return
        self._contact = now
        for name, cluster in self._clusters.items():
            if not cluster.fault:
                for kind in Kind:
                    self._sink.contact(name, kind)

    def _fail(self, reason: str) -> None:
        if reason != self._fault:
            log.warning("%s", reason)
        self._fault = reason
        for name, cluster in self._clusters.items():
            self._refuse(name, cluster, reason)

    def _refuse(self, name: str, cluster: _Cluster, reason: str) -> None:
        if cluster.fault == reason:
            return
        cluster.fault = reason
        for kind in Kind:
            self._sink.failed(name, kind, reason)

    async def _settled(self, name: str, first: Files | str, second: Files | str) -> None:
        """Take over what two looks agree on; a new cluster is listed once all of its files have settled."""
        if name not in self._clusters:
            self._clusters[name] = _Cluster()
            self._sink.joined(name, tuple(Kind), source=f"manifests {self._path}", relists=False)
        cluster = self._clusters[name]
        if isinstance(second, str):
            self._refuse(name, cluster, f"{self._path / name} cannot be read: {second}; check who may read it")
            return
        if isinstance(first, str) or (first != second and not cluster.listed):
            return
        if cluster.fault:
            cluster.fault, self._contact = "", -_CONTACT  # tell at once that it is well again
        if second != cluster.stamps or not cluster.listed:
            await self._take_over(name, cluster, first, second)

    async def _take_over(self, name: str, cluster: _Cluster, first: Files, second: Files) -> None:
        for file in sorted(cluster.contents.keys() | second.keys()):
            stamp = second.get(file)
            if first.get(file) == stamp and (stamp is None or stamp != cluster.stamps.get(file)):
                await self._take(cluster, self._path / name / file, stamp)
        before, cluster.declared = cluster.declared, await asyncio.to_thread(merge, dict(cluster.contents))
        if cluster.listed:
            self._increments(name, before, cluster.declared)
        else:
            cluster.listed = True
            self._list(name, cluster.declared)

    async def _take(self, cluster: _Cluster, path: Path, stamp: Stamp | None) -> None:
        if stamp is None:
            cluster.stamps.pop(path.name, None)
            cluster.contents.pop(path.name, None)
            return
        last = cluster.contents.get(path.name, FileContent())
        content, final = await asyncio.to_thread(_content, path, last)
        cluster.contents[path.name] = content
        if final:
            cluster.stamps[path.name] = stamp

    def _list(self, name: str, declared: Mapping[Key, AnyDeclaration]) -> None:
        for kind in Kind:
            self._sink.listed(name, kind, [value for value in declared.values() if kind_of(value) is kind])

    def _increments(self, name: str, before: Mapping[Key, AnyDeclaration], after: Mapping[Key, AnyDeclaration]) -> None:
        for declaration in after.values():
            if before.get(key_of(declaration)) != declaration:
                self._sink.changed(name, declaration)
        for kind, namespace, object_name in before.keys() - after.keys():
            self._sink.removed(name, kind, namespace, object_name)
