"""Diagnosis of a chain of servers: which hop is wrong, from the replies to a few questions.

Rules:
- The marker is ``whoami.<zone>`` TXT: meshdns says with it which address asked. It passes every forwarder and cache,
  and its form is ours. A random name beside it is in no cache; its denial carries the SOA of the server that answered.
- SERVFAIL that turns into an answer with CD set (RFC 4035 section 3.2.2) is the asked server's own validation.
- Every verdict says what to do next.
"""

import enum
import re
from typing import Final, NamedTuple

from meshdns.stubdomains.observed import NO_REPLY, ObservedReply, Soa

MARKER_LABEL: Final = "whoami"
"""The first label of the marker's name."""

_MARKER_TEXT: Final = re.compile(r'"[0-9a-f.:]+ port \d{1,5} (?:udp|tcp)"')
_COMPARE_ADVICE: Final = "compare with: meshdns stub-domain print, and meshdns stub-domain diff"


class CheckKind(enum.Enum):
    """Kinds of diagnosis, for JSON output."""

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


SOUND_KINDS: Final = frozenset({CheckKind.SOUND, CheckKind.FALLTHROUGH})
"""The kinds with which names resolve."""


class Observations(NamedTuple):
    """The replies for `zone`: from `via` the marker, a fresh name, the marker unchecked (CD), and ``. SOA``.

    `server` is meshdns's own address, empty where it was not named; then nothing was asked there.
    """

    zone: str
    via: str
    marker: ObservedReply
    random_name: ObservedReply
    marker_unvalidated: ObservedReply
    root: ObservedReply
    server: str = ""
    server_marker: ObservedReply = NO_REPLY
    server_random_name: ObservedReply = NO_REPLY


class Diagnosis(NamedTuple):
    """The kind, the reason in words, and what to do."""

    kind: CheckKind
    reason: str
    advice: str

    @property
    def is_sound(self) -> bool:
        """Whether names resolve through the chain."""
        return self.kind in SOUND_KINDS


def diagnose(observations: Observations) -> Diagnosis:
    """Return the first diagnosis that fits."""
    if _is_marker(observations.marker):
        return _diagnose_reached(observations)
    if observations.marker.is_denial:
        return _diagnose_denied(observations)
    if observations.marker.rcode == "NOERROR":
        return Diagnosis(
            CheckKind.OTHERS,
            f"somebody else answers {MARKER_LABEL}.{observations.zone} through {observations.via}",
            _COMPARE_ADVICE,
        )
    if _is_marker(observations.marker_unvalidated):
        return Diagnosis(
            CheckKind.VALIDATION,
            f"{observations.via} reaches meshdns but validates: {observations.zone} is signed in public and not here",
            f"except {observations.zone} from validation there, "
            "as meshdns stub-domain print does for its kind of server",
        )
    if not observations.marker.rcode and not observations.root.rcode:
        return Diagnosis(
            CheckKind.NO_ANSWER,
            f"nobody answers at {observations.via}",
            "check that address and port are those of the DNS that clients use, and that they are reached from here",
        )
    if observations.marker.rcode == "REFUSED":
        return _diagnose_refused(observations)
    return _diagnose_behind(observations)


def _is_marker(observed: ObservedReply) -> bool:
    return observed.rcode == "NOERROR" and any(
        record.type == "TXT" and _MARKER_TEXT.fullmatch(record.data) for record in observed.records
    )


def _is_own_soa(soa: Soa | None, zone: str) -> bool:
    return soa is not None and (soa.zone, soa.primary, soa.mailbox) == (zone, f"ns.{zone}", f"hostmaster.{zone}")


def _diagnose_reached(observations: Observations) -> Diagnosis:
    """The marker came through."""
    asker = next((record.data.strip('"') for record in observations.marker.records), "")
    if observations.random_name.rcode not in ("NOERROR", "NXDOMAIN"):
        if observations.server and not _is_marker(observations.server_marker):
            return _diagnose_behind(observations)  # the marker came out of a cache, which keeps it for some seconds
        return Diagnosis(
            CheckKind.NOT_READY,
            "meshdns is reached, but does not answer for unknown names: a cluster has not synced yet",
            "see which: meshdns get clusters, "
            f"or dig _status.{observations.zone} TXT at meshdns; name it with --server",
        )
    if observations.random_name.soa is not None and not _is_own_soa(observations.random_name.soa, observations.zone):
        return Diagnosis(
            CheckKind.FALLTHROUGH,
            f"meshdns is reached (asked by {asker}), "
            f"and passes unknown names of {observations.zone} on to the public DNS",
            "set fallthrough: false for the zone, unless that is meant",
        )
    return Diagnosis(
        CheckKind.SOUND, f"meshdns is reached through {observations.via} (asked by {asker})", "nothing is to be done"
    )


def _diagnose_denied(observations: Observations) -> Diagnosis:
    """The marker is said not to exist."""
    soa = observations.marker.soa
    if _is_own_soa(soa, observations.zone):
        return _diagnose_reached(observations)
    if _is_own_soa(observations.random_name.soa, observations.zone):
        left = f"for {soa.ttl} s more" if soa is not None else "for a while"
        return Diagnosis(
            CheckKind.CACHED_DENIAL,
            f"meshdns is reached through {observations.via}, which keeps a denial from before {left}",
            f"wait, or flush {observations.zone} from its cache",
        )
    if soa is not None and soa.zone == ".":
        return Diagnosis(
            CheckKind.ROOT,
            f"{observations.via} has no stub domain {observations.zone}: "
            "the public root answered that it does not exist",
            _COMPARE_ADVICE,
        )
    who = f"{soa.primary} answered for {soa.zone}" if soa is not None else "the denial does not say whose it is"
    return Diagnosis(
        CheckKind.OTHERS, f"{observations.via} does not send {observations.zone} to meshdns: {who}", _COMPARE_ADVICE
    )


def _diagnose_refused(observations: Observations) -> Diagnosis:
    if observations.server and not observations.server_marker.rcode:
        return _diagnose_behind(observations)  # dnsmasq says REFUSED where the only server it has is gone
    if observations.root.rcode == "REFUSED" and not _is_marker(observations.server_marker):
        return Diagnosis(
            CheckKind.REFUSED,
            f"{observations.via} refuses queries from here",
            "ask from where its clients are, or allow this address there",
        )
    return Diagnosis(
        CheckKind.ZONE_REFUSED,
        f"{observations.via} answers REFUSED for {observations.zone}: it has no server for it, "
        f"or meshdns refuses {observations.via}",
        f"{_COMPARE_ADVICE}; if they agree, add the address of {observations.via} to allowQuery of meshdns",
    )


def _diagnose_behind(observations: Observations) -> Diagnosis:
    """The server that is asked replies, but has no answer from the server behind it."""
    if not observations.server:
        return Diagnosis(
            CheckKind.BEHIND,
            f"{observations.via} has no answer from where it sends {observations.zone}",
            "run this again with --server and the address of meshdns, as seen from here",
        )
    if _is_marker(observations.server_marker):
        return Diagnosis(
            CheckKind.HOP,
            f"meshdns answers at {observations.server}, but {observations.via} does not get its answers",
            f"check address and port of the stub domain there, and network policies between the two; {_COMPARE_ADVICE}",
        )
    if not observations.server_marker.rcode:
        return Diagnosis(
            CheckKind.SERVER_SILENT,
            f"meshdns does not answer at {observations.server}",
            "check that it runs and is ready: /ready on its http.listen, endpoints of its Service",
        )
    return Diagnosis(
        CheckKind.SERVER_OTHER,
        f"what answers at {observations.server} does not speak for {observations.zone}: {observations.server_marker}",
        "name the address of meshdns, or add the zone to its settings",
    )
