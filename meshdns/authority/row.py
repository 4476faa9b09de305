"""A row of the name database as a decoded value."""

from meshdns.authority.row_format import RRSET_HEADER, STATIC_FLAG, ZONE_LEVEL, RowStatus
from meshdns.dns.response import Section


class Row:
    """A decoded row. `static` is served before any cluster has synced; `clusters` are ids of the database's state."""

    __slots__ = ("_data", "_synthesis_at", "clusters", "level", "rrsets", "static", "status")

    def __init__(self, data: bytes) -> None:
        self.status = data[0] & 0x03
        self.level = row_level(data)
        self.static = bool(data[0] & STATIC_FLAG)
        at = 2 + 2 * data[1]
        self.clusters = [data[i] << 8 | data[i + 1] for i in range(2, at, 2)]
        self.rrsets: dict[int, Section] = {}
        self._data = data
        self._synthesis_at = (0, 0)  # where that data begins and ends
        while at < len(data):
            rtype, count, size = RRSET_HEADER.unpack_from(data, at)
            at += RRSET_HEADER.size
            if rtype:
                self.rrsets[rtype] = Section(count, data[at : at + size])
            else:
                self._synthesis_at = (at, at + size)
            at += size

    @property
    def synthesis_bytes(self) -> bytes:
        """The encoded data from which further names are synthesized, up to 64 KiB; empty if there is none."""
        begin, end = self._synthesis_at
        return self._data[begin:end]

    @property
    def has_synthesis(self) -> bool:
        """Whether further names are synthesized from this one."""
        return self._synthesis_at[1] > 0

    @property
    def is_empty_nonterminal(self) -> bool:
        """Whether the name exists without any data, and not because of the zone itself."""
        return not self.rrsets and self.status == RowStatus.DATA and self.level != ZONE_LEVEL


def row_level(data: bytes) -> int:
    """Return the level of a row's answer, 0 if it has none, without decoding the row."""
    return data[0] >> 2 & 0x07


def rotate_section(section: Section, offset: int) -> Section:
    """Return a section, its records of equal lengths, rotated by `offset` records, any number."""
    if section.count < 2:
        return section
    cut = offset % section.count * (len(section.wire) // section.count)
    return Section(section.count, section.wire[cut:] + section.wire[:cut])
