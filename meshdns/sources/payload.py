"""What an API server sends, from bytes to values: list pages, watch events, Status objects.

Rules:
- Bytes that are not what they should be raise `PayloadError`; nothing else is raised.
- A page is split into its objects without reading them (14 ms for 33 MB), so that the reader can take them in slices
  and one malformed object does not lose a list.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

LINE_LIMIT: Final = 16 * 2**20
"""Octets of one watch event: etcd stores objects of 1.5 MiB by default, and operators raise that to 8 MiB at most."""

_FAULTS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class PayloadError(Exception):
    """Bytes that no Kubernetes API server sends; the message says what they are."""


_LIST_META: Final = {
    "resource_version": "resourceVersion",
    "continue_token": "continue",
    "remaining": "remainingItemCount",
}


class _ListMeta(msgspec.Struct, rename=_LIST_META):
    resource_version: str
    continue_token: str = ""
    remaining: int | None = None


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None  # Go writes an empty list as null in places


class _Event(msgspec.Struct):
    type: str
    object: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; without `continue_token` it is the last. `remaining` objects follow; None: it is not said."""

    items: tuple[msgspec.Raw, ...]
    resource_version: str
    continue_token: str
    remaining: int | None = None

    @property
    def total(self) -> int | None:
        """How many objects there are, from the first page; None where it is not said."""
        if not self.continue_token:
            return len(self.items)
        return None if self.remaining is None else len(self.items) + self.remaining


@dataclass(frozen=True, slots=True)
class Status:
    """A Kubernetes Status, or what stands in for it: the code is that of the reply where the body says nothing."""

    code: int
    message: str = ""
    too_large: bool = False  # the resource version asked for is ahead of the server's


def decode_page(body: bytes) -> Page:
    """A reply to a list request."""
    try:
        page = msgspec.json.decode(body, type=_List)
    except _FAULTS as error:
        raise PayloadError(f"the reply is no list: {error}") from None
    if not page.metadata.resource_version:
        raise PayloadError("the list has no resource version")
    metadata = page.metadata
    return Page(tuple(page.items or ()), metadata.resource_version, metadata.continue_token, metadata.remaining)


def decode_item(item: msgspec.Raw) -> object:
    """One object of a page; None where it cannot be read at all."""
    try:
        return msgspec.json.decode(item)
    except _FAULTS:
        return None


_decode_event: Final = msgspec.json.Decoder(_Event).decode


def decode_event(line: bytes) -> tuple[str, dict[str, Any]]:
    """The type and the object of one line of a watch."""
    try:
        event = _decode_event(line)
    except _FAULTS as error:
        raise PayloadError(f"the watch sent a line that is no event: {error}") from None
    return event.type, event.object


def decode_status(code: int, body: bytes) -> Status:
    """The Status in the body of a reply with HTTP status `code`."""
    try:
        raw = msgspec.json.decode(body)
    except _FAULTS:
        return Status(code)
    return read_status(raw if isinstance(raw, dict) else {}, code)


def read_status(raw: dict[str, Any], code: int = 0) -> Status:
    """A Status object; `code` where it has none of its own."""
    own = raw.get("code")
    message = raw.get("message")
    text = message if isinstance(message, str) else ""
    # apimachinery pkg/apis/meta/v1 types.go, CauseTypeResourceVersionTooLarge; servers before 1.19 only say it in words
    too_large = "ResourceVersionTooLarge" in str(raw.get("details")) or "Too large resource version" in text
    return Status(own if isinstance(own, int) and own else code, text[:400], too_large)


class LineBuffer:
    """Puts lines together from chunks that are cut anywhere."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, without blank ones. Raises `PayloadError` for one past `LINE_LIMIT`."""
        *lines, rest = chunk.split(b"\n")
        if lines and self._parts:
            lines[0] = b"".join((*self._parts, lines[0]))
        if lines:
            self._parts, self._size = [], 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
        if self._size > LINE_LIMIT:
            raise PayloadError(f"the watch sent a line of more than {LINE_LIMIT} octets")
        return [line for line in lines if line.strip()]
