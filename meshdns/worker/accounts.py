"""What a worker answered, by zone, type, RCODE and the like: kept while it answers, published with its heartbeat.

Rules:
- A ready reply carries the number of its *case*; to count it is to add one at that place of a list. What the case
  stands for is worked out when the reply is made ready, and its sums are carried over five times a second.
- Every other reply is counted when it is made. What its octets and its way tell is its *likeness*; of those that are
  alike all but the first find the rows that they add to by one look, for less than a microsecond.
- Cases are bounded; their labels are (`meshdns.meters`), and what is forgotten of a case is nothing but its number.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple

from meshdns import meters
from meshdns.dns import names
from meshdns.dns.codes import FLAG_AA
from meshdns.dns.mnemonics import RCODES
from meshdns.dns.query import Query
from meshdns.dns.response import OPT_HEAD
from meshdns.forwarding.addresses import Address
from meshdns.meters import OCTETS, SECONDS, Ledger
from meshdns.sampled import question
from meshdns.worker.cases import NO_STANDING, Case, Facts, Standing, extended, kind, type_label

MAX_READY: Final = 16_384  # cases of ready replies: a zone, a type and two sizes each
_MAX_CASES: Final = 8192
_QUICK: Final = SECONDS[0]
_MAX_LIKE: Final = 2048
_MAX_PARENTS: Final = 4096
_COOKIE_SIZE: Final = 28  # octets of the option with a full cookie, which is the last one

_PLAIN: Final = {
    OPT_HEAD + b"\0\0" + do + b"\0" + options: bool(do[0])
    for do in (b"\0", b"\x80")
    for options in (b"\0\0", b"\0\x1c\0\x0a\0\x18")
}
"""OPTs without an extended error, nothing or a full cookie in them, up to the cookie, by their DO bits."""

DROPPED: Final = "dropped"
"""What CoreDNS gives as the zone of messages that have none."""


_WAYS: Final = (("udp", "1"), ("udp", "2"), ("tcp", "1"), ("tcp", "2"))  # protocol and family, as CoreDNS names them

_NO_ERROR: Final = (False, -1)


class _Alike(NamedTuple):
    """What replies of one likeness add to: rows that count them, and a row with a bucket for each size."""

    plugin: str
    counts: tuple[list[float], ...]
    asked: list[float]
    asked_bucket: int
    replied: list[float]
    replied_bucket: int
    times: list[float]


class _Ready(NamedTuple):
    """What a ready reply counts as by each of the ways, and the sizes of query and reply."""

    facts: tuple[Facts, ...]
    asked: int
    replied: int


class Accounts:
    """The sums of one worker.

    `hits` are the ready replies sent since the last time: over UDP by IPv4 and by IPv6, over TCP by IPv4 and by IPv6.
    `relayed` are those of all times until then that were cached answers of upstreams.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.hits: tuple[list[int], ...] = tuple([] for _ in _WAYS)
        self.relayed = 0
        self._ready: list[_Ready] = []
        self._numbers: dict[tuple[Facts, int, int], int] = {}
        self._cases: dict[Facts, Case] = {}
        self._times = [0] * (len(SECONDS) + 1)
        self._time = 0.0
        self._zones: dict[bytes, str] = {}
        self._mesh: frozenset[str] = frozenset()
        self._alike: dict[tuple[object, ...], _Alike] = {}
        self._upstreams: dict[tuple[Address, int], list[float]] = {}
        self._beneath: dict[bytes, str] = {}  # the zone of the names right beneath one

    def configure(self, mesh: Iterable[bytes], others: Iterable[bytes]) -> None:
        """The zones that are told apart, by wire name: those answered from the mesh, and those forwarded."""
        served = {apex: names.text(apex).removesuffix(".") + "." for apex in mesh}
        self._zones = {apex: names.text(apex).removesuffix(".") + "." for apex in others} | served
        self._mesh = frozenset(served.values())
        self._alike.clear()
        self._beneath.clear()
        self._upstreams.clear()

    # ------------------------------------------------------------------------------------------ ready replies

    @property
    def full(self) -> bool:
        """Whether the ready replies have to be forgotten before another is made."""
        return len(self._ready) >= MAX_READY

    def number(self, asked: int, reply: bytes, standing: Standing, plugin: str = "mesh") -> int:
        """The case of a reply that is made ready, to a query of `asked` octets; `plugin` wrote it."""
        facts = self._facts(reply, plugin, proto="udp", family="1", error=extended(reply), standing=standing)
        key = (facts, asked, len(reply))
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._ready)
            ways = tuple(facts._replace(proto=proto, family=family) for proto, family in _WAYS)
            self._ready.append(_Ready(ways, asked, len(reply)))
            for hits in self.hits:
                hits.append(0)
        return number

    def plugin(self, number: int) -> str:
        """What wrote the ready replies of a case."""
        return self._ready[number].facts[0].plugin

    def forget_ready(self) -> None:
        """The ready replies are all forgotten: so are their cases."""
        self.carry()
        self._ready.clear()
        self._numbers.clear()
        for hits in self.hits:
            hits.clear()

    def batch(self, hits: int, seconds: float) -> None:
        """So many ready replies took that long from their receipt until they were sent, together."""
        self._times[bisect_left(SECONDS, seconds)] += hits
        self._time += seconds * hits

    def carry(self) -> None:
        """Carry what was counted of ready replies into the ledger."""
        by_zone: dict[str, int] = {}
        for way, hits in enumerate(self.hits):
            for number, times in enumerate(hits):
                if times:
                    hits[number] = 0
                    facts, asked, replied = self._ready[number]
                    self._case(facts[way]).count(times, asked, replied)
                    self.relayed += times if facts[way].plugin == "cache" else 0
                    zone = facts[way].zone
                    by_zone[zone] = by_zone.get(zone, 0) + times
        self._carry_times(by_zone)

    def _carry_times(self, by_zone: dict[str, int]) -> None:
        """Share the times among the zones in proportion; what rounding leaves goes to the last one."""
        left = sum(by_zone.values())
        for zone, times in by_zone.items():
            row = self.ledger.row(meters.DURATION, zone)
            for bucket, number in enumerate(self._times):
                share = round(number * times / left)
                row[bucket] += share
                self._times[bucket] -= share
            row[-1] += self._time * times / left
            self._time -= self._time * times / left
            left -= times

    # ------------------------------------------------------------------------------------------ all other replies

    def reply(self, query: Query, reply: bytes, plugin: str, *, tcp: bool, ipv6: bool, seconds: float) -> str:
        """Count one reply. `plugin` is what wrote it, as far as its way tells.

        Returns what its octets tell more closely, one of those that `meters.RESPONSES` names.
        """
        asked, replied = len(query.data), len(reply)
        error = _NO_ERROR
        if query.edns:
            do = _PLAIN.get(reply[-39:-24] if query.reply_cookie else reply[-11:])
            error = (do, -1) if do is not None else extended(reply)
        lower = query.lower
        zone = self._zones.get(lower) or (self._beneath.get(lower[lower[0] + 1 :]) if lower else DROPPED)
        if zone is None:
            zone = self._zone(lower)
        like = zone, query.qtype, reply[2:12], plugin, tcp, ipv6, error, query.level, query.stale, asked, replied
        alike = self._alike.get(like)
        if alike is None:
            if len(self._alike) >= _MAX_LIKE:
                self._alike.clear()
            alike = self._alike[like] = self._first(query, reply, plugin, tcp=tcp, ipv6=ipv6, error=error)
        written_by, counts, asked_sizes, asked_bucket, replied_sizes, replied_bucket, times = alike
        for row in counts:
            row[0] += 1
        asked_sizes[asked_bucket] += 1
        asked_sizes[-1] += asked
        replied_sizes[replied_bucket] += 1
        replied_sizes[-1] += replied
        times[bisect_left(SECONDS, seconds) if seconds > _QUICK else 0] += 1
        times[-1] += seconds
        return written_by

    def upstream(self, address: Address, rcode: int, seconds: float) -> None:
        """An upstream of the settings replied after so long."""
        row = self._upstreams.get((address, rcode))
        if row is None:
            row = self.ledger.row(meters.UPSTREAM_DURATION, "forward", str(address), RCODES[rcode])
            self._upstreams[address, rcode] = row
        row[bisect_left(SECONDS, seconds)] += 1
        row[-1] += seconds

    def _first(
        self, query: Query, reply: bytes, plugin: str, *, tcp: bool, ipv6: bool, error: tuple[bool, int]
    ) -> _Alike:
        """What the first reply of its likeness adds to, and all that follow it."""
        standing = Standing(query.level, query.stale) if reply[7] else NO_STANDING
        proto, family = "tcp" if tcp else "udp", "12"[ipv6]
        facts = self._facts(reply, plugin, proto=proto, family=family, error=error, standing=standing)
        case = self._case(facts)
        return _Alike(
            facts.plugin,
            tuple(case.counts),
            case.asked,
            bisect_left(OCTETS, len(query.data)),
            case.replied,
            bisect_left(OCTETS, len(reply)),
            self.ledger.row(meters.DURATION, facts.zone),
        )

    def _case(self, facts: Facts) -> Case:
        case = self._cases.get(facts)
        if case is None:
            if len(self._cases) >= _MAX_CASES:
                self._cases.clear()
            case = self._cases[facts] = Case(facts, self.ledger, leaks=facts.zone in self._mesh)
        return case

    def _facts(
        self, reply: bytes, plugin: str, *, proto: str, family: str, error: tuple[bool, int], standing: Standing
    ) -> Facts:
        rcode = reply[3] & 0x0F
        name, qtype, _ = question(reply)
        zone = self._zone(name.lower()) if reply[5] else DROPPED
        if zone in self._mesh and plugin == "cache" and reply[2] & FLAG_AA >> 8:
            plugin = "mesh"  # a fallback zone: the mesh answered what the upstream had denied
        elif zone not in self._mesh and plugin == "mesh":
            plugin = "local"
        elif plugin == "cache" and kind(reply) == "error":
            plugin = "forward"  # refused or failed at once
        return Facts(zone, type_label(qtype), rcode, plugin, kind(reply), proto, family, *error, standing)

    def _zone(self, lower: bytes) -> str:
        """The longest zone that a lower-case wire name is in; of what has no name that of messages without one."""
        if not lower:
            return DROPPED
        zone = self._zones.get(lower)
        if zone is not None or not lower[0]:
            return zone or "."
        parent = lower[lower[0] + 1 :]
        zone = self._beneath.get(parent)
        if zone is None:
            if len(self._beneath) >= _MAX_PARENTS:
                self._beneath.clear()
            zone = self._beneath[parent] = self._longest(parent)
        return zone

    def _longest(self, lower: bytes) -> str:
        at = 0
        while True:
            zone = self._zones.get(lower[at:])
            if zone is not None:
                return zone
            if not lower[at]:
                return "."
            at += lower[at] + 1
