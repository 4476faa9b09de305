"""Sampling of queries into the ring of samples, for the query log and for clients of live queries.

Rules:
- While no samples are wanted, a batch costs one check of `is_enabled`, and nothing else.
- One query in `1 / share` is taken, each by a random draw of its own, so that no rhythm of the clients shows through.
- At most `MAX_PER_HEARTBEAT` are taken between two heartbeats; those beyond are counted, and cost no more than that.
"""

from collections.abc import Callable, Collection
from typing import Final

from meshdns.dns import query as wire
from meshdns.instance import samples
from meshdns.instance.samples import FOR_LIVE, FOR_LOG, QuerySample, question_of
from meshdns.instance.scoreboard import Scoreboard
from meshdns.worker.reply_metrics import do_bit_and_ede, response_class

MAX_PER_HEARTBEAT: Final = 400
"""2,000 a second: the ring's reader keeps up, and writing them costs a worker less than 2 %."""

_MIN_SIZE: Final = 512
_ALL: Final = "all"


class Sampler:
    """The sampler of one worker. `random` gives a number from 0 to 1, `clock` seconds since 1970.

    `configure` takes the `share` of queries that the query log wants, 0 to 1, and the `classes` of their replies
    (``denial``, ``error``, ``success``, ``all``).
    """

    def __init__(
        self, board: Scoreboard | None, number: int, *, random: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self.is_enabled = False
        self._board = board
        self._number = number
        self._random = random
        self._clock = clock
        self._share = 0.0
        self._classes: frozenset[str] = frozenset()
        self._live = False
        self._remaining = MAX_PER_HEARTBEAT
        self._skipped = 0

    def configure(self, share: float, classes: Collection[str]) -> None:
        """Set the queries that the query log wants."""
        self._share = share
        self._classes = frozenset(classes)
        self.is_enabled = bool(share) or self._live

    def on_heartbeat(self, *, live: bool) -> None:
        """Start the next period; `live` says whether a client watches live queries."""
        self._live = live
        self.is_enabled = bool(self._share) or live
        self._remaining = MAX_PER_HEARTBEAT
        if self._skipped and self._board is not None:
            self._board.add_skipped_samples(self._number, self._skipped)
            self._skipped = 0

    def offer(
        self, data: bytes, reply: bytes, source: bytes, port: int, plugin: str, *, seconds: float, tcp: bool
    ) -> None:
        """Take a query with its reply, if it is one of the wanted."""
        marks = FOR_LIVE if self._live else 0
        if self._share and self._is_selected(reply) and (self._share >= 1 or self._random() < self._share):
            marks |= FOR_LOG
        if not marks or self._board is None:
            return
        if not self._remaining:
            self._skipped += 1
            return
        self._remaining -= 1
        name, qtype, qclass = question_of(reply)
        do, error = do_bit_and_ede(reply)
        entry = QuerySample(
            destinations=marks,
            timestamp=self._clock(),
            client_address=source,
            client_port=port,
            tcp=tcp,
            query_id=reply[0] << 8 | reply[1],
            name=name,
            qtype=qtype,
            qclass=qclass,
            flags=reply[2] << 8 | reply[3],
            query_size=len(data),
            reply_size=len(reply),
            dnssec_ok=do,
            udp_size=_advertised_udp_size(data),
            plugin=plugin,
            reply_class=response_class(reply),
            ede_code=error,
            duration=seconds,
        )
        self._board.write_sample(self._number, samples.encode(entry))

    def _is_selected(self, reply: bytes) -> bool:
        return _ALL in self._classes or response_class(reply) in self._classes


def _advertised_udp_size(data: bytes) -> int:
    """Return the UDP size that a query advertises, 512 without OPT, as CoreDNS logs it."""
    query = wire.parse_query(data)
    if query is None or not query.edns:
        return _MIN_SIZE
    return data[query.question_end + 3] << 8 | data[query.question_end + 4]
