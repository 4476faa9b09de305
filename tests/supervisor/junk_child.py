"""A child process that writes what its first line names, then a good message, and lives until its pipe closes."""

import os
import sys
import time

MEBIBYTE = 1 << 20

JUNK = {
    "long": b"x" * (70_000) + b"\n",
    "longer": b'{"more": "' + b"x" * MEBIBYTE + b'"}\n',
    "no-json": b"no json\n",
    "list": b"[1, 2]\n",
    "number": b"7\n",
    "null": b"null\n",
    "string": b'"ready"\n',
    "nested": b"[" * 60_000 + b"\n",
    "nuls": bytes(1000) + b"\n",
    "bytes": bytes(range(128, 256)) + b"\n",
    "surrogate": b'{"more": "\\ud800"}\n',
    "blank": b"\n\r\n  \n",
    "burst": b"no json\n" * 5000,
}


def main() -> None:
    """``endless``: bytes without a newline for ever; else what `JUNK` has under the word."""
    kind = sys.stdin.readline().strip()
    if kind == "endless":
        while True:
            os.write(1, b"x" * 65_536)
    if kind == "half":
        os.write(1, b'{"pid": ')
        sys.exit(3)
    junk = JUNK[kind]
    while junk:
        junk = junk[os.write(1, junk) :]
    os.write(1, b'{"good": true}\n')
    while sys.stdin.readline():
        time.sleep(0)


if __name__ == "__main__":
    main()
