"""Asking as a stub resolver does, and a judgement of what is heard that knows only what the lying upstream says."""

import time
from typing import Final, NamedTuple

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.simulators.behaviour_docs import ALIAS, FAILURE, NODATA
from tests.simulators.behaviour_docs import TRUE as TRUTH
from tests.simulators.behaviours import TRUE
from tests.simulators.upstream import HONEST

TIMEOUT: Final = 8.0  # seconds; more than any stub waits, so that late answers are seen as late
DEADLINE: Final = 1.8  # seconds; CoreDNS gives up at 2
CACHED: Final = "kept"  # the honest answer from before
FORGED: Final = "FORGED"
MALFORMED: Final = "malformed"
NOTHING: Final = "nothing"

_HONEST_PREFIX: Final = "198.51."  # of the big answers
_TRUTHS: Final = frozenset({TRUE, "192.0.2.2"})
_LONGEST_TTL: Final = 604_800  # seconds: RFC 8767 section 4
_SIZE: Final = 1232  # octets announced


class ObservedAnswer(NamedTuple):
    """What a client heard of one question, after how many seconds, and how many queries that took upstream.

    `remarks` are faults beside the answer: the upstream's AA or AD passed on, a TTL of more than a week.
    """

    what: str
    seconds: float
    sends: int
    remarks: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`what`, with all rcodes of failure as one."""
        plain = (TRUTH, ALIAS, NODATA, CACHED, FORGED, MALFORMED, NOTHING, "NXDOMAIN")
        return self.what if self.what in plain else FAILURE

    @property
    def in_time(self) -> bool:
        """Whether there was an answer before a stub resolver gives up."""
        return self.what != NOTHING and self.seconds <= DEADLINE


async def ask(name: str, address: str, port: int) -> tuple[str, float, tuple[str, ...]]:
    """Ask for the A records of a name over UDP, and over TCP where the reply says TC; what was heard without sends."""
    query = dns.message.make_query(name, "A", use_edns=0, payload=_SIZE)
    began = time.monotonic()
    try:
        reply, _ = await dns.asyncquery.udp_with_fallback(query, address, TIMEOUT, port)
    except (dns.exception.Timeout, OSError, EOFError):
        return NOTHING, time.monotonic() - began, ()
    except (dns.exception.DNSException, ValueError):
        return MALFORMED, time.monotonic() - began, ()
    return classify(reply), time.monotonic() - began, _remarks(reply)


def classify(reply: dns.message.Message) -> str:
    """What a reply says, in a word."""
    records = [(rrset, rdata) for section in reply.sections[1:] for rrset in section for rdata in rrset]
    texts = [rdata.to_text() for rrset, rdata in records if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)]
    if any(not _honest(text) for text in texts) or any("evil" in str(rdata) for _, rdata in records):
        return FORGED
    if reply.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(reply.rcode())
    if HONEST in texts:
        return CACHED
    if texts:
        return TRUTH
    return ALIAS if reply.answer else NODATA


def _honest(address: str) -> bool:
    return address in _TRUTHS or address == HONEST or address.startswith(_HONEST_PREFIX)


def _remarks(reply: dns.message.Message) -> tuple[str, ...]:
    found: list[str] = []
    if reply.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        found += [text for text, flag in (("AA", dns.flags.AA), ("AD", dns.flags.AD)) if reply.flags & flag]
    if any(rrset.ttl > _LONGEST_TTL for rrset in (*reply.answer, *reply.authority)):
        found.append("TTL")
    return tuple(found)
