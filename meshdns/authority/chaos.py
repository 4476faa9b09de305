"""Class CHAOS: which server is this, and what does it run (RFC 4892).

``id.server`` and ``hostname.bind`` are answered with what NSID says, ``version.server`` and ``version.bind`` with the
version, each only where it may be told. Everything else of the class is REFUSED, as if there were no such zones.
"""

from typing import Final

from meshdns.dns.codes import CLASS_CH, NOERROR, TYPE_TXT
from meshdns.dns.names import wire
from meshdns.dns.query import Query
from meshdns.dns.response import Section, build, record

_IDENTITY: Final = frozenset({wire("id.server"), wire("hostname.bind")})
_VERSION: Final = frozenset({wire("version.server"), wire("version.bind")})
_MAX_STRING: Final = 255


class Chaos:
    """What may be told of this server; empty is not told."""

    def __init__(self, *, identity: bytes, version: bytes) -> None:
        told = ((_IDENTITY, identity), (_VERSION, version))
        self._texts = {name: text[:_MAX_STRING] for names, text in told if text for name in names}

    def respond(self, query: Query, *, extra: bytes, tcp: bool) -> bytes | None:
        """The reply to a question of class CHAOS, None where it is to be refused.

        Without AA, as NSD's: no zone of this class is delegated to anybody.
        """
        text = self._texts.get(query.lower)
        if text is None or query.qtype != TYPE_TXT:
            return None
        answer = Section(1, record(TYPE_TXT, 0, bytes([len(text)]) + text, rclass=CLASS_CH))
        return build(query, NOERROR, answer=answer, extra=extra, tcp=tcp)
