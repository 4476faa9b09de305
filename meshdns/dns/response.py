"""Encoding of our own replies: header, the question as received, prepared sections, OPT.

Rules (RFC 1035 4.1.1, RFC 6891 6.1.1 and 7):
- The id, opcode, RD and CD are the query's (RFC 4035 3.2.2); QR is set; Z and AD are 0.
- An OPT in the query means an OPT in the reply, on errors and truncated replies too; so does a cookie.
- The question is echoed octet by octet, so that the client's letter case comes back (draft-vixie-dnsext-dns0x20).
- A reply over the client's size on UDP loses extended errors and NSID (see `edns_options`). If that is not enough, it
  is replaced by header, question and OPT with TC set; no partial RRset is sent.
- RA is about queries alone: it is 0 in the reply to another opcode.
"""

import enum
import struct
from typing import Final

from meshdns.dns.codes import (
    BADVERS,
    CLASS_IN,
    FLAG_AA,
    FLAG_CD,
    FLAG_QR,
    FLAG_RA,
    FLAG_RD,
    FLAG_TC,
    NOERROR,
    NXDOMAIN,
    OPTION_COOKIE,
    OPTION_EDE,
    OPTION_NSID,
    OPTION_TCP_KEEPALIVE,
    TYPE_OPT,
)
from meshdns.dns.edns_options import (
    MAX_TCP_TEXT,
    MAX_UDP_TEXT,
    drop_options,
    encode_option,
    shorten_text,
    shorten_texts,
    split_options,
)
from meshdns.dns.query import HEADER_SIZE, MAX_UDP_SIZE, OPT_SIZE, Query

MAX_MESSAGE: Final = 65_535  # bytes, by the length field of TCP (RFC 1035 section 4.2.2)
QUESTION_POINTER: Final = b"\xc0\x0c"  # the owner name of the question, right behind the header

_OPCODE: Final = 0x7800
OPT_PREFIX: Final = b"\0\0\x29" + MAX_UDP_SIZE.to_bytes(2, "big")  # of every OPT of ours: root owner, type, our size
_header = struct.Struct(">HHHHH").pack
_opt = struct.Struct(">BHHBBHH").pack
_record = struct.Struct(">2sHHIH").pack


_TC_BIT: Final = FLAG_TC >> 8  # in the first byte of the flags


class ReplyClass(enum.IntEnum):
    """The class of our own reply, by its header alone. `meshdns.dns.reply.ReplyKind` is that of an upstream's."""

    ANSWER = 0  # with records, or truncated
    DENIAL = 1  # NXDOMAIN, or NODATA with its SOA
    ERROR = 2
    EMPTY = 3  # NOERROR without any record: a denial to rate limiting, a success to CoreDNS's metrics


class Section:
    """Encoded records of one section: their number and their bytes, owners as pointers to the question."""

    __slots__ = ("count", "wire")

    def __init__(self, count: int, wire: bytes) -> None:
        self.count = count
        self.wire = wire


EMPTY_SECTION: Final = Section(0, b"")


def record(rtype: int, ttl: int, rdata: bytes, *, rclass: int = CLASS_IN) -> bytes:
    """Return a record owned by the question's name."""
    return _record(QUESTION_POINTER, rtype, rclass, ttl, len(rdata)) + rdata


def reply_options(query: Query, *, ede: int = -1, text: bytes = b"", nsid: bytes = b"", keepalive: int = 0) -> bytes:
    """Return the options of the reply's OPT: extended error (RFC 8914), NSID on request (RFC 5001), keepalive.

    `keepalive` is the idle timeout of a TCP connection in units of 100 ms (RFC 7828 3.1), 0 on UDP.
    """
    out = b""
    if ede >= 0:
        out += encode_option(OPTION_EDE, ede.to_bytes(2, "big") + text)
    if query.nsid and nsid:
        out += encode_option(OPTION_NSID, nsid)
    if query.keepalive and keepalive:
        out += encode_option(OPTION_TCP_KEEPALIVE, keepalive.to_bytes(2, "big"))
    return out


def build_opt(query: Query, rcode: int, edns_options: bytes) -> bytes:
    """Return the OPT of a reply: version 0, our UDP size, the query's DO (RFC 3225 section 3), the reply's cookie."""
    if query.reply_cookie:
        edns_options += encode_option(OPTION_COOKIE, query.reply_cookie)
    return _opt(0, TYPE_OPT, MAX_UDP_SIZE, rcode >> 4, 0, 0x8000 if query.do else 0, len(edns_options)) + edns_options


def find_opt(reply: bytes) -> int:
    """Return the offset of the OPT of our own reply, its last record; -1 if it has none."""
    at = reply.rfind(OPT_PREFIX)
    while at >= 0 and at + OPT_SIZE + (reply[at + 9] << 8 | reply[at + 10]) != len(reply):
        at = reply.rfind(OPT_PREFIX, 0, at)
    return at


def with_extended_error(reply: bytes, code: int, text: bytes, *, limit: int) -> bytes:
    """Return our own reply with one more extended error (RFC 8914), if it has an OPT; one of that code is replaced.

    Without the text, or unchanged, if it had more than `limit` bytes: the client's UDP size, or `MAX_MESSAGE`.
    """
    at = find_opt(reply)
    if at < 0:
        return reply
    error = code.to_bytes(2, "big")
    others = b"".join(
        encode_option(option, value)
        for option, value in split_options(reply[at + OPT_SIZE :])
        if option != OPTION_EDE or value[:2] != error
    )
    shown = shorten_text(text, MAX_TCP_TEXT if limit == MAX_MESSAGE else MAX_UDP_TEXT)
    for value in (shown, b""):
        options = others + encode_option(OPTION_EDE, error + value)
        if at + OPT_SIZE + len(options) <= limit:
            return reply[: at + 9] + len(options).to_bytes(2, "big") + options
    return reply


def has_extended_error(reply: bytes, code: int) -> bool:
    """Return whether our own reply holds an extended error of this code."""
    at = find_opt(reply)
    error = code.to_bytes(2, "big")
    return at >= 0 and any(
        option == OPTION_EDE and value[:2] == error for option, value in split_options(reply[at + OPT_SIZE :])
    )


def build_reply(
    query: Query,
    rcode: int,
    *,
    answer: Section = EMPTY_SECTION,
    authority: Section = EMPTY_SECTION,
    aa: bool = False,
    edns_options: bytes = b"",
    tcp: bool = False,
) -> bytes:
    """Return a whole reply. `edns_options` come from `reply_options`; they need an OPT in the query."""
    flags = FLAG_QR | query.flags & (_OPCODE | FLAG_RD | FLAG_CD)
    if not flags & _OPCODE:
        flags |= FLAG_RA
    if aa and rcode != BADVERS:
        flags |= FLAG_AA
    questions = int(query.question_end > HEADER_SIZE)
    if edns_options:
        edns_options = shorten_texts(edns_options, MAX_TCP_TEXT if tcp else MAX_UDP_TEXT)
    tail = build_opt(query, rcode, edns_options) if query.edns else b""
    size = query.question_end + len(answer.wire) + len(authority.wire) + len(tail)
    excess = size - (MAX_MESSAGE if tcp else query.udp_size)
    if excess > 0:
        kept = drop_options(edns_options, excess) if edns_options else b""
        if len(edns_options) - len(kept) >= excess:
            tail = build_opt(query, rcode, kept)
        else:
            answer = authority = EMPTY_SECTION
            flags |= FLAG_TC
    header = _header(flags | rcode & 0x0F, questions, answer.count, authority.count, int(query.edns))
    return query.data[:2] + header + query.data[12 : query.question_end] + answer.wire + authority.wire + tail


def reply_class(reply: bytes) -> ReplyClass:
    """Return the class of a whole reply."""
    rcode = reply[3] & 0x0F
    if rcode == NXDOMAIN:
        return ReplyClass.DENIAL
    if rcode != NOERROR:
        return ReplyClass.ERROR
    if reply[6] or reply[7] or reply[2] & _TC_BIT:
        return ReplyClass.ANSWER
    return ReplyClass.DENIAL if reply[8] or reply[9] else ReplyClass.EMPTY
