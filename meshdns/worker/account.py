"""Where queries that were not answered from ready replies are accounted for: counted, perhaps sampled."""

from collections.abc import Callable
from time import perf_counter
from typing import Final

from meshdns.dns.query import Query
from meshdns.worker.accounts import Accounts
from meshdns.worker.sampling import Sampler

Deliver = Callable[[bytes], None]

MESH: Final = "mesh"
CACHE: Final = "cache"
ACL: Final = "acl"
_FORWARD: Final = "forward"


class Books:
    """What tells the accounts and the sampler of replies. `began` is the `perf_counter` of a query's receipt."""

    __slots__ = ("_accounts", "_sampler")

    def __init__(self, accounts: Accounts, sampler: Sampler) -> None:
        self._accounts = accounts
        self._sampler = sampler

    def close(
        self, query: Query, reply: bytes, source: bytes, port: int, writer: str, *, tcp: bool, began: float
    ) -> None:
        """A query has its reply, which was written by `MESH`, `CACHE` or `ACL` as far as its way tells."""
        seconds = perf_counter() - began
        plugin = self._accounts.reply(query, reply, writer, tcp=tcp, ipv6=len(source) != 4, seconds=seconds)
        if self._sampler.on:
            self._sampler.offer(query.data, reply, source, port, plugin, seconds=seconds, tcp=tcp)

    def following(
        self, query: Query, source: bytes, port: int, deliver: Deliver, *, tcp: bool, began: float
    ) -> Deliver:
        """`deliver` for a reply that an upstream is asked for first."""

        def note(reply: bytes) -> None:
            self.close(query, reply, source, port, _FORWARD, tcp=tcp, began=began)
            deliver(reply)

        return note
