"""``dig TXT _explain.<name>``: the reasons for the answer of a name, through plain DNS.

One character string a line: the outcome, then each declaration that was considered, in the order of the levels, with
the rule that applied to it and its result. It shows what the name database holds; ``meshdns explain`` shows more.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from meshdns.dns.codes import NOERROR, NXDOMAIN, TYPE_TXT
from meshdns.dns.query import Query
from meshdns.dns.response import Section, build_reply, record
from meshdns.mesh.answer import Answer, decode_answer
from meshdns.mesh.candidates import Candidate

MAX_PROVENANCE: Final = 16 << 10
"""Bytes of a provenance, compressed, that are decoded here: some hundred declarations, and few milliseconds."""

PREFIX: Final = b"\x08_explain"
_MAX_STRING: Final = 255
_MAX_LINES: Final = 40  # some 4 kB: over UDP it is truncated, and dig retries over TCP


def explain_reply(query: Query, reason: bytes | None, *, tcp: bool) -> bytes:
    """Return the TXT reply for a provenance as the name database holds it; NXDOMAIN if it is None."""
    if reason is None:
        return build_reply(query, NXDOMAIN, tcp=tcp)
    if len(reason) > MAX_PROVENANCE:
        return txt_reply(query, ["too many declarations to show them here; run meshdns explain"], tcp=tcp)
    return txt_reply(query, _lines(decode_answer(reason)), tcp=tcp)


def txt_reply(query: Query, lines: Iterable[str], *, tcp: bool) -> bytes:
    """Return a TXT reply of these lines, not to be cached."""
    strings = [line.encode("ascii", "backslashreplace")[:_MAX_STRING] for line in islice(lines, _MAX_LINES)]
    rdata = b"".join(bytes([len(string)]) + string for string in strings)
    return build_reply(query, NOERROR, answer=Section(1, record(TYPE_TXT, 0, rdata)), aa=True, tcp=tcp)


def _lines(answer: Answer) -> Iterator[str]:
    addresses = ", ".join((*answer.ipv4, *answer.ipv6))
    level = f" level {answer.level.value}" if answer.level is not None else ""
    yield f"{answer.outcome.value}{level}: {addresses or 'none'} (ttl {answer.ttl})"
    for candidate in answer.candidates:
        yield _line(candidate)


def _line(candidate: Candidate) -> str:
    became = candidate.address or ("to come" if candidate.pending else "nothing")
    became += f" ({candidate.lack})" if candidate.lack else ""
    notes = [f"via {candidate.via_cluster}"] if candidate.via_cluster else []
    notes += [] if candidate.ready else ["not ready"]
    notes += [] if candidate.healthy else ["not healthy"]
    notes += ["passes no TLS of this name"] if candidate.passes_tls is False else []
    tail = f" ({', '.join(notes)})" if notes else ""
    where = f"{candidate.cluster or 'settings'}: {candidate.origin} {candidate.field}".rstrip()
    return f"{candidate.level.value} {where}: {candidate.rule.value}: {became}{tail}"
