"""Readers of the name database: a read transaction, and the worker's reader, which follows the commits."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from meshdns.authority.state import NamedbState, decode_state
from meshdns.namedb.database import NameDatabase, Transaction
from meshdns.namedb.writer import ALL_CHANGED, INVALIDATION_RING_SIZE

_commit_key = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class ChangedNames:
    """The owner names that commits changed, as wire names; all names if `names` is None."""

    names: tuple[bytes, ...] | None


ALL_NAMES: Final = ChangedNames(None)


class ReadTransaction:
    """One consistent read of the name database (the authority's `RowReader`), as of the commit `serial`."""

    __slots__ = ("_transaction", "serial", "state")

    def __init__(self, transaction: Transaction, serial: int, state: NamedbState) -> None:
        self._transaction = transaction
        self.serial = serial
        self.state = state

    def row(self, owner: bytes, /) -> bytes | None:
        """Return the row of an owner name, or None."""
        return self._transaction.get(b"rows", owner)

    def provenance(self, owner: bytes) -> bytes | None:
        """Return the provenance of an owner name's row, or None."""
        return self._transaction.get(b"reasons", owner)

    def unserved_reason(self, owner: bytes) -> bytes | None:
        """Return why a declared owner name is not served (`meshdns.mesh.unserved_reasons`), or None."""
        return self._transaction.get(b"refusals", owner)

    def clusters(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the names of all clusters with their encoded summaries."""
        return self._transaction.items(b"clusters")

    def owners_from(self, owner: bytes) -> Iterator[bytes]:
        """Yield the owner names from `owner` on, in the order of their bytes."""
        return self._transaction.keys(b"rows", owner)

    def close(self) -> None:
        """End the transaction; it must not be used afterwards."""
        self._transaction.close()


class Reader:
    """Follows the commits of a name database; one per process."""

    def __init__(self, path: Path) -> None:
        self._database = NameDatabase(path, writable=False)
        self._commit_id = -1
        self._state_bytes = b""
        self._state = NamedbState()
        self._silent = False

    @property
    def is_ready(self) -> bool:
        """Whether the name database could answer for the mesh at the last `begin`."""
        return self._state.ready

    def set_controller_silent(self, silent: bool) -> bool:  # noqa: FBT001 — the one argument
        """Set whether the controller is silent, which makes all it wrote stale; return whether that changed."""
        if silent == self._silent:
            return False
        self._silent = silent
        self._state = msgspec.structs.replace(self._state, is_controller_silent=silent)
        return True

    def begin(self) -> tuple[ReadTransaction, ChangedNames | None]:
        """Begin a read transaction; the second value is what changed since the last one, None without a commit."""
        transaction = self._database.begin()
        number = transaction.commit_id
        changed: ChangedNames | None = None
        if number != self._commit_id:
            changed = self._changed_names(transaction, number)
            self._commit_id = number
            self._database.open_optional_table()
        return ReadTransaction(transaction, number, self._state), changed

    def _changed_names(self, transaction: Transaction, commit_id: int) -> ChangedNames:
        state = transaction.get(b"meta", b"state") or b""
        if state != self._state_bytes:
            self._state_bytes = state
            known = decode_state(state) if state else NamedbState()
            self._state = msgspec.structs.replace(known, is_controller_silent=self._silent)
            return ALL_NAMES
        if self._commit_id < 0 or commit_id - self._commit_id >= INVALIDATION_RING_SIZE:
            return ALL_NAMES
        changed: list[bytes] = []
        for key, entry in transaction.items(b"ring", _commit_key.pack(self._commit_id + 1)):
            if entry == ALL_CHANGED:
                return ALL_NAMES
            if _commit_key.unpack(key)[0] <= commit_id:
                changed += decode_changed_names(entry)
        return ChangedNames(tuple(changed))

    def close(self) -> None:
        """Close the name database."""
        self._database.close()


def decode_changed_names(entry: bytes) -> list[bytes]:
    """Return the wire names that are joined in an entry of the invalidation ring."""
    found: list[bytes] = []
    start = at = 0
    while at < len(entry):
        length = entry[at]
        at += length + 1
        if length == 0:
            found.append(entry[start:at])
            start = at
    return found
