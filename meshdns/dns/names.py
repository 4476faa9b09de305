"""Owner names in their two forms: text without trailing dot, and wire format.

Inside meshdns a name in text is lower-case ASCII, labels joined by dots, no trailing dot; that is what manifests hold
and people read. Names on the wire are bytes; keys of the view are lower-case wire names, so that a worker looks up the
octets of a question without decoding them.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

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


def to_wire(name: str) -> bytes:
    """Wire format of a name in text; the empty string is the root."""
    if not name:
        return b"\0"
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
