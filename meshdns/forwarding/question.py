"""What is asked of an upstream: everything that may change its answer, and nothing of the client.

No EDNS option of a client is sent on: Client Subnet would split the cache and name the client (RFC 7871 section 11),
cookies and NSID are hop by hop (RFC 7873, RFC 5001 section 2). What is encrypted is padded to a multiple of 128 octets,
or else its length would tell the name (RFC 8467 section 4.1).

A query carries the *trail* of the instances it came through: an option of the range for local use (RFC 6891 section 9)
for each, with the instance's mark. Who finds its own mark in it has found a loop (RFC 5625 leaves that to proxies). It
is told to upstreams with addresses of local use alone: no loop leads through others, who need not know us again.
"""

from typing import Final

import msgspec

from meshdns.dns.codes import FLAG_CD, FLAG_RD, TYPE_OPT
from meshdns.dns.query import HEADER_SIZE, MAX_UDP_SIZE, OPT_SIZE, Query

INSTANCE_ID_SIZE: Final = 8  # octets
MAX_LOOP_MARKERS: Final = 4  # instances, one behind the other; more are a loop in all but name

_LOOP_OPTION: Final = 65_313
_PADDING_CODE: Final = 12  # RFC 7830
_PADDING_BLOCK: Final = 128  # octets
_COUNTS: Final = b"\0\x01\0\0\0\0\0\x01"  # one question, one additional: OPT
_COUNTS_WITHOUT_OPT: Final = b"\0\x01\0\0\0\0\0\0"
_OPT: Final = b"\0" + TYPE_OPT.to_bytes(2, "big") + MAX_UDP_SIZE.to_bytes(2, "big") + b"\0\0"
_FLAGS: Final = tuple((FLAG_RD | cd).to_bytes(2, "big") for cd in (0, FLAG_CD))
_OPT_TAILS: Final = (b"\0\0", b"\x80\0")  # EDNS flags without and with DO


class Question(msgspec.Struct, frozen=True, gc=False):
    """A question as upstreams see it. `wire` is the lower-case wire name with type and class."""

    wire: bytes
    do: bool = False
    cd: bool = False

    def message(self, ident: int, *, edns: bool = True, loop_markers: bytes = b"", pad: bool = False) -> bytes:
        """The query for an upstream: RD=1, CD and DO as the client's (RFC 4035 4.7), UDP size 1232.

        Without `edns` there is no OPT, hence no DO, and 512 octets are all that may come over UDP.
        """
        if not edns:
            return ident.to_bytes(2, "big") + _FLAGS[self.cd] + _COUNTS_WITHOUT_OPT + self.wire
        options = loop_markers + self._padding(len(loop_markers)) if pad else loop_markers
        opt = _OPT + _OPT_TAILS[self.do] + len(options).to_bytes(2, "big") + options
        return ident.to_bytes(2, "big") + _FLAGS[self.cd] + _COUNTS + self.wire + opt

    def _padding(self, before: int) -> bytes:
        """The option that fills the message up; `before` are the octets of the options in front of it."""
        missing = -(HEADER_SIZE + len(self.wire) + OPT_SIZE + before + 4) % _PADDING_BLOCK
        return _PADDING_CODE.to_bytes(2, "big") + missing.to_bytes(2, "big") + bytes(missing)


def randomize_case(question: Question, random_bits: bytes) -> Question:
    """The question with each letter of its name in the case that the low bit of its coin says, one coin an octet.

    A server echoes them (RFC 1035 4.1.2 by practice), and who forges its reply must guess them (dns0x20).
    """
    octets = bytearray(question.wire)
    for at, coin in enumerate(random_bits[: len(octets) - 4]):
        if coin & 1 and ord("a") <= octets[at] <= ord("z"):
            octets[at] -= 0x20
    return Question(bytes(octets), do=question.do, cd=question.cd)


def to_question(query: Query) -> Question:
    """What a client's query means to an upstream."""
    return Question(
        query.qname_lower + query.data[query.question_end - 4 : query.question_end], do=query.do, cd=query.cd
    )


def encode_loop_marker(instance_id: bytes) -> bytes:
    """The part of a trail that an instance adds; nothing without a mark."""
    return _LOOP_OPTION.to_bytes(2, "big") + INSTANCE_ID_SIZE.to_bytes(2, "big") + instance_id if instance_id else b""


def read_loop_markers(query: Query) -> bytes:
    """The steps that a query without faults came with."""
    at = query.question_end + OPT_SIZE
    out = b""
    while at < len(query.data) and query.edns:
        end = at + 4 + int.from_bytes(query.data[at + 2 : at + 4], "big")
        if int.from_bytes(query.data[at : at + 2], "big") == _LOOP_OPTION and end == at + 4 + INSTANCE_ID_SIZE:
            out += query.data[at:end]
        at = end
    return out


def is_loop(loop_markers: bytes, own_marker: bytes) -> bool:
    """Whether a query with this trail has been at the instance of that step before, or has come too far."""
    steps = [loop_markers[at : at + 4 + INSTANCE_ID_SIZE] for at in range(0, len(loop_markers), 4 + INSTANCE_ID_SIZE)]
    return own_marker in steps or len(steps) >= MAX_LOOP_MARKERS


def cache_key(query: Query, route_index: int) -> bytes:
    """The key under which answers are kept: two queries have the same one if and only if route and question are.

    `route_index` is the index of the route, at most 16,383. The name ends itself, so the concatenation is one to one.
    """
    marks = route_index << 2 | query.do << 1 | query.cd
    return query.qname_lower + query.data[query.question_end - 4 : query.question_end] + marks.to_bytes(2, "big")


def suffix_key(query: Query, route_index: int) -> bytes:
    """The last two labels of the name, with its route: what questions of one flood of made-up names have in common."""
    lower = query.qname_lower
    older = newer = at = 0
    while lower[at]:
        older, newer = newer, at
        at += lower[at] + 1
    return route_index.to_bytes(2, "big") + lower[older:]
