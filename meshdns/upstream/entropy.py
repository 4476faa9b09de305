"""Unpredictable small numbers, read from the kernel in batches: one system call serves thousands of queries."""

import secrets
from typing import Final

_BATCH: Final = 8192  # bytes


class Entropy:
    """Random numbers that cannot be predicted from earlier ones (RFC 5452 9.2)."""

    __slots__ = ("_pool", "_position")

    def __init__(self) -> None:
        self._pool = b""
        self._position = 0

    def u16(self) -> int:
        """Return a number from 0 to 65535, each equally likely."""
        at = self._position
        if at + 2 > len(self._pool):
            self._pool = secrets.token_bytes(_BATCH)
            at = 0
        self._position = at + 2
        return self._pool[at] << 8 | self._pool[at + 1]

    def random_bytes(self, count: int) -> bytes:
        """Return `count` random bytes, 0 to 255 of them."""
        at = self._position
        if at + count > len(self._pool):
            self._pool = secrets.token_bytes(_BATCH)
            at = 0
        self._position = at + count
        return self._pool[at : at + count]

    def randbelow(self, bound: int) -> int:
        """Return a number from 0 to `bound` - 1, for bounds up to 256; odd bounds are met to within 1 in 256."""
        return self.u16() * bound >> 16
