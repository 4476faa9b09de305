"""Readers of the name database: a read transaction, and the worker's reader, which follows the commits."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from meshdns.authority.state import NamedbState
from meshdns.namedb.database import NameDatabase, Transaction
from meshdns.namedb.stored_state import decode_stored_state, read_stored_state
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
        self._stored_state = (b"", False)
        self._state = NamedbState()
        self._silent = False
        self._unwritable = False

    @property
    def is_ready(self) -> bool:
        """Whether the name database could answer for the mesh at the last `begin`."""
        return self._state.ready

    @property
    def state(self) -> NamedbState:
        """The state as of the last `begin`."""
        return self._state

    def set_controller_state(self, *, silent: bool, unwritable: bool) -> bool:
        """Set whether the controller is silent or cannot commit, so that data is stale; return whether that changed."""
        if (silent, unwritable) == (self._silent, self._unwritable):
            return False
        self._silent, self._unwritable = silent, unwritable
        self._state = self._with_controller_state(self._state)
        return True

    def _with_controller_state(self, state: NamedbState) -> NamedbState:
        return msgspec.structs.replace(state, is_controller_silent=self._silent, is_unwritable=self._unwritable)

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
        stored = read_stored_state(transaction)
        if stored != self._stored_state:
            self._stored_state = stored
            self._state = self._with_controller_state(decode_stored_state(stored[0], is_believed=stored[1]))
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
