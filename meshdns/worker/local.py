"""What a worker decides by itself, whatever the mesh and the upstreams say: cookies, CHAOS, special names, limits."""

from collections.abc import Callable

from meshdns.authority.chaos import Chaos
from meshdns.authority.limit import Kind, Limit, Quota, Ruling, kind
from meshdns.authority.special import SpecialNames
from meshdns.dns import cookies
from meshdns.dns.codes import BADCOOKIE, BADVERS, CLASS_CH, FLAG_TC, NOERROR, REFUSED
from meshdns.dns.query import HEADER_SIZE, Query, parse
from meshdns.dns.response import build, options


class Local:
    """Answers of one worker's own. `clock` gives seconds since 1970.

    Cookies are made with `secret`; those made with `previous`, if there is one, are good too. `limit` bounds what
    strangers draw over UDP, None nothing.
    """

    def __init__(
        self,
        *,
        special: SpecialNames,
        chaos: Chaos,
        nsid: bytes,
        secret: bytes,
        clock: Callable[[], float],
        previous: bytes = b"",
        limit: Limit | None = None,
    ) -> None:
        self._special = special
        self._chaos = chaos
        self._nsid = nsid
        self._secret = secret
        self._secrets = (secret, previous) if previous else (secret,)
        self._clock = clock
        self._quota = Quota(limit) if limit is not None else None

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

    def limits(self, source: bytes) -> bool:
        """Whether replies over UDP to a packed address are counted."""
        return self._quota is not None and self._quota.counts(source)

    def limited(self, data: bytes, reply: bytes, source: bytes, *, now: float) -> bytes | None:
        """The reply to `data` as far as a packed address may have it: whole, cut, or not at all.

        Errors are never cut, being as short as that. A good cookie proves that the address is not forged.
        """
        of = kind(reply)
        ruling = self._quota.judge(source, of, now) if self._quota is not None else Ruling.PASS
        query = parse(data) if ruling is not Ruling.PASS else None
        if query is None or self._is_good(query, source):
            return reply
        if ruling is Ruling.DROP:
            return None
        return reply if of is Kind.ERROR else self._cut(query, source)

    def _cut(self, query: Query, source: bytes) -> bytes:
        """Header, question and OPT with TC (RFC 2181 section 9)."""
        if query.cookie:
            self.bake(query, source)
        short = bytearray(build(query, NOERROR))
        short[2] |= FLAG_TC >> 8
        return bytes(short)

    def _judgement(self, query: Query, source: bytes) -> int:
        """The RCODE for a query without a question: BADCOOKIE for a server cookie that is none of ours."""
        if len(query.cookie) == cookies.CLIENT_SIZE:
            return NOERROR
        return NOERROR if self._is_good(query, source) else BADCOOKIE

    def _is_good(self, query: Query, source: bytes) -> bool:
        """Whether the query carries a server cookie of ours."""
        now = int(self._clock())
        return any(cookies.is_good(secret, query.cookie, source, now=now) for secret in self._secrets)

    def _extra(self, query: Query) -> bytes:
        return options(query, nsid=self._nsid) if query.nsid else b""
