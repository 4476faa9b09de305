"""The name database as the authority reads it, and what a row says by itself."""

from typing import Final, Protocol

from meshdns.authority.row import Row
from meshdns.authority.state import NamedbState
from meshdns.dns.codes import EDE_STALE_ANSWER

NO_ERROR: Final = (-1, b"")
UNWRITABLE_ERROR: Final = (EDE_STALE_ANSWER, b"changes cannot be written to the name database")


class RowReader(Protocol):
    """One consistent read of the name database."""

    state: NamedbState
    serial: int

    def row(self, owner: bytes) -> bytes | None:
        """Return the row of a lower-case wire name, or None."""


def find_row(rows: RowReader, name: bytes) -> Row | None:
    """Return the decoded row of a lower-case wire name, or None."""
    found = rows.row(name)
    return Row(found) if found is not None else None


def find_owned_row(rows: RowReader, name: bytes) -> tuple[bytes, Row] | None:
    """Return a lower-case wire name with its decoded row, or None."""
    found = rows.row(name)
    return (name, Row(found)) if found is not None else None


def is_undeclared(row: Row | None) -> bool:
    """Return whether the name of a row is not declared; it may be above a declared one."""
    return row is None or row.is_empty_nonterminal


def stale_error(row: Row, state: NamedbState) -> tuple[int, bytes]:
    """Return EDE 3 if a cluster that the answer rests on has been out of contact for too long."""
    if state.is_controller_silent and not row.static:
        return EDE_STALE_ANSWER, b"the controller is silent"
    if state.is_unwritable:
        return UNWRITABLE_ERROR
    if state.stale:
        stale = [state.clusters[i] for i in row.clusters if i in state.stale]
        if stale:
            return EDE_STALE_ANSWER, f"last known data of {', '.join(stale)}".encode()
    return NO_ERROR
