"""Readers of the view: the worker's, which follows the commits, and the tools', which take one look."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from meshdns.authority.state import ViewState, decode
from meshdns.view.environment import Environment, Transaction
from meshdns.view.writer import ALL, RING

_commit = struct.Struct(">Q")


class Look:
    """One consistent look at the view (the authority's `Rows`), as of the commit `serial`."""

    __slots__ = ("_transaction", "serial", "state")

    def __init__(self, transaction: Transaction, serial: int, state: ViewState) -> None:
        self._transaction = transaction
        self.serial = serial
        self.state = state

    def row(self, owner: bytes, /) -> bytes | None:
        """The row of an owner name."""
        return self._transaction.get(b"rows", owner)

    def reason(self, owner: bytes) -> bytes | None:
        """The provenance of an owner name's row."""
        return self._transaction.get(b"reasons", owner)

    def refusal(self, owner: bytes) -> bytes | None:
        """Why nothing is served of an owner name that somebody declares (`meshdns.mesh.refused`)."""
        return self._transaction.get(b"refusals", owner)

    def clusters(self) -> list[tuple[bytes, bytes]]:
        """The names of all clusters with what the view holds of them."""
        return list(self._transaction.items(b"clusters"))

    def known_from(self, owner: bytes) -> Iterator[bytes]:
        """The owner names from `owner` on, in the order of their octets."""
        return (key for key, _ in self._transaction.items(b"rows", owner))

    def end(self) -> None:
        """Give the transaction back; the look must not be used afterwards."""
        self._transaction.end()


class Reader:
    """Follows the commits of a view; one per process."""

    def __init__(self, path: Path) -> None:
        self._environment = Environment(path, writable=False)
        self._number = -1
        self._state_bytes = b""
        self._state = ViewState()
        self._silent = False

    @property
    def ready(self) -> bool:
        """Whether the last look found the view ready to answer."""
        return self._state.ready

    def set_silent(self, silent: bool) -> bool:  # noqa: FBT001 — the one thing it is told
        """Note whether the controller is silent, which makes all it wrote stale; returns whether that is new."""
        if silent == self._silent:
            return False
        self._silent = silent
        self._state = msgspec.structs.replace(self._state, silent=silent)
        return True

    def look(self, forget: Callable[[list[bytes] | None], None]) -> Look:
        """Begin a look. `forget` is told which owner names changed since the last one; None means all."""
        transaction = self._environment.begin()
        number = transaction.number
        if number != self._number:
            forget(self._changed(transaction, number))
            self._number = number
            self._environment.complete()
        return Look(transaction, number, self._state)

    def _changed(self, transaction: Transaction, number: int) -> list[bytes] | None:
        state = transaction.get(b"meta", b"state") or b""
        if state != self._state_bytes:
            self._state_bytes = state
            known = decode(state) if state else ViewState()
            self._state = msgspec.structs.replace(known, silent=self._silent)
            return None
        if self._number < 0 or number - self._number >= RING:
            return None
        changed: list[bytes] = []
        for key, entry in transaction.items(b"ring", _commit.pack(self._number + 1)):
            if entry == ALL:
                return None
            if _commit.unpack(key)[0] <= number:
                changed += split_names(entry)
        return changed

    def close(self) -> None:
        """Close the view."""
        self._environment.close()


def split_names(entry: bytes) -> list[bytes]:
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
