"""All packets of one scene: ``python -m tests.fuzz.wiretap FILE``, in a network namespace of its own.

An instance on IPv4 and IPv6 with a resolver behind it is asked in every way that the tables of the tests know, and by
mutated messages. What leaves is captured into FILE (pcap); the ports are printed as JSON. The loopback device has the
smallest MTU of IPv6, so that a datagram that is too large would leave in fragments.
"""

import itertools
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import dns.message

from tests.dns.test_query import ANSWERED, REFUSED_QUERIES
from tests.e2e import boutique
from tests.e2e.instance import on_boutique, wait_until_ready
from tests.fuzz import seeds
from tests.fuzz.mutation import Dice, mutations
from tests.rig.ports import free_port
from tests.rig.unbound import Unbound

MTU: Final = 1280
_ALL: Final = 3  # ETH_P_ALL
_OUTGOING: Final = 4  # PACKET_OUTGOING: on loopback each packet is seen going out and coming in
_ROOM: Final = 64 << 20
_SO_RCVBUFFORCE: Final = 33
_PATIENCE: Final = 0.05  # seconds for the reply to a message that may get none
_MUTATED: Final = 500
_LONGEST: Final = 1200  # octets that a client sends over UDP: what is in fragments is not its doing
_RECORDS: Final = [
    {"name": "reviews.prod.global", "type": "A", "value": "198.51.100.7"},
    {"name": "*.wild.prod.global", "type": "A", "value": "198.51.100.8"},
    {"name": "six.prod.global", "type": "AAAA", "value": "2001:db8::7"},
    *({"name": "many.prod.global", "type": "TXT", "value": f"{number:02}" + "x" * 60} for number in range(30)),
]
_BEHIND: Final = [
    "www.example.com. 60 IN A 192.0.2.80",
    "www.example.com. 60 IN AAAA 2001:db8::80",
    "alias.example.com. 60 IN CNAME www.example.com.",
    "mail.example.com. 60 IN MX 10 www.example.com.",
    "srv.example.com. 60 IN SRV 1 2 3 www.example.com.",
    *(f'big.example.com. 60 IN TXT "{number:02} {"x" * 90}"' for number in range(40)),
]
_NAMES: Final = (
    *("www.example.com", "alias.example.com", "mail.example.com", "srv.example.com", "big.example.com", "no.example"),
    *("reviews.prod.global", "x.wild.prod.global", "six.prod.global", "many.prod.global", "prod.global", "global"),
    *("frontend.default.global", "_http._tcp.frontend.default.global", "x.test", "1.0.0.127.in-addr.arpa", "."),
)
_TYPES: Final = ("A", "AAAA", "TXT", "MX", "SRV", "SOA", "NS", "ANY", "TYPE65280", "PTR")


class Tap:
    """Captures what leaves on the loopback device into a file, until the block ends."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        self._socket.bind(("lo", _ALL))
        self._socket.settimeout(0.2)
        self._file = path.open("wb")
        self._file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._file.close()
        self._socket.close()

    def _run(self) -> None:
        number = 0
        while True:
            try:
                packet, source = self._socket.recvfrom(1 << 18)
            except TimeoutError:
                if self._stop.is_set():
                    return
                continue
            if source[2] == _OUTGOING:
                number += 1
                self._file.write(struct.pack("<IIII", number, 0, len(packet), len(packet)) + packet)


def questions() -> Iterator[bytes]:
    """Every name for every type, plain and with all that EDNS offers."""
    for name, rtype in itertools.product(_NAMES, _TYPES):
        yield dns.message.make_query(name, rtype).to_wire()
        yield dns.message.make_query(name, rtype, use_edns=0, payload=1232, want_dnssec=True).to_wire()
    yield from ANSWERED.values()
    yield from (row[0] for row in REFUSED_QUERIES.values())
    yield from seeds.questions()


def _ask_all(server: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    every = list(questions())
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect(server)
        for message in every:
            if len(message) > _LONGEST:
                continue
            client.send(message)
            client.recv(65_535)
        client.settimeout(_PATIENCE)
        for message in itertools.islice(mutations(every, Dice(5), longest=_LONGEST), _MUTATED):
            client.send(message)
            try:
                client.recv(65_535)
            except TimeoutError:
                continue
    for pipelined in (every[at : at + 10] for at in range(0, len(every), 10)):
        with socket.create_connection(server, timeout=5) as client, client.makefile("rb") as stream:
            client.sendall(b"".join(len(message).to_bytes(2, "big") + message for message in pipelined))
            for _ in pipelined:
                stream.read(int.from_bytes(stream.read(2), "big"))


def main() -> None:
    """Play the scene."""
    subprocess.run(["ip", "link", "set", "lo", "mtu", str(MTU), "up"], check=True)
    port = free_port()
    listen = [f"127.0.0.1:{port}", f"[::1]:{port}"]
    with Unbound(_BEHIND) as resolver:
        instance = on_boutique(boutique.ZONE, resolver, records=_RECORDS, listen=listen)
        instance.port = port
        with Tap(Path(sys.argv[1])), instance:
            wait_until_ready(instance)
            for host in ("127.0.0.1", "::1"):
                _ask_all((host, port))
        sys.stdout.write(json.dumps({"server": port, "resolver": resolver.port}) + "\n")


if __name__ == "__main__":
    main()
