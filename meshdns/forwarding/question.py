"""Questions to upstreams: everything that may change the answer, and nothing about the client.

No EDNS option of a client is sent on: Client Subnet would split the cache and name the client (RFC 7871 section 11),
cookies and NSID are hop by hop (RFC 7873, RFC 5001 section 2). Encrypted queries are padded to a multiple of 128
octets, or else their length would reveal the name (RFC 8467 section 4.1).

A query carries a *loop marker* for each instance that it came through: an option of the range for local use (RFC 6891
section 9) with the instance's id. An instance that receives its own marker has detected a loop (RFC 5625 leaves that to
proxies). Markers are sent to upstreams with private addresses alone: no loop leads through public ones, and those could
track us by them.

What a client sends on is kept for nobody else: a query with markers shares an exchange only with queries that carry the
same ones, and nothing of it is cached. An upstream may answer SERVFAIL or nothing to a forged marker.
"""

from typing import Final

import msgspec

from meshdns.dns.codes import FLAG_CD, FLAG_RD, TYPE_OPT
from meshdns.dns.query import HEADER_SIZE, MAX_UDP_SIZE, OPT_SIZE, Query

INSTANCE_ID_SIZE: Final = 8  # bytes
MAX_LOOP_MARKERS: Final = 4  # instances in a row; more count as a loop

_LOOP_OPTION: Final = 65_313
_PADDING_CODE: Final = 12  # RFC 7830
_PADDING_BLOCK: Final = 128  # bytes
_COUNTS: Final = b"\0\x01\0\0\0\0\0\x01"  # one question, one additional: OPT
_COUNTS_WITHOUT_OPT: Final = b"\0\x01\0\0\0\0\0\0"
_OPT: Final = b"\0" + TYPE_OPT.to_bytes(2, "big") + MAX_UDP_SIZE.to_bytes(2, "big") + b"\0\0"
_FLAGS: Final = tuple((FLAG_RD | cd).to_bytes(2, "big") for cd in (0, FLAG_CD))
_OPT_TAILS: Final = (b"\0\0", b"\x80\0")  # EDNS flags without and with DO


class Question(msgspec.Struct, frozen=True, gc=False):
    """A question as it is sent to upstreams. `wire` is the lower-case wire name with type and class."""

    wire: bytes
    do: bool = False
    cd: bool = False

    def message(self, ident: int, *, edns: bool = True, loop_markers: bytes = b"", pad: bool = False) -> bytes:
        """Return the query for an upstream: RD=1, CD and DO as the client's (RFC 4035 4.7), UDP size 1232.

        Without `edns` there is no OPT, hence no DO, and a reply over UDP has at most 512 octets.
        """
        if not edns:
            return ident.to_bytes(2, "big") + _FLAGS[self.cd] + _COUNTS_WITHOUT_OPT + self.wire
        options = loop_markers + self._padding(len(loop_markers)) if pad else loop_markers
        opt = _OPT + _OPT_TAILS[self.do] + len(options).to_bytes(2, "big") + options
        return ident.to_bytes(2, "big") + _FLAGS[self.cd] + _COUNTS + self.wire + opt

    def _padding(self, before: int) -> bytes:
        """Return the padding option; the options before it have `before` bytes."""
        missing = -(HEADER_SIZE + len(self.wire) + OPT_SIZE + before + 4) % _PADDING_BLOCK
        return _PADDING_CODE.to_bytes(2, "big") + missing.to_bytes(2, "big") + bytes(missing)


def randomize_case(question: Question, random_bits: bytes) -> Question:
    """Return the question with each letter of its name in the case that the low bit of its byte of `random_bits` says.

    A server echoes the case (RFC 1035 4.1.2 by practice), and an attacker who forges a reply must guess it (dns0x20).
    """
    wire = bytearray(question.wire)
    for at, random_byte in enumerate(random_bits[: len(wire) - 4]):
        if random_byte & 1 and ord("a") <= wire[at] <= ord("z"):
            wire[at] -= 0x20
    return Question(bytes(wire), do=question.do, cd=question.cd)


def to_question(query: Query) -> Question:
    """Return the question to upstreams for a client's query."""
    return Question(
        query.qname_lower + query.data[query.question_end - 4 : query.question_end], do=query.do, cd=query.cd
    )


def encode_loop_marker(instance_id: bytes) -> bytes:
    """Return the loop-detection option of an instance; empty without an `instance_id`."""
    return _LOOP_OPTION.to_bytes(2, "big") + INSTANCE_ID_SIZE.to_bytes(2, "big") + instance_id if instance_id else b""


def read_loop_markers(query: Query) -> bytes:
    """Return the loop markers in a well-formed query."""
    at = query.question_end + OPT_SIZE
    out = b""
    while at < len(query.data) and query.edns:
        end = at + 4 + int.from_bytes(query.data[at + 2 : at + 4], "big")
        if int.from_bytes(query.data[at : at + 2], "big") == _LOOP_OPTION and end == at + 4 + INSTANCE_ID_SIZE:
            out += query.data[at:end]
        at = end
    return out


def is_loop(loop_markers: bytes, own_marker: bytes) -> bool:
    """Return whether a query has passed the instance of `own_marker` before, or too many instances."""
    markers = [loop_markers[at : at + 4 + INSTANCE_ID_SIZE] for at in range(0, len(loop_markers), 4 + INSTANCE_ID_SIZE)]
    return own_marker in markers or len(markers) >= MAX_LOOP_MARKERS


def cache_key(query: Query, route_index: int) -> bytes:
    """Return the key of cached answers: two queries have the same key if and only if route and question are the same.

    `route_index` is the index of the route, at most 16,383. The name ends itself, so the concatenation is one to one.
    """
    marks = route_index << 2 | query.do << 1 | query.cd
    return query.qname_lower + query.data[query.question_end - 4 : query.question_end] + marks.to_bytes(2, "big")


def exchange_key(cached: bytes, loop_markers: bytes) -> bytes:
    """Return the key of shared exchanges: two queries have the same key only if the same message goes to upstreams.

    `cached` is the `cache_key` of the query. It is also the result if the client sends nothing on but its question.
    """
    return cached + loop_markers


def suffix_key(query: Query, route_index: int) -> bytes:
    """Return the last two labels of the name with its route, which all questions of one random-name flood share."""
    lower = query.qname_lower
    older = newer = at = 0
    while lower[at]:
        older, newer = newer, at
        at += lower[at] + 1
    return route_index.to_bytes(2, "big") + lower[older:]
