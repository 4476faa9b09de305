"""Whatever is at a path, reading it ends at once, with a bounded content or a reason."""

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from meshdns.config import SettingsError, read_settings_file
from meshdns.config.regular_file import MAX_SIZE, FileIdentity, read_regular_file


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)


PATHS: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda _: None, "No such file or directory"),
    "a folder": (Path.mkdir, "Is a directory"),
    "a FIFO": (os.mkfifo, "is a FIFO and no file"),
    "a socket": (_socket, "is a socket and no file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a device and no file"),
    "10 GiB": (_sparse, "is larger than 1 MiB"),
    "one byte too many": (lambda path: path.write_bytes(bytes(MAX_SIZE + 1)), "is larger than 1 MiB"),
    "a dangling link": (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
}


@pytest.mark.parametrize("what", PATHS)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, what: str) -> None:
    """With a reason for people; nobody waits for a writer, and nothing large is held."""
    make, reason = PATHS[what]
    path = tmp_path / "f"
    make(path)
    with pytest.raises(OSError, match=r".") as caught:
        read_regular_file(path)
    assert (caught.value.strerror, caught.value.filename) == (reason, str(path))
    with pytest.raises(SettingsError, match="name another settings file"):
        read_settings_file(path, "/home/op")


def test_a_path_that_is_none_is_refused() -> None:
    """A NUL ends a path in C."""
    with pytest.raises(OSError, match="null"):
        read_regular_file("a\0b")


def test_a_file_that_says_it_is_empty_is_read_to_its_bound() -> None:
    """Files of /proc have no size."""
    assert read_regular_file("/proc/self/stat")[0].startswith(str(os.getpid()).encode())
    with pytest.raises(OSError, match="is larger than 3 bytes"):
        read_regular_file("/proc/self/stat", max_size=3)


def test_the_largest_file_is_read_whole(tmp_path: Path) -> None:
    """With the identity of what was read."""
    path = tmp_path / "f"
    path.write_bytes(b"x" * MAX_SIZE)
    assert read_regular_file(path) == (b"x" * MAX_SIZE, FileIdentity.of(path.stat()))
