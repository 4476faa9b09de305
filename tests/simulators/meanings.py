"""What each behaviour of the lying name server is, where that is spoken of, and what a client should hear of it."""

from typing import Final, NamedTuple

TRUE: Final = "true"
ALIAS: Final = "alias"  # a CNAME that leads nowhere
FAILURE: Final = "failure"  # any rcode but NOERROR and NXDOMAIN
NXDOMAIN: Final = "NXDOMAIN"
NODATA: Final = "NODATA"


class Meaning(NamedTuple):
    """One behaviour: a line for people, its source (an RFC with section, a CVE), and what is right to hear of it."""

    what: str
    source: str
    right: tuple[str, ...]


def _told(what: str, source: str) -> Meaning:
    """The truth can be told, and is to be."""
    return Meaning(what, source, (TRUE,))


def _failed(what: str, source: str) -> Meaning:
    """Nothing can be told but that it failed."""
    return Meaning(what, source, (FAILURE,))


def _either(what: str, source: str) -> Meaning:
    """A strict reader fails where a lenient one tells the truth; both are fair."""
    return Meaning(what, source, (TRUE, FAILURE))


_MATCH: Final = "RFC 5452 9.1"
_RDATA: Final = "RFC 9267 5"
_POINTER: Final = "RFC 9267 2"
_ALONE: Final = "RFC 2181 5.4.1"
_ERROR: Final = "RFC 9520 2"
_STREAM: Final = "RFC 7766 8"

MEANINGS: Final[dict[str, Meaning]] = {
    "good": _told("an honest answer", "RFC 1034 4.3.1"),
    "twice": _told("the answer comes twice", _MATCH),
    "delayed": _told("the answer comes after 0.2 s", "RFC 9520 3.1"),
    "silent": _failed("no reply to anything", "RFC 9520 2.1"),
    "second": _told("no reply to the first query", "RFC 9520 3.1"),
    "third": _told("no reply to the first two queries", "RFC 9520 3.1"),
    "slow": _either("the answer comes after 2.5 s", "RFC 8767 4"),
    "wrongid": _told("a forged reply with another id first", _MATCH),
    "wrongids": _told("five forged replies with other ids, and the truth over TCP", "RFC 5452 9.3"),
    "manyids": _told("200 forged replies with other ids first", "RFC 5452 9.3"),
    "wrongport": _told("a forged reply from another port first", _MATCH),
    "wrongq": _told("a forged reply to another name first", _MATCH),
    "wrongtype": _told("a forged reply to another type first", _MATCH),
    "wrongclass": _told("a forged reply to another class first", _MATCH),
    "parentq": _told("a forged reply to the name above first", _MATCH),
    "childq": _told("a forged reply to a name below first", _MATCH),
    "noq": _told("a forged reply without question first", _MATCH),
    "noqbare": _told("a reply of nothing but a header first", _MATCH),
    "twoq": _told("a forged reply with two questions first", "RFC 9619 4"),
    "qr0": _told("a forged reply that calls itself a query first", "RFC 1035 4.1.1"),
    "echo": _told("the query itself comes back first", "RFC 1035 4.1.1"),
    "opcode": _told("a forged reply with opcode IQUERY first", "RFC 1035 4.1.1"),
    "upcase": _either("the truth, the question's first letter in upper case", "RFC 4343 4.1"),
    "short": _told("a reply cut after 7 octets first", "CVE-2023-29483"),
    "noise": _told("random octets first", "CVE-2023-28452"),
    "hdronly": _told("a header that counts what is not there first", "CVE-2023-28452"),
    "tc": _told("TC with a forged record, 200 records over TCP", "RFC 2181 9"),
    "tccut": _told("TC in a reply cut inside a record, the truth over TCP", "RFC 2181 9"),
    "tctwice": _failed("TC over UDP and over TCP", "RFC 2181 9"),
    "big": _told("100 records in one datagram of 1.6 kB", "RFC 6891 6.2.5"),
    "huge": _either("300 records in one datagram of 4.8 kB", "RFC 6891 6.2.5"),
    "thousand": _either("1,001 records in one datagram of 16 kB", "RFC 6891 6.2.5"),
    "trailing": _either("the truth, and octets after the message", "RFC 1035 4.1"),
    "tcpcloses": _failed("TC, and TCP closes without a reply", "RFC 7766 6.2.4"),
    "tcpsilent": _failed("TC, and no reply over TCP", "RFC 7766 6.2.4"),
    "tcpresets": _failed("TC, and TCP is reset", "RFC 7766 6.2.4"),
    "tcphalf": _failed("TC, and one octet over TCP", _STREAM),
    "tcpcut": _failed("TC, and TCP closes inside a message", _STREAM),
    "tcpzero": _failed("TC, and a message of length 0 over TCP", _STREAM),
    "tcpshort": _failed("TC, and a message of two octets over TCP", _STREAM),
    "tcpwrongid": _failed("TC, and a forged reply with another id over TCP", "RFC 7766 6.2.4"),
    "tcptwo": _told("TC, and behind the truth a forged reply over TCP", "RFC 7766 6.2.4"),
    "tcpdribble": _told("TC, and the truth octet by octet over TCP", _STREAM),
    "tcpnoise": _failed("TC, and HTTP over TCP", _STREAM),
    "servfail": _failed("SERVFAIL", _ERROR),
    "refused": _failed("REFUSED", _ERROR),
    "formerr": _failed("FORMERR, with and without EDNS", _ERROR),
    "noedns": _told("FORMERR to EDNS, the truth without it", "RFC 6891 7"),
    "notimp": _failed("NOTIMP", _ERROR),
    "yxdomain": _failed("YXDOMAIN", _ERROR),
    "notauth": _failed("NOTAUTH", _ERROR),
    "rcode15": _failed("rcode 15, which nobody has defined", _ERROR),
    "failwith": _failed("SERVFAIL beside a forged record", _ERROR),
    "badvers": _failed("an answer with extended rcode BADVERS", "RFC 6891 6.1.3"),
    "referral": _failed("a referral to its own zone", "RFC 1034 4.3.1"),
    "upward": _failed("a referral to the root", "RFC 8906 3"),
    "nxdomain": Meaning("NXDOMAIN with SOA", "RFC 2308 2.1", (NXDOMAIN,)),
    "nxnosoa": Meaning("NXDOMAIN without SOA", "RFC 2308 2.1", (NXDOMAIN, FAILURE)),
    "nxforeign": Meaning("NXDOMAIN with the SOA of another zone", "RFC 2308 2.1", (NXDOMAIN, FAILURE)),
    "nxanswer": Meaning("NXDOMAIN beside a forged record", "RFC 2308 2.1", (NXDOMAIN, FAILURE)),
    "nodata": Meaning("no data, with SOA", "RFC 2308 2.2", (NODATA,)),
    "nodatalong": Meaning("no data, for ten days", "RFC 2308 5", (NODATA,)),
    "pointer": _failed("an owner that points behind the message", _POINTER),
    "ptrself": _failed("an owner that points to itself", _POINTER),
    "ptrheader": _failed("an owner that points into the header", _POINTER),
    "ptrcut": _failed("the message ends inside a pointer", _POINTER),
    "labeltype": _failed("an owner with label type 01", "RFC 6891 5"),
    "longname": _failed("an owner of 257 octets", "RFC 9267 3"),
    "rdlen": _failed("an A record of 6 octets", _RDATA),
    "rdshort": _failed("an A record of 3 octets", _RDATA),
    "rdempty": _failed("an A record of no octets", _RDATA),
    "rdover": _failed("an A record longer than the message", _RDATA),
    "rdcname": _failed("a CNAME whose name runs over its RDATA", _RDATA),
    "counts": _failed("65,535 answers counted, one there", "RFC 9267 4"),
    "onemore": _failed("two answers counted, the second is no record", "RFC 9267 4"),
    "oneless": _either("the OPT is not counted", "RFC 1035 4.1"),
    "noopt": _told("no OPT where one was sent", "RFC 6891 7"),
    "twoopt": _failed("two OPTs", "RFC 6891 6.1.1"),
    "optname": _failed("an OPT whose owner is not the root", "RFC 6891 6.1.2"),
    "optoption": _either("an unknown option in the OPT", "RFC 6891 6.1.2"),
    "flagged": _told("AA, AD and Z are set", "RFC 1034 4.3.1"),
    "hugettl": _told("a TTL of 2^31 - 1", "RFC 8767 4"),
    "topbit": _told("a TTL with the top bit set", "RFC 2181 8"),
    "ttl0": _told("a TTL of 0", "RFC 1035 3.2.1"),
    "foreign": _told("a record of another name behind the truth", _ALONE),
    "foreignfirst": _told("a record of another name before the truth", _ALONE),
    "foreignonly": Meaning("a record of another name alone", _ALONE, (FAILURE, NODATA)),
    "othertype": Meaning("a record of another type alone", _ALONE, (FAILURE, NODATA)),
    "chaos": Meaning("a record of class CH alone", "RFC 2181 5", (FAILURE, NODATA)),
    "authority": _told("a lie about the zone's servers in authority", _ALONE),
    "additional": _told("a record of another name in additional", _ALONE),
    "cname": _told("a chain of two aliases", "RFC 1034 3.6.2"),
    "cnameonly": Meaning("an alias without its target's records", "RFC 1034 3.6.2", (ALIAS, TRUE)),
    "cnameself": Meaning("an alias of itself", "RFC 1034 3.6.2", (ALIAS, FAILURE)),
    "cnamering": Meaning("a ring of aliases beside a forged record", "RFC 1034 3.6.2", (ALIAS, FAILURE)),
    "cnameoff": Meaning("an alias beside a forged record it does not lead to", _ALONE, (ALIAS, TRUE, FAILURE)),
    "cnametwo": Meaning("two aliases for one name, one leads to a lie", "RFC 2181 10.1", (ALIAS, TRUE, FAILURE)),
    "cnamelong": _either("a chain of 150 aliases", "RFC 1034 5.2.2"),
    "dname": _told("a DNAME and the alias it makes", "RFC 6672 3"),
}
"""One for each behaviour of `behaviours.BEHAVIOURS`, in its order."""
