"""The query log: sampled queries from the workers' rings, as lines on standard output.

The rings are read ten times a second. A slow reader of standard output costs lines, never answers: the pipe is written
without waiting, lines that it does not take are buffered up to a bound, and those beyond are counted as dropped.
"""

import asyncio
import os
import select
import sys
from collections.abc import Callable
from typing import Final

import msgspec

from meshdns.instance import samples
from meshdns.instance.samples import FOR_LOG
from meshdns.instance.scoreboard import SAMPLE_RING_SIZE, Scoreboard

_PERIOD: Final = 0.1  # seconds
MAX_BUFFERED_BYTES: Final = 1 << 20
"""Bytes of lines that wait for standard output to take them."""


class QueryLog:
    """Writes lines in `line_format` (``coredns`` or ``json``). `line_counts` counts written and dropped lines."""

    def __init__(self, board: Scoreboard, workers: int, line_format: Callable[[], str]) -> None:
        self._board = board
        self._line_format = line_format
        self._read_positions = [board.samples_written(worker) for worker in range(workers)]
        self._buffer = bytearray()
        self._lines_written = 0
        self._dropped = 0

    @property
    def line_counts(self) -> tuple[int, int]:
        """The number of lines written, and of lines dropped."""
        return self._lines_written, self._dropped

    async def run(self) -> None:
        """Write lines until cancelled, then those that are left."""
        try:
            while True:
                await asyncio.sleep(_PERIOD)
                self._collect()
                self._flush()
        finally:
            self._collect()
            self._flush()

    def _collect(self) -> None:
        """Make lines of the samples since the last time."""
        for worker, before in enumerate(self._read_positions):
            taken = self._board.samples_written(worker)
            if taken == before:
                continue
            self._read_positions[worker] = taken
            self._dropped += max(taken - before - SAMPLE_RING_SIZE, 0)
            for sample in self._board.read_samples(worker, before):
                query = samples.decode(sample)
                if query is not None and query.destinations & FOR_LOG:
                    self._add(query)

    def _add(self, query: samples.QuerySample) -> None:
        if len(self._buffer) > MAX_BUFFERED_BYTES:
            self._dropped += 1
            return
        self._lines_written += 1
        if self._line_format() == "json":
            self._buffer += msgspec.json.encode(samples.as_json(query)) + b"\n"
        else:
            self._buffer += samples.as_coredns(query).encode() + b"\n"

    def _flush(self) -> None:
        """Write as much as standard output takes."""
        descriptor = sys.stdout.fileno()
        while self._buffer:
            if not _is_writable(descriptor):
                return
            try:
                written = os.write(descriptor, self._buffer[: select.PIPE_BUF])
            except OSError:
                self._buffer.clear()  # the reader has closed it
                return
            del self._buffer[:written]


def _is_writable(descriptor: int) -> bool:
    """Return whether `select.PIPE_BUF` bytes can be written without waiting."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
