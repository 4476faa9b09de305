"""Which queries go into the ring of samples, for the query log and for whoever looks at live queries.

Rules:
- While nobody wants samples a batch costs one look at `on`, and nothing else.
- One query in `1 / sample` is taken: the distance to the next one is drawn anew each time, so that no rhythm of the
  askers shows through.
- At most `PER_BEAT` are taken between two heartbeats; what is beyond is counted, and costs no more than that.
"""

from collections.abc import Callable, Collection
from typing import Final

from meshdns import sampled
from meshdns.dns import query as wire
from meshdns.sampled import FOR_LIVE, FOR_LOG, Sampled, question
from meshdns.scoreboard import Scoreboard
from meshdns.worker.cases import extended, kind

PER_BEAT: Final = 400
"""2,000 a second: the ring's reader keeps up, and writing them costs a worker less than 2 %."""

_MIN_SIZE: Final = 512
_ALL: Final = "all"


class Sampler:
    """The sampler of one worker. `draw` gives a number from 0 to 1, `clock` seconds since 1970.

    `sample` is the share of queries that the query log wants, 0 to 1; `classes` the kinds it wants (``denial``,
    ``error``, ``success``, ``all``).
    """

    def __init__(
        self, board: Scoreboard | None, number: int, *, draw: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self.on = False
        self._board = board
        self._number = number
        self._draw = draw
        self._clock = clock
        self._share = 0.0
        self._classes: frozenset[str] = frozenset()
        self._live = False
        self._left = PER_BEAT
        self._skipped = 0

    def configure(self, share: float, classes: Collection[str]) -> None:
        """What the query log wants."""
        self._share = share
        self._classes = frozenset(classes)
        self.on = bool(share) or self._live

    def beat(self, *, live: bool) -> None:
        """A heartbeat: `live` says whether anybody looks at live queries."""
        self._live = live
        self.on = bool(self._share) or live
        self._left = PER_BEAT
        if self._skipped and self._board is not None:
            self._board.skip_samples(self._number, self._skipped)
            self._skipped = 0

    def offer(
        self, data: bytes, reply: bytes, source: bytes, port: int, plugin: str, *, seconds: float, tcp: bool
    ) -> None:
        """Take a query with its reply, if it is one of those that are wanted."""
        marks = FOR_LIVE if self._live else 0
        if self._share and self._wanted(reply) and (self._share >= 1 or self._draw() < self._share):
            marks |= FOR_LOG
        if not marks or self._board is None:
            return
        if not self._left:
            self._skipped += 1
            return
        self._left -= 1
        name, qtype, qclass = question(reply)
        do, error = extended(reply)
        entry = Sampled(
            marks=marks,
            when=self._clock(),
            source=source,
            port=port,
            tcp=tcp,
            ident=reply[0] << 8 | reply[1],
            name=name,
            qtype=qtype,
            qclass=qclass,
            flags=reply[2] << 8 | reply[3],
            asked=len(data),
            replied=len(reply),
            do=do,
            size=_size(data),
            plugin=plugin,
            kind=kind(reply),
            error=error,
            seconds=seconds,
        )
        self._board.sample(self._number, sampled.encode(entry))

    def _wanted(self, reply: bytes) -> bool:
        return _ALL in self._classes or kind(reply) in self._classes


def _size(data: bytes) -> int:
    """The UDP size that a query advertises, 512 where it has no OPT, as CoreDNS logs it."""
    query = wire.parse(data)
    if query is None or not query.edns:
        return _MIN_SIZE
    return data[query.end + 3] << 8 | data[query.end + 4]
