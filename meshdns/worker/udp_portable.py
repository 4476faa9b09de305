"""UDP one message at a time: the portable path, with the same behaviour as the batched one.

On a wildcard bind replies leave from one address the system picks; bind each address by itself where that matters
(RFC 2181 section 4.1).
"""

import socket
from collections.abc import Callable
from time import perf_counter
from typing import Final

from meshdns.worker.acl import source_key
from meshdns.worker.recorder import SendReply
from meshdns.worker.responder import Responder
from meshdns.worker.scoreboard_counters import WorkerCounters

_BATCH_SIZE: Final = 64
_MAX_MESSAGE: Final = 65535


class DatagramSocket:
    """A bound, non-blocking UDP socket."""

    def __init__(self, sock: socket.socket, counters: WorkerCounters) -> None:
        self._sock = sock
        self._counters = counters

    def serve_batch(self, responder: Responder) -> int:
        """Receive up to a batch of messages and answer each; returns how many came."""
        for count in range(_BATCH_SIZE):
            try:
                data, peer = self._sock.recvfrom(_MAX_MESSAGE)
            except (BlockingIOError, InterruptedError):
                return count
            except OSError:
                return count + 1  # an error queued for an earlier send (a port that is closed by now)
            self._answer(data, peer, responder)
        return _BATCH_SIZE

    def flush(self) -> None:
        """Send what waits to be sent: nothing does."""

    def _answer(self, data: bytes, peer: tuple[str, int], responder: Responder) -> None:
        responder.counters.queries += 1
        if not peer[1]:
            self._counters.zero_source_port += 1
            return
        source = socket.inet_pton(self._sock.family, peer[0].partition("%")[0])
        found = responder.cached_replies.get(data[2:])
        if found is not None and source_key(source) in responder.access_list.admitted_keys:
            series_id, variants = found
            began = perf_counter()
            self._send(data[:2] + variants[data[1] % len(variants)], peer)
            responder.counters.reply_cache_hits += 1
            responder.metrics.cached_hits[len(source) != 4][series_id] += 1
            responder.metrics.observe_batch(1, perf_counter() - began)
            if responder.sampler.is_enabled:
                known = data[:2] + variants[data[1] % len(variants)]
                plugin = responder.metrics.plugin_of(series_id)
                responder.sampler.offer(data, known, source, peer[1], plugin, seconds=0.0, tcp=False)
            return
        reply = responder.respond(data, source, peer[1], lambda: self._reply_sender(peer), tcp=False)
        if reply is not None:
            self._send(reply, peer)

    def _reply_sender(self, peer: tuple[str, int]) -> SendReply:
        deliver: Callable[[bytes], None] = lambda reply: self._send(reply, peer)  # noqa: E731 — a closure over the peer
        return deliver

    def _send(self, reply: bytes, peer: tuple[str, int]) -> None:
        try:
            self._sock.sendto(reply, peer)
        except OSError:
            self._counters.send_failed += 1
