"""The only door to LMDB: where the name database's file is, how it is opened, and its layout.

Rules:
- One writer process, many reader processes; the map is fixed and generous, since growing it breaks readers.
- Never ``writemap``: a stray write must not reach the file. ``sync=False`` is safe, because the name database is a
  disposable index: after a power loss its directory, named after the layout and the boot, is simply not used again.
- No transaction spans an await, a print or a pipe: a reader that sleeps inside one makes the file grow.
"""

import contextlib
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import lmdb

LAYOUT_VERSION: Final = 2
"""Version of everything below; another version has another directory."""

MAP_SIZE: Final = 2 << 30
"""Bytes of address space, not of memory or disk: 50,000 names need about 40 MiB."""

MAX_READERS: Final = 512
_TABLES: Final = (b"rows", b"reasons", b"declarations", b"problems", b"clusters", b"ring", b"meta")
_OPTIONAL_TABLE: Final = b"refusals"
"""A table that earlier versions of this layout neither make nor include in their checksum.

Its checksum is a value of its own, so that each version finds the name database of the other whole and serves it at
once: for readers of an earlier database the table is empty, and an earlier writer leaves it as it is.
"""

_DAMAGE_ERRORS: Final = (
    lmdb.CorruptedError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.NotFoundError,  # a table of the layout is missing
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
)
_CHECKSUM_KEY: Final = (b"meta", b"sum")
_OPTIONAL_CHECKSUM_KEY: Final = (b"meta", b"sum of refusals")
_MASK: Final = (1 << 64) - 1


class NameDatabaseError(Exception):
    """The name database cannot be opened, read or written; the message says which file and why.

    The code that catches it adds what happens next, or what to do.
    """


class DamagedDatabaseError(NameDatabaseError):
    """The file holds no name database, or not a whole one: it must be quarantined and rebuilt."""


class NameDatabase:
    """An open name database. A `table` is one of the layout's."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        self.path = path
        _check_files(path)
        try:
            if writable:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._env = lmdb.open(
                str(path),
                map_size=MAP_SIZE,
                max_dbs=len(_TABLES) + 1,
                max_readers=MAX_READERS,
                readonly=not writable,
                create=writable,
                sync=False,
                metasync=False,
                max_spare_txns=4,
                mode=0o600,
            )
            self._tables = {name: self._env.open_db(name, create=writable) for name in _TABLES}
            if writable:
                self._tables[_OPTIONAL_TABLE] = self._env.open_db(_OPTIONAL_TABLE)
            else:
                self.open_optional_table()
        except (lmdb.Error, OSError) as error:
            raise _as_database_error(path, error) from None

    def open_optional_table(self) -> None:
        """Open for reading the table that an earlier version did not make, if a later writer has made it meanwhile.

        Open transactions do not see it.
        """
        if _OPTIONAL_TABLE not in self._tables:
            try:
                self._tables = {**self._tables, _OPTIONAL_TABLE: self._env.open_db(_OPTIONAL_TABLE, create=False)}
            except lmdb.NotFoundError:
                return
            except lmdb.Error as error:
                raise _as_database_error(self.path, error) from None

    @contextlib.contextmanager
    def write(self) -> Iterator["Transaction"]:
        """Enclose one write transaction: all of it is written, or nothing if the block raises."""
        try:
            with self._env.begin(write=True) as txn:
                transaction = Transaction(txn, self._tables, self.path)
                yield transaction
                transaction.store_checksums()
        except lmdb.MapFullError as error:
            message = (
                f"{self.path}: the name database is full ({MAP_SIZE >> 20} MiB): {error}; narrow what is discovered"
            )
            raise NameDatabaseError(message) from None
        except lmdb.Error as error:
            raise _as_database_error(self.path, error) from None

    def begin(self) -> "Transaction":
        """Begin a read transaction, which `Transaction.close` ends; keep it short."""
        try:
            return Transaction(self._env.begin(), self._tables, self.path)
        except lmdb.Error as error:
            raise _as_database_error(self.path, error) from None

    def reader_check(self) -> int:
        """Free the slots of readers that exited without closing; return how many there were."""
        return int(self._env.reader_check())

    def close(self) -> None:
        """Close the file; no transaction may be open."""
        self._env.close()


class Transaction:
    """One LMDB transaction over the layout's tables."""

    __slots__ = ("_optional_checksum_delta", "_path", "_tables", "_txn", "checksum_delta")

    def __init__(self, txn: Any, tables: dict[bytes, Any], path: Path) -> None:
        self._txn = txn
        self._tables = tables
        self._path = path
        self.checksum_delta = 0  # of the checksum, by this transaction
        self._optional_checksum_delta = 0

    @property
    def commit_id(self) -> int:
        """The number of the commit that this transaction sees or makes; it only grows."""
        return int(self._txn.id())

    def get(self, table: bytes, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        handle = self._tables.get(table)
        if handle is None:
            return None
        try:
            value: bytes | None = self._txn.get(key, None, handle)
        except lmdb.Error as error:
            raise _as_database_error(self._path, error) from None
        return value

    def put(self, table: bytes, key: bytes, value: bytes) -> bool:
        """Set a key; return False if it already had that value."""
        handle = self._tables[table]
        before = self._txn.get(key, db=handle)
        if before == value:
            return False
        self._txn.put(key, value, db=handle)
        change = item_checksum(table, key, value) - (item_checksum(table, key, before) if before is not None else 0)
        if table == _OPTIONAL_TABLE:
            self._optional_checksum_delta += change
        else:
            self.checksum_delta += change
        return True

    def delete(self, table: bytes, key: bytes) -> bool:
        """Remove a key; return False if it was not there."""
        before = self._txn.get(key, db=self._tables[table])
        if before is None:
            return False
        if table == _OPTIONAL_TABLE:
            self._optional_checksum_delta -= item_checksum(table, key, before)
        else:
            self.checksum_delta -= item_checksum(table, key, before)
        return bool(self._txn.delete(key, db=self._tables[table]))

    def compute_checksums(self) -> tuple[int, int]:
        """Compute the checksums of everything but the first checksum itself, by reading it all."""
        return sum(map(self._table_checksum, _TABLES)) & _MASK, self._table_checksum(_OPTIONAL_TABLE) & _MASK

    def _table_checksum(self, table: bytes) -> int:
        return sum(
            item_checksum(table, key, value) for key, value in self.items(table) if (table, key) != _CHECKSUM_KEY
        )

    def stored_checksums(self) -> tuple[int, int]:
        """Return the checksums that commits stored; the first is -1 if none did."""
        return self._stored_checksum(_CHECKSUM_KEY, -1), self._stored_checksum(_OPTIONAL_CHECKSUM_KEY, 0)

    def store_checksums(self) -> None:
        """Store the checksums of the database after this transaction."""
        if self._optional_checksum_delta:
            later = self._stored_checksum(_OPTIONAL_CHECKSUM_KEY, 0) + self._optional_checksum_delta & _MASK
            self.put(*_OPTIONAL_CHECKSUM_KEY, later.to_bytes(8, "big"))
        total = self._stored_checksum(_CHECKSUM_KEY, 0) + self.checksum_delta & _MASK
        self._txn.put(_CHECKSUM_KEY[1], total.to_bytes(8, "big"), db=self._tables[_CHECKSUM_KEY[0]])

    def _stored_checksum(self, key: tuple[bytes, bytes], default: int) -> int:
        stored = self.get(*key)
        return int.from_bytes(stored, "big") if stored is not None else default

    def items(self, table: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys from `start` on, in order, with their values."""
        if table not in self._tables:
            return
        try:
            with self._txn.cursor(db=self._tables[table]) as cursor:
                if cursor.set_range(start) if start else cursor.first():
                    yield from cursor
        except lmdb.Error as error:
            raise _as_database_error(self._path, error) from None

    def keys(self, table: bytes, start: bytes) -> Iterator[bytes]:
        """Yield all keys from `start` on, in order; values, which may be large, are not read."""
        try:
            with self._txn.cursor(db=self._tables[table]) as cursor:
                if cursor.set_range(start):
                    yield from cursor.iternext(keys=True, values=False)
        except lmdb.Error as error:
            raise _as_database_error(self._path, error) from None

    def count(self, table: bytes) -> int:
        """Return the number of keys."""
        return int(self._txn.stat(self._tables[table])["entries"])

    def close(self) -> None:
        """End a transaction made by `NameDatabase.begin`."""
        self._txn.abort()


def _check_files(path: Path) -> None:
    """Raise `DamagedDatabaseError` if a file is none: to open a FIFO would wait for its writer for ever."""
    for file in (path / "data.mdb", path / "lock.mdb"):
        with contextlib.suppress(OSError):  # what is missing or cannot be opened is told by opening it
            if not stat.S_ISREG(file.stat().st_mode):
                raise DamagedDatabaseError(f"{file}: is no regular file")


def _as_database_error(path: Path, error: Exception) -> NameDatabaseError:
    """Return the error for a fault of LMDB or the file system in the name database at `path`."""
    if isinstance(error, _DAMAGE_ERRORS):
        return DamagedDatabaseError(f"{path}: the name database is damaged: {error}")
    return NameDatabaseError(f"{path}: the name database cannot be used: {error}")


def item_checksum(table: bytes, key: bytes, value: bytes) -> int:
    """Return the part of one item in the checksum, a sum modulo 2**64, so that items may be changed in any order.

    LMDB itself has no checksums: a flipped bit on the way to the disk and back would be served.
    """
    return zlib.crc32(value, zlib.crc32(key, zlib.crc32(table))) + 1
