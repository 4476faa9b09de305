"""A hostile client in a process of its own: ``python -m tests.fuzz.sender TRANSPORT PORT COUNT RATE START``.

It prints a line when its messages are made, sends them once a line comes in, COUNT of them at RATE a second (0: as fast
as it can) from many addresses of the loopback network, and prints as JSON how many left in how many seconds.
"""

import asyncio
import contextlib
import json
import socket
import sys
import time
from itertools import islice
from typing import Final

from tests.fuzz import seeds
from tests.fuzz.mutation import Dice, mutations

_CLIENTS: Final = 200
_LONGEST_UDP: Final = 2000
_LONGEST_TCP: Final = 5000
_BURST: Final = 0.002  # seconds between bursts
_PER_CONNECTION: Final = 20
_CONNECTIONS: Final = 50  # at a time


def main() -> None:
    """Make, wait, send, tell."""
    transport, port, count, rate, start = sys.argv[1], *map(int, sys.argv[2:])
    longest = _LONGEST_UDP if transport == "udp" else _LONGEST_TCP
    messages = list(islice(mutations(list(seeds.queries()), Dice(start), longest=longest), count))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    began = time.monotonic()
    if transport == "udp":
        _send(messages, port, rate)
    else:
        asyncio.run(_stream(messages, port, rate))
    sys.stdout.write(json.dumps({"sent": len(messages), "seconds": time.monotonic() - began}) + "\n")


def _source(number: int) -> str:
    """One of the clients' addresses."""
    return f"127.0.{1 + number % _CLIENTS}.1"


def _send(messages: list[bytes], port: int, rate: int) -> None:
    clients = []
    for number in range(_CLIENTS):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.bind((_source(number), 0))
        client.connect(("127.0.0.1", port))
        clients.append(client)
    began = time.monotonic()
    at = 0
    while at < len(messages):
        due = min(int((time.monotonic() - began) * rate), len(messages)) if rate else len(messages)
        for number in range(at, due):
            with contextlib.suppress(OSError):
                clients[number % _CLIENTS].send(messages[number])
        at = max(at, due)
        time.sleep(_BURST)


async def _stream(messages: list[bytes], port: int, rate: int) -> None:
    began = time.monotonic()
    turns = asyncio.Semaphore(_CONNECTIONS)

    async def connection(number: int, sent: list[bytes]) -> None:
        async with turns:
            with contextlib.suppress(OSError, TimeoutError):
                await _converse(number, sent, port)

    async with asyncio.TaskGroup() as group:
        for number in range(0, len(messages), _PER_CONNECTION):
            if rate:
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            group.create_task(connection(number, messages[number : number + _PER_CONNECTION]), name=f"from {number}")


async def _converse(number: int, sent: list[bytes], port: int) -> None:
    """Send messages on one connection, each fifth one behind a length that lies; end it in one of three ways."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, local_addr=(_source(number // _PER_CONNECTION), 0)
    )
    for at, message in enumerate(sent):
        lie = (at * 7) % 40 - 20 if at % 5 == 4 else 0
        writer.write(max(0, len(message) + lie).to_bytes(2, "big") + message)
    way = number // _PER_CONNECTION % 3
    if way == 0:
        writer.write_eof()
    if way < 2:
        async with asyncio.timeout(1):
            await reader.read(100_000)
    writer.transport.abort()


if __name__ == "__main__":
    main()
