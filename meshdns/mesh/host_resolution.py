"""The addresses of gateway host names: what a reply says, what is kept of it, when to ask again.

Cloud load balancers are known by host names whose addresses change (an AWS load balancer has no other identity), so
they are looked up again and again, in the background and never inside a query. No clock and no sockets here.

Rules:
- A and AAAA are looked up together and judged apart. What a family last resolved to is kept while its look-ups fail,
  for as long as they fail: the load balancer is more likely to be there still than the resolver to be right in silence.
- Only a reply changes anything, and an empty one removes the family's addresses. NXDOMAIN is such a reply: it is an
  authority's word that the name is gone (RFC 8020 section 2), and clouds give a released address to somebody else soon,
  who must not be sent our traffic. It removes the addresses of the family that was asked for alone, since some
  servers deny the whole name where they only lack its AAAA.
- An alias whose end is neither in the reply nor denied by an SOA says nothing: such an upstream does not recurse
  (RFC 2308 2.2). That is a failure.
- The next look-up is due when the shorter of the two TTLs has passed, clamped to 30 s–1 h and stretched by up to 10 %,
  so that hosts learned together do not stay together. It is never early: the upstream would repeat from its cache what
  is known already, and the clamp would then make the change later, not sooner.
- After a failure it is due in 5 s, then 10, 20, 40, 60 s, give or take 10 %.
- Addresses are ordered by value, IPv4 first, each once, so that rotation is no change; beyond 50 of a family the
  highest are left out.
"""

from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_address
from typing import Final

import msgspec

from meshdns.dns import names, reply
from meshdns.dns.address_blocks import unmapped
from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.dns.reply import RelayedPart, Reply, ReplyKind
from meshdns.mesh.fair_timers import FairTimers, Owners, Shares

MIN_LIFETIME: Final = 30.0  # seconds; istiod clamps the same
MAX_LIFETIME: Final = 3600.0  # seconds
LIFETIME_STRETCH: Final = 0.1  # of the lifetime
FIRST_RETRY: Final = 5.0  # seconds; outlasts a restart of most resolvers' pods
MAX_RETRY: Final = 60.0  # seconds
RETRY_JITTER: Final = 0.1
MAX_RESOLVED_PER_FAMILY: Final = 50
MAX_CONCURRENT_LOOKUPS: Final = 32
LOOKUP_SHARES: Final = Shares(owner=8, cluster=16, urgent=24)
"""Of `MAX_CONCURRENT_LOOKUPS`: a look-up of a silent server takes some 7 s."""

FAMILIES: Final = (TYPE_A, TYPE_AAAA)
"""The types that are looked up for each host, in the order that `ResolutionSchedule.record_result` takes."""


class ResolvedAddresses(msgspec.Struct, frozen=True):
    """Result of a reply: addresses in canonical text, ordered by value, perhaps none, and their TTL in seconds."""

    addresses: tuple[str, ...] = ()
    ttl: int = 0


def build_question(host: str, qtype: int) -> bytes:
    """What is asked of a host without `names.host_fault`: wire name, type, class IN."""
    return names.to_wire(host) + qtype.to_bytes(2, "big") + b"\0\1"


def read_addresses(message: bytes, question: bytes) -> ResolvedAddresses | None:
    """What a message says to `build_question`; None where it fails, breaks the wire format or answers something else.

    Never raises. A chain of CNAME and DNAME is followed within the answer; records off it are not believed.
    """
    if not reply.is_reply_to(message, int.from_bytes(message[:2], "big"), question):
        return None
    parsed = reply.parse_reply(message, question)
    if parsed is None or parsed.kind in (ReplyKind.FAILURE, ReplyKind.TRUNCATED) or _is_dangling_alias(parsed):
        return None
    qtype = int.from_bytes(question[-4:-2], "big")
    values = sorted(set(_rdata(parsed.answer, qtype)))[:MAX_RESOLVED_PER_FAMILY]
    return ResolvedAddresses(tuple(str(ip_address(unmapped(value))) for value in values), parsed.ttl)


def _is_dangling_alias(received: Reply) -> bool:
    """Whether an alias leads out of the reply: no end of it is there, and no SOA denies one."""
    return (
        received.kind is ReplyKind.NODATA
        and received.answer.section.count > 0
        and received.authority.section.count == 0
    )


def _rdata(part: RelayedPart, qtype: int) -> list[bytes]:
    """The RDATA of the records of a type; `reply.parse_reply` has checked their length."""
    wire = part.section.wire
    return [
        wire[at + 6 : at + 6 + int.from_bytes(wire[at + 4 : at + 6], "big")]
        for at, _ in part.ttls
        if int.from_bytes(wire[at - 4 : at - 2], "big") == qtype
    ]


class ResolvedHost:
    """One host name and what it last resolved to, by family; None is what no reply has told yet."""

    __slots__ = ("_by_family", "_reported", "failures", "name", "owners")

    def __init__(self, name: str, owners: Owners) -> None:
        self.name = name
        self.owners = owners
        self.failures = 0  # look-ups in a row in which a family failed
        self._by_family: list[tuple[str, ...] | None] = [None] * len(FAMILIES)
        self._reported: tuple[str, ...] | None = None

    @property
    def is_failing(self) -> bool:
        """Whether look-ups fail and no reply has told anything yet."""
        return self.failures > 0 and self._reported is None

    def update(self, outcomes: Collection[ResolvedAddresses | None]) -> tuple[str, ...] | None:
        """Take what a look-up brought, family by family; the host's addresses where they changed."""
        for place, outcome in enumerate(outcomes):
            if outcome is not None:
                self._by_family[place] = outcome.addresses
        self.failures = self.failures + 1 if None in outcomes else 0
        # an IPv4-mapped address may be among those of the other family too
        addresses = tuple(dict.fromkeys(address for known in self._by_family for address in known or ()))
        unknown = self._reported is None and not addresses and None in self._by_family
        if unknown or addresses == self._reported:
            return None
        self._reported = addresses
        return addresses


class ResolutionSchedule:
    """The hosts that are wanted. `draw` gives numbers from 0 up to 1; `timers` says who is to be looked up when."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self.timers: FairTimers[ResolvedHost] = FairTimers(lambda host: host.owners, LOOKUP_SHARES)
        self._draw = draw
        self._hosts: dict[str, ResolvedHost] = {}

    def set_hosts(self, hosts: Mapping[str, Owners], now: float) -> None:
        """The complete set wanted now, with their owners: new ones are due at once, others are forgotten.

        Lower-case text without trailing dot; what is no host name (`names.host_fault`) is left out, it resolves to
        nothing.
        """
        for gone in self._hosts.keys() - hosts.keys():
            self.timers.cancel(self._hosts.pop(gone))
        for name, owners in hosts.items():
            host = self._hosts.get(name)
            if host is None and not names.host_fault(name):
                host = self._hosts[name] = ResolvedHost(name, owners)
                self.timers.schedule(host, now)
            elif host is not None and host.owners != owners:
                host.owners = owners
                self.timers.update_owners(host)

    def record_result(
        self, host: ResolvedHost, outcomes: Collection[ResolvedAddresses | None], now: float
    ) -> tuple[str, ...] | None:
        """A look-up is over: what each of `FAMILIES` resolved to, None where it failed.

        Returns the host's addresses where they changed, `()` where it is known to have none. A host that was forgotten
        meanwhile stays so.
        """
        if self._hosts.get(host.name) is not host:
            return None
        changed = host.update(outcomes)
        self.timers.schedule(host, now + self._next_delay(host, outcomes))
        return changed

    def _next_delay(self, host: ResolvedHost, outcomes: Collection[ResolvedAddresses | None]) -> float:
        """Seconds to the next look-up."""
        ttl = min((outcome.ttl for outcome in outcomes if outcome is not None), default=int(MAX_LIFETIME))
        life = min(max(float(ttl), MIN_LIFETIME), MAX_LIFETIME) * (1 + LIFETIME_STRETCH * self._draw())
        if not host.failures:
            return life
        retry = min(FIRST_RETRY * 2.0 ** min(host.failures - 1, 8), MAX_RETRY)
        return min(life, retry * (1 - RETRY_JITTER + 2 * RETRY_JITTER * self._draw()))
