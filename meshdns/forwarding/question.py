"""What is asked of an upstream: everything that may change its answer, and nothing of the client.

No EDNS option of a client is sent on: Client Subnet would split the cache and name the client (RFC 7871 section 11),
cookies and NSID are hop by hop (RFC 7873, RFC 5001 section 2).
"""

from typing import Final

import msgspec

from meshdns.dns.codes import FLAG_CD, FLAG_RD, TYPE_OPT
from meshdns.dns.query import MAX_UDP_SIZE, Query

_COUNTS: Final = b"\0\x01\0\0\0\0\0\x01"  # one question, one additional: OPT
_COUNTS_PLAIN: Final = b"\0\x01\0\0\0\0\0\0"
_OPT: Final = b"\0" + TYPE_OPT.to_bytes(2, "big") + MAX_UDP_SIZE.to_bytes(2, "big") + b"\0\0"
_FLAGS: Final = tuple((FLAG_RD | cd).to_bytes(2, "big") for cd in (0, FLAG_CD))
_OPT_TAILS: Final = (b"\0\0\0\0", b"\x80\0\0\0")  # EDNS flags without and with DO, no options


class Question(msgspec.Struct, frozen=True, gc=False):
    """A question as upstreams see it. `wire` is the lower-case wire name with type and class."""

    wire: bytes
    do: bool = False
    cd: bool = False

    def message(self, ident: int, *, edns: bool = True) -> bytes:
        """The query for an upstream: RD=1, CD and DO as the client's (RFC 4035 4.7), UDP size 1232.

        Without `edns` there is no OPT, hence no DO, and 512 octets are all that may come over UDP.
        """
        if not edns:
            return ident.to_bytes(2, "big") + _FLAGS[self.cd] + _COUNTS_PLAIN + self.wire
        return ident.to_bytes(2, "big") + _FLAGS[self.cd] + _COUNTS + self.wire + _OPT + _OPT_TAILS[self.do]


def asked(query: Query) -> Question:
    """What a client's query means to an upstream."""
    return Question(query.lower + query.data[query.end - 4 : query.end], do=query.do, cd=query.cd)


def key(query: Query, place: int) -> bytes:
    """The key under which answers are kept: two queries have the same one if and only if route and question are.

    `place` is the index of the route, at most 16,383. The name ends itself, so the concatenation is one to one.
    """
    marks = place << 2 | query.do << 1 | query.cd
    return query.lower + query.data[query.end - 4 : query.end] + marks.to_bytes(2, "big")
