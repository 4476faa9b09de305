"""Upgrade and rollback by one version over one database: each reads what the other wrote, and serves it at once."""

from pathlib import Path

import lmdb
import pytest

from meshdns.authority.state import NamedbState
from meshdns.dns import names
from meshdns.mesh.zone_hashes import ZoneHashes
from meshdns.namedb import verify
from meshdns.namedb.database import MAP_SIZE
from meshdns.namedb.writer import Commit, Writer
from tests.namedb.old_version import downgrade, is_checksum_right, write_as_old_version
from tests.namedb.test_reader_and_writer import ReaderProcess

HASHES = ZoneHashes("n", "r")
A, B = names.to_wire("a.global"), names.to_wire("b.global")


@pytest.fixture
def view(tmp_path: Path) -> Path:
    """A name database with a row, written and closed."""
    written(tmp_path / "view", row=b"1")
    return tmp_path / "view"


def written(path: Path, *, row: bytes | None = None, refusal: bytes | None = None) -> None:
    """Commit a row of one name and a refusal of another."""
    writer, commit = Writer(path), Commit()
    commit.rows = {A: row} if row is not None else {}
    commit.unserved_reasons = {B: refusal} if refusal is not None else {}
    writer.apply(commit)
    writer.close()


def test_refusals_are_read_back(view: Path) -> None:
    """What one process commits the other reads, and its removal too."""
    written(view, refusal=b"why")
    with ReaderProcess(view) as reader:
        assert reader.read(A, B)["refusals"] == [None, b"why"]
    writer, commit = Writer(view), Commit()
    commit.unserved_reasons = {B: None}
    writer.apply(commit)
    writer.close()
    with ReaderProcess(view) as reader:
        assert reader.read(B)["refusals"] == [None]
    assert verify.find_damage(view) == ""


def test_an_earlier_view_is_whole_and_served(view: Path) -> None:
    """Readers that start before the upgraded writer answer from what it left."""
    downgrade(view)
    assert verify.find_damage(view) == ""
    with ReaderProcess(view) as reader:
        found = reader.read(A, B)
    assert (found["rows"], found["refusals"]) == ([b"1", None], [None, None])


def test_readers_of_an_earlier_view_follow_its_upgrade(view: Path) -> None:
    """A worker that was there first sees refusals as soon as a writer commits some, without opening again."""
    downgrade(view)
    with ReaderProcess(view) as reader:
        reader.read()
        written(view, refusal=b"why")
        reader.read()
        assert reader.read(B)["refusals"] == [b"why"]


def test_the_earlier_version_finds_the_view_whole_after_a_rollback(view: Path) -> None:
    """Its checksum is right with refusals there, and after its own commit it is so for both."""
    written(view, refusal=b"why")
    assert is_checksum_right(view)
    write_as_old_version(view, B, b"2")
    assert is_checksum_right(view)
    assert verify.find_damage(view) == ""
    with ReaderProcess(view) as reader:
        assert reader.read(A, B)["rows"] == [b"1", b"2"]


def test_a_flipped_bit_in_a_refusal_is_found(view: Path) -> None:
    """Refusals are covered by a checksum as all else is."""
    written(view, refusal=b"why")
    with lmdb.open(str(view), map_size=MAP_SIZE, max_dbs=8) as env:
        refusals = env.open_db(b"refusals")
        with env.begin(write=True) as txn:
            txn.put(B, b"wh{", db=refusals)
    assert "checksum" in verify.find_damage(view)


def with_hashes(path: Path) -> None:
    """Commit the hashes of the settings that a zone's names were computed for."""
    writer, commit = Writer(path), Commit()
    commit.state = NamedbState(ready=True, zones={"global": HASHES}, sources="s")
    writer.apply(commit)
    writer.close()


def stored_zones(path: Path) -> dict[str, ZoneHashes] | None:
    """The hashes as the tools and the next controller read them."""
    writer = Writer(path)
    with writer.read() as tables:
        found = tables.state.zones
    writer.close()
    return found


def test_hashes_hold_until_an_earlier_version_commits(view: Path) -> None:
    """It changes names without them: after a rollback and another upgrade nothing is denied by them."""
    with_hashes(view)
    with ReaderProcess(view) as reader:
        assert reader.read()["zones"] == ["global"]
        written(view, row=b"3")
        assert reader.read()["zones"] == ["global"]
        write_as_old_version(view, B, b"2")
        assert (reader.read()["zones"], reader.read(B)["rows"]) == (None, [b"2"])
    assert stored_zones(view) is None
    written(view, row=b"4")
    assert stored_zones(view) is None, "what this version commits next says nothing of the names before"
    with_hashes(view)
    assert stored_zones(view) == {"global": HASHES}
    assert is_checksum_right(view)
    assert verify.find_damage(view) == ""
