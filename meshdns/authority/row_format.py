"""Format of a row: the answer sections of an owner name, encoded when the mesh changes, not when a query is received.

A row is a status byte, the clusters that its addresses rest on, and its RRsets. The owner of every record is a pointer
to the question, so that a reply is the question with a slice of the row behind it, whatever the letter case of the
query, and also for names that a wildcard covers. Behind the RRsets follows the data from which further names are
synthesized: SRV records, and the addresses of the name in each cluster.

    +--------+----------+-------------------+----------------------------------------------------+
    | status | clusters | ids, 2 bytes each | type 2 | records 2 | bytes 2 | records …    (repeated) |
    +--------+----------+-------------------+----------------------------------------------------+
"""

import enum
import struct
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from meshdns.dns.response import record
from meshdns.mesh.candidates import Level

RRSET_HEADER: Final = struct.Struct(">HHH")
STATIC_FLAG: Final = 0x80
ZONE_LEVEL: Final = Level.ZONE.value
"""The level of names of the zone itself, which no wildcard covers even if they have no data."""
_MAX_CLUSTERS: Final = 255
_MAX_SYNTHESIS_SIZE: Final = 0xFFFF  # a name reached in more clusters than fit here has no names by cluster


class RowStatus(enum.IntEnum):
    """The kind of answer that a row holds."""

    DATA = 0  # RRsets, or none: NODATA
    PENDING = 1  # an address is still to come: SERVFAIL
    FORWARD = 2  # a forward zone of the settings has the answer
    DECLARED = 3  # declared, and without any RRset: NODATA, which no wildcard and no upstream changes


class ClusterPart(msgspec.Struct, frozen=True, array_like=True):
    """The records of a name in the cluster with this label; `port` 0 means at any port."""

    label: bytes
    port: int
    rrsets: dict[int, tuple[int, bytes]]  # type → number of records and their bytes


class RowService(msgspec.Struct, frozen=True, array_like=True):
    """A named port: lower-case labels without underscores, and ``(port, cluster label)`` of its targets.

    `pods` are ``(port, label)`` of the pods that are named in place of `targets`, which a reader of version 0.1 uses;
    where there are none they are not written. Without any target the port is known, and has no data.
    """

    name: bytes
    protocol: bytes
    ttl: int
    targets: tuple[tuple[int, bytes], ...]
    pods: tuple[tuple[int, bytes], ...] = ()


class SynthesisData(msgspec.Struct, frozen=True, array_like=True):
    """The data from which further names are synthesized."""

    parts: tuple[ClusterPart, ...] = ()
    services: tuple[RowService, ...] = ()


def encode_row(
    status: RowStatus,
    rrsets: Mapping[int, Sequence[bytes]],
    *,
    ttl: int,
    clusters: Sequence[int] = (),
    static: bool = False,
    synthesis: SynthesisData | None = None,
    level: int = 0,
) -> bytes:
    """Encode a row; `rrsets` maps a type to RDATA, `ttl` is in seconds, `level` (0 to 7) is its level."""
    named = sorted(clusters)[:_MAX_CLUSTERS]
    head = status | level << 2
    out = bytearray((head | STATIC_FLAG if static else head, len(named)))
    for cluster in named:
        out += cluster.to_bytes(2, "big")
    for rtype, rdatas in rrsets.items():
        wire = b"".join(record(rtype, ttl, rdata) for rdata in rdatas)
        out += RRSET_HEADER.pack(rtype, len(rdatas), len(wire)) + wire
    if synthesis is not None:
        services = [each if each.pods else msgspec.structs.astuple(each)[:-1] for each in synthesis.services]
        wire = msgspec.msgpack.encode((synthesis.parts, services))
        if len(wire) <= _MAX_SYNTHESIS_SIZE:
            out += RRSET_HEADER.pack(0, 0, len(wire)) + wire
    return bytes(out)
