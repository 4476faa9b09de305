"""Kubeconfig files, folders of them and the pod's service account, watched.

Rules:
- A look stats the files each second, in a thread; why no kernel notifications: see `meshdns.sources.manifests`. A
  change counts once two looks 100 ms apart agree, so that a file is not read while it is being written.
- Certificates that a kubeconfig names are looked at too: their content is part of the access.
- What cannot be read removes nothing: the clusters it named are read as before, and the reason is a problem. It is
  tried again with each look.
- A folder's file that is deleted takes its cluster along; of merged files that are gone, so is nothing.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshdns.mesh.problems import Problem
from meshdns.sources.access import Access
from meshdns.sources.kubeconfig import read_files
from meshdns.sources.problems import fault
from meshdns.sources.roster import Roster
from meshdns.sources.settings import KubeconfigSource, SourceError

_LOOK: Final = 1.0  # seconds between looks
_SETTLE: Final = 0.1  # seconds between the two looks that must agree
_ACCOUNT_LOOK: Final = 10.0  # seconds; the authority of a cluster changes once in years
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token, and the authority and namespace that go with it."""

Stamps = dict[Path, tuple[int, ...]]
"""By path device, inode, size and times (ns): any rewrite, swap or chmod changes them. What is not there has none."""


@dataclass(slots=True)
class Found:
    """What a look found: accesses by cluster, what is wrong, and the clusters that could not be read this time."""

    accesses: dict[str, Access] = field(default_factory=dict)
    faults: list[Problem] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)


async def follow_kubeconfigs(source: KubeconfigSource, roster: Roster) -> None:
    """Keep `roster` in step with the files until cancelled."""
    files = _Files(source)
    while True:
        found = await files.look()
        if found is not None:
            roster.want(found.accesses, found.faults, kept=found.kept, whole=not found.faults)
        await asyncio.sleep(_LOOK)


async def follow_account(cluster: str, environment: Mapping[str, str], roster: Roster) -> None:
    """Keep `roster` in step with the pod's service account until cancelled."""
    while True:
        try:
            access = await asyncio.to_thread(account, environment, ACCOUNT)
            roster.want({cluster: access}, ())
        except SourceError as error:
            roster.want({}, [fault("cluster", cluster, str(error))], kept=[cluster], whole=False)
        await asyncio.sleep(_ACCOUNT_LOOK)


def account(environment: Mapping[str, str], folder: Path) -> Access:
    """The access of a pod to its own cluster. Raises `SourceError` outside of a pod."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise SourceError(
            "no service account here (KUBERNETES_SERVICE_HOST is not set); run in a pod, or name a kubeconfig"
        )
    try:
        authority = (folder / "ca.crt").read_bytes()
        (folder / "token").stat()
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
        raise SourceError(f"no service account here ({reason}); mount its token, or name a kubeconfig") from None
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token = str(folder / "token")
    return Access("the pod's own cluster", server, authority=authority, token_file=token)


class _Files:
    """What was found in the files of a source so far."""

    def __init__(self, source: KubeconfigSource) -> None:
        self._source = source
        self._stamps: Stamps | None = None
        self._folders: set[Path] = set()
        self._merged: set[str] = set()  # the clusters that the merged files last named
        self._names: dict[Path, str] = {}  # by file of a folder the cluster that it last named
        self._certificates: set[Path] = set()
        self._sound = False

    async def look(self) -> Found | None:
        """What the files say now; None where that is what they said before."""
        stamps = await asyncio.to_thread(self._stamp)
        if stamps == self._stamps and self._sound:
            return None
        await asyncio.sleep(_SETTLE)
        if await asyncio.to_thread(self._stamp) != stamps:
            return None
        found = await asyncio.to_thread(self._read)
        self._stamps = stamps
        self._sound = not found.faults
        named = {Path(file) for access in found.accesses.values() for file in access.files}
        if named - self._certificates:
            self._stamps = None  # their stamps are not in this look
        self._certificates = named
        return found

    def _stamp(self) -> Stamps:
        paths = {file for path in self._source.paths for file in _expanded(path)}
        return dict(_stamped(paths | self._certificates))

    def _read(self) -> Found:
        found = Found()
        self._folders |= {path for path in self._source.paths if path.is_dir()}
        files = [path for path in self._source.paths if path not in self._folders]
        if files:
            self._read_merged(files, found)
        for folder in sorted(self._folders):
            self._read_folder(folder, found)
        return found

    def _read_merged(self, files: list[Path], found: Found) -> None:
        where = os.pathsep.join(map(str, files))
        try:
            merged = read_files(files)
            names = self._source.contexts or (merged.current(),)
        except SourceError as error:
            found.faults.append(fault("kubeconfig", where, str(error)))
            found.kept |= self._merged
            return
        self._merged = set(names)
        for name in names:
            try:
                found.accesses[name] = merged.context(name)
            except SourceError as error:
                found.faults.append(fault("kubeconfig", where, str(error)))
                found.kept.add(name)

    def _read_folder(self, folder: Path, found: Found) -> None:
        """Read a folder's files; one that is deleted takes its cluster along, a folder that is gone does not."""
        try:
            files = _listing(folder)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}; make it a readable folder of kubeconfigs"
            found.faults.append(fault("kubeconfig", str(folder), reason))
            found.kept |= {name for path, name in self._names.items() if path.parent == folder}
            return
        self._names = {path: name for path, name in self._names.items() if path.parent != folder or path in files}
        for path in files:
            self._read_one(path, found)

    def _read_one(self, path: Path, found: Found) -> None:
        try:
            name, access = read_files([path]).only(trusted=True)
        except SourceError as error:
            found.faults.append(fault("kubeconfig", str(path), str(error)))
            found.kept |= {self._names[path]} if path in self._names else set()
            return
        if name in found.accesses:
            reason = f"names the cluster {name}, as another file that is read does; rename one of the two"
            found.faults.append(fault("kubeconfig", str(path), reason))
            return
        self._names[path] = name
        found.accesses[name] = access


def _expanded(path: Path) -> list[Path]:
    """A file itself, the files of a folder."""
    try:
        return _listing(path) if path.is_dir() else [path]
    except OSError:
        return []


def _listing(folder: Path) -> list[Path]:
    """The files of a folder without hidden ones (``..data`` of a mounted Secret, editors'). Raises `OSError`."""
    return sorted(each for each in folder.iterdir() if not each.name.startswith(".") and not each.is_dir())


def _stamped(paths: Iterable[Path]) -> Iterable[tuple[Path, tuple[int, ...]]]:
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            continue
        yield path, (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
