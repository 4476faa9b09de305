"""What a lying name server can do, by name.

A behaviour is a function from a `Case` to what is sent back, in order. What only a liar would say is `FORGED`, and must
reach no client; `TRUE` is what an honest server would say. In records, ``@`` is the asked name and ``test.`` what is
above its first label. `meanings` says of each behaviour what it is and what a client should hear of it.
"""

import secrets
import struct
from collections.abc import Callable
from typing import Final, TypeAlias

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

TRUE: Final = "192.0.2.1"
FORGED: Final = "192.0.2.66"
SOA: Final = "test. 30 IN SOA ns.test. hostmaster.test. 1 2 3 4 20"

_ANSWER: Final = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04"  # how dnspython writes ``@ 60 IN A``
_OPT: Final = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"


class FromOtherPort(bytes):
    """A message that leaves by another port than the one it was asked on."""

    __slots__ = ()


class Raw(bytes):
    """Octets for a TCP stream as they are, without a length in front; nothing over UDP."""

    __slots__ = ()


class Reset(bytes):
    """The end of a TCP connection by RST; nothing over UDP."""

    __slots__ = ()


class Case:
    """One query as it arrived; `turn` counts earlier ones for the same name."""

    def __init__(self, wire: bytes, *, tcp: bool, turn: int) -> None:
        self.wire = wire
        self.tcp = tcp
        self.turn = turn
        self.query = dns.message.from_wire(wire)
        self.name = self.query.question[0].name.to_text()
        self.zone = self.name.partition(".")[2] or "."

    def reply(self, *answers: str, authority: tuple[str, ...] = (), rcode: int = 0) -> dns.message.Message:
        """A proper reply; records in presentation format, ``@`` and ``test.`` as in the rules above."""
        out = dns.message.make_response(self.query, recursion_available=True)
        out.set_rcode(dns.rcode.Rcode(rcode))
        for section, lines in ((out.answer, answers), (out.authority, authority)):
            for line in lines:
                named = line.replace("test.", self.zone).replace("@", self.name)
                owner, ttl, rclass, rtype, rdata = named.split(None, 4)
                section.append(dns.rrset.from_text(owner, int(ttl), rclass, rtype, rdata))
        return out

    def good(self) -> bytes:
        """What an honest server would say."""
        return self.reply(f"@ 60 IN A {TRUE}").to_wire()

    def forged(self) -> bytes:
        """A lie in proper form."""
        return self.reply(f"@ 60 IN A {FORGED}").to_wire()


Messages: TypeAlias = list[bytes | tuple[float, bytes]]
Behaviour: TypeAlias = Callable[[Case], Messages]


def truncated(case: Case) -> Messages:
    """TC over UDP with a record that must not be believed, all of a big answer over TCP."""
    if case.tcp:
        return [case.reply(*(f"@ 60 IN A 198.51.100.{i}" for i in range(1, 201))).to_wire(max_size=65_535)]
    out = case.reply(f"@ 60 IN A {FORGED}")
    out.flags |= dns.flags.TC
    return [out.to_wire()]


# ---------------------------------------------------------------------------------------------- parts of behaviours


def _patched(wire: bytes, at: int, value: bytes) -> bytes:
    return wire[:at] + value + wire[at + len(value) :]


def _swapped(wire: bytes, old: bytes, new: bytes) -> bytes:
    if old not in wire:
        raise ValueError(f"{old!r} does not occur in the reply; correct the behaviour")
    return wire.replace(old, new, 1)


def _other_id(wire: bytes, step: int = 1) -> bytes:
    return _patched(wire, 0, ((int.from_bytes(wire[:2], "big") + step) & 0xFFFF).to_bytes(2, "big"))


def _answer(*lines: str, authority: tuple[str, ...] = (), rcode: int = 0) -> Behaviour:
    return lambda case: [case.reply(*lines, authority=authority, rcode=rcode).to_wire(max_size=65_535)]


def _lie_first(lie: Callable[[bytes], bytes]) -> Behaviour:
    """A forged reply changed by `lie`, then the true one."""
    return lambda case: [lie(case.forged()), case.good()]


def _forged_body(change: Callable[[bytes], bytes]) -> Behaviour:
    """Nothing but a forged reply to the right question whose records are changed."""
    return lambda case: [change(case.forged())]


def _good_body(change: Callable[[bytes], bytes]) -> Behaviour:
    """Nothing but a true reply, changed."""
    return lambda case: [change(case.good())]


def _over_tcp(behaviour: Behaviour) -> Behaviour:
    """TC over UDP, and the behaviour over TCP."""
    return lambda case: behaviour(case) if case.tcp else truncated(case)


def _on_turn(number: int) -> Behaviour:
    """Silent before the query of that number, from 0."""
    return lambda case: [case.good()] if case.turn >= number else []


def _question_end(wire: bytes) -> int:
    return wire.index(b"\0\0\x01\0\x01", 12) + 5


def _owner(owner: bytes) -> Callable[[bytes], bytes]:
    """The answer's owner as these octets."""
    return lambda wire: _swapped(wire, _ANSWER, owner + _ANSWER[2:])


def _length(length: int, rdata: bytes) -> Callable[[bytes], bytes]:
    """The answer's RDLENGTH and RDATA."""
    return lambda wire: _swapped(
        wire, _ANSWER + bytes([192, 0, 2, 66]), _ANSWER[:-2] + length.to_bytes(2, "big") + rdata
    )


def _ttl(ttl: int) -> Behaviour:
    return _good_body(lambda wire: _swapped(wire, _ANSWER, _ANSWER[:6] + struct.pack(">I", ttl) + _ANSWER[10:]))


def _two_questions(case: Case) -> Messages:
    wire = case.forged()
    end = _question_end(wire)
    return [_patched(wire[:end] + wire[12:end] + wire[end:], 4, b"\0\2"), case.good()]


def _with_opt(number: int, opt: bytes) -> Callable[[bytes], bytes]:
    """The reply's OPT as these octets, counted as so many additional records."""
    return lambda wire: _patched(wire.removesuffix(_our_opt(wire)) + opt, 10, number.to_bytes(2, "big"))


def _our_opt(wire: bytes) -> bytes:
    """The reply's own OPT; none where the query had none."""
    at = wire.rfind(b"\x00\x00\x29")
    return wire[at:] if at >= 0 else b""


def _flags(extra: int) -> Callable[[bytes], bytes]:
    return lambda wire: _patched(wire, 2, (int.from_bytes(wire[2:4], "big") | extra).to_bytes(2, "big"))


def _without_edns(case: Case) -> Messages:
    return [case.good()] if case.query.edns < 0 else [case.reply(rcode=1).to_wire()]


def _additional(case: Case) -> Messages:
    out = case.reply(f"@ 60 IN A {TRUE}")
    out.additional.append(dns.rrset.from_text("bank.example.", 60, "IN", "A", FORGED))
    return [out.to_wire()]


def _many(number: int) -> Behaviour:
    """So many records over UDP, whatever was announced."""
    return _answer(*(f"@ 60 IN A 198.51.{i // 256}.{i % 256}" for i in range(number)))


def _chain(length: int) -> Behaviour:
    links = [f"{'@' if not i else f'c{i}.test.'} 60 IN CNAME c{i + 1}.test." for i in range(length)]
    return _answer(*links, f"c{length}.test. 60 IN A {TRUE}")


def _wrong_ids(case: Case) -> Messages:
    return [case.good()] if case.tcp else [_other_id(case.forged(), step) for step in range(1, 6)]


def _dribbled(case: Case) -> Messages:
    wire = case.good()
    return [Raw(bytes([octet])) for octet in len(wire).to_bytes(2, "big") + wire]


BEHAVIOURS: Final[dict[str, Behaviour]] = {
    # honest servers, quick and slow
    "good": lambda case: [case.good()],
    "twice": lambda case: [case.good(), case.good()],
    "delayed": lambda case: [(0.2, case.good())],
    "silent": lambda _: [],
    "second": _on_turn(1),
    "third": _on_turn(2),
    "slow": lambda case: [(2.5, case.good())],
    # replies to something else
    "wrongid": _lie_first(_other_id),
    "wrongids": _wrong_ids,
    "manyids": lambda case: [*(_other_id(case.forged(), step) for step in range(1, 201)), case.good()],
    "wrongport": lambda case: [FromOtherPort(case.forged()), case.good()],
    "wrongq": _lie_first(lambda wire: _patched(wire, 13, b"~")),
    "wrongtype": _lie_first(lambda wire: _swapped(wire, b"\x04test\0\0\x01", b"\x04test\0\0\x1c")),
    "wrongclass": _lie_first(lambda wire: _swapped(wire, b"\x04test\0\0\x01\0\x01", b"\x04test\0\0\x01\0\x03")),
    "parentq": _lie_first(lambda wire: wire[:12] + wire[13 + wire[12] :]),
    "childq": _lie_first(lambda wire: wire[:12] + b"\1x" + wire[12:]),
    "noq": _lie_first(lambda wire: _patched(wire[:12] + wire[_question_end(wire) :], 4, b"\0\0")),
    "noqbare": _lie_first(lambda wire: wire[:2] + b"\x81\x80" + bytes(8)),
    "twoq": _two_questions,
    "qr0": _lie_first(lambda wire: _patched(wire, 2, b"\x01")),
    "echo": lambda case: [case.wire, case.good()],
    "opcode": _lie_first(lambda wire: _patched(wire, 2, b"\x89")),
    "upcase": _good_body(lambda wire: _patched(wire, 13, wire[13:14].upper())),
    # no messages at all
    "short": lambda case: [case.forged()[:7], b"\0", case.good()],
    "noise": lambda case: [*(secrets.token_bytes(length) for length in (1, 11, 40, 600)), case.good()],
    "hdronly": _lie_first(lambda wire: wire[:12]),
    # sizes
    "tc": truncated,
    "tccut": lambda case: [case.good()] if case.tcp else [_flags(0x0200)(case.forged())[:-20]],
    "tctwice": lambda case: [_flags(0x0200)(case.forged())],
    "big": _many(100),
    "huge": _many(300),
    "thousand": _many(1001),
    "trailing": _good_body(lambda wire: wire + b"trailing octets"),
    # TCP streams
    "tcpcloses": _over_tcp(lambda _: [Raw()]),
    "tcpsilent": _over_tcp(lambda _: []),
    "tcpresets": _over_tcp(lambda _: [Reset()]),
    "tcphalf": _over_tcp(lambda _: [Raw(b"\0")]),
    "tcpcut": _over_tcp(lambda case: [Raw(b"\xff\xff" + case.forged())]),
    "tcpzero": _over_tcp(lambda _: [Raw(b"\0\0")]),
    "tcpshort": _over_tcp(lambda _: [b"\0\0"]),
    "tcpwrongid": _over_tcp(lambda case: [_other_id(case.forged())]),
    "tcptwo": _over_tcp(lambda case: [case.good(), _other_id(case.forged())]),
    "tcpdribble": _over_tcp(_dribbled),
    "tcpnoise": _over_tcp(lambda _: [Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")]),
    # errors
    "servfail": _answer(rcode=2),
    "refused": _answer(rcode=5),
    "formerr": _answer(rcode=1),
    "noedns": _without_edns,
    "notimp": _answer(rcode=4),
    "yxdomain": _answer(rcode=6),
    "notauth": _answer(rcode=9),
    "rcode15": _good_body(_flags(0x000F)),
    "failwith": _answer(f"@ 60 IN A {FORGED}", rcode=2),
    "badvers": _forged_body(_with_opt(1, b"\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00")),
    "referral": _answer(authority=("test. 60 IN NS ns.test.",)),
    "upward": _answer(authority=(". 60 IN NS ns.test.",)),
    # denials
    "nxdomain": _answer(authority=(SOA,), rcode=3),
    "nxnosoa": _answer(rcode=3),
    "nxforeign": _answer(authority=("example. 30 IN SOA ns.test. hostmaster.test. 1 2 3 4 20",), rcode=3),
    "nxanswer": _answer(f"@ 60 IN A {FORGED}", authority=(SOA,), rcode=3),
    "nodata": _answer(authority=(SOA,)),
    "nodatalong": _answer(authority=(SOA.replace(" 30 ", " 900000 ").replace(" 20", " 900000"),)),
    # broken records
    "pointer": _forged_body(_owner(b"\xc0\xff")),
    "ptrself": lambda case: [_owner(struct.pack(">H", 0xC000 | _question_end(case.wire)))(case.forged())],
    "ptrheader": _forged_body(_owner(b"\xc0\x00")),
    "ptrcut": _forged_body(lambda wire: _patched(wire[: _question_end(wire)], 10, b"\0\0") + b"\xc0"),
    "labeltype": _forged_body(_owner(b"\x41\xc0\x0c")),
    "longname": _forged_body(_owner((b"\x3f" + b"x" * 63) * 4 + b"\0")),
    "rdlen": _forged_body(_length(6, bytes([192, 0, 2, 66, 0, 0]))),
    "rdshort": _forged_body(_length(3, bytes([192, 0, 2]))),
    "rdempty": _forged_body(_length(0, b"")),
    "rdover": _forged_body(_length(4000, bytes([192, 0, 2, 66]))),
    "rdcname": _forged_body(lambda wire: _swapped(wire, b"\0\x01\0\x01\0\0\0\x3c", b"\0\x05\0\x01\0\0\0\x3c")),
    "counts": _forged_body(lambda wire: _patched(wire, 6, b"\xff\xff")),
    "onemore": _forged_body(lambda wire: _patched(wire, 6, b"\0\2")),
    "oneless": _good_body(lambda wire: _patched(wire, 10, b"\0\0")),
    # EDNS
    "noopt": _good_body(_with_opt(0, b"")),
    "twoopt": _forged_body(_with_opt(2, _OPT + _OPT)),
    "optname": _forged_body(_with_opt(1, b"\1x" + _OPT)),
    "optoption": _good_body(_with_opt(1, b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x04\xfd\xe9\x00\x00")),
    # flags and TTLs
    "flagged": _good_body(_flags(dns.flags.AA | dns.flags.AD | 0x0040)),
    "hugettl": _ttl(0x7FFFFFFF),
    "topbit": _ttl(0x80000001),
    "ttl0": _ttl(0),
    # records that nobody asked for
    "foreign": _answer(f"@ 60 IN A {TRUE}", f"bank.example. 60 IN A {FORGED}"),
    "foreignfirst": _answer(f"bank.example. 60 IN A {FORGED}", f"@ 60 IN A {TRUE}"),
    "foreignonly": _answer(f"bank.example. 60 IN A {FORGED}"),
    "othertype": _answer("@ 60 IN AAAA 2001:db8::66"),
    "chaos": _forged_body(lambda wire: _swapped(wire, _ANSWER, _ANSWER[:4] + b"\0\3" + _ANSWER[6:])),
    "authority": _answer(f"@ 60 IN A {TRUE}", authority=("test. 60 IN NS ns.evil.",)),
    "additional": _additional,
    # chains
    "cname": _answer("@ 60 IN CNAME x.test.", "x.test. 30 IN CNAME y.test.", "y.test. 40 IN A 192.0.2.2"),
    "cnameonly": _answer("@ 60 IN CNAME x.test."),
    "cnameself": _answer("@ 60 IN CNAME @"),
    "cnamering": _answer("@ 60 IN CNAME x.test.", "x.test. 60 IN CNAME @", f"z.test. 60 IN A {FORGED}"),
    "cnameoff": _answer("@ 60 IN CNAME x.test.", f"z.test. 60 IN A {FORGED}"),
    "cnametwo": _answer("@ 60 IN CNAME x.test.", "@ 60 IN CNAME z.test.", f"z.test. 60 IN A {FORGED}"),
    "cnamelong": _chain(150),
    "dname": _answer("test. 60 IN DNAME z.example.", "@ 60 IN CNAME q.z.example.", f"q.z.example. 60 IN A {TRUE}"),
}
"""Closed table of what the server can do."""
