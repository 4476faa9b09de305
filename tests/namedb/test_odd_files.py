"""What is found in the place of a file of the state folder is read in bounded time, or refused."""

from pathlib import Path

import pytest

from meshdns.namedb import snapshot, verify
from meshdns.namedb.database import DamagedDatabaseError, NameDatabase, NameDatabaseError
from meshdns.namedb.snapshot import SnapshotError
from meshdns.namedb.writer import Writer
from tests.file_states import STATES


@pytest.mark.parametrize("state", STATES)
def test_snapshot_that_is_none_is_refused(tmp_path: Path, state: str) -> None:
    """None at all is no fault."""
    STATES[state](tmp_path / "snapshot")
    if state == "missing":
        assert list(snapshot.read_snapshot(tmp_path)) == []
        return
    with pytest.raises(SnapshotError, match="beginning without it"):
        list(snapshot.read_snapshot(tmp_path))


@pytest.mark.parametrize("state", STATES)
def test_database_that_is_none_is_damaged(tmp_path: Path, state: str) -> None:
    """That is found before any process serves it."""
    Writer(tmp_path / "namedb").close()
    (tmp_path / "namedb/data.mdb").unlink()
    STATES[state](tmp_path / "namedb/data.mdb")
    assert verify.find_damage(tmp_path / "namedb")


@pytest.mark.parametrize("name", ["data.mdb", "lock.mdb"])
@pytest.mark.parametrize("state", ["a folder", "a FIFO", "unreadable"])
def test_writer_does_not_wait_for_what_is_no_file(tmp_path: Path, state: str, name: str) -> None:
    """It raises, and the database is set aside."""
    (tmp_path / "namedb").mkdir()
    STATES[state](tmp_path / "namedb" / name)
    with pytest.raises(NameDatabaseError) as refusal:
        NameDatabase(tmp_path / "namedb", writable=True)
    assert isinstance(refusal.value, DamagedDatabaseError) or state == "unreadable"
