"""A capture read twice: by hand and dnspython, and by tshark."""

import ipaddress
import struct
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import dns.message
import dns.opcode
import dns.rdatatype

from tests.rig.packages import program

_ETHERNET: Final = 14
_UDP: Final = 17
_TCP: Final = 6
_OPT: Final = 41
_FIELDS: Final = (
    *("frame.number", "dns.id", "dns.flags", "dns.count.queries", "dns.count.answers", "dns.count.auth_rr"),
    *("dns.count.add_rr", "dns.resp.type", "dns.a", "dns.aaaa", "_ws.malformed"),
)


@dataclass(frozen=True)
class Packet:
    """One packet; `number` counts from 1, `fragment` says that it is one of several."""

    number: int
    protocol: int
    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes
    fragment: bool
    sequence: int = 0


class Decoded(NamedTuple):
    """What both decoders tell of one message; types and addresses sorted. Counts only where the opcode is QUERY's."""

    ident: int
    flags: int
    counts: tuple[int, ...]
    types: tuple[int, ...]
    addresses: tuple[str, ...]


def packets(path: Path) -> Iterator[Packet]:
    """The UDP and TCP packets of a capture."""
    octets = path.read_bytes()
    at, number = 24, 0
    while at < len(octets):
        number += 1
        size = struct.unpack_from("<I", octets, at + 8)[0]
        frame = octets[at + 16 : at + 16 + size]
        at += 16 + size
        packet = _packet(number, frame)
        if packet is not None:
            yield packet


def _packet(number: int, frame: bytes) -> Packet | None:
    ip = frame[_ETHERNET:]
    if ip[0] >> 4 == 4:
        length = (ip[0] & 15) * 4
        hosts = (str(ipaddress.ip_address(ip[12:16])), str(ipaddress.ip_address(ip[16:20])))
        fragment = bool((ip[6] << 8 | ip[7]) & 0x3FFF)
        protocol, total = ip[9], ip[2] << 8 | ip[3]
    else:
        length, protocol, total = 40, ip[6], 40 + (ip[4] << 8 | ip[5])
        hosts = (str(ipaddress.ip_address(ip[8:24])), str(ipaddress.ip_address(ip[24:40])))
        fragment = protocol == 44
    if protocol not in (_UDP, _TCP):
        return None
    segment = ip[length : total or None]
    source, target = ((host, segment[at] << 8 | segment[at + 1]) for host, at in zip(hosts, (0, 2), strict=True))
    head = 8 if protocol == _UDP else segment[12] >> 4 << 2
    sequence = 0 if protocol == _UDP else int.from_bytes(segment[4:8], "big")
    return Packet(number, protocol, source, target, segment[head:], fragment, sequence)


def streams(found: list[Packet]) -> Iterator[bytes]:
    """The messages of the TCP connections, length prefixes taken off."""
    connections: dict[tuple[tuple[str, int], tuple[str, int]], dict[int, bytes]] = defaultdict(dict)
    for packet in found:
        if packet.protocol == _TCP and packet.payload:
            connections[packet.source, packet.target][packet.sequence] = packet.payload
    for segments in connections.values():
        octets = b"".join(segments[sequence] for sequence in sorted(segments))
        while octets:
            size = int.from_bytes(octets[:2], "big")
            yield octets[2 : 2 + size]
            octets = octets[2 + size :]


def by_dnspython(wire: bytes) -> Decoded:
    """A message as dnspython reads it, whole and without trailing octets; raises where it is malformed."""
    message = dns.message.from_wire(wire)
    query = message.opcode() == dns.opcode.QUERY
    records = [(rrset.rdtype, rdata) for section in message.sections[1:] for rrset in section for rdata in rrset]
    types = [int(rtype) for rtype, _ in records] + [_OPT] * (message.edns >= 0)
    addresses = [rdata.to_text() for rtype, rdata in records if rtype in (dns.rdatatype.A, dns.rdatatype.AAAA)]
    counts = [sum(map(len, section)) for section in message.sections[1:]]
    counts[2] += message.edns >= 0
    flags = int.from_bytes(wire[2:4], "big")
    return Decoded(
        message.id,
        flags,
        (len(message.question), *counts) if query else (),
        tuple(sorted(types)),
        tuple(sorted(addresses)),
    )


def by_tshark(path: Path, *, dns_ports: tuple[int, ...], wanted: str) -> list[tuple[Mapping[str, str], list[Decoded]]]:
    """The messages of each frame that the display filter `wanted` selects, and the frame's fields."""
    command = [
        program("tshark"),
        "-n",
        "-r",
        str(path),
        "-Y",
        f"dns && !icmp && !icmpv6 && ({wanted})",
        "-T",
        "fields",
        "-E",
        "separator=|",
    ]
    for port in dns_ports:
        command += ["-d", f"udp.port=={port},dns", "-d", f"tcp.port=={port},dns"]
    for name in _FIELDS:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280)
    return [_frame(line) for line in done.stdout.splitlines()]


def _frame(line: str) -> tuple[Mapping[str, str], list[Decoded]]:
    fields = dict(zip(_FIELDS, line.split("|"), strict=True))
    lists = {name: text.split(",") if text else [] for name, text in fields.items()}
    idents = [int(text, 16) for text in lists["dns.id"]]
    flags = [int(text, 16) for text in lists["dns.flags"]]
    counts = [[int(text) for text in lists[name]] for name in _FIELDS[3:7]]
    types = [int(text) for text in lists["dns.resp.type"]]
    addresses = [str(ipaddress.ip_address(text)) for name in ("dns.a", "dns.aaaa") for text in lists[name]]
    if len(idents) != 1:  # several messages in one TCP segment: their records are in one list
        return fields, [Decoded(ident, flag, (), (), ()) for ident, flag in zip(idents, flags, strict=True)]
    query = not flags[0] & 0x7800
    sections = tuple(number for each in counts for number in each) if query else ()
    return fields, [Decoded(idents[0], flags[0], sections, tuple(sorted(types)), tuple(sorted(addresses)))]
