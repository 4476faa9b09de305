"""The name database as the version before refusals made and read it: seven databases, and one checksum of them all."""

from pathlib import Path

import lmdb

from meshdns.namedb.database import MAP_SIZE, item_checksum

DATABASES = (b"rows", b"reasons", b"declarations", b"problems", b"clusters", b"ring", b"meta")


def downgrade(path: Path) -> None:
    """Take out of the name database at `path`, which has never held a refusal, what that version did not make."""
    with lmdb.open(str(path), map_size=MAP_SIZE, max_dbs=8) as env, env.begin(write=True) as txn:
        txn.drop(env.open_db(b"refusals", txn=txn, create=False))


def is_checksum_right(path: Path) -> bool:
    """Whether that version finds its checksum right."""
    total = 0
    with lmdb.open(str(path), map_size=MAP_SIZE, max_dbs=7, readonly=True) as env:
        databases = {name: env.open_db(name, create=False) for name in DATABASES}
        with env.begin() as txn:
            for name, database in databases.items():
                for key, value in txn.cursor(db=database):
                    total += item_checksum(name, key, value) if (name, key) != (b"meta", b"sum") else 0
            return txn.get(b"sum", db=databases[b"meta"]) == (total % (1 << 64)).to_bytes(8, "big")


def write_as_old_version(path: Path, key: bytes, row: bytes) -> None:
    """Commit a row that is not there yet as that version does."""
    with lmdb.open(str(path), map_size=MAP_SIZE, max_dbs=7) as env:
        rows, meta = env.open_db(b"rows"), env.open_db(b"meta")
        with env.begin(write=True) as txn:
            txn.put(key, row, db=rows)
            before = int.from_bytes(txn.get(b"sum", db=meta) or b"", "big")
            total = (before + item_checksum(b"rows", key, row)) % (1 << 64)
            txn.put(b"sum", total.to_bytes(8, "big"), db=meta)
