"""A small child process: says what it heard first, then lives and dies as that line tells it."""

import json
import os
import signal
import sys


def main() -> None:
    """``live``: until standard input closes; ``exit N``; ``deaf``: as live, but without ears for SIGTERM; ``crash``."""
    order = sys.stdin.readline().split()
    if order[0] == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout.write(json.dumps({"heard": order, "pid": os.getpid()}) + "\nno json\n")
    sys.stdout.flush()
    if order[0] == "exit":
        sys.exit(int(order[1]))
    if order[0] == "crash":
        os.kill(os.getpid(), signal.SIGBUS)
    for line in sys.stdin:
        sys.stdout.write(json.dumps({"more": line.strip()}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
