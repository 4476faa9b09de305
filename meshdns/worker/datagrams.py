"""UDP one message at a time: the portable path, with the same behaviour as the batched one.

On a wildcard bind replies leave from one address the system picks; bind each address by itself where that matters
(RFC 2181 section 4.1).
"""

import socket
from collections.abc import Callable
from time import perf_counter
from typing import Final

from meshdns.worker.access import key
from meshdns.worker.account import Deliver
from meshdns.worker.answering import Answerer
from meshdns.worker.counters import Counters

_BATCH: Final = 64
_MAX_MESSAGE: Final = 65535


class DatagramSocket:
    """A bound, non-blocking UDP socket."""

    def __init__(self, sock: socket.socket, counters: Counters) -> None:
        self._sock = sock
        self._counters = counters

    def exchange(self, answerer: Answerer) -> int:
        """Receive up to a batch of messages and answer each; returns how many came."""
        for count in range(_BATCH):
            try:
                data, peer = self._sock.recvfrom(_MAX_MESSAGE)
            except (BlockingIOError, InterruptedError):
                return count
            except OSError:
                return count + 1  # an error queued for an earlier send (a port that is closed by now)
            self._answer(data, peer, answerer)
        return _BATCH

    def flush(self) -> None:
        """Send what waits to be sent: nothing does."""

    def _answer(self, data: bytes, peer: tuple[str, int], answerer: Answerer) -> None:
        answerer.counters.queries += 1
        if not peer[1]:
            self._counters.portless += 1
            return
        source = socket.inet_pton(self._sock.family, peer[0].partition("%")[0])
        found = answerer.ready.get(data[2:])
        if found is not None and key(source) in answerer.access.admitted:
            case, variants = found
            began = perf_counter()
            self._send(data[:2] + variants[data[1] % len(variants)], peer)
            answerer.counters.ready += 1
            answerer.accounts.hits[len(source) != 4][case] += 1
            answerer.accounts.batch(1, perf_counter() - began)
            if answerer.sampler.on:
                known = data[:2] + variants[data[1] % len(variants)]
                plugin = answerer.accounts.plugin(case)
                answerer.sampler.offer(data, known, source, peer[1], plugin, seconds=0.0, tcp=False)
            return
        answerer.port = peer[1]
        reply = answerer.respond(data, source, lambda: self._deliverer(peer), tcp=False)
        if reply is not None:
            self._send(reply, peer)

    def _deliverer(self, peer: tuple[str, int]) -> Deliver:
        deliver: Callable[[bytes], None] = lambda reply: self._send(reply, peer)  # noqa: E731 — a closure over the peer
        return deliver

    def _send(self, reply: bytes, peer: tuple[str, int]) -> None:
        try:
            self._sock.sendto(reply, peer)
        except OSError:
            self._counters.unsent += 1
