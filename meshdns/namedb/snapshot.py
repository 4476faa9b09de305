"""The snapshot: all slim declarations in one file that survives reboot, upgrade and rollback by one version.

The first line names the format, its version, the SHA-256 and the length of the rest; each further line is one
declaration with its cluster. Lines of a kind that this version does not know are skipped, so that a version can be
rolled back. The file is written beside its place, synced and renamed: it is whole or not there.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from meshdns.config.regular_file import read_regular_file
from meshdns.mesh.objects.declarations import AnyDeclaration

VERSION: Final = 1
MAX_SIZE: Final = 256 << 20  # bytes; 100,000 ServiceEntries are a fifth of it
_MAGIC: Final = b"meshdns-snapshot"
_FILE_NAME: Final = "snapshot"


class SnapshotError(Exception):
    """The snapshot cannot be read or written; the message names the file and says what happens next."""


class _Line(msgspec.Struct, frozen=True):
    cluster: str
    declaration: AnyDeclaration


def write_snapshot(state_dir: Path, declarations: Iterable[tuple[str, AnyDeclaration]]) -> None:
    """Replace the snapshot. Raises `SnapshotError`; the earlier one then stays."""
    body = b"".join(msgspec.json.encode(_Line(cluster, item)) + b"\n" for cluster, item in declarations)
    head = b"%s %d %s %d\n" % (_MAGIC, VERSION, hashlib.sha256(body).hexdigest().encode(), len(body))
    path = state_dir / _FILE_NAME
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("wb") as file:
            file.write(head + body)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _fsync_directory(state_dir)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        message = f"{path}: cannot be written: {error.strerror}; a reboot would begin with an older snapshot"
        raise SnapshotError(message) from None


def read_snapshot(state_dir: Path) -> Iterator[tuple[str, AnyDeclaration]]:
    """Yield the declarations of the snapshot; none if there is no file. Raises `SnapshotError` if it is not whole."""
    path = state_dir / _FILE_NAME
    try:
        content, _ = read_regular_file(path, max_size=MAX_SIZE)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read: {error.strerror}; beginning without it") from None
    head, _, body = content.partition(b"\n")
    fault = _header_fault(head.split(b" "), body)
    if fault:
        raise SnapshotError(f"{path}: {fault}; beginning without it")
    for line in body.splitlines():
        with contextlib.suppress(msgspec.DecodeError):
            known = msgspec.json.decode(line, type=_Line)
            yield known.cluster, known.declaration


def _header_fault(head: list[bytes], body: bytes) -> str:
    if len(head) != 4 or head[0] != _MAGIC or not head[1].isdigit():
        return "is no snapshot"
    if abs(int(head[1]) - VERSION) > 1:
        return f"has version {int(head[1])}; this program reads {VERSION - 1} to {VERSION + 1}"
    if head[3] != b"%d" % len(body) or head[2] != hashlib.sha256(body).hexdigest().encode():
        return "is damaged: its checksum does not match"
    return ""


def _fsync_directory(directory: Path) -> None:
    """Sync the directory, so that the rename survives a crash."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
