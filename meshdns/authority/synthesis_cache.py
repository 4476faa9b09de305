"""Decoded data of the rows from which further names are synthesized, found by owner name.

Whoever declares a host with many ports and clusters makes its row large, and decoding it takes up to a millisecond. It
is done once for a row, not once for a query, and not at all for a name whose label the row does not hold.
"""

from typing import Final

import msgspec

from meshdns.authority.row import Row
from meshdns.authority.row_format import ClusterPart, RowService, SynthesisData

MAX_BYTES: Final = 1 << 20
"""Bytes of encoded data whose decoded form is kept, some ten times as large; beyond it all are dropped."""

_ENTRY_OVERHEAD: Final = 200  # bytes of a row however small


class _Index:
    """The decoded data of one row."""

    __slots__ = ("encoded", "parts", "protocols", "services")

    def __init__(self, encoded: bytes) -> None:
        data = msgspec.msgpack.decode(encoded, type=SynthesisData)
        self.encoded = encoded
        self.parts = {(part.label, part.port): part for part in reversed(data.parts)}  # the first of equal ones counts
        self.services = {(service.name, service.protocol): service for service in reversed(data.services)}
        self.protocols = frozenset(service.protocol for service in data.services)


class SynthesisCache:
    """Finds what is synthesized from a row. A row that a commit has changed is decoded again."""

    def __init__(self) -> None:
        self._indexes: dict[bytes, _Index] = {}
        self._size = 0

    def part(self, owner: bytes, row: Row, label: bytes, port: int) -> ClusterPart | None:
        """Return the records of a row in one cluster at one port, or None."""
        index = self._index(owner, row, label)
        return index.parts.get((label, port)) if index is not None else None

    def service(self, owner: bytes, row: Row, name: bytes, protocol: bytes) -> RowService | None:
        """Return the service of a row with this name, or None."""
        index = self._index(owner, row, name)
        return index.services.get((name, protocol)) if index is not None else None

    def has_protocol(self, owner: bytes, row: Row, protocol: bytes) -> bool:
        """Return whether a row has a service over a protocol."""
        index = self._index(owner, row, protocol)
        return index is not None and protocol in index.protocols

    def _index(self, owner: bytes, row: Row, label: bytes) -> _Index | None:
        """Return the decoded data of a row, or None if it has none with this label."""
        encoded = row.synthesis_bytes
        index = self._indexes.get(owner)
        if index is not None and index.encoded == encoded:
            return index
        if label not in encoded:
            return None
        if index is not None:
            self._size -= len(index.encoded) + _ENTRY_OVERHEAD
        self._size += len(encoded) + _ENTRY_OVERHEAD
        if self._size > MAX_BYTES:
            self._indexes.clear()
            self._size = len(encoded) + _ENTRY_OVERHEAD
        made = self._indexes[owner] = _Index(encoded)
        return made
