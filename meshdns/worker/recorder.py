"""Records each reply that was not sent from the cache: counted in the metrics, and offered to the sampler."""

from collections.abc import Callable
from time import perf_counter

from meshdns.authority.authority import NO_SOURCE, AnswerSource
from meshdns.worker.reply_metrics import PLUGIN_FORWARD, PLUGIN_MESH, ReceivedQuery, ReplyMetrics
from meshdns.worker.sampling import Sampler

SendReply = Callable[[bytes], None]


class ReplyRecorder:
    """Records replies in the metrics, and offers them to the sampler."""

    __slots__ = ("_metrics", "_sampler")

    def __init__(self, metrics: ReplyMetrics, sampler: Sampler) -> None:
        self._metrics = metrics
        self._sampler = sampler

    def record(
        self, received: ReceivedQuery, reply: bytes, plugin: str = PLUGIN_MESH, source: AnswerSource = NO_SOURCE
    ) -> bytes:
        """Record a reply and return it; `plugin` is the path that it came by."""
        query, client, port, tcp, started = received
        seconds = perf_counter() - started
        plugin = self._metrics.observe_reply(received, reply, plugin, source, seconds=seconds)
        if self._sampler.is_enabled:
            self._sampler.offer(query.data, reply, client, port, plugin, seconds=seconds, tcp=tcp)
        return reply

    def wrap_sender(self, received: ReceivedQuery, send: SendReply) -> SendReply:
        """Return a function that records the reply of an upstream, then sends it."""

        def note(reply: bytes) -> None:
            self.record(received, reply, PLUGIN_FORWARD)
            send(reply)

        return note
