"""Who holds a port: from the kernel's socket tables and the descriptors of processes. On Linux; elsewhere unknown."""

import socket
from collections.abc import Iterator
from pathlib import Path


def holder(port: int, kind: socket.SocketKind) -> str:
    """``name (pid)`` of a process that has a socket bound to `port`; empty where it can't be found out."""
    inodes = set(_inodes(port, "udp" if kind is socket.SOCK_DGRAM else "tcp"))
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # it ended, or belongs to somebody else
    return ""


def _inodes(port: int, protocol: str) -> Iterator[str]:
    """The sockets bound to `port`, as links in a process's descriptors name them."""
    for table in (protocol, protocol + "6"):
        try:
            lines = (Path("/proc/net") / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            listening = protocol == "udp" or fields[3] == "0A"
            if listening and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"
