"""The bytes of tables in a database, for tests of formats."""

import contextlib
from pathlib import Path
from typing import Final

from meshdns.namedb.database import NameDatabase

SAME_TABLES: Final = (b"rows", b"declarations", b"clusters", b"refusals")
"""Tables whose values are encoded as version 0.1 did."""

GROWN_TABLES: Final = (b"reasons", b"problems")
"""Tables whose values have fields that 0.1 did not know: the beginning of a problem, the chosen candidates."""


def raw_tables(database: Path, names: tuple[bytes, ...]) -> dict[bytes, dict[bytes, bytes]]:
    """Return keys and values of tables by the names of the tables."""
    opened = NameDatabase(database, writable=False)
    try:
        with contextlib.closing(opened.begin()) as transaction:
            return {name: dict(transaction.items(name)) for name in names}
    finally:
        opened.close()
