"""Addresses of endpoints as people write them: what is neither an IP address nor a host name, and what was meant."""

import ipaddress
import re
from typing import Final

from meshdns.dns import names
from meshdns.mesh.objects.foreign import MAX_SHOWN, bounded_text, shown
from meshdns.mesh.objects.raw import canonical_address, normalize_host

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MAX_WRITTEN: Final = 1024  # characters of a text in which a host is looked for
_PORT_ADVICE: Final = ", and the port under ports"


def address_fault(text: str) -> tuple[str, str] | None:
    """Reason and advice where `text` is neither an IP address nor a host name; None where it is one of them."""
    if canonical_address(text):
        return None
    fault = names.host_fault(normalize_host(text))
    if not fault:
        return None
    written = text.strip()
    kind, bare, has_port = _taken_apart(written) if len(written) <= _MAX_WRITTEN else ("", "", False)
    if not kind:
        return f"{shown(text)} {fault}", _advice(written)
    if canonical_address(bare) or not names.host_fault(normalize_host(bare)):
        return f"{shown(text)} {kind}", f"write {bounded_text(bare, MAX_SHOWN)}{_PORT_ADVICE if has_port else ''}"
    return f"{shown(text)} {kind}", "write an IP address or a DNS name alone"


def _taken_apart(text: str) -> tuple[str, str, bool]:
    """What is wrong with a text, the host in it, and whether it names a port; nothing is wrong where that is empty."""
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, host = authority.rpartition("@")
    bare, has_port = _without_port(host)
    if scheme:
        return "is a URL", bare, has_port
    if at:
        return "names a user" if user else "has an @", bare, has_port
    if "/" in text:
        return ("is a network" if _is_network(text) else "has a path"), bare, has_port
    if has_port:
        return "has a port", bare, True
    if bare != text:
        return "has brackets", bare, False
    if "%" in text:
        return "has a zone, which means something on one machine only", text.partition("%")[0], False
    return "", "", False


def _without_port(host: str) -> tuple[str, bool]:
    """The host without brackets and port, and whether it had a port."""
    if host.startswith("["):
        inner, bracket, port = host[1:].partition("]")
        return (inner, port.startswith(":")) if bracket else (host, False)
    inner, colon, port = host.rpartition(":")
    is_port = bool(colon) and port.isascii() and port.isdigit() and not canonical_address(host)
    return (inner, True) if is_port else (host, False)


def _is_network(text: str) -> bool:
    try:
        return bool(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return False


def _advice(text: str) -> str:
    """What to write instead of a text that is no more than a mistyped address or name."""
    if text.startswith("*."):
        return "write a DNS name without *, or an IP address"
    numbers = text.split(".")
    if not all(each.isascii() and each.isdigit() for each in numbers):
        return "use an IP address or a DNS name"
    if len(numbers) != 4:
        return "write the four numbers of an IPv4 address"
    if any(int(each[:4]) > 255 or len(each.lstrip("0")) > 3 for each in numbers):
        return "write an IPv4 address: each of its numbers is at most 255"
    return "write the numbers of the IPv4 address without zeros before them"
