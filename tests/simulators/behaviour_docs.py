"""What each behaviour of the lying name server is, where that is spoken of, and what a client should hear of it."""

from typing import Final, NamedTuple

TRUE: Final = "true"
ALIAS: Final = "alias"  # a CNAME that leads nowhere
FAILURE: Final = "failure"  # any rcode but NOERROR and NXDOMAIN
NXDOMAIN: Final = "NXDOMAIN"
NODATA: Final = "NODATA"


class BehaviourDoc(NamedTuple):
    """One behaviour: a line for people, its source (an RFC with section, a CVE), and what is right to hear of it."""

    description: str
    source: str
    accepted: tuple[str, ...]


def _answer_expected(what: str, source: str) -> BehaviourDoc:
    """The truth can be told, and is to be."""
    return BehaviourDoc(what, source, (TRUE,))


def _failure_expected(what: str, source: str) -> BehaviourDoc:
    """Nothing can be told but that it failed."""
    return BehaviourDoc(what, source, (FAILURE,))


def _either_accepted(what: str, source: str) -> BehaviourDoc:
    """A strict reader fails where a lenient one tells the truth; both are fair."""
    return BehaviourDoc(what, source, (TRUE, FAILURE))


_MATCH: Final = "RFC 5452 9.1"
_RDATA: Final = "RFC 9267 5"
_POINTER: Final = "RFC 9267 2"
_ALONE: Final = "RFC 2181 5.4.1"
_ERROR: Final = "RFC 9520 2"
_STREAM: Final = "RFC 7766 8"

BEHAVIOUR_DOCS: Final[dict[str, BehaviourDoc]] = {
    "good": _answer_expected("an honest answer", "RFC 1034 4.3.1"),
    "twice": _answer_expected("the answer comes twice", _MATCH),
    "delayed": _answer_expected("the answer comes after 0.2 s", "RFC 9520 3.1"),
    "silent": _failure_expected("no reply to anything", "RFC 9520 2.1"),
    "second": _answer_expected("no reply to the first query", "RFC 9520 3.1"),
    "third": _answer_expected("no reply to the first two queries", "RFC 9520 3.1"),
    "slow": _either_accepted("the answer comes after 2.5 s", "RFC 8767 4"),
    "wrongid": _answer_expected("a forged reply with another id first", _MATCH),
    "wrongids": _answer_expected("five forged replies with other ids, and the truth over TCP", "RFC 5452 9.3"),
    "manyids": _answer_expected("200 forged replies with other ids first", "RFC 5452 9.3"),
    "wrongport": _answer_expected("a forged reply from another port first", _MATCH),
    "wrongq": _answer_expected("a forged reply to another name first", _MATCH),
    "wrongtype": _answer_expected("a forged reply to another type first", _MATCH),
    "wrongclass": _answer_expected("a forged reply to another class first", _MATCH),
    "parentq": _answer_expected("a forged reply to the name above first", _MATCH),
    "childq": _answer_expected("a forged reply to a name below first", _MATCH),
    "noq": _answer_expected("a forged reply without question first", _MATCH),
    "noqbare": _answer_expected("a reply of nothing but a header first", _MATCH),
    "twoq": _answer_expected("a forged reply with two questions first", "RFC 9619 4"),
    "qr0": _answer_expected("a forged reply that calls itself a query first", "RFC 1035 4.1.1"),
    "echo": _answer_expected("the query itself comes back first", "RFC 1035 4.1.1"),
    "opcode": _answer_expected("a forged reply with opcode IQUERY first", "RFC 1035 4.1.1"),
    "upcase": _either_accepted("the truth, the question's first letter in upper case", "RFC 4343 4.1"),
    "short": _answer_expected("a reply cut after 7 octets first", "CVE-2023-29483"),
    "noise": _answer_expected("random octets first", "CVE-2023-28452"),
    "hdronly": _answer_expected("a header that counts what is not there first", "CVE-2023-28452"),
    "tc": _answer_expected("TC with a forged record, 200 records over TCP", "RFC 2181 9"),
    "tccut": _answer_expected("TC in a reply cut inside a record, the truth over TCP", "RFC 2181 9"),
    "tctwice": _failure_expected("TC over UDP and over TCP", "RFC 2181 9"),
    "big": _answer_expected("100 records in one datagram of 1.6 kB", "RFC 6891 6.2.5"),
    "huge": _either_accepted("300 records in one datagram of 4.8 kB", "RFC 6891 6.2.5"),
    "thousand": _either_accepted("1,001 records in one datagram of 16 kB", "RFC 6891 6.2.5"),
    "trailing": _either_accepted("the truth, and octets after the message", "RFC 1035 4.1"),
    "tcpcloses": _failure_expected("TC, and TCP closes without a reply", "RFC 7766 6.2.4"),
    "tcpsilent": _failure_expected("TC, and no reply over TCP", "RFC 7766 6.2.4"),
    "tcpresets": _failure_expected("TC, and TCP is reset", "RFC 7766 6.2.4"),
    "tcphalf": _failure_expected("TC, and one octet over TCP", _STREAM),
    "tcpcut": _failure_expected("TC, and TCP closes inside a message", _STREAM),
    "tcpzero": _failure_expected("TC, and a message of length 0 over TCP", _STREAM),
    "tcpshort": _failure_expected("TC, and a message of two octets over TCP", _STREAM),
    "tcpwrongid": _failure_expected("TC, and a forged reply with another id over TCP", "RFC 7766 6.2.4"),
    "tcptwo": _answer_expected("TC, and behind the truth a forged reply over TCP", "RFC 7766 6.2.4"),
    "tcpdribble": _answer_expected("TC, and the truth octet by octet over TCP", _STREAM),
    "tcpnoise": _failure_expected("TC, and HTTP over TCP", _STREAM),
    "servfail": _failure_expected("SERVFAIL", _ERROR),
    "refused": _failure_expected("REFUSED", _ERROR),
    "formerr": _failure_expected("FORMERR, with and without EDNS", _ERROR),
    "noedns": _answer_expected("FORMERR to EDNS, the truth without it", "RFC 6891 7"),
    "notimp": _failure_expected("NOTIMP", _ERROR),
    "yxdomain": _failure_expected("YXDOMAIN", _ERROR),
    "notauth": _failure_expected("NOTAUTH", _ERROR),
    "rcode15": _failure_expected("rcode 15, which nobody has defined", _ERROR),
    "failwith": _failure_expected("SERVFAIL beside a forged record", _ERROR),
    "badvers": _failure_expected("an answer with extended rcode BADVERS", "RFC 6891 6.1.3"),
    "referral": _failure_expected("a referral to its own zone", "RFC 1034 4.3.1"),
    "upward": _failure_expected("a referral to the root", "RFC 8906 3"),
    "nxdomain": BehaviourDoc("NXDOMAIN with SOA", "RFC 2308 2.1", (NXDOMAIN,)),
    "nxnosoa": BehaviourDoc("NXDOMAIN without SOA", "RFC 2308 2.1", (NXDOMAIN, FAILURE)),
    "nxforeign": BehaviourDoc("NXDOMAIN with the SOA of another zone", "RFC 2308 2.1", (NXDOMAIN, FAILURE)),
    "nxanswer": BehaviourDoc("NXDOMAIN beside a forged record", "RFC 2308 2.1", (NXDOMAIN, FAILURE)),
    "nodata": BehaviourDoc("no data, with SOA", "RFC 2308 2.2", (NODATA,)),
    "nodatalong": BehaviourDoc("no data, for ten days", "RFC 2308 5", (NODATA,)),
    "pointer": _failure_expected("an owner that points behind the message", _POINTER),
    "ptrself": _failure_expected("an owner that points to itself", _POINTER),
    "ptrheader": _failure_expected("an owner that points into the header", _POINTER),
    "ptrcut": _failure_expected("the message ends inside a pointer", _POINTER),
    "labeltype": _failure_expected("an owner with label type 01", "RFC 6891 5"),
    "longname": _failure_expected("an owner of 257 octets", "RFC 9267 3"),
    "rdlen": _failure_expected("an A record of 6 octets", _RDATA),
    "rdshort": _failure_expected("an A record of 3 octets", _RDATA),
    "rdempty": _failure_expected("an A record of no octets", _RDATA),
    "rdover": _failure_expected("an A record longer than the message", _RDATA),
    "rdcname": _failure_expected("a CNAME whose name runs over its RDATA", _RDATA),
    "counts": _failure_expected("65,535 answers counted, one there", "RFC 9267 4"),
    "onemore": _failure_expected("two answers counted, the second is no record", "RFC 9267 4"),
    "oneless": _either_accepted("the OPT is not counted", "RFC 1035 4.1"),
    "noopt": _answer_expected("no OPT where one was sent", "RFC 6891 7"),
    "twoopt": _failure_expected("two OPTs", "RFC 6891 6.1.1"),
    "optname": _failure_expected("an OPT whose owner is not the root", "RFC 6891 6.1.2"),
    "optoption": _either_accepted("an unknown option in the OPT", "RFC 6891 6.1.2"),
    "flagged": _answer_expected("AA, AD and Z are set", "RFC 1034 4.3.1"),
    "hugettl": _answer_expected("a TTL of 2^31 - 1", "RFC 8767 4"),
    "topbit": _answer_expected("a TTL with the top bit set", "RFC 2181 8"),
    "ttl0": _answer_expected("a TTL of 0", "RFC 1035 3.2.1"),
    "foreign": _answer_expected("a record of another name behind the truth", _ALONE),
    "foreignfirst": _answer_expected("a record of another name before the truth", _ALONE),
    "foreignonly": BehaviourDoc("a record of another name alone", _ALONE, (FAILURE, NODATA)),
    "othertype": BehaviourDoc("a record of another type alone", _ALONE, (FAILURE, NODATA)),
    "chaos": BehaviourDoc("a record of class CH alone", "RFC 2181 5", (FAILURE, NODATA)),
    "authority": _answer_expected("a lie about the zone's servers in authority", _ALONE),
    "additional": _answer_expected("a record of another name in additional", _ALONE),
    "cname": _answer_expected("a chain of two aliases", "RFC 1034 3.6.2"),
    "cnameonly": BehaviourDoc("an alias without its target's records", "RFC 1034 3.6.2", (ALIAS, TRUE)),
    "cnameself": BehaviourDoc("an alias of itself", "RFC 1034 3.6.2", (ALIAS, FAILURE)),
    "cnamering": BehaviourDoc("a ring of aliases beside a forged record", "RFC 1034 3.6.2", (ALIAS, FAILURE)),
    "cnameoff": BehaviourDoc("an alias beside a forged record it does not lead to", _ALONE, (ALIAS, TRUE, FAILURE)),
    "cnametwo": BehaviourDoc("two aliases for one name, one leads to a lie", "RFC 2181 10.1", (ALIAS, TRUE, FAILURE)),
    "cnamelong": _either_accepted("a chain of 150 aliases", "RFC 1034 5.2.2"),
    "dname": _answer_expected("a DNAME and the alias it makes", "RFC 6672 3"),
}
"""One for each behaviour of `behaviours.BEHAVIOURS`, in its order."""
