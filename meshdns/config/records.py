"""The values of static records, in presentation format (RFC 1035 section 5.1)."""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from meshdns.config.values import read_domain

_MAX_TEXT: Final = 4096
"""Octets of a TXT record: more would not fit beside anything else into a reply over UDP, and hardly over TCP."""


def canonical_value(kind: str, value: str) -> str:
    """The canonical form of the value of a record of type `kind` (A, AAAA, TXT, SRV or PTR).

    Raises ValueError, ending with what to write, where `value` is not one of that type.
    """
    return _READERS[kind](value)


def _ipv4(value: str) -> str:
    try:
        return str(IPv4Address(value))
    except ValueError:
        raise ValueError(f"value {value[:80]!r} is no IPv4 address; write one such as 192.0.2.1") from None


def _ipv6(value: str) -> str:
    try:
        return str(IPv6Address(value))
    except ValueError:
        raise ValueError(f"value {value[:80]!r} is no IPv6 address; write one such as 2001:db8::1") from None


def _text(value: str) -> str:
    if len(value.encode()) > _MAX_TEXT:
        raise ValueError(f"the text is longer than {_MAX_TEXT} octets; shorten it")
    return value


def _service(value: str) -> str:
    """RFC 2782: priority, weight, port and target."""
    numbers, target = value.split()[:-1], value.split()[-1:]
    if len(numbers) != 3 or not all(_is_octet_pair(number) for number in numbers):
        raise ValueError(
            f"value {value[:80]!r} is no SRV value; write priority, weight, port and target: 0 0 443 a.global"
        )
    return " ".join([*(str(int(number)) for number in numbers), read_domain(target[0])])


def _is_octet_pair(number: str) -> bool:
    return number.isascii() and number.isdigit() and len(number) <= 5 and int(number) < 65536


_READERS: Final[Mapping[str, Callable[[str], str]]] = {
    "A": _ipv4,
    "AAAA": _ipv6,
    "TXT": _text,
    "SRV": _service,
    "PTR": read_domain,
}
