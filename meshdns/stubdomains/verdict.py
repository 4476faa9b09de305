"""Which hop of a chain is wrong, from what a few questions bring back.

Rules:
- The marker is ``whoami.<zone>`` TXT: meshdns says with it who asked. It passes every forwarder and cache, and its form
  is ours. A random name beside it has been cached by nobody; its denial carries the SOA of whoever answered.
- SERVFAIL that turns into an answer with CD set (RFC 4035 section 3.2.2) is the asked server's own validation.
- Every verdict says what to do next.
"""

import enum
import re
from typing import Final, NamedTuple

from meshdns.stubdomains.heard import SILENCE, Heard, Soa

MARKER: Final = "whoami"
"""The first label of the marker's name."""

_MARK: Final = re.compile(r'"[0-9a-f.:]+ port \d{1,5} (?:udp|tcp)"')
_COMPARE: Final = "compare with: meshdns stub-domain print, and meshdns stub-domain diff"


class Kind(enum.Enum):
    """What is the matter, as machines read it."""

    SOUND = "sound"
    FALLTHROUGH = "fallthrough"
    NOT_READY = "not ready"
    NO_ANSWER = "no answer"
    REFUSED = "refused"
    ZONE_REFUSED = "zone refused"
    VALIDATION = "validation"
    HOP = "hop to meshdns"
    SERVER_SILENT = "meshdns silent"
    SERVER_OTHER = "not meshdns"
    BEHIND = "behind"
    CACHED_DENIAL = "cached denial"
    ROOT = "public root"
    OTHERS = "others"


SOUND: Final = frozenset({Kind.SOUND, Kind.FALLTHROUGH})
"""The kinds with which names resolve."""


class Facts(NamedTuple):
    """What came back for `zone`: from `via` the marker, a fresh name, the marker unchecked (CD), and ``. SOA``.

    `server` is meshdns's own address, empty where it was not named; then nothing was asked there.
    """

    zone: str
    via: str
    marker: Heard
    fresh: Heard
    unchecked: Heard
    root: Heard
    server: str = ""
    server_marker: Heard = SILENCE
    server_fresh: Heard = SILENCE


class Verdict(NamedTuple):
    """The kind, the reason in words, and what to do."""

    kind: Kind
    reason: str
    advice: str

    @property
    def sound(self) -> bool:
        """Whether names resolve through the chain."""
        return self.kind in SOUND


def judge(facts: Facts) -> Verdict:
    """What is the matter; the first that fits."""
    if _marked(facts.marker):
        return _reached(facts)
    if facts.marker.denied:
        return _denied(facts)
    if facts.marker.rcode == "NOERROR":
        return Verdict(Kind.OTHERS, f"somebody else answers {MARKER}.{facts.zone} through {facts.via}", _COMPARE)
    if _marked(facts.unchecked):
        return Verdict(
            Kind.VALIDATION,
            f"{facts.via} reaches meshdns but validates: {facts.zone} is signed in public and not here",
            f"except {facts.zone} from validation there, as meshdns stub-domain print does for its kind of server",
        )
    if not facts.marker.rcode and not facts.root.rcode:
        return Verdict(
            Kind.NO_ANSWER,
            f"nobody answers at {facts.via}",
            "check that address and port are those of the DNS that clients use, and that they are reached from here",
        )
    if facts.marker.rcode == "REFUSED":
        return _refused(facts)
    return _behind(facts)


def _marked(heard: Heard) -> bool:
    return heard.rcode == "NOERROR" and any(
        record.type == "TXT" and _MARK.fullmatch(record.data) for record in heard.records
    )


def _ours(soa: Soa | None, zone: str) -> bool:
    return soa is not None and (soa.zone, soa.primary, soa.mailbox) == (zone, f"ns.{zone}", f"hostmaster.{zone}")


def _reached(facts: Facts) -> Verdict:
    """The marker came through."""
    asker = next((record.data.strip('"') for record in facts.marker.records), "")
    if facts.fresh.rcode not in ("NOERROR", "NXDOMAIN"):
        if facts.server and not _marked(facts.server_marker):
            return _behind(facts)  # the marker came out of a cache, which keeps it for some seconds
        return Verdict(
            Kind.NOT_READY,
            "meshdns is reached, but does not answer for unknown names: a cluster has not synced yet",
            f"see which: meshdns get clusters, or dig _status.{facts.zone} TXT at meshdns; name it with --server",
        )
    if facts.fresh.soa is not None and not _ours(facts.fresh.soa, facts.zone):
        return Verdict(
            Kind.FALLTHROUGH,
            f"meshdns is reached (asked by {asker}), and passes unknown names of {facts.zone} on to the public DNS",
            "set fallthrough: false for the zone, unless that is meant",
        )
    return Verdict(Kind.SOUND, f"meshdns is reached through {facts.via} (asked by {asker})", "nothing is to be done")


def _denied(facts: Facts) -> Verdict:
    """The marker is said not to exist."""
    soa = facts.marker.soa
    if _ours(soa, facts.zone):
        return _reached(facts)
    if _ours(facts.fresh.soa, facts.zone):
        left = f"for {soa.ttl} s more" if soa is not None else "for a while"
        return Verdict(
            Kind.CACHED_DENIAL,
            f"meshdns is reached through {facts.via}, which keeps a denial from before {left}",
            f"wait, or flush {facts.zone} from its cache",
        )
    if soa is not None and soa.zone == ".":
        return Verdict(
            Kind.ROOT,
            f"{facts.via} has no stub domain {facts.zone}: the public root answered that it does not exist",
            _COMPARE,
        )
    who = f"{soa.primary} answered for {soa.zone}" if soa is not None else "the denial does not say whose it is"
    return Verdict(Kind.OTHERS, f"{facts.via} does not send {facts.zone} to meshdns: {who}", _COMPARE)


def _refused(facts: Facts) -> Verdict:
    if facts.server and not facts.server_marker.rcode:
        return _behind(facts)  # dnsmasq says REFUSED where the only server it has is gone
    if facts.root.rcode == "REFUSED" and not _marked(facts.server_marker):
        return Verdict(
            Kind.REFUSED,
            f"{facts.via} refuses queries from here",
            "ask from where its clients are, or allow this address there",
        )
    return Verdict(
        Kind.ZONE_REFUSED,
        f"{facts.via} answers REFUSED for {facts.zone}: it has no server for it, or meshdns refuses {facts.via}",
        f"{_COMPARE}; if they agree, add the address of {facts.via} to allowQuery of meshdns",
    )


def _behind(facts: Facts) -> Verdict:
    """Whoever is asked lives, and has no answer from behind."""
    if not facts.server:
        return Verdict(
            Kind.BEHIND,
            f"{facts.via} has no answer from where it sends {facts.zone}",
            "run this again with --server and the address of meshdns, as seen from here",
        )
    if _marked(facts.server_marker):
        return Verdict(
            Kind.HOP,
            f"meshdns answers at {facts.server}, but {facts.via} does not get its answers",
            f"check address and port of the stub domain there, and network policies between the two; {_COMPARE}",
        )
    if not facts.server_marker.rcode:
        return Verdict(
            Kind.SERVER_SILENT,
            f"meshdns does not answer at {facts.server}",
            "check that it runs and is ready: /ready on its http.listen, endpoints of its Service",
        )
    return Verdict(
        Kind.SERVER_OTHER,
        f"what answers at {facts.server} does not speak for {facts.zone}: {facts.server_marker}",
        "name the address of meshdns, or add the zone to its settings",
    )
