"""What clients of the forwarder are told: a known answer, a refusal, a failure or an expired answer in its place."""

from typing import Final

from meshdns.dns.codes import EDE_PROHIBITED, REFUSED, SERVFAIL
from meshdns.dns.query import Query
from meshdns.dns.reply import Reply
from meshdns.forwarding.adapt import failed, relayed, stale
from meshdns.forwarding.cache import Cache
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.policy import Failure

_OTHER: Final = 0  # extended error codes of RFC 8914
_NOT_AUTHORITATIVE: Final = 20
NO_ROUTE: Final = Failure(_NOT_AUTHORITATIVE, b"no forward zone takes this name; add one to forward in the settings")
NOT_RECURSIVE: Final = Failure(EDE_PROHIBITED, b"not in the cache; ask again with RD=1")
LOOP: Final = Failure(_OTHER, b"this query was here before; look for a loop of forward settings")
OVERLOAD: Final = Failure(_OTHER, b"too many queries wait for upstream servers; ask again later")
OVERLOAD_CLIENT: Final = Failure(_OTHER, b"too many queries of this client wait; ask again later")
OVERLOAD_SUFFIX: Final = Failure(_OTHER, b"too many names of this domain wait; ask again later")
CLOSING: Final = Failure(_OTHER, b"this server is stopping; ask again")


class Telling:
    """Makes the replies and counts them. `nsid` is for those who ask which server they reached (RFC 5001).

    `changes` is when the answer that was known last becomes a second older, `expires` when it is none any more.
    """

    def __init__(self, cache: Cache, counters: ForwardCounters, nsid: bytes) -> None:
        self._cache = cache
        self._counters = counters
        self._nsid = nsid
        self.changes = self.expires = 0.0

    def known(self, query: Query, name: bytes, *, now: float, tcp: bool) -> bytes | None:
        """The answer that the cache holds under `name`, None where it holds none."""
        entry = self._cache.entry(name, now)
        if entry is None:
            return None
        self._counters.hits += 1
        age = int(now - entry.stored)
        self.changes, self.expires = entry.stored + age + 1, entry.expires
        return relayed(query, entry.reply, age=age, tcp=tcp, nsid=self._nsid)

    def answered(self, query: Query, reply: Reply, *, tcp: bool) -> bytes:
        """An answer that has just come."""
        return relayed(query, reply, age=0, tcp=tcp, nsid=self._nsid)

    def refused(self, query: Query, failure: Failure, *, tcp: bool) -> bytes:
        """REFUSED, with the reason."""
        self._counters.refused += 1
        return failed(query, failure, tcp=tcp, rcode=REFUSED, nsid=self._nsid)

    def failed(self, query: Query, name: bytes, failure: Failure, *, now: float, tcp: bool) -> bytes:
        """An expired answer if there is one, else SERVFAIL."""
        expired = self._cache.stale(name, now)
        if expired is not None:
            self._counters.stale += 1
            return stale(query, expired.reply, failure, tcp=tcp, nsid=self._nsid)
        self._counters.servfail += 1
        return failed(query, failure, tcp=tcp, rcode=SERVFAIL, nsid=self._nsid)
