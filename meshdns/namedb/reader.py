"""Readers of the view: the worker's, which follows the commits, and the tools', which take one look."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from meshdns.authority.state import NamedbState, decode_state
from meshdns.namedb.database import NameDatabase, Transaction
from meshdns.namedb.writer import ALL_CHANGED, INVALIDATION_RING_SIZE

_commit_key = struct.Struct(">Q")


class ReadTransaction:
    """One consistent look at the view (the authority's `RowReader`), as of the commit `serial`."""

    __slots__ = ("_transaction", "serial", "state")

    def __init__(self, transaction: Transaction, serial: int, state: NamedbState) -> None:
        self._transaction = transaction
        self.serial = serial
        self.state = state

    def row(self, owner: bytes, /) -> bytes | None:
        """The row of an owner name."""
        return self._transaction.get(b"rows", owner)

    def provenance(self, owner: bytes) -> bytes | None:
        """The provenance of an owner name's row."""
        return self._transaction.get(b"reasons", owner)

    def unserved_reason(self, owner: bytes) -> bytes | None:
        """Why nothing is served of an owner name that somebody declares (`meshdns.mesh.unserved_reasons`)."""
        return self._transaction.get(b"refusals", owner)

    def clusters(self) -> list[tuple[bytes, bytes]]:
        """The names of all clusters with what the view holds of them."""
        return list(self._transaction.items(b"clusters"))

    def owners_from(self, owner: bytes) -> Iterator[bytes]:
        """The owner names from `owner` on, in the order of their octets."""
        return (key for key, _ in self._transaction.items(b"rows", owner))

    def close(self) -> None:
        """Give the transaction back; the look must not be used afterwards."""
        self._transaction.close()


class Reader:
    """Follows the commits of a view; one per process."""

    def __init__(self, path: Path) -> None:
        self._database = NameDatabase(path, writable=False)
        self._commit_id = -1
        self._state_bytes = b""
        self._state = NamedbState()
        self._silent = False

    @property
    def ready(self) -> bool:
        """Whether the last look found the view ready to answer."""
        return self._state.ready

    def set_controller_silent(self, silent: bool) -> bool:  # noqa: FBT001 — the one thing it is told
        """Note whether the controller is silent, which makes all it wrote stale; returns whether that is new."""
        if silent == self._silent:
            return False
        self._silent = silent
        self._state = msgspec.structs.replace(self._state, is_controller_silent=silent)
        return True

    def begin(self, invalidate: Callable[[list[bytes] | None], None]) -> ReadTransaction:
        """Begin a look. `invalidate` is told which owner names changed since the last one; None means all."""
        transaction = self._database.begin()
        number = transaction.commit_id
        if number != self._commit_id:
            invalidate(self._changed_names(transaction, number))
            self._commit_id = number
            self._database.open_optional_table()
        return ReadTransaction(transaction, number, self._state)

    def _changed_names(self, transaction: Transaction, commit_id: int) -> list[bytes] | None:
        state = transaction.get(b"meta", b"state") or b""
        if state != self._state_bytes:
            self._state_bytes = state
            known = decode_state(state) if state else NamedbState()
            self._state = msgspec.structs.replace(known, is_controller_silent=self._silent)
            return None
        if self._commit_id < 0 or commit_id - self._commit_id >= INVALIDATION_RING_SIZE:
            return None
        changed: list[bytes] = []
        for key, entry in transaction.items(b"ring", _commit_key.pack(self._commit_id + 1)):
            if entry == ALL_CHANGED:
                return None
            if _commit_key.unpack(key)[0] <= commit_id:
                changed += decode_changed_names(entry)
        return changed

    def close(self) -> None:
        """Close the view."""
        self._database.close()


def decode_changed_names(entry: bytes) -> list[bytes]:
    """The wire names that are joined in a ring entry."""
    found: list[bytes] = []
    start = at = 0
    while at < len(entry):
        length = entry[at]
        at += length + 1
        if length == 0:
            found.append(entry[start:at])
            start = at
    return found
