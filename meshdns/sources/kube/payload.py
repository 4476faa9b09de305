"""Decoder of what API servers send: list pages, watch events, Status objects, refusals and resource versions.

Rules:
- Bytes that are not what they should be raise `PayloadError`; nothing else is raised.
- A page is split into its objects without reading them (14 ms for 33 MB), so that the reader can take them in slices
  and one malformed object does not lose a list.
- What a page takes in memory is bounded by its octets: a long one is split in pieces, at the beginnings of objects as
  API servers write them, so that a million of empty objects is noticed before there is one for each.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from meshdns.mesh.objects.foreign import bounded_text
from meshdns.sources.kube.resources import Resource

LINE_LIMIT: Final = 16 * 2**20
"""Bytes of one watch event: etcd stores objects of 1.5 MiB by default, and operators raise that to 8 MiB at most."""

_DECODE_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


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


class _ListReply(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None  # Go writes an empty list as null in places


class _LongListReply(msgspec.Struct):
    metadata: _ListMeta
    items: msgspec.Raw


_PIECE: Final = 2**20
_OPENING, _CLOSING = b"[]"
_ITEMS: Final = re.compile(rb'"items"\s{0,8}:\s{0,8}\[')
_FEW_ITEMS: Final = 10_000
_SMALLEST_ITEM: Final = 128  # octets: name, UID, resource version and time of creation are more
_TOKEN_LIMIT: Final = 64 * 1024  # characters: a token holds a name, and has to fit into a request
_BOUNDARY: Final = re.compile(
    rb'\}\s{0,8},\s{0,8}(?=\{\s{0,8}"(?:metadata"|kind"|apiVersion"\s{0,8}:\s{0,8}"[^"]{0,200}"\s{0,8},\s{0,8}"kind"))'
)
"""Between two objects of a list, as API servers write them: inside of an object there is none, even in its strings."""


class _WatchEvent(msgspec.Struct):
    type: str
    object: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ListPage:
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
class ApiStatus:
    """A Kubernetes Status, or what stands in for it: the code is that of the reply where the body says nothing."""

    code: int
    message: str = ""
    version_too_large: bool = False  # the resource version asked for is ahead of the server's


def decode_page(body: bytes | bytearray) -> ListPage:
    """A reply to a list request. A long `bytearray` is taken over: its commas between objects are lost."""
    try:
        if len(body) <= _PIECE:
            page = msgspec.json.decode(body, type=_ListReply)
            metadata, items = page.metadata, page.items or ()
        else:
            metadata, items = _decode_long_page(body if isinstance(body, bytearray) else bytearray(body))
    except _DECODE_ERRORS as error:
        raise PayloadError(f"the reply is no list: {bounded_text(str(error))}") from None
    if not metadata.resource_version:
        raise PayloadError("the list has no resource version")
    if max(len(metadata.resource_version), len(metadata.continue_token)) > _TOKEN_LIMIT:
        raise PayloadError(f"the list has a version or a token of more than {_TOKEN_LIMIT} characters")
    return ListPage(tuple(items), metadata.resource_version, metadata.continue_token, metadata.remaining)


def _decode_long_page(body: bytearray) -> tuple[_ListMeta, list[msgspec.Raw]]:
    """Metadata and objects. Raises `PayloadError` or an error of the decoder."""
    page = msgspec.json.decode(body, type=_LongListReply)
    size, first = len(memoryview(page.items)), bytes(memoryview(page.items)[:1])
    begin = _ITEMS.search(body)
    if first != b"[" or begin is None or size > len(body) - begin.end() + 1:
        raise PayloadError("the reply is no list: its items are not where API servers write them")
    return page.metadata, _split_items(memoryview(body), begin.end() - 1, begin.end() - 1 + size)


def _split_items(body: memoryview, start: int, end: int) -> list[msgspec.Raw]:
    """The objects of the array in ``body[start:end]``, which is cut in place: a copy would take as much again."""
    items: list[msgspec.Raw] = []
    body[start], body[end - 1] = _OPENING, _CLOSING
    for piece_end, next_start in _cuts(body, start, end):
        if piece_end - start > _PIECE:
            items.append(msgspec.json.decode(body[start + 1 : piece_end], type=msgspec.Raw))
        else:
            body[start], body[piece_end] = _OPENING, _CLOSING
            items += msgspec.json.decode(body[start : piece_end + 1], type=list[msgspec.Raw])
        if len(items) > _FEW_ITEMS and len(items) * _SMALLEST_ITEM > end:
            raise PayloadError(f"the list has objects of less than {_SMALLEST_ITEM} octets, which no API server sends")
        start = next_start
    return items


def _cuts(body: memoryview, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the pieces of an array end, and where in front of an object the next ones begin.

    A piece has whole objects: many in at most `_PIECE` octets, or a longer one by itself.
    """
    while end - start > _PIECE:
        late = _BOUNDARY.search(body, start + _PIECE - _PIECE // 16, start + _PIECE)
        found = late or next(reversed(list(_BOUNDARY.finditer(body, start, start + _PIECE))), None)
        found = found or _BOUNDARY.search(body, start + _PIECE, min(end, start + LINE_LIMIT))
        if found is None and end - start > LINE_LIMIT:
            raise PayloadError(f"the list has an object of more than {LINE_LIMIT} octets")
        if found is None:
            break
        yield found.start() + 1, found.end() - 1
        start = found.end() - 1
    yield end - 1, end


def decode_item(item: msgspec.Raw) -> object:
    """One object of a page; None where it cannot be read at all."""
    try:
        return msgspec.json.decode(item)
    except _DECODE_ERRORS:
        return None


_decode_event: Final = msgspec.json.Decoder(_WatchEvent).decode


def decode_event(line: bytes) -> tuple[str, dict[str, Any]]:
    """The type and the object of one line of a watch."""
    try:
        event = _decode_event(line)
    except _DECODE_ERRORS as error:
        raise PayloadError(f"the watch sent a line that is no event: {bounded_text(str(error))}") from None
    return event.type, event.object


def decode_status(code: int, body: bytes | bytearray) -> ApiStatus:
    """The Status in the body of a reply with HTTP status `code`."""
    try:
        raw = msgspec.json.decode(body)
    except _DECODE_ERRORS:
        return ApiStatus(code)
    return parse_status(raw if isinstance(raw, dict) else {}, code)


_MESSAGE_LIMIT: Final = 400  # characters: what RBAC says in full


def parse_status(raw: dict[str, Any], code: int = 0) -> ApiStatus:
    """A Status object; `code` where it has none of its own."""
    own = raw.get("code")
    message = raw.get("message")
    text = message if isinstance(message, str) else ""
    # apimachinery pkg/apis/meta/v1 types.go, CauseTypeResourceVersionTooLarge; servers before 1.19 only say it in words
    too_large = _says_too_large(raw.get("details")) or "Too large resource version" in text[:_MESSAGE_LIMIT]
    return ApiStatus(own if isinstance(own, int) and own else code, bounded_text(text, _MESSAGE_LIMIT), too_large)


def _says_too_large(details: object) -> bool:
    causes = details.get("causes") if isinstance(details, dict) else None
    return any(
        isinstance(cause, dict) and cause.get("reason") == "ResourceVersionTooLarge"
        for cause in (causes[:16] if isinstance(causes, list) else ())
    )


class LineBuffer:
    """Puts lines together from chunks that are cut anywhere."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def size(self) -> int:
        """Octets of the line that has not ended yet."""
        return self._size

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


_RETRY_AFTER_LIMIT: Final = 300.0  # seconds


def refusal_reason(resource: Resource, status: ApiStatus) -> str:
    """Return why a request was refused, for people; it ends with what to do."""
    said = status.message or f"HTTP status {status.code}"
    if status.code == 401:
        return f"the credentials are not accepted ({said}); renew the token or certificate of this cluster"
    if status.code == 403:
        group = f'API group "{resource.group}"'
        return f"{said}; grant the verbs list and watch on {resource.plural} in {group} by a ClusterRole"
    if status.code == 404 and resource.optional:
        return f"{resource.title} is not served any more ({said}); install its CRD again, if the cluster is to have it"
    if status.code == 404:
        return f"{resource.title} is not there ({said}); check that the address is a Kubernetes API server"
    if status.code == 429:
        return f"the API server asks for patience ({said}); look at its load"
    return f"the API server refuses {resource.title} ({said}); look at its log"


def retry_after_seconds(retry_after: str) -> float:
    """A Retry-After header in seconds (RFC 9110, section 10.2.3; API servers send no dates), at most 300."""
    return min(float(retry_after), _RETRY_AFTER_LIMIT) if retry_after.isascii() and retry_after.isdigit() else 0.0


def resource_version(obj: dict[str, Any]) -> str:
    """The opaque resource version of an object; empty where it has none."""
    metadata = obj.get("metadata")
    value = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return value if isinstance(value, str) else ""


def is_older(version: str, other: str) -> bool:
    """Whether a version is smaller than another (KEP-5504: both are decimal integers where they can be compared)."""
    return version.isdecimal() and other.isdecimal() and int(version) < int(other)
