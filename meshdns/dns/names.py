"""Owner names in their two forms: text without trailing dot, and wire format.

Inside meshdns a name in text is lower-case ASCII, labels joined by dots, no trailing dot; that is what manifests hold
and people read. Names on the wire are bytes; keys of the name database are lower-case wire names, so that a worker
looks up the bytes of a question without decoding them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Generic, Protocol, TypeVar

ROOT: Final = b"\0"
"""The root in wire format."""

T = TypeVar("T")

_Name = TypeVar("_Name", str, bytes)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


def invalid_reason(host: str) -> str:
    """Why `host` (lower-case, no trailing dot) is no valid host name; empty where it is one.

    Letters, digits, hyphens (RFC 1123 section 2.1) and underscores (RFC 8552). A leading ``*.`` is for the caller.
    """
    if not host:
        return "is empty"
    if len(host) > 253:
        return f"is {len(host)} octets long, more than 253"
    for label in host.split("."):
        if not label:
            return "has an empty label"
        if len(label) > 63:
            return f"has a label of {len(label)} octets, more than 63"
        if not _LABEL.fullmatch(label):
            return f"has the label {label!r}, which is no host name label"
    return ""


def host_fault(host: str) -> str:
    """Why `host` (lower-case, no trailing dot) names no host; empty where it can.

    Beside `invalid_reason`: a name whose last label is all digits is a mistyped IPv4 address (RFC 1123 section 2.1: the
    highest-level label of a host name is alphabetic).
    """
    fault = invalid_reason(host)
    if not fault and host.rpartition(".")[2].isdigit():
        return "is neither an IP address nor a host name: its last label is all digits"
    return fault


def to_wire(name: str) -> bytes:
    """Wire format of a name in text; the empty string is the root."""
    if not name:
        return ROOT
    out = bytearray()
    for label in name.encode("ascii").split(b"."):
        out.append(len(label))
        out += label
    out.append(0)
    return bytes(out)


def labels(name: bytes) -> Iterator[bytes]:
    """The labels of a well-formed wire name, leftmost first, without the root."""
    at = 0
    while length := name[at]:
        yield name[at + 1 : at + 1 + length]
        at += length + 1


def to_text(name: bytes) -> str:
    r"""Presentation form of a well-formed wire name without trailing dot (RFC 1035 5.1: ``\.`` and ``\DDD``)."""
    return ".".join(_escape(label) for label in labels(name)) or "."


def _escape(label: bytes) -> str:
    return "".join(
        chr(octet)
        if octet in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*"
        else f"\\{octet:03d}"
        for octet in label
    )


def parents(name: str) -> Iterator[str]:
    """The ancestors of a name in text, nearest first, the root left out."""
    while "." in name:
        name = name.partition(".")[2]
        yield name


def up_to_closest_encloser(ancestors: Iterable[_Name], exists: Callable[[_Name], bool]) -> Iterator[_Name]:
    """Of the ancestors of a name, nearest first, those whose wildcard may cover it by RFC 4592 section 3.3.1.

    The first that exists is the closest encloser, and the last. By Istio's rule all ancestors inside the zone may.
    """
    for ancestor in ancestors:
        yield ancestor
        if exists(ancestor):
            return


def is_subdomain(name: str, zone: str) -> bool:
    """Whether `name` is `zone` or below it."""
    return name == zone or name.endswith("." + zone)


class _NamedZone(Protocol):
    """A zone by its name in text; the empty name is the root."""

    @property
    def name(self) -> str:
        """The name of the zone."""


Zone = TypeVar("Zone", bound=_NamedZone)


def longest_zone(name: str, zones: Iterable[Zone]) -> Zone | None:
    """Return the longest of a few zones that a name in text is in, or None. See `ZoneMap` for wire names."""
    best: Zone | None = None
    longest = -1
    for zone in zones:
        size = len(zone.name)
        if size > longest and name.endswith(zone.name) and (not size or name[-size - 1 : -size] in ("", ".")):
            best, longest = zone, size
    return best


def ancestors(name: bytes, apex: bytes = ROOT) -> Iterator[bytes]:
    """The ancestors of a wire name up to and including the apex, nearest first."""
    at = 0
    while len(name) - at > len(apex):
        at += name[at] + 1
        yield name[at:]


class ZoneMap(Generic[T]):
    """Values by zone, found by the longest zone that a lower-case wire name is in. No value is None."""

    __slots__ = ("_only", "_zones")

    def __init__(self, zones: Mapping[bytes, T]) -> None:
        self._zones = dict(zones)
        self._only = zones.get(ROOT) if len(zones) == 1 else None  # all names are in the root

    def find(self, name: bytes) -> T | None:
        """Return the value of the longest zone that a name is in, or None."""
        if self._only is not None:
            return self._only
        zones = self._zones
        value = zones.get(name)
        at = 0
        while value is None and (length := name[at]):
            at += length + 1
            value = zones.get(name[at:])
        return value
