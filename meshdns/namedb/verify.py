"""Checks a name database before it is used, in a process of its own: a damaged LMDB file may end whoever reads it.

Run as ``python -m meshdns.namedb.verify DIRECTORY``; exit status 0 means that every page could be read and that the
checksum is right. Anything else, a signal included, means that the name database must not be used.
"""

import contextlib
import sys
from pathlib import Path

from meshdns.namedb.database import NameDatabase, NameDatabaseError


def find_damage(path: Path) -> str:
    """What is wrong with the name database at `path`; empty where nothing is."""
    try:
        environment = NameDatabase(path, writable=False)
        with contextlib.closing(environment.begin()) as txn:
            good = txn.compute_checksums() == txn.stored_checksums()
        environment.close()
    except NameDatabaseError as error:
        return str(error)
    return "" if good else f"{path}: the name database is damaged: its checksum does not match"


def main() -> None:
    """Check the name database named on the command line."""
    found = find_damage(Path(sys.argv[1]))
    if found:
        sys.stderr.write(f"{found}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
