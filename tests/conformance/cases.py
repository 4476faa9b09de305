"""The wire behaviour of the checklist as questions, and how meshdns differs from NSD with the same zone.

Rows are those of the conformance checklist, and the query set of RFC 8906 section 8. Every difference between the two
is listed in `DIFFERENCES` with its reason; one that has gone is an error, too.
"""

import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rcode

from tests.rig.dig import DigReply, dig
from tests.rig.nameserver import NameServer

RECORDS = [
    {"name": "reviews.prod.global", "type": "A", "value": "198.51.100.7"},
    {"name": "*.wild.prod.global", "type": "A", "value": "198.51.100.8"},
    {"name": "a.b.c.d.ent.global", "type": "A", "value": "198.51.100.9"},
    *({"name": "many.prod.global", "type": "TXT", "value": f"{number:02}" + "x" * 60} for number in range(12)),
]
_SILENCE = 0.7  # seconds without a reply on loopback that count as silence
_EDNS = re.compile(r"^; EDNS: version: (\d+), flags:([^;]*); (?:MBZ: \S+, )?udp: \d+", re.MULTILINE)
_SERIAL = re.compile(r"(SOA \S+ \S+) \d+")


class Seen(NamedTuple):
    """What is compared of a reply; records in presentation format, sorted, serials as 0."""

    rcode: str
    flags: frozenset[str]  # without QR, which all have
    question: tuple[str, ...]
    answer: tuple[str, ...]
    authority: tuple[str, ...]
    additional: tuple[str, ...]
    edns: str  # version and flags, empty without OPT


SILENT = Seen("silence", frozenset(), (), (), (), (), "")


@dataclass(frozen=True)
class Raw:
    """A message as it goes over UDP, and the RCODE that meshdns answers with."""

    row: str
    packet: bytes
    rcode: str

    def put(self, server: NameServer) -> Seen:
        """The reply of a server."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(_SILENCE)
            client.connect((server.address, server.port))
            client.send(self.packet)
            try:
                return _decoded(client.recv(4096))
            except TimeoutError:
                return SILENT


@dataclass(frozen=True)
class Dig:
    """What dig is called with, and the RCODE that meshdns answers with."""

    row: str
    words: str
    rcode: str = "NOERROR"

    def put(self, server: NameServer) -> Seen:
        """The reply of a server."""
        *options, name, rtype = self.words.split()
        tcp = "+tcp" in options
        return _read(dig(name, rtype, server=server.address, port=server.port, tcp=tcp, opts=options))


def _decoded(reply: bytes) -> Seen:
    message = dns.message.from_wire(reply)
    edns = f"{message.edns} {dns.flags.edns_to_text(message.ednsflags).lower()}".strip() if message.edns >= 0 else ""
    question, answer, authority, additional = (
        _sorted(line for rrset in section for line in rrset.to_text().splitlines())
        for section in (message.question, message.answer, message.authority, message.additional)
    )
    flags = frozenset(dns.flags.to_text(message.flags).lower().split()) - {"qr"}
    return Seen(dns.rcode.to_text(message.rcode()), flags, question, answer, authority, additional, edns)


def _read(reply: DigReply) -> Seen:
    edns = _EDNS.search(reply.text)
    sections = (reply.question, reply.answer, reply.authority, reply.additional)
    question, answer, authority, additional = (_sorted(part) for part in sections)
    version = " ".join((edns.group(1), *edns.group(2).split())) if edns else ""
    mbz = frozenset({"mbz"} if "MBZ" in reply.text else ())
    return Seen(reply.status, (reply.flags - {"qr"}) | mbz, question, answer, authority, additional, version)


def _sorted(records: Sequence[str] | Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted(_SERIAL.sub(r"\1 0", record) for record in records))


# ------------------------------------------------------------------------------------------------ packets


def asking(name: str, qtype: int = 1, qclass: int = 1) -> bytes:
    """The question section."""
    labels = dns.name.from_text(name).labels
    return (
        b"".join(bytes([len(label)]) + label for label in labels) + qtype.to_bytes(2, "big") + qclass.to_bytes(2, "big")
    )


def packet(body: bytes, *, flags: int = 0, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    """Id 0xBEEF, flags, the counts of the four sections, the rest."""
    return b"\xbe\xef" + b"".join(number.to_bytes(2, "big") for number in (flags, *counts)) + body


def opt(options: str = "", *, owner: str = "00", size: int = 1232, ttl: int = 0, length: int | None = None) -> bytes:
    """An OPT; `length` is an RDLENGTH that lies."""
    rdata = bytes.fromhex(options)
    fixed = b"\0\x29" + size.to_bytes(2, "big") + ttl.to_bytes(4, "big")
    return bytes.fromhex(owner) + fixed + (len(rdata) if length is None else length).to_bytes(2, "big") + rdata


KNOWN = asking("reviews.prod.global")
ADDITIONAL = (1, 0, 0, 1)
LABEL = b"\x3f" + b"a" * 63
APEX = b"\x06global\0\0\x01\0\x01"

RFC8906 = [
    Dig("8906 8.1.1", "+noedns +noad +norec global SOA"),
    Dig("8906 8.1.2", "+noedns +noad +norec global TYPE1000"),
    Dig("8906 8.1.3.1", "+noedns +noad +norec +cd global SOA"),
    Dig("8906 8.1.3.2", "+noedns +norec +ad global SOA"),
    Dig("8906 8.1.3.3", "+noedns +noad +norec +zflag global SOA"),
    Dig("8906 8.1.3.4", "+noedns +noad +rec global SOA"),
    Dig("8906 8.1.4", "+noedns +noad +norec +opcode=15 +header-only . A", "NOTIMP"),
    Dig("8906 8.1.5", "+noedns +noad +norec +tcp global SOA"),
    Dig("8906 8.2.1", "+nocookie +edns=0 +noad +norec global SOA"),
    Dig("8906 8.2.2", "+nocookie +edns=1 +noednsneg +noad +norec global SOA", "BADVERS"),
    Dig("8906 8.2.3", "+nocookie +edns=0 +noad +norec +ednsopt=100 global SOA"),
    Dig("8906 8.2.4", "+nocookie +edns=0 +noad +norec +ednsflags=0x40 global SOA"),
    Dig("8906 8.2.5", "+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x40 global SOA", "BADVERS"),
    Dig("8906 8.2.6", "+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100 global SOA", "BADVERS"),
    Dig("8906 8.2.7", "+nocookie +edns=0 +noad +norec +dnssec +bufsize=512 +ignore global DNSKEY"),
    Dig("8906 8.2.8", "+nocookie +edns=0 +noad +norec +dnssec global SOA"),
    Dig("8906 8.2.9", "+nocookie +edns=1 +noednsneg +noad +norec +dnssec global SOA", "BADVERS"),
    Dig("8906 8.2.10", "+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0 global SOA"),
]

PACKETS = [
    Raw("1 Z and AD are not copied", packet(KNOWN, flags=0x0060), "NOERROR"),
    Raw("1 AA and TC are not copied", packet(KNOWN, flags=0x0600), "NOERROR"),
    Raw("2 no question", packet(b"", counts=(0, 0, 0, 0)), "FORMERR"),
    Raw("2 two questions", packet(KNOWN * 2, counts=(2, 0, 0, 0)), "FORMERR"),
    Raw("2 65535 questions", packet(KNOWN, counts=(65535, 0, 0, 0)), "FORMERR"),
    Raw("3 a response", packet(KNOWN, flags=0x8180), "silence"),
    Raw("4 one octet", b"\xbe", "silence"),
    Raw("4 eleven octets", packet(b"")[:11], "silence"),
    Raw("5 255 octets", packet(LABEL * 3 + b"\x36" + b"a" * 54 + APEX), "NXDOMAIN"),
    Raw("5 256 octets", packet(LABEL * 3 + b"\x37" + b"a" * 55 + APEX), "FORMERR"),
    Raw("6 label type 01", packet(b"\x41\x00" + KNOWN), "FORMERR"),
    Raw("6 label type 10", packet(b"\x81\x00" + KNOWN), "FORMERR"),
    Raw("7 pointer to itself", packet(b"\xc0\x0c\0\x01\0\x01"), "FORMERR"),
    Raw("7 pointer forwards", packet(b"\xc0\x20\0\x01\0\x01" + b"\0" * 20), "FORMERR"),
    Raw("7 pointer into the header", packet(b"\xc0\x00\0\x01\0\x01"), "FORMERR"),
    Raw("8 any octet", packet(b"\x03\xff\x00\x2e" + APEX), "NXDOMAIN"),
    Raw("9 letter case", packet(asking("ReViEwS.pRoD.gLoBaL")), "NOERROR"),
    Raw("10 trailing octets", packet(KNOWN + b"\xaa" * 20), "NOERROR"),
    Raw("11 an answer", packet(KNOWN + b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\0", counts=(1, 1, 0, 0)), "FORMERR"),
    Raw("11 65535 additional", packet(KNOWN + b"\0" * 10, counts=(1, 0, 0, 65535)), "FORMERR"),
    Raw("12 opcode 15", packet(b"", flags=0x7800, counts=(0, 0, 0, 0)), "NOTIMP"),
    *(
        Raw(f"13 {name}", packet(asking("global", 6), flags=opcode << 11), "NOTIMP")
        for name, opcode in (("IQUERY", 1), ("STATUS", 2), ("NOTIFY", 4), ("UPDATE", 5))
    ),
    Raw("14 DSO", packet(b"", flags=6 << 11, counts=(0, 0, 0, 0)), "NOTIMP"),
    Raw("15 class HS", packet(asking("reviews.prod.global", 1, 4)), "REFUSED"),
    Raw("15 class ANY", packet(asking("reviews.prod.global", 1, 255)), "REFUSED"),
    Raw("15 class 0", packet(asking("reviews.prod.global", 1, 0)), "REFUSED"),
    Raw("15 class CH", packet(asking("reviews.prod.global", 1, 3)), "REFUSED"),
    *(Raw(f"16 type {qtype}", packet(asking("global", qtype)), "FORMERR") for qtype in (41, 249, 250, 253, 254)),
    Raw("16 AXFR over UDP", packet(asking("global", 252)), "REFUSED"),
    Raw("16 IXFR over UDP", packet(asking("global", 251)), "REFUSED"),
    Raw("17 version.bind", packet(asking("version.bind", 16, 3)), "REFUSED"),
    Raw("17 authors.bind", packet(asking("authors.bind", 16, 3)), "REFUSED"),
    Raw("39 OPT in FORMERR", packet(KNOWN + opt("000a 0002 0102"), counts=ADDITIONAL), "FORMERR"),
    Raw("39 OPT in REFUSED", packet(asking("www.example") + opt(), counts=ADDITIONAL), "REFUSED"),
    Raw("40 version 1 and NSID", packet(KNOWN + opt("0003 0000", ttl=0x00010000), counts=ADDITIONAL), "BADVERS"),
    Raw("40 version 255", packet(KNOWN + opt(ttl=0x00FF0000), counts=ADDITIONAL), "BADVERS"),
    Raw("41 unknown option", packet(KNOWN + opt("fde9 0001 00"), counts=ADDITIONAL), "NOERROR"),
    Raw("41 unknown flags", packet(KNOWN + opt(ttl=0x7FFF), counts=ADDITIONAL), "NOERROR"),
    Raw("42 two OPTs", packet(KNOWN + opt() * 2, counts=(1, 0, 0, 2)), "FORMERR"),
    Raw("42 OPT with an owner", packet(KNOWN + opt(owner="0161 00"), counts=ADDITIONAL), "FORMERR"),
    Raw("42 RDLENGTH too large", packet(KNOWN + opt(length=9), counts=ADDITIONAL), "FORMERR"),
    Raw("42 option too large", packet(KNOWN + opt("0064 0009 00"), counts=ADDITIONAL), "FORMERR"),
    Raw("43 size 100 means 512", packet(asking("many.prod.global", 16) + opt(size=100), counts=ADDITIONAL), "NOERROR"),
    Raw("44 TC without OPT", packet(asking("many.prod.global", 16)), "NOERROR"),
    Raw("54 300 options", packet(KNOWN + opt("fde9 0000" * 300), counts=ADDITIONAL), "NOERROR"),
    Raw("46 DO", packet(KNOWN + opt(ttl=0x8000), counts=ADDITIONAL), "NOERROR"),
]

ANSWERS = [
    Dig("19 unknown type", "+norec +nocookie reviews.prod.global TYPE65280"),
    Dig("24 positive", "+norec +nocookie reviews.prod.global A"),
    Dig("25 NODATA", "+norec +nocookie reviews.prod.global AAAA"),
    Dig("26 NXDOMAIN", "+norec +nocookie nope.prod.global A", "NXDOMAIN"),
    Dig("27 empty non-terminal", "+norec +nocookie ent.global A"),
    Dig("27 a deep one", "+norec +nocookie b.c.d.ent.global A"),
    Dig("28 wildcard", "+norec +nocookie x.y.wild.prod.global A"),
    Dig("28 wildcard NODATA", "+norec +nocookie x.wild.prod.global AAAA"),
    Dig("29 above the wildcard", "+norec +nocookie wild.prod.global A"),
    Dig("29 the wildcard itself", "+norec +nocookie *.wild.prod.global A"),
    Dig("30 below a name that exists", "+norec +nocookie x.reviews.prod.global A", "NXDOMAIN"),
    Dig("33 outside", "+norec +nocookie example.com A", "REFUSED"),
    Dig("55 positive over TCP", "+norec +nocookie +tcp reviews.prod.global A"),
    Dig("55 NXDOMAIN over TCP", "+norec +nocookie +tcp nope.prod.global A", "NXDOMAIN"),
    *(Dig(f"34 {rtype}", f"+norec +nocookie global {rtype}") for rtype in ("DNSKEY", "RRSIG", "NSEC", "DS")),
    Dig("35 ANY", "+norec +nocookie +notcp reviews.prod.global ANY"),
    Dig("35 ANY over TCP", "+norec +nocookie +tcp reviews.prod.global ANY"),
    Dig("36 SOA", "+norec +nocookie global SOA"),
    Dig("36 NS", "+norec +nocookie global NS"),
    Dig("36 address of the NS", "+norec +nocookie ns.global A"),
    Dig("37 ZONEVERSION", "+norec +nocookie +ednsopt=19 global SOA"),
    Dig("50 keepalive over UDP", "+norec +nocookie +ednsopt=11 reviews.prod.global A"),
    Dig("44 all of it over TCP", "+norec +nocookie +tcp many.prod.global TXT"),
]

CASES: list[Raw | Dig] = [*RFC8906, *PACKETS, *ANSWERS]

_BARE = "NSD drops a question that it does not go on with; an echo tells the client which query was refused"
_META = "RFC 6895 3.1: meta types are no data types; NSD answers as for any type it does not have"

DIFFERENCES: dict[str, tuple[str, str]] = {
    "8906 8.1.3.1": ("flags", "RFC 4035 3.2.2: CD is copied by servers that forward, as meshdns does and NSD does not"),
    "8906 8.2.9": ("edns", "RFC 3225 section 3: DO is copied into every reply; NSD leaves it out of BADVERS"),
    "11 65535 additional": ("question", _BARE),
    "13 NOTIFY": ("rcode", "not implemented here, NSD refuses it from strangers; RFC 1996 knows both"),
    "15 class HS": ("question", _BARE),
    "15 class 0": ("question", _BARE),
    "15 class ANY": ("rcode answer", "there is data in one class alone; who asks for all is no resolver"),
    **{f"16 type {qtype}": ("rcode flags authority", _META) for qtype in (41, 249, 250, 253, 254)},
    "16 AXFR over UDP": ("rcode", "refused over UDP as over TCP; RFC 5936 4.2 leaves the RCODE open"),
    "17 version.bind": ("rcode answer", "told only where the settings say so; NSD tells it by default"),
    "39 OPT in FORMERR": (
        "rcode flags answer",
        "RFC 7873 5.2.2: a cookie of two octets is malformed; NSD has them off",
    ),
    "42 two OPTs": ("question", _BARE),
    "42 OPT with an owner": ("question", _BARE),
    "42 RDLENGTH too large": ("question edns", f"{_BARE}; RFC 6891 section 7: the OPT was seen, so one comes back"),
    "42 option too large": ("question edns", f"{_BARE}; RFC 6891 section 7: the OPT was seen, so one comes back"),
    "36 NS": ("additional", "nobody follows a delegation to a mesh zone: its servers are configured by address"),
}
"""By case: the fields that differ, and why meshdns is right, or no worse. RA is apart: meshdns recurses."""


def differing(ours: Seen, theirs: Seen) -> dict[str, tuple[object, object]]:
    """The fields in which two replies differ, with both values."""
    pairs = zip(Seen._fields, ours._replace(flags=ours.flags - {"ra"}), theirs, strict=True)
    return {field: (own, other) for field, own, other in pairs if own != other}
