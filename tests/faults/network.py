"""A network namespace in which addresses can be cut off and connections be counted (Linux, root)."""

import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from tests.rig.packages import program

_ALL_PROTOCOLS = 3  # ETH_P_ALL, linux/if_ether.h
_ETHERNET, _IPV4, _TCP = 14, 0x45, 6
_SYN, _ACK = 2, 16
_LOOK = 0.5  # seconds after which the counter looks whether it is to end


def own(addresses: list[str]) -> None:
    """Give this namespace's loopback interface the addresses, and let rules speak before the table of own addresses."""
    _ip("link", "set", "lo", "up")
    for address in addresses:
        _ip("address", "add", f"{address}/32", "dev", "lo")
        # clients come from another address than the server's, so that only one way can be cut
        _ip("route", "replace", "local", address, "dev", "lo", "table", "local", "src", "127.0.0.1")
    _ip("rule", "add", "priority", "100", "lookup", "local")
    _ip("rule", "del", "priority", "0")


def drop(address: str) -> None:
    """Drop every packet from an address, in silence: no RST, no ICMP, in the middle of open connections too."""
    _ip("rule", "add", "priority", "1", "from", address, "blackhole")


def pass_on(address: str) -> None:
    """Undo `drop`."""
    _ip("rule", "del", "priority", "1", "from", address, "blackhole")


def cut(address: str) -> None:
    """Reset all open connections to an address."""
    subprocess.run([program("ss"), "-K", "dst", address], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run([program("ip"), *arguments], check=True, capture_output=True)


class Connections:
    """Attempts to connect, by the address they are for: a SYN from a port that did not send one just before."""

    def __init__(self) -> None:
        self._attempts: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._counts: defaultdict[str, list[float]] = defaultdict(list)
        self._over = threading.Event()

    def between(self, address: str, begin: float, end: float) -> int:
        """How many began in a stretch of monotonic time."""
        return sum(begin <= at <= end for at in self._counts[address])

    @contextmanager
    def counting(self) -> Iterator["Connections"]:
        """Count inside the block."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)) as wire:
            wire.bind(("lo", _ALL_PROTOCOLS))
            wire.settimeout(_LOOK)
            reader = threading.Thread(target=self._read, args=(wire,), name="connections")
            reader.start()
            try:
                yield self
            finally:
                self._over.set()
                reader.join()

    def _read(self, wire: socket.socket) -> None:
        while not self._over.is_set():
            try:
                packet = wire.recv(80)[_ETHERNET:]
            except TimeoutError:
                continue
            if packet[:1] == bytes([_IPV4]) and packet[9] == _TCP and packet[33] & (_SYN | _ACK) == _SYN:
                self._note(socket.inet_ntoa(packet[16:20]), int.from_bytes(packet[20:22]), time.monotonic())

    def _note(self, address: str, port: int, now: float) -> None:
        """One packet; over the loopback interface each is seen twice, and unanswered ones are sent again."""
        before = self._attempts[address].get(port)
        self._attempts[address][port] = now
        if before is None or now - before > 40:
            self._counts[address].append(now)
