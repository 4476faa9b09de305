"""The one writer: a change of the mesh becomes one transaction.

Rows, reasons, refusals, declarations, problems, cluster states and the ring of changed owner names change together, so
that a reader sees all of a change or nothing of it. Values that did not change are not written and do not enter the
ring.
"""

import contextlib
import itertools
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from meshdns.view.environment import Environment, Transaction

RING: Final = 256
"""Commits whose changed keys are kept; a worker further behind forgets all its ready replies."""

MAX_RING_KEYS: Final = 4096
"""A commit that changes more owner names than this says "all" instead."""

_commit = struct.Struct(">Q").pack
ALL: Final = b"\xff"


class Commit:
    """What one transaction is to change; None removes. Keys are as the databases hold them."""

    __slots__ = ("clusters", "declarations", "meta", "problems", "reasons", "refusals", "rows")

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}
        self.reasons: dict[bytes, bytes | None] = {}
        self.refusals: dict[bytes, bytes | None] = {}
        self.declarations: dict[bytes, bytes | None] = {}
        self.problems: dict[bytes, bytes | None] = {}
        self.clusters: dict[bytes, bytes | None] = {}
        self.meta: dict[bytes, bytes | None] = {}

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


class Writer:
    """Applies commits."""

    def __init__(self, path: Path) -> None:
        self._environment = Environment(path, writable=True)

    def apply(self, commit: Commit) -> int:
        """Write a commit; returns how many rows changed. Raises `ViewError` with nothing written."""
        with self._environment.write() as txn:
            changed = [key for key, value in sorted(commit.rows.items(), key=_by_key) if _set(txn, b"rows", key, value)]
            for database, changes in (
                (b"reasons", commit.reasons),
                (b"refusals", commit.refusals),
                (b"declarations", commit.declarations),
                (b"problems", commit.problems),
                (b"clusters", commit.clusters),
                (b"meta", commit.meta),
            ):
                for key, value in sorted(changes.items(), key=_by_key):  # in order, pages fill up
                    _set(txn, database, key, value)
            if changed:
                txn.put(b"ring", _commit(txn.number), ring_entry(changed))
                oldest = _commit(max(txn.number - RING, 0))
                for key in [key for key, _ in itertools.takewhile(lambda item: item[0] < oldest, txn.items(b"ring"))]:
                    txn.delete(b"ring", key)
            return len(changed)

    def stored(self, database: bytes) -> list[tuple[bytes, bytes]]:
        """Everything in one database: what an earlier controller left behind."""
        with self._environment.read() as txn:
            return list(txn.items(database))

    def read(self) -> contextlib.AbstractContextManager[Transaction]:
        """One consistent look at what was committed."""
        return self._environment.read()

    def reader_check(self) -> int:
        """Free the slots of readers that died."""
        return self._environment.reader_check()

    def close(self) -> None:
        """Close the view."""
        self._environment.close()


def ring_entry(keys: Iterable[bytes]) -> bytes:
    """The changed owner names of one commit; wire names carry their own lengths and end with the root label."""
    named = list(keys)
    return ALL if len(named) > MAX_RING_KEYS else b"".join(named)


def _set(txn: Transaction, database: bytes, key: bytes, value: bytes | None) -> bool:
    return txn.delete(database, key) if value is None else txn.put(database, key, value)


def _by_key(item: tuple[bytes, bytes | None]) -> bytes:
    return item[0]
