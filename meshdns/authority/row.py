"""A row of the name database as a decoded value, and what the authority reads of it without decoding it."""

import msgspec

from meshdns.authority.row_format import RRSET_HEADER, STATIC_FLAG, RowStatus, SynthesisData
from meshdns.dns.response import Section


class Row:
    """A decoded row. `static` is served before any cluster has synced; `clusters` are ids of the database's state."""

    __slots__ = ("_synthesis_bytes", "clusters", "level", "rrsets", "static", "status")

    def __init__(self, data: bytes) -> None:
        self.status = data[0] & 0x03
        self.level = row_level(data)
        self.static = bool(data[0] & STATIC_FLAG)
        at = 2 + 2 * data[1]
        self.clusters = [data[i] << 8 | data[i + 1] for i in range(2, at, 2)]
        self.rrsets: dict[int, Section] = {}
        self._synthesis_bytes = b""
        while at < len(data):
            rtype, count, size = RRSET_HEADER.unpack_from(data, at)
            at += RRSET_HEADER.size
            if rtype:
                self.rrsets[rtype] = Section(count, data[at : at + size])
            else:
                self._synthesis_bytes = data[at : at + size]
            at += size

    def synthesis_data(self) -> SynthesisData:
        """What further names are made of."""
        return (
            msgspec.msgpack.decode(self._synthesis_bytes, type=SynthesisData)
            if self._synthesis_bytes
            else SynthesisData()
        )

    @property
    def has_synthesis(self) -> bool:
        """Whether further names follow from this one."""
        return bool(self._synthesis_bytes)

    @property
    def is_empty_nonterminal(self) -> bool:
        """Whether there is nothing to say but that the name exists."""
        return not self.rrsets and self.status == RowStatus.DATA


def row_level(data: bytes) -> int:
    """The level that a row's answer is of, 0 where it has none."""
    return data[0] >> 2 & 0x07


def rotated(section: Section, by: int) -> Section:
    """The records of a section of equal lengths, starting with another one; `by` is any number."""
    if section.count < 2:
        return section
    cut = by % section.count * (len(section.wire) // section.count)
    return Section(section.count, section.wire[cut:] + section.wire[:cut])
