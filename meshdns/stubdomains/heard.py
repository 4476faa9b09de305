"""What one reply says, whoever gave it: the little that tells who that was.

Rules: the octets are judged by `meshdns.dns.reply` first, and only what that believes is shown.
"""

from typing import Final

import msgspec

from meshdns.dns import names, reply
from meshdns.dns.codes import FLAG_AA
from meshdns.dns.compression import HEADER_SIZE, Names
from meshdns.dns.presentation import ShownRecord, shown

_RCODES: Final = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
_RECORD: Final = 10  # octets between owner and RDATA


class Soa(msgspec.Struct, frozen=True):
    """Who denies: the zone, its primary and mailbox without trailing dots, lower-case; `ttl` of the denial, seconds."""

    zone: str
    primary: str
    mailbox: str
    ttl: int


class Heard(msgspec.Struct, frozen=True):
    """A reply; `rcode` is a name, empty where none came that can be read."""

    rcode: str = ""
    authoritative: bool = False
    records: tuple[ShownRecord, ...] = ()
    soa: Soa | None = None

    @property
    def denied(self) -> bool:
        """NXDOMAIN, or NOERROR without records."""
        return self.rcode == "NXDOMAIN" or (self.rcode == "NOERROR" and not self.records)

    def __str__(self) -> str:
        if not self.rcode:
            return "no reply"
        said = " ".join(record.data for record in self.records[:4])
        if self.soa is not None:
            said = f"SOA of {self.soa.zone} by {self.soa.primary}, TTL {self.soa.ttl}"
        return f"{self.rcode} {said}".rstrip()


SILENCE: Final = Heard()


def heard(message: bytes | None, query: bytes) -> Heard:
    """The reply in a message that echoes the query; silence for none, and for one that is malformed."""
    question = query[HEADER_SIZE : Names(query).read(HEADER_SIZE)[1] + 4]
    if message is None:
        return SILENCE
    found = reply.read(message, question.lower())
    if found is None:
        return SILENCE
    answer = found.answer.section
    counts = b"\0\1" + answer.count.to_bytes(2, "big") + bytes(4)
    records = shown(message[:4] + counts + question + answer.wire).records if answer.count else ()
    rcode = _RCODES[found.rcode] if found.rcode < len(_RCODES) else f"RCODE{found.rcode}"
    authoritative = bool(int.from_bytes(message[2:4], "big") & FLAG_AA)
    return Heard(rcode, authoritative, records, _soa(found.authority.section.wire))


def _soa(authority: bytes) -> Soa | None:
    """The SOA of an authority section that `reply` has written anew: its first record, without compression."""
    if not authority:
        return None
    message = bytes(HEADER_SIZE) + authority
    known = Names(message)
    zone, at = known.read(HEADER_SIZE)
    ttl = int.from_bytes(message[at + 4 : at + 8], "big")
    primary, behind = known.read(at + _RECORD)
    mailbox, _ = known.read(behind)
    return Soa(_text(zone), _text(primary), _text(mailbox), ttl)


def _text(name: bytes) -> str:
    return names.text(name.lower())
