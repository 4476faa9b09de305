"""Synthesized names: names without a row that follow from another name's row.

- ``_<port name>._<tcp|udp|sctp>.<host>``: SRV with the true port (RFC 2782). The target is the host itself, if ports
  differ between addresses ``p<port>.<cluster>.<host>``, and of a headless Service each of its pods,
  ``<label>.<host>``. The names in between exist, without data, and so does a port that no target can be named for.
- ``<cluster>.<host>`` and ``p<port>.<cluster>.<host>``: the addresses of the host in that cluster.
"""

import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from meshdns.authority.row import Row
from meshdns.authority.row_format import RowService
from meshdns.authority.synthesis_cache import SynthesisCache
from meshdns.dns.codes import TYPE_SRV
from meshdns.dns.query import Query
from meshdns.dns.response import EMPTY_SECTION, Section, record

FindRow = Callable[[bytes], tuple[bytes, Row] | None]
"""Finds the row that answers for a lower-case wire name, and its owner name."""

MAX_TARGETS: Final = 100
"""SRV records of one service, as many as a headless Service has addresses."""

_srv: Final = struct.Struct(">HHH").pack
_PROTOCOLS: Final = (b"_tcp", b"_udp", b"_sctp")
_WEIGHT: Final = 1  # all targets alike


class Synthesized(NamedTuple):
    """The row that a synthesized name follows from, and the records for the question; no records mean NODATA."""

    row: Row
    section: Section


def synthesize_service(query: Query, apex: bytes, find_row: FindRow, cache: SynthesisCache) -> Synthesized | None:
    """Synthesize a name that begins with service labels; None if it does not, or there is no such service."""
    labels = list(_leading_labels(query.qname_lower, apex, 2))
    if not labels or not labels[0][0].startswith(b"_"):
        return None
    if labels[0][0] in _PROTOCOLS:
        return _synthesize_protocol(labels[0], query, find_row, cache)
    if len(labels) < 2 or labels[1][0] not in _PROTOCOLS:
        return None
    (name, _), (protocol, at) = labels
    found = find_row(query.qname_lower[at:])
    service = cache.service(*found, name[1:], protocol[1:]) if found is not None else None
    if found is None or service is None:
        return None
    return Synthesized(found[1], _srv_section(service, query.qname[at:]) if query.qtype == TYPE_SRV else EMPTY_SECTION)


def synthesize_cluster_name(query: Query, apex: bytes, find_row: FindRow, cache: SynthesisCache) -> Synthesized | None:
    """Synthesize a name of a host in one cluster; None if it is no such name."""
    labels = list(_leading_labels(query.qname_lower, apex, 2))
    if not labels:
        return None
    label, at = labels[0]
    found = find_row(query.qname_lower[at:])
    part = cache.part(*found, label, 0) if found is not None else None
    if part is None and len(labels) == 2 and label[:1] == b"p" and label[1:].isdigit():
        found = find_row(query.qname_lower[labels[1][1] :])
        part = cache.part(*found, labels[1][0], int(label[1:6])) if found is not None else None
    if found is None or part is None:
        return None
    count, wire = part.rrsets.get(query.qtype, (0, b""))
    return Synthesized(found[1], Section(count, wire))


def _synthesize_protocol(
    label: tuple[bytes, int], query: Query, find_row: FindRow, cache: SynthesisCache
) -> Synthesized | None:
    """Synthesize ``_tcp.<host>``, which exists if the host has a service over TCP: an empty non-terminal."""
    protocol, at = label
    found = find_row(query.qname_lower[at:])
    if found is None or not cache.has_protocol(*found, protocol[1:]):
        return None
    return Synthesized(found[1], EMPTY_SECTION)


def _srv_section(found: RowService, host: bytes) -> Section:
    """Return SRV records of the first targets; `host` is the name as queried, which is not compressed (RFC 2782)."""
    records = []
    for port, labels in islice(_targets(found), MAX_TARGETS):
        target = b"".join(bytes([len(label)]) + label for label in labels) + host
        if len(target) <= 255:
            records.append(record(TYPE_SRV, found.ttl, _srv(0, _WEIGHT, port) + target))
    return Section(len(records), b"".join(records))


def _targets(service: RowService) -> Iterator[tuple[int, tuple[bytes, ...]]]:
    """The port of each target, and its labels below the host."""
    if service.pods:
        yield from ((port, (label,)) for port, label in service.pods)
    else:
        yield from ((port, (b"p%d" % port, cluster) if cluster else ()) for port, cluster in service.targets)


def _leading_labels(name: bytes, apex: bytes, count: int) -> Iterator[tuple[bytes, int]]:
    """The first labels of a name below the apex, each with the offset of what follows it."""
    at = 0
    while count and len(name) - at > len(apex):
        end = at + 1 + name[at]
        yield name[at + 1 : end], end
        at = end
        count -= 1
