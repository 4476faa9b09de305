"""What a worker answers by itself, whatever the mesh and the upstreams are doing: cookies, CHAOS, special names."""

from collections.abc import Callable

from meshdns.authority.chaos import CLASS_CH, Chaos
from meshdns.authority.special import SpecialNames
from meshdns.dns import cookies
from meshdns.dns.codes import BADVERS, NOERROR, REFUSED
from meshdns.dns.query import HEADER_SIZE, Query
from meshdns.dns.response import build, options


class Local:
    """Answers of one worker's own. `secret` is for cookies, `clock` gives seconds since 1970."""

    def __init__(
        self, *, special: SpecialNames, chaos: Chaos, nsid: bytes, secret: bytes, clock: Callable[[], float]
    ) -> None:
        self._special = special
        self._chaos = chaos
        self._nsid = nsid
        self._secret = secret
        self._clock = clock

    def bake(self, query: Query, source: bytes) -> None:
        """Have the reply to a packed address carry a full cookie (RFC 7873 section 5.2).

        Not in BADVERS: what the options of another EDNS version mean is unknown (RFC 6891 section 6.1.3).
        """
        if query.fault != BADVERS:
            client = query.cookie[: cookies.CLIENT_SIZE]
            query.reply_cookie = cookies.issue(self._secret, client, source, now=int(self._clock()))

    def respond(self, query: Query, source: bytes, *, tcp: bool) -> bytes | None:
        """The reply to what is neither the mesh's nor an upstream's, whatever is configured; None for all else."""
        if query.qclass == CLASS_CH and query.fault == REFUSED:
            return self._chaos.respond(query, extra=self._extra(query), tcp=tcp)
        if query.fault:
            return None
        if query.end == HEADER_SIZE:
            return build(query, self._judgement(query, source), extra=self._extra(query), tcp=tcp)
        return self._special.root(query, extra=self._extra(query), tcp=tcp)

    def instead(self, query: Query, *, tcp: bool) -> bytes | None:
        """The reply to a special name instead of an upstream's; None where an upstream is to be asked."""
        return self._special.respond(query, extra=self._extra(query), tcp=tcp)

    def _judgement(self, query: Query, source: bytes) -> int:
        """The RCODE for a query without a question: BADCOOKIE for a server cookie that is none of ours."""
        if len(query.cookie) == cookies.CLIENT_SIZE:
            return NOERROR
        good = cookies.is_good(self._secret, query.cookie, source, now=int(self._clock()))
        return NOERROR if good else cookies.BADCOOKIE

    def _extra(self, query: Query) -> bytes:
        return options(query, nsid=self._nsid) if query.nsid else b""
