"""Small values as few octets: raw DEFLATE with a window no larger than they are, so that beginning costs little."""

import zlib
from typing import Final

_FAST: Final = 1  # the lowest level: a third of the size for some microseconds
_WINDOW: Final = -10  # 1 KiB, no header and no checksum: the name database has its own
_MEMORY: Final = 4  # the zlib default of 8 clears 128 KiB for each value


def compress(data: bytes) -> bytes:
    """Fewer octets, from which `decompress` makes the same again."""
    deflate = zlib.compressobj(_FAST, zlib.DEFLATED, _WINDOW, _MEMORY)
    return deflate.compress(data) + deflate.flush()


def decompress(data: bytes) -> bytes:
    """What `compress` was given. Raises `zlib.error` on anything else."""
    return zlib.decompress(data, _WINDOW)
