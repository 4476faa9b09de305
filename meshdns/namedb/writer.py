"""The one writer of the name database: a change of the mesh becomes one transaction.

Rows, provenance, unserved reasons, declarations, problems, cluster summaries and the invalidation ring (the changed
owner names of the last commits) change together, so that a reader sees all of a change or nothing of it. Values that
did not change are not written, and their names do not enter that ring.
"""

import contextlib
import itertools
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from meshdns.authority.state import NamedbState, encode_state
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, key_of
from meshdns.mesh.objects.foreign import shown
from meshdns.mesh.objects.problems import Problem
from meshdns.namedb.database import NameDatabase, Transaction
from meshdns.namedb.stored_state import STATE_KEY, store_commit_number
from meshdns.namedb.tables import (
    CONTACTS_KEY,
    OWN_PROBLEMS_KEY,
    RESOLVED_HOSTS_KEY,
    ProblemKey,
    Tables,
    encode_declaration,
    encode_problems,
    encode_resolved_hosts,
    object_key,
    read_tables,
)

INVALIDATION_RING_SIZE: Final = 256
"""Commits whose changed keys are kept; a worker further behind drops all its cached replies."""

MAX_CHANGED_NAMES: Final = 4096
"""A commit that changes more owner names than this has the entry `ALL_CHANGED`."""

_MAX_KEY: Final = 511  # bytes, LMDB's bound

_commit_key = struct.Struct(">Q").pack
ALL_CHANGED: Final = b"\xff"


class Commit:
    """The changes that one transaction makes; a value None removes, as no problems do.

    Rows, provenance and unserved reasons are by owner name in lower-case wire format, cluster summaries by the name of
    the cluster. A `state`, `resolved_hosts`, `contacts` or `own_problems` of None stays as it is.
    """

    __slots__ = (
        "_declarations",
        "clusters",
        "contacts",
        "own_problems",
        "problems",
        "provenance",
        "resolved_hosts",
        "rows",
        "state",
        "unserved_reasons",
    )

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}
        self.provenance: dict[bytes, bytes | None] = {}
        self.unserved_reasons: dict[bytes, bytes | None] = {}
        self._declarations: dict[bytes, bytes | None] = {}
        self.problems: dict[ProblemKey, Sequence[Problem]] = {}
        self.clusters: dict[str, bytes | None] = {}
        self.state: NamedbState | None = None
        self.resolved_hosts: Mapping[str, Sequence[str]] | None = None
        self.contacts: bytes | None = None
        self.own_problems: Sequence[Problem] | None = None
        """The problems of the controller itself, which are not in the table of problems."""

    def put_declaration(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Add or replace a declaration."""
        self._declarations[object_key(cluster, key_of(declaration))] = encode_declaration(declaration)

    def remove_declaration(self, cluster: str, key: ObjectKey) -> None:
        """Remove a declaration."""
        self._declarations[object_key(cluster, key)] = None

    def __bool__(self) -> bool:
        may_be_empty = (self.resolved_hosts, self.own_problems)
        return any(each is not None for each in may_be_empty) or any(getattr(self, name) for name in self.__slots__)

    def encode_other_tables(self) -> Iterator[tuple[bytes, Mapping[bytes, bytes | None]]]:
        """The changes of all tables but that of the rows, as they are stored, by the name of the table."""
        yield b"reasons", self.provenance
        yield b"refusals", self.unserved_reasons
        yield b"declarations", self._declarations
        yield b"problems", {key: encode_problems(each) if each else None for key, each in self.problems.items()}
        yield b"clusters", {cluster.encode(): value for cluster, value in self.clusters.items()}
        meta: dict[bytes, bytes | None] = {}
        if self.state is not None:
            meta[STATE_KEY] = encode_state(self.state)
        if self.resolved_hosts is not None:
            meta[RESOLVED_HOSTS_KEY] = encode_resolved_hosts(self.resolved_hosts)
        if self.contacts is not None:
            meta[CONTACTS_KEY] = self.contacts
        if self.own_problems is not None:
            meta[OWN_PROBLEMS_KEY] = encode_problems(self.own_problems)
        yield b"meta", meta

    def drop_unstorable(self) -> list[str]:
        """Leave out what no name database can hold: a key that is too long, a value that cannot be encoded.

        Return what was left out, for people.
        """
        dropped = []
        for table, items in (
            ("row", self.rows),
            ("provenance", self.provenance),
            ("unserved reason", self.unserved_reasons),
            ("declaration", self._declarations),
            ("problems", self.problems),
            ("cluster", self.clusters),
        ):
            for key in [key for key, value in items.items() if not _is_storable(key, value)]:
                del items[key]  # type: ignore[arg-type]
                dropped.append(f"{table} {shown(key.decode(errors='replace') if isinstance(key, bytes) else key)}")
        return dropped


def _is_storable(key: bytes | str, value: bytes | Sequence[Problem] | None) -> bool:
    try:
        size = len(key.encode() if isinstance(key, str) else key)
        if value and not isinstance(value, bytes):
            encode_problems(value)
    except (TypeError, ValueError):
        return False
    return 0 < size <= _MAX_KEY


class Writer:
    """Applies commits."""

    def __init__(self, path: Path) -> None:
        self._database = NameDatabase(path, writable=True)

    def apply(self, commit: Commit) -> int:
        """Write a commit and return how many rows changed. Raises `NameDatabaseError` with nothing written."""
        with self._database.write() as txn:
            store_commit_number(txn)
            changed = [
                key
                for key, value in sorted(commit.rows.items(), key=_by_key)
                if _put_or_delete(txn, b"rows", key, value)
            ]
            for table, changes in commit.encode_other_tables():
                for key, value in sorted(changes.items(), key=_by_key):  # in order, pages fill up
                    _put_or_delete(txn, table, key, value)
            # workers cache a reply without a reason until the ring names its owner
            renewed = sorted({*changed, *commit.unserved_reasons})
            if renewed:
                txn.put(b"ring", _commit_key(txn.commit_id), encode_changed_names(renewed))
                oldest = _commit_key(max(txn.commit_id - INVALIDATION_RING_SIZE, 0))
                for key in [key for key, _ in itertools.takewhile(lambda item: item[0] < oldest, txn.items(b"ring"))]:
                    txn.delete(b"ring", key)
            return len(changed)

    def read(self) -> contextlib.AbstractContextManager[Tables]:
        """Begin a read transaction of the tables, as this controller or an earlier one committed them."""
        return read_tables(self._database)

    def reader_check(self) -> int:
        """Free the slots of readers that exited without closing."""
        return self._database.reader_check()

    def close(self) -> None:
        """Close the name database."""
        self._database.close()


def encode_changed_names(keys: Iterable[bytes]) -> bytes:
    """Encode the changed owner names of one commit; wire names carry their own lengths and end with the root label."""
    named = list(keys)
    return ALL_CHANGED if len(named) > MAX_CHANGED_NAMES else b"".join(named)


def _put_or_delete(txn: Transaction, table: bytes, key: bytes, value: bytes | None) -> bool:
    return txn.delete(table, key) if value is None else txn.put(table, key, value)


def _by_key(item: tuple[bytes, bytes | None]) -> bytes:
    return item[0]
