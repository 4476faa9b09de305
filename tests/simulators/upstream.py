"""A name server that lies on the wire, over UDP and TCP on one loopback port.

The first label of the question names the behaviour, so that one server serves a whole table. A behaviour is a function
from a `Case` to what is sent back: a list of messages, each perhaps with a delay in seconds before it.
"""

import asyncio
import contextlib
import secrets
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rrset

ZONE_SOA = "test. 30 IN SOA ns.test. hostmaster.test. 1 2 3 4 20"


class Elsewhere(bytes):
    """A message that leaves by another port than the one it was asked on."""

    __slots__ = ()


class Case:
    """One query as it arrived; `turn` counts earlier ones for the same name."""

    def __init__(self, wire: bytes, *, tcp: bool, turn: int) -> None:
        self.wire = wire
        self.tcp = tcp
        self.turn = turn
        self.query = dns.message.from_wire(wire)
        self.name = self.query.question[0].name.to_text()

    def reply(self, *answers: str, authority: tuple[str, ...] = (), rcode: int = 0) -> dns.message.Message:
        """A proper reply; records in presentation format, ``@`` is the asked name."""
        out = dns.message.make_response(self.query, recursion_available=True)
        out.set_rcode(dns.rcode.Rcode(rcode))
        for section, lines in ((out.answer, answers), (out.authority, authority)):
            for line in lines:
                owner, ttl, rclass, rtype, rdata = line.replace("@", self.name).split(None, 4)
                section.append(dns.rrset.from_text(owner, int(ttl), rclass, rtype, rdata))
        return out

    def good(self) -> bytes:
        """What an honest server would say."""
        return self.reply("@ 60 IN A 192.0.2.1").to_wire()


Messages = list[bytes | tuple[float, bytes]]
Behaviour = Callable[[Case], Messages]


def _patched(wire: bytes, at: int, value: bytes) -> bytes:
    return wire[:at] + value + wire[at + len(value) :]


def _other_id(wire: bytes, step: int = 1) -> bytes:
    return _patched(wire, 0, ((int.from_bytes(wire[:2], "big") + step) & 0xFFFF).to_bytes(2, "big"))


def _wrong_ids(case: Case) -> Messages:
    return [case.good()] if case.tcp else [_other_id(case.good(), step) for step in range(1, 6)]


def _wrong_question(case: Case) -> Messages:
    return [case.good().replace(b"\x06wrongq", b"\x06wrongr"), case.good()]


def _wrong_port(case: Case) -> Messages:
    return [Elsewhere(case.reply("@ 60 IN A 192.0.2.66").to_wire()), case.good()]


def _no_question(case: Case) -> Messages:
    return [case.wire[:2] + b"\x81\x80" + bytes(8), case.good()]


def _truncated(case: Case) -> Messages:
    if case.tcp:
        return [case.reply(*(f"@ 60 IN A 192.0.2.{i}" for i in range(1, 201))).to_wire(max_size=65_535)]
    out = case.reply("@ 60 IN A 192.0.2.66")
    out.flags |= dns.flags.TC
    return [out.to_wire()]


def _cut(case: Case) -> Messages:
    return [case.good()] if case.tcp else [_patched(case.good(), 2, b"\x83")[:-20]]


def _bad_length(case: Case) -> Messages:
    wire = case.reply("@ 60 IN A 192.0.2.1", "@ 60 IN TXT xxxx").to_wire()
    return [wire.replace(b"\x00\x04\xc0\x00\x02\x01", b"\x00\x06\xc0\x00\x02\x01\x00\x00")]


def _flagged(case: Case) -> Messages:
    out = case.reply("@ 60 IN A 192.0.2.1")
    out.flags |= dns.flags.AA | dns.flags.AD
    return [out.to_wire()]


def _with_ttl(ttl: int) -> Behaviour:
    return lambda case: [
        case.good().replace(b"\x00\x01\x00\x01\x00\x00\x00\x3c", b"\x00\x01\x00\x01" + struct.pack(">I", ttl))
    ]


def _answer(*lines: str, authority: tuple[str, ...] = (), rcode: int = 0) -> Behaviour:
    return lambda case: [case.reply(*lines, authority=authority, rcode=rcode).to_wire()]


BEHAVIOURS: dict[str, Behaviour] = {
    "good": lambda case: [case.good()],
    "silent": lambda _: [],
    "wrongid": lambda case: [_other_id(case.good()), case.good()],
    "wrongids": _wrong_ids,
    "wrongq": _wrong_question,
    "wrongtype": lambda case: [case.good().replace(b"\x04test\x00\x00\x01", b"\x04test\x00\x00\x1c", 1), case.good()],
    "wrongport": _wrong_port,
    "qr0": lambda case: [_patched(case.good(), 2, b"\x01"), case.good()],
    "opcode": lambda case: [_patched(case.good(), 2, b"\x89"), case.good()],
    "noq": _no_question,
    "short": lambda case: [case.good()[:7], b"\0", case.good()],
    "noise": lambda case: [*(secrets.token_bytes(length) for length in (1, 11, 40, 600)), case.good()],
    "hdronly": lambda case: [case.good()[:12], case.good()],
    "tc": _truncated,
    "tccut": _cut,
    "tcpcloses": lambda case: [] if case.tcp else _truncated(case),
    "tcpwrongid": lambda case: [_other_id(case.good())] if case.tcp else _truncated(case),
    "tcpshort": lambda case: [b"\0\0"] if case.tcp else _truncated(case),
    "servfail": _answer(rcode=2),
    "refused": _answer(rcode=5),
    "formerr": _answer(rcode=1),
    "referral": _answer(authority=("test. 60 IN NS ns.test.",)),
    "nxdomain": _answer(authority=(ZONE_SOA,), rcode=3),
    "nxnosoa": _answer(rcode=3),
    "nodata": _answer(authority=(ZONE_SOA,)),
    "rdlen": _bad_length,
    "pointer": lambda case: [case.good().replace(b"\xc0\x0c\x00\x01", b"\xc0\xff\x00\x01")],
    "counts": lambda case: [_patched(case.good(), 6, b"\xff\xff")],
    "flagged": _flagged,
    "hugettl": _with_ttl(0x7FFFFFFF),
    "topbit": _with_ttl(0x80000001),
    "ttl0": _with_ttl(0),
    "foreign": _answer("@ 60 IN A 192.0.2.1", "bank.example. 60 IN A 192.0.2.66"),
    "foreignfirst": _answer("bank.example. 60 IN A 192.0.2.66", "@ 60 IN A 192.0.2.1"),
    "foreignonly": _answer("bank.example. 60 IN A 192.0.2.66"),
    "extra": _answer("@ 60 IN A 192.0.2.1", authority=("test. 60 IN NS ns.evil.",)),
    "cname": _answer("@ 60 IN CNAME x.test.", "x.test. 30 IN CNAME y.test.", "y.test. 40 IN A 192.0.2.2"),
    "slow": lambda case: [(2.5, case.good())],
}
"""Closed table of what the server can do."""


class Upstream(asyncio.DatagramProtocol):
    """The running server. `seen` counts queries by first label, `sources` and `ids` note where UDP ones came from."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: Counter[str] = Counter()
        self.wires: list[bytes] = []
        self.sources: list[int] = []
        self.ids: list[int] = []
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a port that is free for both transports."""
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._tcp = await asyncio.start_server(self._serve, sock=listener)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self.port))

    async def stop(self) -> None:
        """Close both."""
        if self._udp is not None and self._tcp is not None:
            self._udp.close()
            self._tcp.close()
            await self._tcp.wait_closed()
        await asyncio.sleep(0)  # the datagram transport closes its socket in the next turn of the loop

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Behave as the question says."""
        self.sources.append(addr[1])
        self.ids.append(int.from_bytes(data[:2], "big"))
        for message in self._behave(data, tcp=False):
            delay, wire = message if isinstance(message, tuple) else (0.0, message)
            if delay:
                asyncio.get_running_loop().call_later(delay, self._send, wire, addr)
            else:
                self._send(wire, addr)

    def _send(self, wire: bytes, addr: tuple[str, int]) -> None:
        if isinstance(wire, Elsewhere):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(("127.0.0.1", 0))
                sock.sendto(wire, addr)
        elif self._udp is not None and not self._udp.is_closing():
            self._udp.sendto(wire, addr)

    def _behave(self, data: bytes, *, tcp: bool) -> Messages:
        label = data[13 : 13 + data[12]].decode()
        case = Case(data, tcp=tcp, turn=self.seen[label])
        self.seen[label] += 1
        self.wires.append(data)
        return BEHAVIOURS.get(label.partition("-")[0], BEHAVIOURS["good"])(case)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            length = int.from_bytes(await reader.readexactly(2), "big")
            for message in self._behave(await reader.readexactly(length), tcp=True):
                wire = message[1] if isinstance(message, tuple) else message
                writer.write(len(wire).to_bytes(2, "big") + wire)
            await writer.drain()
        writer.close()


async def serving(body: Callable[[Upstream], Awaitable[None]]) -> None:
    """Run `body` against a fresh server."""
    upstream = Upstream()
    await upstream.start()
    try:
        await body(upstream)
    finally:
        await upstream.stop()
