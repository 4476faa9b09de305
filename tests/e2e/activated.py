"""Start a program as systemd starts a service with a socket unit: ``activated.py 5,6 PROGRAM ARGUMENTS``.

The descriptors become those from 3 on, which the environment tells of (sd_listen_fds(3)).
"""

import fcntl
import os
import sys

HIGH = 100  # above all that is moved

_, numbers, *command = sys.argv
moved = [fcntl.fcntl(int(number), fcntl.F_DUPFD, HIGH) for number in numbers.split(",")]
for at, descriptor in enumerate(moved):
    os.dup2(descriptor, 3 + at)
    os.close(descriptor)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(moved))}
os.execv(command[0], command)  # noqa: S606 — the test's own command line
