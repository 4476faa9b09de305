"""Bounded reading of a file that may be anything: a FIFO, a folder, a device, of any size, changed while it is read."""

import errno
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

MAX_SIZE: Final = 1 << 20
"""Bytes of a file, unless its reader names another bound: far beyond any resolv.conf or bundle of authorities."""

_READ_SIZE: Final = 1 << 16
_KINDS: Final = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class FileIdentity(NamedTuple):
    """What tells one content at a path from the next, through all links: another file, or the same one changed."""

    device: int
    inode: int
    size: int
    modified: int  # nanoseconds since 1970
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileIdentity":
        """Return the identity of the file with this status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def read_regular_file(path: str | Path, *, max_size: int = MAX_SIZE) -> tuple[bytes, FileIdentity]:
    """Return the content of a regular file of at most `max_size` bytes, and what it was read from.

    Never waits for a writer, and holds no more than `max_size` bytes and one. Raises OSError, whose `strerror` is for
    people, if there is no such file.
    """
    try:
        _check(Path(path).stat(), path)  # a device is not even opened
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:  # a NUL
        raise OSError(errno.EINVAL, str(error), os.fspath(path)) from None
    try:
        status = os.fstat(descriptor)
        _check(status, path)
        content = bytearray()
        while chunk := os.read(descriptor, min(_READ_SIZE, max_size + 1 - len(content))):
            content += chunk
            if len(content) > max_size:  # its size may say nothing, or it grows
                raise OSError(errno.EFBIG, f"is larger than {_size_text(max_size)}", os.fspath(path))
        return bytes(content), FileIdentity.of(status)
    finally:
        os.close(descriptor)


def _check(status: os.stat_result, path: str | Path) -> None:
    """Raise OSError unless this is a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"is {kind} and no file", os.fspath(path))


def _size_text(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"
