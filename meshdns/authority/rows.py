"""The row of an owner name in the view: answer sections made ready when the mesh changed, not when a query comes.

A row is a status octet, the clusters that its addresses rest on, and its RRsets. Every record of an RRset has the same
length and its owner is a pointer to the question, so that a reply is the question with a slice of the row behind it,
whatever letter case was asked and for names that a wildcard covers alike.

    +--------+----------+-------------------+----------------------------------------------------+
    | status | clusters | ids, 2 octets each| type 2 | records 2 | octets 2 | records …   (repeated) |
    +--------+----------+-------------------+----------------------------------------------------+
"""

import enum
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from meshdns.dns.response import Section, record

_rrset: Final = struct.Struct(">HHH")
_STATIC: Final = 0x80
_MAX_CLUSTERS: Final = 255


class Status(enum.IntEnum):
    """What a known name has to say."""

    DATA = 0  # RRsets, or none: NODATA
    PENDING = 1  # an address is still to come: SERVFAIL


class Row:
    """A decoded row. `static` is served before any cluster has synced; `clusters` are ids of the view's state."""

    __slots__ = ("clusters", "rrsets", "static", "status")

    def __init__(self, data: bytes) -> None:
        self.status = data[0] & 0x7F
        self.static = bool(data[0] & _STATIC)
        at = 2 + 2 * data[1]
        self.clusters = [data[i] << 8 | data[i + 1] for i in range(2, at, 2)]
        self.rrsets: dict[int, Section] = {}
        while at < len(data):
            rtype, count, size = _rrset.unpack_from(data, at)
            at += _rrset.size
            self.rrsets[rtype] = Section(count, data[at : at + size])
            at += size

    @property
    def hollow(self) -> bool:
        """Whether there is nothing to say but that the name exists."""
        return not self.rrsets and self.status == Status.DATA


def encode(
    status: Status,
    rrsets: Mapping[int, Sequence[bytes]],
    *,
    ttl: int,
    clusters: Sequence[int] = (),
    static: bool = False,
) -> bytes:
    """The bytes of a row; `rrsets` maps a type to RDATA of equal length, `ttl` is in seconds."""
    named = sorted(clusters)[:_MAX_CLUSTERS]
    out = bytearray((status | _STATIC if static else status, len(named)))
    for cluster in named:
        out += cluster.to_bytes(2, "big")
    for rtype, rdatas in rrsets.items():
        wire = b"".join(record(rtype, ttl, rdata) for rdata in rdatas)
        out += _rrset.pack(rtype, len(rdatas), len(wire)) + wire
    return bytes(out)


def rotated(section: Section, by: int) -> Section:
    """The records of a section, starting with another one; `by` is any number, a byte of the query id say."""
    if section.count < 2:
        return section
    cut = by % section.count * (len(section.wire) // section.count)
    return Section(section.count, section.wire[cut:] + section.wire[:cut])
