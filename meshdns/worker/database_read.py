"""The worker's read access to the name database, as far as its modules need it."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from meshdns.authority.row_reader import RowReader


class DatabaseRead(RowReader, Protocol):
    """A read transaction of the name database (`meshdns.namedb.reader.ReadTransaction`)."""

    def provenance(self, owner: bytes) -> bytes | None:
        """Return the provenance of an owner name's row, or None."""

    def unserved_reason(self, owner: bytes) -> bytes | None:
        """Return why a declared owner name is not served (`meshdns.mesh.unserved_reasons`), or None."""

    def clusters(self) -> Iterable[tuple[bytes, bytes]]:
        """Return the names of all clusters with their encoded summaries."""

    def owners_from(self, owner: bytes) -> Iterator[bytes]:
        """Yield the owner names from `owner` on, in the order of their bytes."""

    def close(self) -> None:
        """End the transaction."""
