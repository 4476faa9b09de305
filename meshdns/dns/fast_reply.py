"""Fast parser for the most common upstream replies, at a tenth of the cost of `meshdns.dns.reply`.

They hold addresses of the question's own name, each record owned by a pointer to it, and nothing behind them but
perhaps an OPT without options.
"""

import re
import struct
from typing import Final

from meshdns.dns.compression import HEADER_SIZE

_SIZES: Final = {b"\xc0\x0c\0\1\0\1": 4, b"\xc0\x0c\0\x1c\0\1": 16}
"""Bytes of RDATA by owner, type and class of a record with an address of the question's name."""

_BARE_OPT: Final = re.compile(rb"\0\0\x29..\0...\0\0", re.DOTALL).match
"""An OPT without options, without upper bits of an RCODE."""

_write_ttl = struct.Struct(">I").pack_into
_record = struct.Struct(">6sIH").unpack_from


def read_address_reply(
    data: bytes, question: bytes, *, max_ttl: int
) -> tuple[int, bytes, tuple[tuple[int, int], ...]] | None:
    """Return the answer section of such a reply without TC: its lifetime in seconds, its bytes, its TTLs by offset.

    The records are one RRset, so all get its lowest TTL (RFC 2181 section 5.2). None if the reply is of another kind,
    or malformed, or has a TTL above `max_ttl` seconds.
    """
    head = b"\xc0\x0c" + question[-4:]
    size = _SIZES.get(head)
    if size is None or data[3] & 0x0F or data[6] or data[8:11] != b"\0\0\0" or data[11] > 1:
        return None
    start = at = HEADER_SIZE + len(question)
    lifetime = max_ttl
    highest = 0
    ttls = []
    for _ in range(data[7]):
        owned, ttl, length = _record(data, at) if at + 12 <= len(data) else (b"", 0, 0)
        if owned != head or length != size or ttl > max_ttl:
            return None
        lifetime = min(lifetime, ttl)
        highest = max(highest, ttl)
        ttls.append((at + 6 - start, ttl))
        at += 12 + size
    if not ttls or at > len(data) or (data[11] and not _BARE_OPT(data, at)):
        return None
    if highest == lifetime:
        return lifetime, data[start:at], tuple(ttls)
    wire = bytearray(data[start:at])
    for place, _ in ttls:
        _write_ttl(wire, place, lifetime)
    return lifetime, bytes(wire), tuple((place, lifetime) for place, _ in ttls)
