"""Reader of compressed names, with work bounded by the size of the message (RFC 1035 4.1.4, RFC 9267 section 2).

Rules:
- A pointer leads strictly backwards, before the place where its part of the name began, never into the header, so no
  walk can loop, and a name is read the same whichever names were read before it.
- A pointer that leads elsewhere than to a label of a name that was read before (RFC 1035 4.1.4: a prior occurrence) is
  followed, and noted: what it leads to, a TTL for example, may not stay what it is.
- Every label and pointer is walked once per message: the name at each offset is cached, and the cache is bounded.
- A name is at most 255 octets long when expanded; label types 01 and 10 are refused (RFC 6891 section 5).
"""

from typing import Final

HEADER_SIZE: Final = 12
MAX_NAME_SIZE: Final = 255  # RFC 1035 2.3.4, octets with the root label
MAX_LABELS: Final = 8192  # labels and pointers walked in one message; 1,000 uncompressed names of eight labels


class MalformedError(Exception):
    """The message breaks a rule of the wire format; never leaves `meshdns.dns`."""


def skip_name(data: bytes, start: int) -> int:
    """Return the offset behind a well-formed name that begins at `start`, without following its pointer."""
    while data[start]:
        if data[start] > 63:
            return start + 2
        start += data[start] + 1
    return start + 1


class NameReader:
    """The names of one message. `labels_read` is the number of labels and pointers read so far.

    `has_stray_pointer` says that a pointer led elsewhere than to a label of a name that was read before.
    """

    __slots__ = ("_cache", "_data", "_label_starts", "has_stray_pointer")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._cache: dict[int, tuple[bytes, int]] = {}  # the name at a place, and where its first pointer leads
        self._label_starts: set[int] = set()  # of the names that were read, up to their first pointer
        self.has_stray_pointer = False

    @property
    def labels_read(self) -> int:
        """Labels and pointers read so far, at most `MAX_LABELS` and one name."""
        return len(self._cache)

    def read(self, start: int) -> tuple[bytes, int]:
        """Return the name at `start`, expanded and in its own letter case, and the offset behind it.

        Raises MalformedError.
        """
        data, known = self._data, self._cache
        fresh: list[int] = []
        at = segment = start
        end = 0
        found = b"\0", 0
        try:
            while data[at]:
                if end and at in known:
                    found = known[at]
                    if found[1] >= segment:
                        raise MalformedError
                    break
                fresh.append(at)
                length = data[at]
                if length <= 63:
                    at += length + 1
                    continue
                if length < 0xC0:
                    raise MalformedError
                if not end:
                    end = at + 2
                    self._label_starts.update(fresh)
                at = (length & 0x3F) << 8 | data[at + 1]
                if not HEADER_SIZE <= at < segment:
                    raise MalformedError
                if at not in self._label_starts:
                    self.has_stray_pointer = True
                segment = at
        except IndexError:
            raise MalformedError from None
        if not end:
            self._label_starts.update(fresh)
        return self._store(fresh, *found), end or at + 1

    def _store(self, new_offsets: list[int], name: bytes, first_pointer: int) -> bytes:
        """Cache the name at each newly read offset, the last one first."""
        data, known = self._data, self._cache
        if len(known) + len(new_offsets) > MAX_LABELS:
            raise MalformedError
        for place in reversed(new_offsets):
            if data[place] <= 63:
                name = data[place : place + data[place] + 1] + name
                if len(name) > MAX_NAME_SIZE:
                    raise MalformedError
            else:
                first_pointer = (data[place] & 0x3F) << 8 | data[place + 1]
            known[place] = name, first_pointer
        return name


def is_wire_subdomain(name: bytes, ancestor: bytes) -> bool:
    """Whether a lower-case wire name is `ancestor` or stands below it."""
    at = 0
    while len(name) - at > len(ancestor):
        at += name[at] + 1
    return name[at:] == ancestor
