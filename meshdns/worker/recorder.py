"""Where queries that were not answered from ready replies are accounted for: counted, perhaps sampled."""

from collections.abc import Callable
from time import perf_counter
from typing import Final

from meshdns.dns.query import Query
from meshdns.worker.reply_metrics import ReplyMetrics
from meshdns.worker.sampling import Sampler

SendReply = Callable[[bytes], None]

PLUGIN_MESH: Final = "mesh"
PLUGIN_CACHE: Final = "cache"
PLUGIN_ACL: Final = "acl"
_PLUGIN_FORWARD: Final = "forward"


class ReplyRecorder:
    """What tells the accounts and the sampler of replies. `started` is the `perf_counter` of a query's receipt."""

    __slots__ = ("_metrics", "_sampler")

    def __init__(self, metrics: ReplyMetrics, sampler: Sampler) -> None:
        self._metrics = metrics
        self._sampler = sampler

    def record(
        self, query: Query, reply: bytes, source: bytes, port: int, written_by: str, *, tcp: bool, started: float
    ) -> None:
        """Record a reply, made by `PLUGIN_MESH`, `PLUGIN_CACHE` or `PLUGIN_ACL` as far as its path tells."""
        seconds = perf_counter() - started
        plugin = self._metrics.observe_reply(query, reply, written_by, tcp=tcp, ipv6=len(source) != 4, seconds=seconds)
        if self._sampler.enabled:
            self._sampler.offer(query.data, reply, source, port, plugin, seconds=seconds, tcp=tcp)

    def recording(
        self, query: Query, source: bytes, port: int, send: SendReply, *, tcp: bool, started: float
    ) -> SendReply:
        """`send` for a reply that an upstream is asked for first."""

        def note(reply: bytes) -> None:
            self.record(query, reply, source, port, _PLUGIN_FORWARD, tcp=tcp, started=started)
            send(reply)

        return note
