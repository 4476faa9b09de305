"""Replies that need neither mesh nor upstream: cookies, class CHAOS, special names; and rate limiting."""

from collections.abc import Callable

from meshdns.authority.rrl import RateLimiter, RrlAction, RrlSettings
from meshdns.authority.special import ChaosNames, SpecialNames
from meshdns.dns import cookies
from meshdns.dns.codes import BADCOOKIE, BADVERS, CLASS_CH, FLAG_TC, NOERROR, REFUSED
from meshdns.dns.query import HEADER_SIZE, Query, parse_query
from meshdns.dns.response import ReplyClass, build_reply, reply_class, reply_options


class LocalAnswers:
    """Local answers of one worker. `clock` gives seconds since 1970.

    Cookies are made with `secret`; those made with `previous_secret`, if there is one, are valid too. `rate_limit`
    bounds the replies over UDP to addresses that may be forged; None for no limit.
    """

    def __init__(
        self,
        *,
        special: SpecialNames,
        chaos: ChaosNames,
        nsid: bytes,
        secret: bytes,
        clock: Callable[[], float],
        previous_secret: bytes = b"",
        rate_limit: RrlSettings | None = None,
    ) -> None:
        self._special = special
        self._chaos = chaos
        self._nsid = nsid
        self._secret = secret
        self._secrets = (secret, previous_secret) if previous_secret else (secret,)
        self._clock = clock
        self._rate_limiter = RateLimiter(rate_limit) if rate_limit is not None else None

    def reply_cookie(self, query: Query, source: bytes) -> bytes:
        """Return the full cookie for the reply to a query with a cookie, to a packed address (RFC 7873 section 5.2).

        None (empty) in BADVERS: what the options of another EDNS version mean is unknown (RFC 6891 section 6.1.3).
        """
        if query.error_rcode == BADVERS:
            return b""
        client = query.cookie[: cookies.CLIENT_COOKIE_SIZE]
        return cookies.issue(self._secret, client, source, now=int(self._clock()))

    def respond(self, query: Query, source: bytes, *, tcp: bool) -> bytes | None:
        """Return the reply to class CHAOS, a query without question, or the root's NS; None for any other query."""
        if query.qclass == CLASS_CH and query.error_rcode == REFUSED:
            return self._chaos.respond(query, edns_options=self._nsid_option(query), tcp=tcp)
        if query.error_rcode:
            return None
        if query.question_end == HEADER_SIZE:
            return build_reply(query, self._cookie_rcode(query, source), edns_options=self._nsid_option(query), tcp=tcp)
        return self._special.respond_root_ns(query, edns_options=self._nsid_option(query), tcp=tcp)

    def special_reply(self, query: Query, *, tcp: bool) -> bytes | None:
        """Return the reply to a special name; None if the query is to be forwarded."""
        return self._special.respond(query, edns_options=self._nsid_option(query), tcp=tcp)

    def is_rate_limited(self, source: bytes) -> bool:
        """Return whether replies over UDP to a packed address are rate-limited."""
        return self._rate_limiter is not None and self._rate_limiter.is_limited(source)

    def apply_rate_limit(self, data: bytes, reply: bytes, source: bytes, *, now: float) -> bytes | None:
        """Return the reply to `data` as the rate limit allows it: whole, truncated, or None to drop it.

        Errors are never truncated, because they are as short. A valid cookie proves that the address is not forged.
        """
        replied = reply_class(reply)
        action = self._rate_limiter.check(source, replied, now) if self._rate_limiter is not None else RrlAction.PASS
        query = parse_query(data) if action is not RrlAction.PASS else None
        if query is None or self._has_valid_cookie(query, source):
            return reply
        if action is RrlAction.DROP:
            return None
        return reply if replied is ReplyClass.ERROR else self._truncated(query, source)

    def _truncated(self, query: Query, source: bytes) -> bytes:
        """Return header, question and OPT with TC (RFC 2181 section 9)."""
        if query.cookie:
            query.reply_cookie = self.reply_cookie(query, source)
        short = bytearray(build_reply(query, NOERROR))
        short[2] |= FLAG_TC >> 8
        return bytes(short)

    def _cookie_rcode(self, query: Query, source: bytes) -> int:
        """Return the RCODE for a query without a question: BADCOOKIE for a server cookie that we did not make."""
        if len(query.cookie) == cookies.CLIENT_COOKIE_SIZE:
            return NOERROR
        return NOERROR if self._has_valid_cookie(query, source) else BADCOOKIE

    def _has_valid_cookie(self, query: Query, source: bytes) -> bool:
        """Return whether the query carries a server cookie that we made."""
        now = int(self._clock())
        return any(cookies.is_valid(secret, query.cookie, source, now=now) for secret in self._secrets)

    def _nsid_option(self, query: Query) -> bytes:
        return reply_options(query, nsid=self._nsid) if query.nsid else b""
