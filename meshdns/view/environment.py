"""The only door to LMDB: where the view's file is, how it is opened, and its layout.

Rules:
- One writer process, many reader processes; the map is fixed and generous, since growing it breaks readers.
- Never ``writemap``: a stray write must not reach the file. ``sync=False`` is safe, because the view is a disposable
  index: after a power loss its directory, named after the layout and the boot, is simply not used again.
- No transaction spans an await, a print or a pipe: a reader that sleeps inside one makes the file grow.
"""

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import lmdb

LAYOUT: Final = 2
"""Version of everything below; another one means another directory."""

MAP_SIZE: Final = 2 << 30
"""Octets of address space, not of memory or disk: 50,000 names need about 40 MiB."""

MAX_READERS: Final = 512
_DATABASES: Final = (b"rows", b"reasons", b"declarations", b"problems", b"clusters", b"ring", b"meta")
_LATER: Final = b"refusals"
"""A database that earlier versions of this layout neither make nor sum up.

Its checksum is a value of its own, so that each version finds the view of the other whole and serves it at once: to
readers of an earlier view it is empty, and an earlier writer leaves it as it is.
"""

_DAMAGE: Final = (
    lmdb.CorruptedError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.NotFoundError,  # a database of the layout is missing
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
)
_SUM: Final = (b"meta", b"sum")
_LATER_SUM: Final = (b"meta", b"sum of refusals")
_MASK: Final = (1 << 64) - 1


class ViewError(Exception):
    """The view cannot be opened, read or written; the message says which file and why.

    What happens next, or what to do, whoever catches it adds.
    """


class DamagedView(ViewError):  # noqa: N818 — the view is damaged, not the program
    """What is in the file is no view, or not a whole one: it must be set aside and built anew."""


class Environment:
    """An open view. `name` of a database is one of the layout's."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        self.path = path
        try:
            if writable:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._env = lmdb.open(
                str(path),
                map_size=MAP_SIZE,
                max_dbs=len(_DATABASES) + 1,
                max_readers=MAX_READERS,
                readonly=not writable,
                create=writable,
                sync=False,
                metasync=False,
                max_spare_txns=4,
                mode=0o600,
            )
            self._databases = {name: self._env.open_db(name, create=writable) for name in _DATABASES}
            if writable:
                self._databases[_LATER] = self._env.open_db(_LATER)
            else:
                self.complete()
        except (lmdb.Error, OSError) as error:
            raise _fault(path, error) from None

    def complete(self) -> None:
        """Open for reading what an earlier version did not make, if a later writer has made it meanwhile.

        Looks that are under way do not see it.
        """
        if _LATER not in self._databases:
            try:
                self._databases = {**self._databases, _LATER: self._env.open_db(_LATER, create=False)}
            except lmdb.NotFoundError:
                return
            except lmdb.Error as error:
                raise _fault(self.path, error) from None

    @contextlib.contextmanager
    def write(self) -> Iterator["Transaction"]:
        """One write transaction: all of it, or nothing where the block raises."""
        try:
            with self._env.begin(write=True) as txn:
                transaction = Transaction(txn, self._databases, self.path)
                yield transaction
                transaction.note_sum()
        except lmdb.MapFullError as error:
            message = f"{self.path}: the view is full ({MAP_SIZE >> 20} MiB): {error}; narrow what is discovered"
            raise ViewError(message) from None
        except lmdb.Error as error:
            raise _fault(self.path, error) from None

    @contextlib.contextmanager
    def read(self) -> Iterator["Transaction"]:
        """One consistent look; keep it short."""
        transaction = self.begin()
        try:
            yield transaction
        finally:
            transaction.end()

    def begin(self) -> "Transaction":
        """A look that ends with `Transaction.end`; for the worker, which has no use for a context manager's cost."""
        try:
            return Transaction(self._env.begin(), self._databases, self.path)
        except lmdb.Error as error:
            raise _fault(self.path, error) from None

    def reader_check(self) -> int:
        """Free the slots of readers that died; returns how many there were."""
        return int(self._env.reader_check())

    def close(self) -> None:
        """Close the file; no transaction may be open."""
        self._env.close()


class Transaction:
    """One LMDB transaction over the layout's databases."""

    __slots__ = ("_databases", "_later_change", "_path", "_txn", "change")

    def __init__(self, txn: Any, databases: dict[bytes, Any], path: Path) -> None:
        self._txn = txn
        self._databases = databases
        self._path = path
        self.change = 0  # of the checksum, by this transaction
        self._later_change = 0

    @property
    def number(self) -> int:
        """The commit this transaction sees or makes; it only grows."""
        return int(self._txn.id())

    def get(self, database: bytes, key: bytes) -> bytes | None:
        """The value of a key."""
        handle = self._databases.get(database)
        if handle is None:
            return None
        try:
            value: bytes | None = self._txn.get(key, None, handle)
        except lmdb.Error as error:
            raise _fault(self._path, error) from None
        return value

    def put(self, database: bytes, key: bytes, value: bytes) -> bool:
        """Set a key; False where it already had just that value."""
        handle = self._databases[database]
        before = self._txn.get(key, db=handle)
        if before == value:
            return False
        self._txn.put(key, value, db=handle)
        change = checksum(database, key, value) - (checksum(database, key, before) if before is not None else 0)
        if database == _LATER:
            self._later_change += change
        else:
            self.change += change
        return True

    def delete(self, database: bytes, key: bytes) -> bool:
        """Remove a key; False where it was not there."""
        before = self._txn.get(key, db=self._databases[database])
        if before is None:
            return False
        if database == _LATER:
            self._later_change -= checksum(database, key, before)
        else:
            self.change -= checksum(database, key, before)
        return bool(self._txn.delete(key, db=self._databases[database]))

    def sum(self) -> tuple[int, int]:
        """The checksums of everything but the first one itself, taken by reading it all."""
        return sum(map(self._sum, _DATABASES)) & _MASK, self._sum(_LATER) & _MASK

    def _sum(self, database: bytes) -> int:
        return sum(checksum(database, key, value) for key, value in self.items(database) if (database, key) != _SUM)

    def noted_sum(self) -> tuple[int, int]:
        """The checksums that commits wrote down; the first is -1 where none did."""
        return self._noted(_SUM, -1), self._noted(_LATER_SUM, 0)

    def note_sum(self) -> None:
        """Write down the checksums of what this transaction leaves behind."""
        if self._later_change:
            later = self._noted(_LATER_SUM, 0) + self._later_change & _MASK
            self.put(*_LATER_SUM, later.to_bytes(8, "big"))
        total = self._noted(_SUM, 0) + self.change & _MASK
        self._txn.put(_SUM[1], total.to_bytes(8, "big"), db=self._databases[_SUM[0]])

    def _noted(self, place: tuple[bytes, bytes], otherwise: int) -> int:
        noted = self.get(*place)
        return int.from_bytes(noted, "big") if noted is not None else otherwise

    def items(self, database: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All keys from `start` on, in order, with their values."""
        if database not in self._databases:
            return
        try:
            with self._txn.cursor(db=self._databases[database]) as cursor:
                if cursor.set_range(start) if start else cursor.first():
                    yield from cursor
        except lmdb.Error as error:
            raise _fault(self._path, error) from None

    def count(self, database: bytes) -> int:
        """The number of keys."""
        return int(self._txn.stat(self._databases[database])["entries"])

    def end(self) -> None:
        """End a transaction made by `Environment.begin`."""
        self._txn.abort()


def _fault(path: Path, error: Exception) -> ViewError:
    """What a fault of LMDB or the file system means for the view at `path`."""
    if isinstance(error, _DAMAGE):
        return DamagedView(f"{path}: the view is damaged: {error}")
    return ViewError(f"{path}: the view cannot be used: {error}")


def checksum(database: bytes, key: bytes, value: bytes) -> int:
    """The part of one item in the checksum, a sum modulo 2**64, so that items may come and go in any order.

    LMDB itself has no checksums: a flipped bit on the way to the disk and back would be served.
    """
    return zlib.crc32(value, zlib.crc32(key, zlib.crc32(database))) + 1
