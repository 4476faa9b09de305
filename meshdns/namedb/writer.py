"""The one writer: a change of the mesh becomes one transaction.

Rows, reasons, refusals, declarations, problems, cluster states and the ring of changed owner names change together, so
that a reader sees all of a change or nothing of it. Values that did not change are not written and do not enter the
ring.
"""

import contextlib
import itertools
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from meshdns.mesh.objects.problems import Problem
from meshdns.namedb.database import NameDatabase, Transaction
from meshdns.namedb.tables import ProblemKey, encode_problems

INVALIDATION_RING_SIZE: Final = 256
"""Commits whose changed keys are kept; a worker further behind forgets all its ready replies."""

MAX_CHANGED_NAMES: Final = 4096
"""A commit that changes more owner names than this says "all" instead."""

_commit_key = struct.Struct(">Q").pack
ALL_CHANGED: Final = b"\xff"


class Commit:
    """What one transaction is to change; None removes, as no problems do. Keys are as the databases hold them."""

    __slots__ = ("clusters", "declarations", "meta", "problems", "provenance", "rows", "unserved_reasons")

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}
        self.provenance: dict[bytes, bytes | None] = {}
        self.unserved_reasons: dict[bytes, bytes | None] = {}
        self.declarations: dict[bytes, bytes | None] = {}
        self.problems: dict[ProblemKey, Sequence[Problem]] = {}
        self.clusters: dict[bytes, bytes | None] = {}
        self.meta: dict[bytes, bytes | None] = {}

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


class Writer:
    """Applies commits."""

    def __init__(self, path: Path) -> None:
        self._database = NameDatabase(path, writable=True)

    def apply(self, commit: Commit) -> int:
        """Write a commit; returns how many rows changed. Raises `NameDatabaseError` with nothing written."""
        with self._database.write() as txn:
            changed = [
                key
                for key, value in sorted(commit.rows.items(), key=_by_key)
                if _put_or_delete(txn, b"rows", key, value)
            ]
            for database, changes in (
                (b"reasons", commit.provenance),
                (b"refusals", commit.unserved_reasons),
                (b"declarations", commit.declarations),
                (b"problems", {key: encode_problems(each) if each else None for key, each in commit.problems.items()}),
                (b"clusters", commit.clusters),
                (b"meta", commit.meta),
            ):
                for key, value in sorted(changes.items(), key=_by_key):  # in order, pages fill up
                    _put_or_delete(txn, database, key, value)
            if changed:
                txn.put(b"ring", _commit_key(txn.commit_id), encode_changed_names(changed))
                oldest = _commit_key(max(txn.commit_id - INVALIDATION_RING_SIZE, 0))
                for key in [key for key, _ in itertools.takewhile(lambda item: item[0] < oldest, txn.items(b"ring"))]:
                    txn.delete(b"ring", key)
            return len(changed)

    def read_table(self, table: bytes) -> list[tuple[bytes, bytes]]:
        """Everything in one database: what an earlier controller left behind."""
        with self._database.read() as txn:
            return list(txn.items(table))

    def read(self) -> contextlib.AbstractContextManager[Transaction]:
        """One consistent look at what was committed."""
        return self._database.read()

    def reader_check(self) -> int:
        """Free the slots of readers that died."""
        return self._database.reader_check()

    def close(self) -> None:
        """Close the view."""
        self._database.close()


def encode_changed_names(keys: Iterable[bytes]) -> bytes:
    """The changed owner names of one commit; wire names carry their own lengths and end with the root label."""
    named = list(keys)
    return ALL_CHANGED if len(named) > MAX_CHANGED_NAMES else b"".join(named)


def _put_or_delete(txn: Transaction, table: bytes, key: bytes, value: bytes | None) -> bool:
    return txn.delete(table, key) if value is None else txn.put(table, key, value)


def _by_key(item: tuple[bytes, bytes | None]) -> bytes:
    return item[0]
