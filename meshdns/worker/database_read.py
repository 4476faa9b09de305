"""The worker's read access to the name database, as far as its modules need it."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from meshdns.authority.authority import RowReader


class DatabaseRead(RowReader, Protocol):
    """A read transaction of the name database (`meshdns.namedb.reader.ReadTransaction`)."""

    def provenance(self, owner: bytes) -> bytes | None:
        """The provenance of an owner name's row."""

    def unserved_reason(self, owner: bytes) -> bytes | None:
        """Why nothing is served of an owner name that somebody declares (`meshdns.mesh.unserved_reasons`)."""

    def clusters(self) -> Iterable[tuple[bytes, bytes]]:
        """The names of all clusters with what the database holds of them."""

    def owners_from(self, owner: bytes) -> Iterator[bytes]:
        """The owner names from `owner` on, in the order of their bytes."""

    def close(self) -> None:
        """End the transaction."""
