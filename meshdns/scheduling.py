"""Who goes first where processes want the same processor: workers, then everybody else.

Rules:
- A worker asks for short turns. Woken by a query it would else wait for the turn of whoever runs to end, 3 ms and more;
  its share of the processor stays what it was (Linux 6.12: a slice of one's own under EEVDF).
- The controller, and who answers scrapes, leave the processor to others where it is wanted (nice).
- Where the system knows neither, or forbids it, nothing changes.
"""

import contextlib
import ctypes
import os
import platform
import struct
import sys
import threading
from typing import Final

_TURN: Final = 100_000  # nanoseconds, the shortest that Linux takes
_NICE: Final = 10  # a ninth of an ordinary thread's share where both want the processor, all of it where one does
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}  # Linux: the system call's number
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")  # Linux: size, policy, flags, nice, priority, runtime, deadline, period


def take_short_turns() -> None:
    """Have the calling thread run soon after it was woken."""
    number = _SCHED_SETATTR.get(platform.machine()) if sys.platform == "linux" else None
    if number is not None:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        ctypes.CDLL(None).syscall(number, 0, _ATTRIBUTES.pack(_ATTRIBUTES.size, 0, 0, nice, 0, _TURN, 0, 0), 0)


def give_way() -> None:
    """Have the calling thread, and those that it starts, leave the processor to others where it is wanted."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id() if sys.platform == "linux" else 0, _NICE)
