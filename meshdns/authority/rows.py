"""The row of an owner name in the view: answer sections made ready when the mesh changed, not when a query comes.

A row is a status octet, the clusters that its addresses rest on, and its RRsets. The owner of every record is a pointer
to the question, so that a reply is the question with a slice of the row behind it, whatever letter case was asked and
for names that a wildcard covers alike. Behind the RRsets come the blocks from which further names are answered on the
fly: SRV, and what of the name is reached in each cluster.

    +--------+----------+-------------------+----------------------------------------------------+
    | status | clusters | ids, 2 octets each| type 2 | records 2 | octets 2 | records …   (repeated) |
    +--------+----------+-------------------+----------------------------------------------------+
"""

import enum
import struct
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from meshdns.dns.response import Section, record

_rrset: Final = struct.Struct(">HHH")
_STATIC: Final = 0x80
_MAX_CLUSTERS: Final = 255
_MAX_BLOCKS: Final = 0xFFFF  # a name reached in more clusters than fit here has no names by cluster


class Status(enum.IntEnum):
    """What a known name has to say."""

    DATA = 0  # RRsets, or none: NODATA
    PENDING = 1  # an address is still to come: SERVFAIL
    FORWARD = 2  # a forward zone of the settings has the answer


class Part(msgspec.Struct, frozen=True, array_like=True):
    """What of a name is reached in the cluster with this label; `port` 0 means at any port."""

    label: bytes
    port: int
    rrsets: dict[int, tuple[int, bytes]]  # type → number of records and their bytes


class Service(msgspec.Struct, frozen=True, array_like=True):
    """A named port: lower-case labels without underscores, and ``(port, cluster label)`` of its targets."""

    name: bytes
    protocol: bytes
    ttl: int
    targets: tuple[tuple[int, bytes], ...]


class Blocks(msgspec.Struct, frozen=True, array_like=True):
    """What further names are made of."""

    parts: tuple[Part, ...] = ()
    services: tuple[Service, ...] = ()


class Row:
    """A decoded row. `static` is served before any cluster has synced; `clusters` are ids of the view's state."""

    __slots__ = ("_blocks", "clusters", "level", "rrsets", "static", "status")

    def __init__(self, data: bytes) -> None:
        self.status = data[0] & 0x03
        self.level = level(data)
        self.static = bool(data[0] & _STATIC)
        at = 2 + 2 * data[1]
        self.clusters = [data[i] << 8 | data[i + 1] for i in range(2, at, 2)]
        self.rrsets: dict[int, Section] = {}
        self._blocks = b""
        while at < len(data):
            rtype, count, size = _rrset.unpack_from(data, at)
            at += _rrset.size
            if rtype:
                self.rrsets[rtype] = Section(count, data[at : at + size])
            else:
                self._blocks = data[at : at + size]
            at += size

    def blocks(self) -> Blocks:
        """What further names are made of."""
        return msgspec.msgpack.decode(self._blocks, type=Blocks) if self._blocks else Blocks()

    @property
    def makes_names(self) -> bool:
        """Whether further names follow from this one."""
        return bool(self._blocks)

    @property
    def hollow(self) -> bool:
        """Whether there is nothing to say but that the name exists."""
        return not self.rrsets and self.status == Status.DATA


def level(data: bytes) -> int:
    """The level that a row's answer is of, 0 where it has none."""
    return data[0] >> 2 & 0x07


def encode(
    status: Status,
    rrsets: Mapping[int, Sequence[bytes]],
    *,
    ttl: int,
    clusters: Sequence[int] = (),
    static: bool = False,
    blocks: Blocks | None = None,
    source: int = 0,
) -> bytes:
    """The bytes of a row; `rrsets` maps a type to RDATA, `ttl` is in seconds, `source` (0 to 7) is its level."""
    named = sorted(clusters)[:_MAX_CLUSTERS]
    head = status | source << 2
    out = bytearray((head | _STATIC if static else head, len(named)))
    for cluster in named:
        out += cluster.to_bytes(2, "big")
    for rtype, rdatas in rrsets.items():
        wire = b"".join(record(rtype, ttl, rdata) for rdata in rdatas)
        out += _rrset.pack(rtype, len(rdatas), len(wire)) + wire
    if blocks is not None:
        wire = msgspec.msgpack.encode(blocks)
        if len(wire) <= _MAX_BLOCKS:
            out += _rrset.pack(0, 0, len(wire)) + wire
    return bytes(out)


def rotated(section: Section, by: int) -> Section:
    """The records of a section of equal lengths, starting with another one; `by` is any number."""
    if section.count < 2:
        return section
    cut = by % section.count * (len(section.wire) // section.count)
    return Section(section.count, section.wire[cut:] + section.wire[:cut])
