"""When snapshots are written, and what they survive."""

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from meshdns.controller.snapshot_writer import SNAPSHOT_INTERVAL, SnapshotWriter
from meshdns.mesh.objects.declarations import AnyDeclaration, ServiceEntry
from meshdns.namedb import snapshot
from meshdns.namedb.snapshot import SnapshotError

ONE = ServiceEntry(namespace="default", name="one", hosts=("one.global",))
TWO = ServiceEntry(namespace="default", name="two", hosts=("two.global",))


class _Mesh:
    """Declarations that change."""

    def __init__(self) -> None:
        self.declared: list[tuple[str, AnyDeclaration]] = [("east", ONE)]

    def __call__(self) -> list[tuple[str, AnyDeclaration]]:
        return list(self.declared)


def _with_snapshots(folder: Path, body: Callable[[SnapshotWriter, _Mesh], Awaitable[None]]) -> None:
    async def run() -> None:
        mesh = _Mesh()
        await body(SnapshotWriter(folder, mesh, loop=asyncio.get_running_loop()), mesh)

    asyncio.run(run())


async def _written(snapshots: SnapshotWriter) -> list[tuple[str, AnyDeclaration]]:
    if snapshots._pending_write is not None:
        await snapshots._pending_write
    return list(snapshot.read_snapshot(snapshots.directory))


def test_first_change_is_written_at_once_and_the_next_a_minute_later(tmp_path: Path) -> None:
    """At most one snapshot a minute; what came in between is in the next."""

    async def body(snapshots: SnapshotWriter, mesh: _Mesh) -> None:
        snapshots.write_if_due(1, 100.0)
        assert await _written(snapshots) == [("east", ONE)]
        mesh.declared.append(("west", TWO))
        snapshots.write_if_due(2, 100.0 + SNAPSHOT_INTERVAL - 0.1)
        assert await _written(snapshots) == [("east", ONE)]
        snapshots.write_if_due(2, 100.0 + SNAPSHOT_INTERVAL)
        assert await _written(snapshots) == [("east", ONE), ("west", TWO)]

    _with_snapshots(tmp_path, body)


def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    """A controller that has heard nothing does not overwrite what an earlier one left."""

    async def body(snapshots: SnapshotWriter, _: _Mesh) -> None:
        snapshots.write_if_due(0, 100.0)
        await snapshots.close(0)
        assert await _written(snapshots) == []

    _with_snapshots(tmp_path, body)


def test_doubt_writes_without_a_change(tmp_path: Path) -> None:
    """Where an earlier process may have ended before it wrote, one is written."""

    async def body(snapshots: SnapshotWriter, _: _Mesh) -> None:
        snapshots.mark_outdated()
        snapshots.write_if_due(0, 100.0)
        assert await _written(snapshots) == [("east", ONE)]

    _with_snapshots(tmp_path, body)


def test_end_writes_what_is_not_written(tmp_path: Path) -> None:
    """A change within the minute, which no look has seen, is written at the end."""

    async def body(snapshots: SnapshotWriter, mesh: _Mesh) -> None:
        snapshots.write_if_due(1, 100.0)
        mesh.declared.append(("west", TWO))
        await snapshots.close(2)
        assert await _written(snapshots) == [("east", ONE), ("west", TWO)]

    _with_snapshots(tmp_path, body)


def test_failure_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A directory that cannot be written is one line in the log, not one a minute; the next success ends it."""

    async def body(snapshots: SnapshotWriter, _: _Mesh) -> None:
        for turn in range(3):
            snapshots.write_if_due(turn + 1, 100.0 + turn * SNAPSHOT_INTERVAL)
            await _finished(snapshots)
        (error,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert error.startswith(f"{folder / 'snapshot'}: cannot be written: No such file or directory; ")
        folder.mkdir()
        snapshots.write_if_due(9, 100.0 + 9 * SNAPSHOT_INTERVAL)
        assert await _written(snapshots) == [("east", ONE)]

    folder = tmp_path / "gone"
    _with_snapshots(folder, body)


async def _finished(snapshots: SnapshotWriter) -> None:
    assert snapshots._pending_write is not None
    await snapshots._pending_write


def test_unknown_kinds_of_a_newer_version_are_skipped(tmp_path: Path) -> None:
    """A rollback by one version keeps what it knows."""
    snapshot.write_snapshot(tmp_path, [("east", ONE)])
    body = (tmp_path / "snapshot").read_bytes().split(b"\n", 1)[1]
    body += b'{"cluster":"east","declaration":{"type":"Novelty","name":"x"}}\n'
    _write(tmp_path, snapshot.VERSION + 1, body)
    assert list(snapshot.read_snapshot(tmp_path)) == [("east", ONE)]


def test_half_a_write_leaves_the_earlier_snapshot(tmp_path: Path) -> None:
    """What lies beside the snapshot after a crash is not read."""
    snapshot.write_snapshot(tmp_path, [("east", ONE)])
    shutil.copy(tmp_path / "snapshot", tmp_path / "snapshot.new")
    (tmp_path / "snapshot.new").write_bytes(b"half")
    assert list(snapshot.read_snapshot(tmp_path)) == [("east", ONE)]
    snapshot.write_snapshot(tmp_path, [("east", TWO)])
    assert list(snapshot.read_snapshot(tmp_path)) == [("east", TWO)]


def test_directory_in_its_place_is_refused_with_words(tmp_path: Path) -> None:
    """A snapshot that cannot be read is an error that names it."""
    (tmp_path / "snapshot").mkdir()
    with pytest.raises(SnapshotError, match="cannot be read: Is a directory; beginning without it"):
        list(snapshot.read_snapshot(tmp_path))


def _write(folder: Path, version: int, body: bytes) -> None:

    head = b"meshdns-snapshot %d %s %d\n" % (version, hashlib.sha256(body).hexdigest().encode(), len(body))
    (folder / "snapshot").write_bytes(head + body)
