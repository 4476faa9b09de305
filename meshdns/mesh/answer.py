"""What a name is answered with, and how that is chosen among candidates.

The first step that yields an address decides; inside it the nearest group answers alone, chosen once over both address
families. Addresses are merged, duplicates removed, ordered by value (rotation happens per query) and capped.
"""

import enum
from collections.abc import Sequence
from ipaddress import IPv4Address

import msgspec

from meshdns.mesh.addresses import parsed
from meshdns.mesh.candidates import Candidate, Level

MAX_PER_FAMILY = 15  # fits 512 octets with a long name; BIND-based clients refuse RRsets above 100
POD_TTL = 5  # CoreDNS's default for endpoint addresses


class Outcome(enum.Enum):
    """What a known name gets."""

    ADDRESSES = "addresses"
    NODATA = "no address"
    PENDING = "an address is still to come"  # SERVFAIL with EDE 22


class Answer(msgspec.Struct, frozen=True):
    """The answer for an owner name: addresses in canonical text and the candidates behind them.

    `clusters` are those whose declarations the chosen addresses rest on; while one of them is stale the answer is.
    `considered` holds every candidate, chosen or not, in the order of the levels.
    """

    outcome: Outcome
    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    ttl: int = 0
    level: Level | None = None
    clusters: tuple[str, ...] = ()
    considered: tuple[Candidate, ...] = ()


def choose(steps: Sequence[Sequence[Candidate]], *, ttl: int) -> Answer:
    """The answer that follows from candidates in steps of falling precedence; `ttl` is the zone's, in seconds."""
    considered = tuple(candidate for step in steps for candidate in step)
    for only_ready in (True, False):  # nothing ready anywhere: a rollout must not become a cached denial
        for step in steps:
            found = [c for c in step if c.address and (c.ready or not only_ready)]
            if found:
                return _answer(found, considered, ttl)
    pending = any(candidate.pending for candidate in considered)
    return Answer(Outcome.PENDING if pending else Outcome.NODATA, considered=considered)


def _answer(found: Sequence[Candidate], considered: tuple[Candidate, ...], ttl: int) -> Answer:
    nearest = min(candidate.reach for candidate in found)
    group = [candidate for candidate in found if candidate.reach is nearest]
    addresses = sorted({address for c in group if (address := parsed(c.address)) is not None}, key=int)
    ttl = next((candidate.ttl for candidate in group if candidate.ttl >= 0), ttl)
    if any(candidate.pod for candidate in group):
        ttl = min(ttl, POD_TTL)
    return Answer(
        Outcome.ADDRESSES,
        ipv4=tuple(str(a) for a in addresses if isinstance(a, IPv4Address))[:MAX_PER_FAMILY],
        ipv6=tuple(str(a) for a in addresses if not isinstance(a, IPv4Address))[:MAX_PER_FAMILY],
        ttl=ttl,
        level=group[0].level,
        clusters=tuple(sorted({c.cluster for c in group} | {c.via for c in group if c.via})),
        considered=considered,
    )
