"""The query log: sampled queries from the workers' rings, as lines on standard output.

It has one reader, ten times a second, and whoever reads standard output too slowly costs lines, never answers: the pipe
is written without waiting, what it does not take is kept up to a bound, and what is beyond is counted as dropped.
"""

import asyncio
import os
import select
import sys
from collections.abc import Callable
from typing import Final

import msgspec

from meshdns import sampled
from meshdns.sampled import FOR_LOG
from meshdns.scoreboard import RING, Scoreboard

_PERIOD: Final = 0.1  # seconds
MAX_WAITING: Final = 1 << 20
"""Octets of lines that wait for standard output to take them."""


class QueryLog:
    """Writes what `form` (``coredns`` or ``json``) says. `written` counts lines, and those that were dropped."""

    def __init__(self, board: Scoreboard, workers: int, form: Callable[[], str]) -> None:
        self._board = board
        self._form = form
        self._read = [board.samples_taken(worker) for worker in range(workers)]
        self._waiting = bytearray()
        self._lines = 0
        self._dropped = 0

    @property
    def written(self) -> tuple[int, int]:
        """The number of lines written, and of queries that should have been lines."""
        return self._lines, self._dropped

    async def run(self) -> None:
        """Write until cancelled, and then what is left."""
        try:
            while True:
                await asyncio.sleep(_PERIOD)
                self._collect()
                self._flush()
        finally:
            self._collect()
            self._flush()

    def _collect(self) -> None:
        """Make lines of what the rings took since the last time."""
        for worker, before in enumerate(self._read):
            taken = self._board.samples_taken(worker)
            if taken == before:
                continue
            self._read[worker] = taken
            self._dropped += max(taken - before - RING, 0)
            for octets in self._board.samples(worker, before):
                query = sampled.decode(octets)
                if query is not None and query.marks & FOR_LOG:
                    self._add(query)

    def _add(self, query: sampled.Sampled) -> None:
        if len(self._waiting) > MAX_WAITING:
            self._dropped += 1
            return
        self._lines += 1
        if self._form() == "json":
            self._waiting += msgspec.json.encode(sampled.as_json(query)) + b"\n"
        else:
            self._waiting += sampled.as_coredns(query).encode() + b"\n"

    def _flush(self) -> None:
        """Give standard output what it takes."""
        descriptor = sys.stdout.fileno()
        while self._waiting:
            if not _writable(descriptor):
                return
            try:
                written = os.write(descriptor, self._waiting[: select.PIPE_BUF])
            except OSError:
                self._waiting.clear()  # nobody reads any more
                return
            del self._waiting[:written]


def _writable(descriptor: int) -> bool:
    """Whether `select.PIPE_BUF` octets can be written without waiting."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
