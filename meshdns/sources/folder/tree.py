"""The files below a cluster's folder, as one look finds them.

Rules:
- Folders are entered to any place that symbolic links lead to, to at most `MAX_DEPTH` levels, but none inside itself,
  and none that the cluster's folder lies in. Of one cluster at most `MAX_FILES` files and `MAX_FOLDERS` folders are
  looked at.
- Names that begin with a dot (``..data`` of a mounted ConfigMap, ``.git``) or end in ``~`` are passed over in silence.
- Files whose names end in .yaml, .yml or .json, in upper or lower case, are manifests. Any other file is a note, and so
  is what is not entered.
- What is there and cannot be looked into hides nothing that was known: files below it are there and cannot be read. So
  are known files whose links lead nowhere, and known files that a bound leaves out keep their place.
"""

import heapq
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_DEPTH: Final = 16
MAX_FILES: Final = 10_000
MAX_FOLDERS: Final = 2000
_ALL_SUFFIXES: Final = tuple(
    suffix + packed for suffix in SUFFIXES for packed in ("", ".gz", ".zip", ".zst", ".xz", ".bz2")
)
_NOTED: Final = 5
"""Files that are named of those that are no manifests."""

FileStamp = tuple[int, int, int, int, int]
"""Device, inode, size, time of content and time of status change (ns): any rewrite, swap or chmod changes it."""

_Identity = tuple[int, int]
"""Device and inode of a folder."""

Stamp = FileStamp | str
"""The stamp of a file, or why it cannot be read."""


class FolderFault(NamedTuple):
    """Something below a folder that cannot be looked into, why, and what to do; an empty name is the folder itself."""

    name: str
    reason: str
    advice: str


class FolderLook(NamedTuple):
    """What a look at a cluster's folder finds; names are paths below it."""

    stamps: dict[str, Stamp]
    faults: tuple[FolderFault, ...] = ()
    """What cannot be looked into."""
    strangers: tuple[str, ...] = ()
    """The first files that are no manifests."""
    stranger_count: int = 0

    @property
    def notes(self) -> tuple[object, ...]:
        """All but the files."""
        return self[1:]


def has_manifest_suffix(name: str) -> bool:
    """Whether a file of this name is read as manifests, or would be if it were not compressed."""
    return name.endswith(SUFFIXES) or name.lower().endswith(_ALL_SUFFIXES)


def is_hidden(name: str) -> bool:
    """Whether a name is passed over in silence."""
    return name.startswith(".") or name.endswith("~")


def look_at(folder: Path, known: Collection[str] = ()) -> FolderLook:
    """Look at all files of a cluster; `known` are those found before. Raises `OSError` for the folder itself."""
    walk = _Walk(os.fspath(folder), known)
    walk.enter("", frozenset())
    walk.keep_known()
    return FolderLook(
        walk.stamps, tuple(sorted(walk.faults)), tuple(heapq.nsmallest(_NOTED, walk.strangers)), len(walk.strangers)
    )


@dataclass(slots=True)
class _Walk:
    root: str
    known: Collection[str]
    stamps: dict[str, Stamp] = field(default_factory=dict)
    faults: list[FolderFault] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    folder_count: int = 0
    shut: dict[str, str] = field(default_factory=dict)  # by name why nothing below it can be seen
    is_cut: bool = False

    def enter(self, name: str, ancestors: frozenset[_Identity]) -> None:
        """Look at the files of a folder, then at the folders in it. Raises `OSError`.

        `ancestors` are the folders that it lies in, and itself; none of the uppermost one.
        """
        path = f"{self.root}/{name}" if name else self.root
        self.folder_count += 1
        prefix = f"{name}/" if name else ""
        folders: list[str] = []
        with os.scandir(path) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if has_manifest_suffix(entry.name):
                    self._add_file(entry, prefix + entry.name)
                elif self._is_folder(entry, prefix + entry.name):
                    folders.append(prefix + entry.name)
        if folders and not ancestors:
            ancestors = _identities_above(Path(path))
        for child in sorted(folders):
            self._enter_child(child, ancestors)

    def _is_folder(self, entry: os.DirEntry[str], name: str) -> bool:
        """Whether an entry that is no manifest is to be entered; if not it is noted."""
        try:
            if entry.is_dir():
                return True
            if entry.is_file():
                self.strangers.append(name)
        except OSError as error:
            self._shut(name, reason_of(error))
        else:
            self.shut[name] = "its folder is no folder any more"
        return False

    def _add_file(self, entry: os.DirEntry[str], name: str) -> None:
        if len(self.stamps) >= MAX_FILES:
            self._cut(f"holds more than {MAX_FILES} files; the others are not read")
            return
        try:
            status = entry.stat()
        except FileNotFoundError:
            if name in self.known and entry.is_symlink():
                self.stamps[name] = "No such file or directory"  # a mount or a swap that is not done
        except OSError as error:
            self.stamps[name] = reason_of(error)
        else:
            self.stamps[name] = _stamp_of(status)

    def _enter_child(self, name: str, ancestors: frozenset[_Identity]) -> None:
        if self.folder_count >= MAX_FOLDERS:
            self._cut(f"holds more than {MAX_FOLDERS} folders; the others are not read")
        elif name.count("/") >= MAX_DEPTH:
            self._shut(name, f"is nested more than {MAX_DEPTH} deep", "move it up")
        else:
            try:
                identity = _identity(f"{self.root}/{name}")
                if identity in ancestors:
                    self._shut(name, "is a link to a folder that it lies in", "remove the link")
                else:
                    self.enter(name, ancestors | {identity})
            except FileNotFoundError:
                pass  # it vanished
            except OSError as error:
                self._shut(name, reason_of(error))

    def _shut(self, name: str, reason: str, advice: str = "check who may read it") -> None:
        self.shut[name] = reason
        self.faults.append(FolderFault(name, f"cannot be looked into: {reason}", advice))

    def _cut(self, reason: str) -> None:
        if not self.is_cut:
            self.is_cut = True
            self.faults.append(FolderFault("", reason, "divide it, or keep what is not meant elsewhere"))

    def keep_known(self) -> None:
        """Add the known files that are there and were not seen."""
        for name in self.known:
            if name in self.stamps:
                continue
            reason = next((self.shut[parent] for parent in _parents(name) if parent in self.shut), "")
            if reason:
                self.stamps[name] = reason
            elif self.is_cut:
                try:
                    self.stamps[name] = _stamp_of(Path(self.root, name).stat())
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self.stamps[name] = reason_of(error)


def _parents(name: str) -> Iterator[str]:
    parent = name.rpartition("/")[0]
    while parent:
        yield parent
        parent = parent.rpartition("/")[0]


def _identity(path: str | Path) -> _Identity:
    status = Path(path).stat()
    return status.st_dev, status.st_ino


def _identities_above(folder: Path) -> frozenset[_Identity]:
    """Those of a folder and of all it lies in, by its path as it is written and as links lead. Raises `OSError`."""
    written = folder.absolute()
    return frozenset(map(_identity, {written, *written.parents, *written.resolve().parents}))


def _stamp_of(status: os.stat_result) -> FileStamp:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def reason_of(error: OSError) -> str:
    """Return what went wrong, for people."""
    return error.strerror or type(error).__name__
