"""Check of a name database before it is used, in a process of its own: a damaged LMDB file may crash its reader.

Run as ``python -m meshdns.namedb.verify DIRECTORY``; exit status 0 means that every page could be read and that the
checksum is right. Anything else, a signal included, means that the name database must not be used.
"""

import contextlib
import sys
from pathlib import Path

from meshdns.namedb.database import NameDatabase, NameDatabaseError


def find_damage(path: Path) -> str:
    """Return what is wrong with the name database at `path`; empty if nothing is."""
    try:
        database = NameDatabase(path, writable=False)
        with contextlib.closing(database.begin()) as txn:
            good = txn.compute_checksums() == txn.stored_checksums()
        database.close()
    except NameDatabaseError as error:
        return str(error)
    return "" if good else f"{path}: the name database is damaged: its checksum does not match"


def main() -> None:
    """Check the name database named on the command line."""
    damage = find_damage(Path(sys.argv[1]))
    if damage:
        sys.stderr.write(f"{damage}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
