"""Raw queries for the load generator, and a client that asks one of them."""

import hashlib
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from tests.rig.ports import LOOPBACK

NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
UNIQUE_LABEL = "00000000"
"""Starts a name whose first eight octets the generator replaces by a counter."""

_header = struct.Struct(">HHHHHH")
_RECURSION_DESIRED = 0x0100
_OPT_1232 = bytes.fromhex("00 0029 04d0 00000000 0000")  # as dig and resolvers send it: 1232 octets, no options


@dataclass(frozen=True)
class Packets:
    """Queries and what a right reply has: the rcode and no fewer than `answers` records.

    `unique`: the generator makes the first label of each one new. `tcp`: they are pipelined on few connections.
    """

    queries: tuple[bytes, ...]
    rcode: int = NOERROR
    answers: int = 1
    unique: bool = False
    tcp: bool = False

    def file(self) -> bytes:
        """As the generator reads them: each behind its size in two octets."""
        return b"".join(len(query).to_bytes(2, "big") + query for query in self.queries)


def query(name: str, *, edns: bool = False) -> bytes:
    """A query for the A records of a name, with id 0."""
    header = _header.pack(0, _RECURSION_DESIRED, 1, 0, 0, int(edns))
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + b"\0\0\1\0\1" + (_OPT_1232 if edns else b"")


def mixed_case(name: str, salt: int) -> str:
    """The name with about half of its letters in upper case, others for another salt (0x20 encoding)."""
    bits = int.from_bytes(hashlib.sha256(f"{name}{salt}".encode()).digest(), "big")
    return "".join(letter.upper() if bits >> at & 1 else letter for at, letter in enumerate(name))


def ask(port: int, message: bytes, *, patience: float = 0.5) -> bytes:
    """The reply to one query over UDP, empty where none came within `patience` seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(patience)
        client.connect((LOOPBACK, port))
        try:
            client.send(message)
            return client.recv(65535)
        except OSError:
            return b""


def is_right(reply: bytes, addresses: Iterable[str]) -> bool:
    """Whether a reply is NOERROR and holds all these addresses."""
    packed = [IPv4Address(address).packed for address in addresses]
    return len(reply) > _header.size and reply[3] & 15 == NOERROR and all(octets in reply[12:] for octets in packed)
