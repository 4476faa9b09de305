"""Compression of small values: raw DEFLATE with a window no larger than the value, so that starting is cheap."""

import zlib
from typing import Final

_FAST: Final = 1  # the lowest level: a third of the size for some microseconds
_WINDOW: Final = -10  # 1 KiB, no header and no checksum: the name database has its own
_MEMORY: Final = 4  # the zlib default of 8 clears 128 KiB for each value


def compress(data: bytes) -> bytes:
    """Compress bytes for `decompress`."""
    deflate = zlib.compressobj(_FAST, zlib.DEFLATED, _WINDOW, _MEMORY)
    return deflate.compress(data) + deflate.flush()


def decompress(data: bytes) -> bytes:
    """Return the bytes that `compress` was given. Raises `zlib.error` on anything else."""
    return zlib.decompress(data, _WINDOW)
