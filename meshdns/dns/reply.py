"""Validation of upstream replies: whether they answer the question, are well-formed, and which records are believed.

Rules:
- Nothing raises on input; work is bounded by `MAX_RECORDS` and by the walk of names (see `compression`).
- `is_reply_to` tells a reply to our question from everything else: only header and question count (RFC 5452 9.1). What
  does not echo is to be ignored while the wait goes on. What echoes but is malformed is the upstream's fault.
- All records are walked with RDLENGTH enforced and the RDATA of well-known types checked, dropped records included:
  a message that desynchronises one reader must not reach another (RFC 9267 section 5).
- Nothing beyond the question's own chain is believed: the answer section keeps records whose owner is the QNAME or
  linked to it by CNAME and DNAME in order, and whose type was asked for. Authority keeps the SOA of a denial whose zone
  holds the chain's end, and for DO the proofs that a validating client needs (RFC 4035 3.1.3). Of additional only OPT
  is read.
- An alias that leads into a name of our own ends the chain: `Reply.continues_at` is that name, and nothing behind it is
  believed. A DNAME that would rename names of ours is dropped, its CNAME is kept; so are proofs owned by names of ours.
- Pointers only lead backwards, so an answer section with nothing to drop is kept octet by octet behind a question of
  the same length. If records are dropped, or a pointer leads into no name, they are written again without compression.
- TTLs with the top bit set are 0, all are capped (RFC 2181 section 8, RFC 2308 section 5). The records of an RRset and
  the signatures over it get its lowest TTL (RFC 2181 section 5.2): a cache in front would drop some before the others.
"""

import enum
import struct
from typing import Final, NamedTuple

import msgspec

from meshdns.dns.codes import (
    CLASS_IN,
    FLAG_AA,
    FLAG_TC,
    NOERROR,
    NXDOMAIN,
    TYPE_A,
    TYPE_AAAA,
    TYPE_ANY,
    TYPE_CNAME,
    TYPE_NS,
    TYPE_OPT,
    TYPE_PTR,
    TYPE_SOA,
    TYPE_SRV,
)
from meshdns.dns.compression import HEADER_SIZE, MalformedError, NameReader, is_wire_subdomain
from meshdns.dns.fast_reply import read_address_reply
from meshdns.dns.own_names import NO_OWN_NAMES, OwnNames
from meshdns.dns.rebinding import holds_private_address
from meshdns.dns.response import EMPTY_SECTION, Section

MAX_RECORDS: Final = 1000  # in one message; BIND refuses more than 100 of one RRset
MAX_TTL: Final = 86_400  # seconds
MAX_NEGATIVE_TTL: Final = 3_600  # seconds, RFC 2308 section 5 suggests one to three hours
NEGATIVE_TTL_WITHOUT_SOA: Final = 5  # seconds, a denial without SOA must hardly be kept at all (RFC 2308 section 5)
MAX_SECTIONS_SIZE: Final = 65_000  # bytes of answer and authority: leaves room for header, question and OPT

_TYPE_MX: Final = 15
_TYPE_DNAME: Final = 39
_TYPE_RRSIG: Final = 46
_PROOF_TYPES: Final = frozenset({47, 50})  # NSEC, NSEC3

_RDATA_LAYOUT: Final = {
    TYPE_A: (4, 0, 0),
    TYPE_AAAA: (16, 0, 0),
    TYPE_NS: (0, 1, 0),
    TYPE_CNAME: (0, 1, 0),
    TYPE_PTR: (0, 1, 0),
    _TYPE_DNAME: (0, 1, 0),
    _TYPE_MX: (2, 1, 0),
    TYPE_SRV: (6, 1, 0),
    TYPE_SOA: (0, 2, 20),
}
"""RDATA of well-known types: bytes before the names, number of names, bytes after them."""

_header = struct.Struct(">HHHHHH").unpack_from
_fixed = struct.Struct(">HHIH").unpack_from
_write_fixed = struct.Struct(">HHIH").pack
_write_ttl = struct.Struct(">I").pack_into


class ReplyKind(enum.Enum):
    """The kinds of replies."""

    POSITIVE = "positive"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    FAILURE = "failure"
    TRUNCATED = "truncated"


class RelayedPart(msgspec.Struct, frozen=True, gc=False):
    """The relayed part of one section; `ttls` holds the offset of each TTL inside `section.wire` and its seconds."""

    section: Section = EMPTY_SECTION
    ttls: tuple[tuple[int, int], ...] = ()


EMPTY_PART: Final = RelayedPart()


class Reply(msgspec.Struct, frozen=True, gc=False):
    """The believed part of an upstream's reply.

    `ttl` is its lifetime in seconds, 0 to 86400; `rcode` includes the extended bits of OPT (RFC 6891 6.1.3). Both parts
    are empty for FAILURE and TRUNCATED. `continues_at` is the lower-case wire name of our own that the answer leads to,
    empty for a whole reply; such an answer is aliases alone, without compression. `is_blocked`: NODATA stands for an
    answer that held a private address; without an SOA no cache in front keeps it (RFC 2308 section 2.2).
    """

    kind: ReplyKind
    rcode: int = NOERROR
    ttl: int = 0
    answer: RelayedPart = EMPTY_PART
    authority: RelayedPart = EMPTY_PART
    continues_at: bytes = b""
    is_blocked: bool = False


class ReplyRules(NamedTuple):
    """The names of which the upstreams of a route may say nothing, and whether they may answer private addresses."""

    own_names: OwnNames = NO_OWN_NAMES
    refuse_private: bool = False


NO_RULES: Final = ReplyRules()


class _Record:
    """One record of the message."""

    __slots__ = (
        "end",
        "owner",
        "owner_lower",
        "rclass",
        "rdata_start",
        "rtype",
        "start",
        "target",
        "ttl",
        "ttl_offset",
    )

    def __init__(self, data: bytes, start: int, names: NameReader) -> None:
        self.start = start
        self.owner, at = names.read(start)
        self.owner_lower = self.owner.lower()
        if at + 10 > len(data):
            raise MalformedError
        self.rtype, self.rclass, ttl, length = _fixed(data, at)
        self.ttl_offset = at + 4
        self.ttl = 0 if ttl & 0x8000_0000 else min(ttl, MAX_TTL)
        self.rdata_start = at + 10
        self.end = self.rdata_start + length
        self.target = b""
        if self.end > len(data):
            raise MalformedError
        layout = _RDATA_LAYOUT.get(self.rtype)
        if layout is not None:
            self._check_rdata(layout, names)

    def _check_rdata(self, layout: tuple[int, int, int], names: NameReader) -> None:
        """The names of the RDATA must be well-formed and fill it exactly."""
        at = self.rdata_start + layout[0]
        for _ in range(layout[1]):
            self.target, at = names.read(at)
        if at + layout[2] != self.end:
            raise MalformedError

    def uncompressed(self, data: bytes, names: NameReader) -> bytes:
        """Return the record without compression and with its capped TTL."""
        before, count, after = _RDATA_LAYOUT.get(self.rtype, (self.end - self.rdata_start, 0, 0))
        at = self.rdata_start + before
        rdata = data[self.rdata_start : at]
        for _ in range(count):
            name, at = names.read(at)
            rdata += name
        rdata += data[at : at + after]
        return self.owner + _write_fixed(self.rtype, self.rclass, self.ttl, len(rdata)) + rdata


class OwnReply(NamedTuple):
    """A whole reply of our own, its records without compression."""

    rcode: int
    answer: Section
    authority: Section


def read_own_reply(message: bytes) -> OwnReply | None:
    """Return the records of a reply of our own, so that they can be put behind another question.

    None if its names have too many labels to read: an upstream's records are relayed without compression.
    """
    try:
        return _read_own_reply(message)
    except MalformedError:
        return None


def _read_own_reply(message: bytes) -> OwnReply:
    _, flags, questions, answers, authorities, _ = _header(message)
    names = NameReader(message)
    at = names.read(HEADER_SIZE)[1] + 4 if questions else HEADER_SIZE
    sections = []
    for count in (answers, authorities):
        wire = bytearray()
        for _ in range(count):
            record = _Record(message, at, names)
            wire += record.uncompressed(message, names)
            at = record.end
        sections.append(Section(count, bytes(wire)))
    return OwnReply(flags & 0x0F, *sections)


def is_reply_to(data: bytes, ident: int, question: bytes) -> bool:
    """Return whether `data` replies to our query: id, QR=1, opcode 0, one question, the same but for letter case.

    `question` is the lower-case wire name with type and class.
    """
    size = len(question)
    if len(data) < HEADER_SIZE + size or data[0] << 8 | data[1] != ident or data[2] & 0xF8 != 0x80:
        return False
    if data[4] or data[5] != 1:
        return False
    name_end = HEADER_SIZE + size - 4
    return data[HEADER_SIZE:name_end].lower() + data[name_end : name_end + 4] == question


def parse_reply(data: bytes, question: bytes, *, dnssec: bool = False, rules: ReplyRules = NO_RULES) -> Reply | None:
    """Return the believed part of a message that `is_reply_to` the question; None if it is malformed.

    `dnssec` keeps signatures and the proofs of denials, which only a query with DO may get (RFC 4035 3.2.1).
    """
    flags = data[2] << 8 | data[3]
    if flags & FLAG_TC:
        return Reply(ReplyKind.TRUNCATED)  # what follows may be cut anywhere and is ignored (RFC 2181 section 9)
    plain = read_address_reply(data, question, max_ttl=MAX_TTL)
    if plain is not None:
        lifetime, records, ttls = plain
        if rules.refuse_private and any(
            holds_private_address(question[-4] << 8 | question[-3], records[at + 6 : at + 6 + records[at + 5]])
            for at, _ in ttls
        ):
            return _blocked(lifetime)
        return Reply(ReplyKind.POSITIVE, NOERROR, lifetime, RelayedPart(Section(len(ttls), records), ttls))
    try:
        message = _Message(data, question, rules.own_names, dnssec=dnssec)
        reply = message.reply(flags)
    except MalformedError:
        return None
    if rules.refuse_private and reply.kind is ReplyKind.POSITIVE and message.holds_private_address():
        return _blocked(reply.ttl)
    return reply


def _blocked(ttl: int) -> Reply:
    return Reply(ReplyKind.NODATA, NOERROR, min(ttl, MAX_NEGATIVE_TTL), is_blocked=True)


class _Message:
    """The records of one message, sorted by whether they are believed."""

    def __init__(self, data: bytes, question: bytes, own_names: OwnNames = NO_OWN_NAMES, *, dnssec: bool) -> None:
        self.data = data
        self.own_names = own_names
        self.continues_at = b""
        self.kept: list[_Record] = []
        self.names = NameReader(data)
        self.qtype = question[-4] << 8 | question[-3]
        self.dnssec = dnssec
        self.chain = {question[:-4]}
        self.chain_end = question[:-4]  # the chain's end, lower-case
        self.dnames: set[bytes] = set()
        self.start = HEADER_SIZE + len(question)
        _, _, _, answers, authorities, additionals = _header(data)
        if answers + authorities + additionals > MAX_RECORDS:
            raise MalformedError
        self.names.read(HEADER_SIZE)
        self.answers = self._walk(self.start, answers)
        self.answers_end = self._end
        self.authorities = self._walk(self._end, authorities)
        self.additionals = self._walk(self._end, additionals)

    def _walk(self, at: int, count: int) -> list[_Record]:
        out = []
        for _ in range(count):
            record = _Record(self.data, at, self.names)
            at = record.end
            out.append(record)
        self._end = at
        return out

    def reply(self, flags: int) -> Reply:
        """Classify the message (RFC 2308 section 2)."""
        rcode = flags & 0x0F | self._extended_rcode()
        if rcode not in (NOERROR, NXDOMAIN):
            return Reply(ReplyKind.FAILURE, rcode)
        kept = self.kept = [record for record in self.answers if self._on_chain(record)]
        if self.answers and not kept:
            raise MalformedError  # neither an answer to the question nor a denial of it
        if self.continues_at:
            return self._alias_into_own_names(kept)
        if any(self._answers_question(record) for record in kept):
            if rcode == NXDOMAIN:
                raise MalformedError  # an answer and its denial: one of them is wrong
            return self._positive(kept)
        soa = self._soa()
        if rcode == NOERROR and soa is None and not kept and not flags & FLAG_AA and self._is_referral():
            return Reply(ReplyKind.FAILURE, rcode)  # a referral: this upstream does not recurse
        return self._negative(rcode, kept, soa)

    def holds_private_address(self) -> bool:
        """Return whether any believed record of the answer section holds a private address."""
        return any(holds_private_address(each.rtype, self.data[each.rdata_start : each.end]) for each in self.kept)

    def _extended_rcode(self) -> int:
        """The upper bits of the RCODE from OPT, of which there is at most one, owned by the root (RFC 6891 6.1.1)."""
        opts = [r for r in (*self.answers, *self.authorities, *self.additionals) if r.rtype == TYPE_OPT]
        if not opts:
            return 0
        if len(opts) > 1 or opts[0].owner != b"\0" or opts[0] not in self.additionals:
            raise MalformedError
        return self.data[opts[0].ttl_offset] << 4

    def _on_chain(self, record: _Record) -> bool:
        """Whether an answer belongs to the question; follows the chain as a side effect, so call it in order."""
        if record.rclass != CLASS_IN:
            return False
        if record.rtype == _TYPE_RRSIG:
            signs = record.owner_lower in self.chain or record.owner_lower in self.dnames
            return signs and (self.dnssec or self._answers_question(record))  # RFC 4035 3.2.1: only for DO
        if (
            record.rtype == _TYPE_DNAME
            and record.owner_lower != self.chain_end
            and is_wire_subdomain(self.chain_end, record.owner_lower)
        ):
            if self.own_names.is_redirected_by(record.owner_lower):
                return False
            self.dnames.add(record.owner_lower)
            return True
        if record.owner_lower != self.chain_end or self.continues_at:
            return False
        if self._answers_question(record):
            return True
        if record.rtype == TYPE_CNAME:
            self.chain_end = record.target.lower()
            if self.chain_end in self.own_names:
                self.continues_at = self.chain_end
            else:
                self.chain.add(self.chain_end)
            return True
        return False

    def _answers_question(self, record: _Record) -> bool:
        return record.owner_lower == self.chain_end and self.qtype in (record.rtype, TYPE_ANY)

    def _soa(self) -> _Record | None:
        """The SOA of a zone that the chain's end is in; any other denies nothing here."""
        for record in self.authorities:
            if (
                record.rtype == TYPE_SOA
                and record.rclass == CLASS_IN
                and is_wire_subdomain(self.chain_end, record.owner_lower)
            ):
                return record
        return None

    def _is_referral(self) -> bool:
        return any(record.rtype == TYPE_NS for record in self.authorities)

    def _alias_into_own_names(self, kept: list[_Record]) -> Reply:
        """Return the aliases that lead to a name of ours; RCODE and authority are about that name, and are dropped."""
        self._level_ttls(kept)
        ttl = min(record.ttl for record in kept)
        answer = self._uncompressed(kept)
        return self._check_size(Reply(ReplyKind.POSITIVE, NOERROR, ttl, answer, continues_at=self.continues_at))

    def _positive(self, kept: list[_Record]) -> Reply:
        proofs = self._proofs(with_soa=False)
        self._level_ttls(kept)
        self._level_ttls(proofs)
        ttl = min(record.ttl for record in (*kept, *proofs))
        return self._check_size(Reply(ReplyKind.POSITIVE, NOERROR, ttl, self._answer(kept), self._uncompressed(proofs)))

    def _negative(self, rcode: int, kept: list[_Record], soa: _Record | None) -> Reply:
        ttl = NEGATIVE_TTL_WITHOUT_SOA
        believed: list[_Record] = []
        if soa is not None:
            minimum = int.from_bytes(self.data[soa.end - 4 : soa.end], "big")
            soa.ttl = ttl = min(soa.ttl, minimum, MAX_NEGATIVE_TTL)
            believed = [soa, *self._proofs(with_soa=True)]
            self._level_ttls(believed)
        self._level_ttls(kept)
        ttl = min([ttl, *(record.ttl for record in (*kept, *believed))])
        kind = ReplyKind.NXDOMAIN if rcode == NXDOMAIN else ReplyKind.NODATA
        return self._check_size(Reply(kind, rcode, ttl, self._answer(kept), self._uncompressed(believed)))

    def _proofs(self, *, with_soa: bool) -> list[_Record]:
        """NSEC and NSEC3 records and the signatures over them, and over the SOA of a denial."""
        if not self.dnssec:
            return []
        covered = _PROOF_TYPES | {TYPE_SOA} if with_soa else _PROOF_TYPES
        return [
            record
            for record in self.authorities
            if record.rclass == CLASS_IN
            and record.owner_lower not in self.own_names
            and (
                record.rtype in _PROOF_TYPES or (record.rtype == _TYPE_RRSIG and self._covered_type(record) in covered)
            )
        ]

    def _level_ttls(self, records: list[_Record]) -> None:
        """Give the records of each RRset, and their signatures, the lowest TTL among them."""
        lowest: dict[tuple[bytes, int], int] = {}
        keys = [
            (record.owner_lower, self._covered_type(record) if record.rtype == _TYPE_RRSIG else record.rtype)
            for record in records
        ]
        for key, record in zip(keys, records, strict=True):
            lowest[key] = min(record.ttl, lowest.get(key, record.ttl))
        for key, record in zip(keys, records, strict=True):
            record.ttl = lowest[key]

    def _covered_type(self, record: _Record) -> int:
        """The type that an RRSIG covers (RFC 4034 3.1.1)."""
        return int.from_bytes(self.data[record.rdata_start : min(record.rdata_start + 2, record.end)], "big")

    def _answer(self, kept: list[_Record]) -> RelayedPart:
        """Return the answer section as received if all of it is kept, else without compression.

        With a stray pointer a TTL may be a part of a name, which would change with it.
        """
        if len(kept) != len(self.answers) or self.names.has_stray_pointer:
            return self._uncompressed(kept)
        wire = bytearray(self.data[self.start : self.answers_end])
        ttls = tuple((record.ttl_offset - self.start, record.ttl) for record in kept)
        for at, ttl in ttls:
            _write_ttl(wire, at, ttl)
        return RelayedPart(Section(len(kept), bytes(wire)), ttls)

    def _uncompressed(self, records: list[_Record]) -> RelayedPart:
        wire = bytearray()
        ttls = []
        for record in records:
            ttls.append((len(wire) + len(record.owner) + 4, record.ttl))
            wire += record.uncompressed(self.data, self.names)
            if len(wire) > MAX_SECTIONS_SIZE:
                raise MalformedError
        return RelayedPart(Section(len(records), bytes(wire)), tuple(ttls))

    @staticmethod
    def _check_size(reply: Reply) -> Reply:
        if len(reply.answer.section.wire) + len(reply.authority.section.wire) > MAX_SECTIONS_SIZE:
            raise MalformedError
        return reply
