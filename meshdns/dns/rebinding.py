"""Private addresses in an upstream's answer, for routes that refuse them (DNS rebinding).

A name of an attacker that has an address of the client's own network lets a web page reach servers there, past the
browser's rule of one origin. Refused are all blocks that RFC 6890 and RFC 6303 reserve, also where an IPv6 address
carries one of IPv4, and hints of addresses in SVCB and HTTPS records (RFC 9460 section 7.3), which browsers connect to.
"""

from typing import Final

from meshdns.dns.address_blocks import is_refused_answer
from meshdns.dns.codes import TYPE_A, TYPE_AAAA

_TYPE_SVCB: Final = 64
_TYPE_HTTPS: Final = 65
_HINT_SIZES: Final = {4: 4, 6: 16}  # bytes of an address by the number of its parameter: ipv4hint and ipv6hint


def holds_private_address(rtype: int, rdata: bytes) -> bool:
    """Return whether a record holds a private address. A malformed list of hints counts as one."""
    if rtype in (TYPE_A, TYPE_AAAA):
        return is_refused_answer(rdata)
    return rtype in (_TYPE_SVCB, _TYPE_HTTPS) and _has_private_hint(rdata)


def _has_private_hint(rdata: bytes) -> bool:
    at = 2
    while at < len(rdata) and rdata[at]:
        at += rdata[at] + 1  # the target's labels, which are not compressed
    at += 1
    while at < len(rdata):
        key = int.from_bytes(rdata[at : at + 2], "big")
        end = at + 4 + int.from_bytes(rdata[at + 2 : at + 4], "big")
        if end > len(rdata) or at + 4 > len(rdata):
            return True
        size = _HINT_SIZES.get(key)
        if size is not None and any(is_refused_answer(rdata[i : min(i + size, end)]) for i in range(at + 4, end, size)):
            return True
        at = end
    return False
