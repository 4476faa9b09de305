"""Replies of other servers as values, their differences from our answers, and the server they probably came from.

Rules:
- The bytes are judged by `meshdns.dns.reply` first; only what it accepts is shown.
- Marks of other servers (istio/istio pkg/dns/client, pilot/pkg/controllers/ipallocate; Admiral's ``--se_ip_prefix``):
  addresses of 240.0.0.0/4 and 2001:2::/48 are VIPs that a sidecar or ztunnel captures and no router knows; a sidecar's
  DNS proxy says that a known name has no address of a family with AA and without the SOA that each authoritative server
  gives; istiocoredns denies the whole name then, also with AA.
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
_RECORD: Final = 10  # bytes between owner and RDATA


class Soa(msgspec.Struct, frozen=True):
    """The SOA of a denial: names lower-case without trailing dots; `ttl` is that of the denial in seconds."""

    zone: str
    primary: str
    mailbox: str
    ttl: int


class ObservedReply(msgspec.Struct, frozen=True):
    """A reply; `rcode` is a name, empty if no readable reply came."""

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
    """Return the reply in a message that echoes the query; an empty one if there is none or it is malformed."""
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
    """Return the SOA of an authority section that `reply` has rewritten: its first record, without compression."""
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
"""Our answer while an address is still to come."""


class Difference(msgspec.Struct, frozen=True, rename="camel"):
    """A name with two different answers: addresses, or a word for the outcome without addresses.

    `note` says which server's answer it looks like (`likely_source`), empty if it has no marks of one.
    """

    name: str
    type: str
    server: tuple[str, ...]
    meshdns: tuple[str, ...]
    note: str = ""


class DifferenceList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All differences, for JSON output; `asked` counts the names that were compared."""

    api_version: str = "meshdns/v1"
    kind: str = "DifferenceList"
    server: str
    asked: int
    items: tuple[Difference, ...]


def compare_answers(name: str, qtype: int, ours: Collection[str], observed: ObservedReply) -> Difference | None:
    """Return the difference between our addresses of a type (or `PENDING_ANSWER`) and a server's, or None."""
    word = type_name(qtype)
    theirs = tuple(sorted(record.data for record in observed.records if record.type == word))
    mine = tuple(sorted(ours)) or ("no data",)
    shown = theirs or (_outcome_text(observed),)
    if mine == shown:
        return None
    return Difference(name, word, shown, mine, likely_source(observed, theirs))


def likely_source(observed: ObservedReply, addresses: Collection[str]) -> str:
    """Return a note on the server that the answer looks like, or an empty text if it has no marks of one."""
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
