"""Numbers of the DNS parameter registry that meshdns uses, by their registered names."""

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
CLASS_CH: Final = 3  # CHAOS, in which servers speak of themselves

OPTION_NSID: Final = 3  # RFC 5001
OPTION_COOKIE: Final = 10  # RFC 7873
OPTION_TCP_KEEPALIVE: Final = 11  # RFC 7828
OPTION_EDE: Final = 15  # RFC 8914

EDE_STALE_ANSWER: Final = 3
EDE_NOT_READY: Final = 14
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
FLAG_AD: Final = 0x0020
FLAG_CD: Final = 0x0010
