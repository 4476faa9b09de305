"""The directory of the name database over an upgrade from the first version, which named it differently."""

from pathlib import Path

from meshdns.namedb.location import current_database, quarantine, remove_obsolete_databases


def _as_first_version(database: Path) -> Path:
    return database.with_name(database.name.replace("namedb-", "view-", 1))


def test_a_database_of_the_first_version_is_adopted(tmp_path: Path) -> None:
    """One of this boot and layout is used on and not removed, so that an upgrade serves at once."""
    fresh = current_database(tmp_path)
    assert fresh.name.startswith("namedb-")
    adopted = _as_first_version(fresh)
    adopted.mkdir()
    assert current_database(tmp_path) == adopted
    remove_obsolete_databases(tmp_path)
    assert adopted.is_dir()


def test_a_damaged_database_of_the_first_version_is_replaced_and_its_number_not_used_again(tmp_path: Path) -> None:
    """The next database has the next number and the present name; the marker stays, the damaged one goes."""
    adopted = _as_first_version(current_database(tmp_path))
    adopted.mkdir()
    quarantine(adopted)
    replacement = current_database(tmp_path)
    assert replacement.name == f"{adopted.name.replace('view-', 'namedb-', 1).removesuffix('0')}1"
    remove_obsolete_databases(tmp_path)
    assert not adopted.exists()
    assert current_database(tmp_path) == replacement


def test_a_database_of_another_boot_is_removed_under_either_name(tmp_path: Path) -> None:
    """Neither name keeps what no process will open again."""
    for name in ("view-1-00000000-0", "namedb-1-00000000-0"):
        (tmp_path / name).mkdir()
    remove_obsolete_databases(tmp_path)
    assert list(tmp_path.iterdir()) == []
