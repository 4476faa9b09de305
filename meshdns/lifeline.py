"""The bond between the supervisor and its children: lines both ways, and no child that outlives its parent.

A child reads its orders as lines from standard input and ends when that pipe closes. What it says are JSON lines on
standard output. SIGTERM asks it to end; SIGINT is not for it: Ctrl-C reaches the whole group, the supervisor decides.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_MAX_LINE: Final = 1 << 24  # octets; settings with thousands of clusters are far below


class Bond(NamedTuple):
    """The child's end: where its orders come from, and what is set when it is asked to end."""

    orders: asyncio.StreamReader
    stop: asyncio.Event


async def bond() -> Bond:
    """Take up the child's end."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=_MAX_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin.buffer)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    return Bond(orders, stop)


def say(value: Mapping[str, int | str | bool]) -> None:
    """Tell the supervisor."""
    with contextlib.suppress(BrokenPipeError):  # it is gone; so will this process be
        sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
        sys.stdout.buffer.flush()


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, even while it is stopped and cannot notice a closed pipe.

    On Linux only; elsewhere the closed pipe must do.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)  # it died in between
