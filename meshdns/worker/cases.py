"""What a reply counts as: the labels that its octets and its way make, and the rows of the ledger behind them."""

from bisect import bisect_left
from typing import Final, NamedTuple

from meshdns import meters
from meshdns.dns.codes import NOERROR, NXDOMAIN, OPTION_EDE
from meshdns.dns.mnemonics import RCODES, type_text
from meshdns.dns.response import opt_at
from meshdns.meters import OCTETS, Ledger

_OPT_SIZE: Final = 11
_LABELLED: Final = frozenset(
    (
        *("A", "AAAA", "CNAME", "DNSKEY", "DS", "MX", "NSEC3", "NSEC", "NS", "PTR", "RRSIG", "SOA"),
        *("SRV", "TXT", "HTTPS", "SVCB", "IXFR", "AXFR", "ANY"),
    )
)
"""The types that have a label of their own, as in CoreDNS; all others are ``other``."""

LEVELS: Final = ("none", "static", "own_entry", "own_service", "remote_entry", "near_service", "far_service")
"""The levels of an answer by number, as a label."""


class Standing(NamedTuple):
    """What is known of a mesh answer beside its octets: the level that answered, whether it is last known data."""

    level: int = 0
    stale: bool = False


NO_STANDING: Final = Standing()


class Facts(NamedTuple):
    """What tells one case from another."""

    zone: str
    qtype: str  # as its label
    rcode: int
    plugin: str
    kind: str
    proto: str
    family: str
    do: bool
    error: int
    standing: Standing


class Case:
    """The rows of the ledger that one kind of reply adds to."""

    __slots__ = ("asked", "counts", "replied")

    def __init__(self, facts: Facts, ledger: Ledger, *, leaks: bool) -> None:
        zone, proto, plugin = facts.zone, facts.proto, facts.plugin
        rows = [
            ledger.row(meters.REQUESTS, zone, proto, facts.family, facts.qtype),
            ledger.row(meters.RESPONSES, zone, RCODES[facts.rcode], plugin),
        ]
        if facts.do:
            rows.append(ledger.row(meters.DO_REQUESTS, zone))
        if plugin == "cache" and facts.kind != "error":
            rows.append(ledger.row(meters.CACHE_HITS, facts.kind, zone))
        if facts.standing.level:
            rows.append(ledger.row(meters.ANSWERS, zone, LEVELS[facts.standing.level]))
        if facts.standing.stale:
            rows.append(ledger.row(meters.STALE_ANSWERS, zone))
        if facts.error >= 0:
            rows.append(ledger.row(meters.EXTENDED_ERRORS, str(facts.error) if facts.error < 32 else "other"))
        if leaks and plugin in ("forward", "cache"):
            rows.append(ledger.row(meters.LEAKED, zone))
        self.counts = rows
        self.asked = ledger.row(meters.REQUEST_SIZE, zone, proto)
        self.replied = ledger.row(meters.RESPONSE_SIZE, zone, proto)

    def count(self, times: int, asked: int, replied: int) -> None:
        """So many replies of `replied` octets to queries of `asked` octets."""
        for row in self.counts:
            row[0] += times
        self.asked[bisect_left(OCTETS, asked)] += times
        self.asked[-1] += asked * times
        self.replied[bisect_left(OCTETS, replied)] += times
        self.replied[-1] += replied * times


def type_label(qtype: int) -> str:
    """The label of a type; there are few, whatever is asked for."""
    named = type_text(qtype)
    return named if named in _LABELLED else "other"


def kind(reply: bytes) -> str:
    """``success``, ``denial`` or ``error``, as CoreDNS's plugin/pkg/response classes a reply."""
    rcode = reply[3] & 0x0F
    if rcode == NXDOMAIN:
        return "denial"
    if rcode != NOERROR:
        return "error"
    return "success" if reply[6] or reply[7] or not (reply[8] or reply[9]) else "denial"


def extended(reply: bytes) -> tuple[bool, int]:
    """The DO bit of a reply's OPT, and the first extended error in it, -1 where there is none."""
    at = opt_at(reply)
    if at < 0:
        return False, -1
    do = bool(reply[at + 7] & 0x80)
    at += _OPT_SIZE
    while at + 4 <= len(reply):
        code, size = reply[at] << 8 | reply[at + 1], reply[at + 2] << 8 | reply[at + 3]
        if code == OPTION_EDE and size >= 2:
            return do, reply[at + 4] << 8 | reply[at + 5]
        at += 4 + size
    return do, -1
