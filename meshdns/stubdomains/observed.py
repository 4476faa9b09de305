"""What one reply says, whoever gave it: the little that tells who that was.

Rules: the octets are judged by `meshdns.dns.reply` first, and only what that believes is shown.

Where another server's answer differs from ours, and whose answer it looks like.

What tells (istio/istio pkg/dns/client, pilot/pkg/controllers/ipallocate; Admiral's ``--se_ip_prefix``):
- addresses of 240.0.0.0/4 and 2001:2::/48 are VIPs that a sidecar or ztunnel takes out of the traffic; nobody routes
  them;
- a sidecar's DNS proxy says that a known name has no address of a family with AA and without the SOA that each
  authoritative server gives;
- istiocoredns denies the whole name then, as authoritatively.
"""

from collections.abc import Collection
from ipaddress import ip_address, ip_network
from typing import Final

import msgspec

from meshdns.dns import names, reply
from meshdns.dns.codes import FLAG_AA
from meshdns.dns.compression import HEADER_SIZE, NameReader
from meshdns.dns.presentation import PresentationRecord, to_presentation, type_name

_RCODES: Final = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
_RECORD: Final = 10  # octets between owner and RDATA


class Soa(msgspec.Struct, frozen=True):
    """Who denies: the zone, its primary and mailbox without trailing dots, lower-case; `ttl` of the denial, seconds."""

    zone: str
    primary: str
    mailbox: str
    ttl: int


class ObservedReply(msgspec.Struct, frozen=True):
    """A reply; `rcode` is a name, empty where none came that can be read."""

    rcode: str = ""
    authoritative: bool = False
    records: tuple[PresentationRecord, ...] = ()
    soa: Soa | None = None

    @property
    def is_denial(self) -> bool:
        """NXDOMAIN, or NOERROR without records."""
        return self.rcode == "NXDOMAIN" or (self.rcode == "NOERROR" and not self.records)

    def __str__(self) -> str:
        if not self.rcode:
            return "no reply"
        said = " ".join(record.data for record in self.records[:4])
        if self.soa is not None:
            said = f"SOA of {self.soa.zone} by {self.soa.primary}, TTL {self.soa.ttl}"
        return f"{self.rcode} {said}".rstrip()


NO_REPLY: Final = ObservedReply()


def observe(message: bytes | None, query: bytes) -> ObservedReply:
    """The reply in a message that echoes the query; silence for none, and for one that is malformed."""
    question = query[HEADER_SIZE : NameReader(query).read(HEADER_SIZE)[1] + 4]
    if message is None:
        return NO_REPLY
    found = reply.parse_reply(message, question.lower())
    if found is None:
        return NO_REPLY
    answer = found.answer.section
    counts = b"\0\1" + answer.count.to_bytes(2, "big") + bytes(4)
    records = to_presentation(message[:4] + counts + question + answer.wire).records if answer.count else ()
    rcode = _RCODES[found.rcode] if found.rcode < len(_RCODES) else f"RCODE{found.rcode}"
    authoritative = bool(int.from_bytes(message[2:4], "big") & FLAG_AA)
    return ObservedReply(rcode, authoritative, records, _soa(found.authority.section.wire))


def _soa(authority: bytes) -> Soa | None:
    """The SOA of an authority section that `reply` has written anew: its first record, without compression."""
    if not authority:
        return None
    message = bytes(HEADER_SIZE) + authority
    known = NameReader(message)
    zone, at = known.read(HEADER_SIZE)
    ttl = int.from_bytes(message[at + 4 : at + 8], "big")
    primary, behind = known.read(at + _RECORD)
    mailbox, _ = known.read(behind)
    return Soa(_text(zone), _text(primary), _text(mailbox), ttl)


def _text(name: bytes) -> str:
    return names.to_text(name.lower())


_VIPS: Final = {
    ip_network("240.240.0.0/16"): "a VIP that Istio allocated: captured by a sidecar or ztunnel, routed by nobody else",
    ip_network("240.0.0.0/4"): "a VIP of class E, as Admiral and istiocoredns used: it means nothing without a sidecar",
    ip_network("2001:2::/48"): "a VIP that Istio allocated: captured by a sidecar or ztunnel, routed by nobody else",
}
PENDING_ANSWER: Final = "SERVFAIL"
"""What we say while an address is still to come."""


class Difference(msgspec.Struct, frozen=True, rename="camel"):
    """A name that is answered in two ways: addresses, or the word for what came instead of them.

    `likely_source` says whose answer the server's looks like, empty where nothing tells.
    """

    name: str
    type: str
    server: tuple[str, ...]
    meshdns: tuple[str, ...]
    note: str = ""


class DifferenceList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All differences, as machines read them; `asked` counts the names that were compared."""

    api_version: str = "meshdns/v1"
    kind: str = "DifferenceList"
    server: str
    asked: int
    items: tuple[Difference, ...]


def compare_answers(name: str, qtype: int, ours: Collection[str], observed: ObservedReply) -> Difference | None:
    """The difference between our addresses of a type (or `PENDING_ANSWER`) and a server's; None if they agree."""
    word = type_name(qtype)
    theirs = tuple(sorted(record.data for record in observed.records if record.type == word))
    mine = tuple(sorted(ours)) or ("no data",)
    said = theirs or (_outcome_text(observed),)
    if mine == said:
        return None
    return Difference(name, word, said, mine, likely_source(observed, theirs))


def likely_source(observed: ObservedReply, addresses: Collection[str]) -> str:
    """Whose answer it looks like; empty where nothing tells."""
    for text in addresses:
        address = ip_address(text)
        for network, words in _VIPS.items():
            if address.version == network.version and address in network:
                return words
    if observed.is_denial and not observed.records and observed.authoritative and observed.soa is None:
        if observed.rcode == "NOERROR":
            return "captured by a sidecar's DNS proxy: authoritative without SOA"
        return "denied as istiocoredns does: the name is denied with the type"
    return ""


def _outcome_text(observed: ObservedReply) -> str:
    if observed.rcode == "NOERROR":
        return "no data"
    return observed.rcode or "no reply"
