"""The bounded parser for queries: header, one question and OPT, nothing else.

Rules:
- It never raises on any input and never does more work than one pass over the message.
- ``None`` means silence: shorter than a header, or a response (QR=1), which must never be answered (RFC 1035 4.1.1).
- Otherwise a `Query` comes back; `Query.error_rcode` is the RCODE that refuses it, NOERROR where it may be answered.
- Names are kept as bytes in wire format. Any octet may occur in a label (RFC 2181 section 11); only ASCII letters fold
  (RFC 4343 section 3). ``bytes.lower`` folds a whole wire name at once, since length octets (0-63) are no letters.
- Compression pointers are refused in a question: there is nothing before it to point at (RFC 1035 4.1.4).
"""

from typing import Final

from meshdns.dns.codes import (
    BADVERS,
    CLASS_IN,
    FORMERR,
    META_TYPES,
    NOERROR,
    NOTIMP,
    OPTION_COOKIE,
    OPTION_NSID,
    OPTION_TCP_KEEPALIVE,
    REFUSED,
    TYPE_AXFR,
    TYPE_IXFR,
    TYPE_OPT,
)

HEADER_SIZE: Final = 12
MIN_UDP_SIZE: Final = 512  # RFC 6891 6.2.3: smaller advertised sizes mean 512
MAX_UDP_SIZE: Final = 1232  # DNS flag day 2020: fits every common path without fragments
_MAX_NAME: Final = 255  # RFC 1035 2.3.4, octets on the wire with the root label
OPT_SIZE: Final = 11  # of an OPT without options: root owner, type, class, TTL, RDLENGTH
_COOKIE_SIZES: Final = frozenset({8, *range(16, 41)})  # RFC 7873 section 4: client alone, or with 8 to 32 of the server


class Query:
    """A query as far as it must be understood to be answered.

    `question_end` is the offset just behind the question (12 where there is none to echo). `udp_size` is the largest
    UDP reply the client takes, 512 to 1232 bytes. `edns` says that an OPT was there, so that the reply carries one
    (RFC 6891 6.1.1). A query without a question and without a fault asks for nothing but a cookie (RFC 7873 section
    5.4). `reply_cookie` is the full cookie that the reply carries; the worker sets it. `links` counts the aliases that
    led here from the name that a client queried, in a query that the worker makes.
    """

    __slots__ = (
        "cookie",
        "data",
        "do",
        "edns",
        "error_rcode",
        "flags",
        "keepalive",
        "links",
        "nsid",
        "qclass",
        "qname",
        "qname_lower",
        "qtype",
        "question_end",
        "reply_cookie",
        "udp_size",
    )

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.flags = data[2] << 8 | data[3]
        self.qname = b""
        self.qname_lower = b""
        self.qtype = 0
        self.qclass = 0
        self.question_end = HEADER_SIZE
        self.error_rcode = NOERROR
        self.edns = False
        self.do = False
        self.udp_size = MIN_UDP_SIZE
        self.nsid = False
        self.keepalive = False
        self.cookie = b""
        self.links = 0
        self.reply_cookie = b""  # a field, not an argument: every function that builds a reply would hand it on

    @property
    def rd(self) -> bool:
        """Recursion desired (RFC 1035 4.1.1)."""
        return bool(self.flags & 0x0100)

    @property
    def cd(self) -> bool:
        """Checking disabled (RFC 4035 3.2.2)."""
        return bool(self.flags & 0x0010)


def parse_query(data: bytes) -> Query | None:
    """Parse one message; see the rules above."""
    if len(data) < HEADER_SIZE or data[2] & 0x80:
        return None
    query = Query(data)
    if data[2] & 0x78:
        query.error_rcode = NOTIMP  # row 12-14: every opcode but QUERY
        return query
    if data[3] & 0x0F:
        query.error_rcode = FORMERR  # a query has no RCODE; NSD refuses the same
        return query
    if data[4:10] == b"\x00\x00\x00\x00\x00\x00":
        query.error_rcode = _read_cookie_query(query, data)
        return query
    if data[4:10] != b"\x00\x01\x00\x00\x00\x00":
        query.error_rcode = FORMERR  # RFC 9619: exactly one question; nothing belongs into answer and authority
        return query
    if not _read_question(query, data):
        query.error_rcode = FORMERR
        query.question_end = HEADER_SIZE
        return query
    additional = data[10] << 8 | data[11]
    if additional:
        query.error_rcode = _read_opt(query, data, query.question_end) if additional == 1 else FORMERR
    if query.error_rcode == NOERROR:
        query.error_rcode = _refusal_rcode(query)
    return query


def _read_question(query: Query, data: bytes) -> bool:
    """Read the one question; False where it is malformed."""
    at = HEADER_SIZE
    limit = len(data) - 5  # the root label, type and class must still fit
    while True:
        if at > limit:
            return False
        length = data[at]
        if length == 0:
            break
        if length > 63:
            return False
        at += length + 1
    at += 1
    if at - HEADER_SIZE > _MAX_NAME:
        return False
    query.qname = data[HEADER_SIZE:at]
    query.qname_lower = query.qname.lower()
    query.qtype = data[at] << 8 | data[at + 1]
    query.qclass = data[at + 2] << 8 | data[at + 3]
    query.question_end = at + 4
    return True


def _read_opt(query: Query, data: bytes, at: int) -> int:
    """Read the one additional record, which must be an OPT (RFC 6891 6.1.1); returns the fault."""
    if len(data) < at + OPT_SIZE or data[at] or data[at + 1] << 8 | data[at + 2] != TYPE_OPT:
        return FORMERR
    query.edns = True
    query.udp_size = min(max(data[at + 3] << 8 | data[at + 4], MIN_UDP_SIZE), MAX_UDP_SIZE)
    query.do = bool(data[at + 7] & 0x80)
    start = at + OPT_SIZE
    end = start + (data[at + 9] << 8 | data[at + 10])
    if end > len(data):
        return FORMERR
    if not _read_options(query, data, start, end):
        return FORMERR
    return BADVERS if data[at + 6] else NOERROR


def _read_cookie_query(query: Query, data: bytes) -> int:
    """Read a query without a question, which may only ask for a cookie (RFC 7873 section 5.4); returns the fault."""
    if data[10] << 8 | data[11] != 1:
        return FORMERR
    return _read_opt(query, data, HEADER_SIZE) or (NOERROR if query.cookie else FORMERR)


def _read_options(query: Query, data: bytes, at: int, end: int) -> bool:
    """Walk the EDNS options; unknown ones are ignored (RFC 6891 6.1.2)."""
    while at < end:
        if end - at < 4:
            return False
        code = data[at] << 8 | data[at + 1]
        length = data[at + 2] << 8 | data[at + 3]
        at += 4
        if end - at < length:
            return False
        if code == OPTION_NSID:
            query.nsid = True
        elif code == OPTION_TCP_KEEPALIVE:
            query.keepalive = True
        elif code == OPTION_COOKIE and not query.cookie:  # RFC 7873 5.2: the first one counts, the others are ignored
            if length not in _COOKIE_SIZES:
                return False
            query.cookie = data[at : at + length]
        at += length
    return True


def _refusal_rcode(query: Query) -> int:
    """The RCODE for questions that are well-formed but never answered with data (checklist rows 15-17)."""
    if query.qclass != CLASS_IN:
        return REFUSED
    if query.qtype in META_TYPES:
        return FORMERR
    if query.qtype in (TYPE_AXFR, TYPE_IXFR):
        return REFUSED
    return NOERROR
