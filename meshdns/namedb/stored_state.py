"""The state as it is stored in the name database, and which of it may be believed.

Each commit stores its own number. A version that knows no hashes of settings (`NamedbState.zones`) changes names
without that number, and leaves the hashes as they were: they are believed only if the last commit stored its number.
"""

import struct
from typing import Final

import msgspec

from meshdns.authority.state import NamedbState, decode_state, encode_state
from meshdns.namedb.database import Transaction

STATE_KEY: Final = b"state"
COMMIT_KEY: Final = b"commit"

_commit_number = struct.Struct(">Q").pack


def store_commit_number(transaction: Transaction) -> None:
    """Store the number of the commit that `transaction` makes, and drop the hashes if the last one did not store its.

    Called when a commit begins: what it changes says nothing of the names before.
    """
    stored = transaction.get(b"meta", STATE_KEY)
    if stored is not None and transaction.get(b"meta", COMMIT_KEY) != _commit_number(transaction.commit_id - 1):
        transaction.put(b"meta", STATE_KEY, encode_state(decode_stored_state(stored, is_believed=False)))
    transaction.put(b"meta", COMMIT_KEY, _commit_number(transaction.commit_id))


def read_stored_state(transaction: Transaction) -> tuple[bytes, bool]:
    """Return the state as it is stored, empty if there is none, and whether its hashes may be believed."""
    stored = transaction.get(b"meta", STATE_KEY) or b""
    return stored, transaction.get(b"meta", COMMIT_KEY) == _commit_number(transaction.commit_id)


def decode_stored_state(stored: bytes, *, is_believed: bool) -> NamedbState:
    """Decode what `read_stored_state` returned."""
    state = decode_state(stored) if stored else NamedbState()
    return state if is_believed else msgspec.structs.replace(state, zones=None, sources="")
