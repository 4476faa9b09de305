"""Child processes: the channel to the supervisor, the end with the parent, and CPU priority.

Rules:
- A child reads its settings as lines from standard input and exits when that pipe closes. Its messages are JSON lines
  on standard output. SIGTERM asks it to exit. SIGINT is ignored: Ctrl-C reaches the whole group, and the supervisor
  decides.
- Workers have the highest CPU priority. A worker uses short time slices: woken by a query, it would else wait for the
  slice of the running process to end, 3 ms and more. Its share of the CPU does not change (Linux 6.12: a slice of one's
  own under EEVDF).
- The controller, and the threads that answer scrapes, yield the CPU to others (nice).
- If the system knows neither, or forbids it, nothing changes.
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
_MAX_LINE: Final = 1 << 24  # bytes; settings with thousands of clusters are far below


class SupervisorChannel(NamedTuple):
    """The child's end: the lines from the supervisor, and an event that SIGTERM sets."""

    messages: asyncio.StreamReader
    stop_requested: asyncio.Event


async def open_supervisor_channel() -> SupervisorChannel:
    """Open the child's end of the channel."""
    loop = asyncio.get_running_loop()
    messages = asyncio.StreamReader(limit=_MAX_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(messages), sys.stdin.buffer)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    return SupervisorChannel(messages, stop)


def send_to_supervisor(message: Mapping[str, object]) -> None:
    """Send a message to the supervisor."""
    with contextlib.suppress(BrokenPipeError):  # it is gone; so will this process be
        sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
        sys.stdout.buffer.flush()


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent exits, even while it is stopped and cannot see a closed pipe.

    On Linux only; elsewhere the closed pipe has to suffice.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)  # it exited in between


_TIME_SLICE: Final = 100_000  # nanoseconds, the shortest that Linux takes
_NICE: Final = 10  # a ninth of an ordinary thread's share if both want the CPU, all of it if only one does
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}  # Linux: the system call's number
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")  # Linux: size, policy, flags, nice, priority, runtime, deadline, period


def use_short_time_slices() -> None:
    """Make the calling thread run soon after it is woken."""
    number = _SCHED_SETATTR.get(platform.machine()) if sys.platform == "linux" else None
    if number is not None:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        ctypes.CDLL(None).syscall(number, 0, _ATTRIBUTES.pack(_ATTRIBUTES.size, 0, 0, nice, 0, _TIME_SLICE, 0, 0), 0)


def lower_priority() -> None:
    """Make the calling thread, and those that it starts, yield the CPU to others."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id() if sys.platform == "linux" else 0, _NICE)
