"""The bond between the supervisor and its children: lines both ways, and no child that outlives its parent.

A child reads its orders as lines from standard input and ends when that pipe closes. What it says are JSON lines on
standard output. SIGTERM asks it to end; SIGINT is not for it: Ctrl-C reaches the whole group, the supervisor decides.

Who goes first where processes want the same processor: workers, then everybody else.

Rules:
- A worker asks for short turns. Woken by a query it would else wait for the turn of whoever runs to end, 3 ms and more;
  its share of the processor stays what it was (Linux 6.12: a slice of one's own under EEVDF).
- The controller, and who answers scrapes, leave the processor to others where it is wanted (nice).
- Where the system knows neither, or forbids it, nothing changes.
"""

import asyncio
import contextlib
import ctypes
import os
import platform
import signal
import struct
import sys
import threading
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_MAX_LINE: Final = 1 << 24  # octets; settings with thousands of clusters are far below


class SupervisorChannel(NamedTuple):
    """The child's end: where its orders come from, and what is set when it is asked to end."""

    messages: asyncio.StreamReader
    stop_requested: asyncio.Event


async def open_supervisor_channel() -> SupervisorChannel:
    """Take up the child's end."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=_MAX_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin.buffer)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    return SupervisorChannel(orders, stop)


def send_to_supervisor(message: Mapping[str, int | str | bool]) -> None:
    """Tell the supervisor."""
    with contextlib.suppress(BrokenPipeError):  # it is gone; so will this process be
        sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
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


_TIME_SLICE: Final = 100_000  # nanoseconds, the shortest that Linux takes
_NICE: Final = 10  # a ninth of an ordinary thread's share where both want the processor, all of it where one does
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}  # Linux: the system call's number
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")  # Linux: size, policy, flags, nice, priority, runtime, deadline, period


def use_short_time_slices() -> None:
    """Have the calling thread run soon after it was woken."""
    number = _SCHED_SETATTR.get(platform.machine()) if sys.platform == "linux" else None
    if number is not None:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        ctypes.CDLL(None).syscall(number, 0, _ATTRIBUTES.pack(_ATTRIBUTES.size, 0, 0, nice, 0, _TIME_SLICE, 0, 0), 0)


def lower_priority() -> None:
    """Have the calling thread, and those that it starts, leave the processor to others where it is wanted."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id() if sys.platform == "linux" else 0, _NICE)
