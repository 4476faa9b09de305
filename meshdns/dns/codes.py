"""Numbers of the DNS parameter registry that meshdns uses, and the registered names of types and RCODEs."""

from typing import Final

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
BADVERS: Final = 16
BADCOOKIE: Final = 23  # RFC 7873 section 8

TYPE_A: Final = 1
TYPE_NS: Final = 2
TYPE_DS: Final = 43  # RFC 4034 section 5
TYPE_CNAME: Final = 5
TYPE_SOA: Final = 6
TYPE_PTR: Final = 12
TYPE_TXT: Final = 16
TYPE_AAAA: Final = 28
TYPE_SRV: Final = 33
TYPE_OPT: Final = 41
TYPE_IXFR: Final = 251
TYPE_AXFR: Final = 252
TYPE_ANY: Final = 255

META_TYPES: Final = frozenset({TYPE_OPT, 249, 250, 253, 254})
"""OPT, TKEY, TSIG, MAILB, MAILA: never a question here (RFC 6895 3.1)."""

CLASS_IN: Final = 1
CLASS_CH: Final = 3  # CHAOS, for names about the server itself

OPTION_NSID: Final = 3  # RFC 5001
OPTION_COOKIE: Final = 10  # RFC 7873
OPTION_TCP_KEEPALIVE: Final = 11  # RFC 7828
OPTION_EDE: Final = 15  # RFC 8914

EDE_OTHER: Final = 0  # RFC 8914 section 4.1: Other Error
EDE_STALE_ANSWER: Final = 3
EDE_NOT_READY: Final = 14
EDE_BLOCKED: Final = 15
EDE_PROHIBITED: Final = 18
EDE_STALE_NXDOMAIN: Final = 19
EDE_NO_REACHABLE_AUTHORITY: Final = 22
EDE_NETWORK_ERROR: Final = 23
EDE_INVALID_DATA: Final = 24

FLAG_QR: Final = 0x8000
FLAG_AA: Final = 0x0400
FLAG_TC: Final = 0x0200
FLAG_RD: Final = 0x0100
FLAG_RA: Final = 0x0080
FLAG_CD: Final = 0x0010


TYPE_NAMES: Final = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV",
    35: "NAPTR", 39: "DNAME", 41: "OPT", 43: "DS", 44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3",
    52: "TLSA", 64: "SVCB", 65: "HTTPS", 99: "SPF", 251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA",
}  # fmt: skip
"""The types that are queried in practice, by number."""

TYPE_NUMBERS: Final = {name: number for number, name in TYPE_NAMES.items()}
"""Their numbers by name."""

RCODE_NAMES: Final = (
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE", "DSOTYPENI", "RCODE12", "RCODE13", "RCODE14", "RCODE15",
)  # fmt: skip
"""The RCODEs that fit into a header, by number."""


def type_mnemonic(number: int) -> str:
    """Return a type's name, ``TYPE123`` if it has none here (RFC 3597 section 5)."""
    return TYPE_NAMES.get(number) or f"TYPE{number}"
