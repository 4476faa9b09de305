"""Completes an upstream's answer that leads, by an alias, to a name in one of our zones.

Nothing is believed of what an upstream says about such a name: a cache in front would serve it as the mesh's. The name
is looked up here as if the client had queried it, with the same type: in the mesh, among the special names, or at the
upstream that its zone is forwarded to. Its records, its RCODE and its extended error follow the aliases. The reply is
made for each client anew, because the mesh changes when the cached aliases do not.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

from meshdns.authority.authority import Authority, Verdict
from meshdns.dns.codes import (
    EDE_INVALID_DATA,
    EDE_OTHER,
    NOERROR,
    NXDOMAIN,
    OPTION_EDE,
    OPTION_NSID,
    OPTION_TCP_KEEPALIVE,
    SERVFAIL,
)
from meshdns.dns.edns_options import encode_option, split_options
from meshdns.dns.query import HEADER_SIZE, OPT_SIZE, Query, parse_query
from meshdns.dns.reply import read_own_reply
from meshdns.dns.response import Section, build_reply, find_opt, reply_options
from meshdns.forwarding.client_reply import Alias, ImmediateReply
from meshdns.forwarding.waiting import Waiter
from meshdns.namedb.database import NameDatabaseError
from meshdns.worker.database_read import DatabaseRead
from meshdns.worker.local_answers import LocalAnswers
from meshdns.worker.reply_cache import is_name_denied

MAX_LINKS: Final = 8
"""Aliases into names of ours that one answer may lead through; more are a loop."""

_TOO_MANY: Final = b"too many aliases lead from one upstream into the zones of this server and out again"
_TOO_LARGE: Final = b"the answer that the aliases lead to has too many labels; ask its upstream server directly"


class AliasCompletion:
    """Completes answers of one worker. `ask` forwards a query, `read` opens the name database for a later reply."""

    def __init__(
        self,
        *,
        authority: Authority,
        local_answers: LocalAnswers,
        ask: Callable[[Waiter], ImmediateReply | None],
        read: Callable[[], AbstractContextManager[DatabaseRead | None]],
        on_database_error: Callable[[NameDatabaseError], None],
    ) -> None:
        self._authority = authority
        self._local_answers = local_answers
        self._ask = ask
        self._read = read
        self._on_database_error = on_database_error

    def complete(self, waiter: Waiter, alias: Alias, rows: DatabaseRead | None) -> bytes | None:
        """Return the whole reply, or None if the client's `on_reply` will be called with it."""
        query = waiter.query
        target = _target_query(query, alias.target) if query.links < MAX_LINKS else None
        if target is None:
            error = reply_options(query, ede=EDE_OTHER, text=_TOO_MANY) if query.edns else b""
            return build_reply(query, SERVFAIL, edns_options=error, tcp=waiter.tcp)
        answer = self._answer_here(target, rows)
        if isinstance(answer, bytes):
            return _spliced(waiter, alias, answer)
        return self._ask_upstream(waiter, alias, target, rows, is_fallback=answer is not Verdict.FORWARD)

    def _answer_here(self, target: Query, rows: DatabaseRead | None) -> bytes | Verdict:
        """Return the reply for a name of ours, or the verdict that an upstream is asked."""
        try:
            found = self._authority.respond(target, rows, tcp=True, rotation=target.data[1])
        except NameDatabaseError as error:
            self._on_database_error(error)
            found = self._authority.respond(target, None, tcp=True)
        if not isinstance(found, Verdict):
            return found[0]
        special = self._local_answers.special_reply(target, tcp=True) if found is Verdict.FORWARD else None
        return special if special is not None else found

    def _ask_upstream(
        self, waiter: Waiter, alias: Alias, target: Query, rows: DatabaseRead | None, *, is_fallback: bool
    ) -> bytes | None:
        """Ask the upstream of the name's own zone, over all that the client may get."""

        def on_reply(message: bytes) -> None:
            if is_fallback and is_name_denied(message):
                with self._read() as rows_now:
                    message = self._after_denial(target, message, rows_now)
            waiter.on_reply(_spliced(waiter, alias, message))

        asked = Waiter(target, True, waiter.client, on_reply)
        reply = self._ask(asked)
        if reply is None:
            return None
        message = reply.message if reply.alias is None else self.complete(asked, reply.alias, rows)
        if message is None:
            return None
        if is_fallback and is_name_denied(message):
            message = self._after_denial(target, message, rows)
        return _spliced(waiter, alias, message)

    def _after_denial(self, target: Query, denial: bytes, rows: DatabaseRead | None) -> bytes:
        """Return the mesh's answer for a name of a fallback zone that its upstream denied, else the denial."""
        try:
            found = self._authority.answer_after_denial(target, rows, tcp=True, rotation=target.data[1])
        except NameDatabaseError as error:
            self._on_database_error(error)
            found = None
        return denial if found is None else found[0]


def _target_query(query: Query, target: bytes) -> Query | None:
    """Return the client's query with another name; the client's options stay, but for its cookie's answer."""
    made = parse_query(query.data[:HEADER_SIZE] + target + query.data[query.question_end - 4 :])
    if made is not None:
        made.links = query.links + 1
    return made


def _spliced(waiter: Waiter, alias: Alias, message: bytes) -> bytes:
    """Return the client's reply: the aliases, and the records of the reply for the name that they lead to."""
    query, tcp = waiter.query, waiter.tcp
    options = b"".join(_kept_options(message, tcp=tcp)) if query.edns else b""
    if query.edns and alias.ede >= 0:
        options = reply_options(query, ede=alias.ede, text=alias.text) + options
    found = read_own_reply(message)
    if found is None:
        options = reply_options(query, ede=EDE_INVALID_DATA, text=_TOO_LARGE) if query.edns else b""
        return build_reply(query, SERVFAIL, edns_options=options, tcp=tcp)
    if found.rcode not in (NOERROR, NXDOMAIN):
        return build_reply(query, found.rcode, edns_options=options, tcp=tcp)
    answer = Section(alias.records.count + found.answer.count, alias.records.wire + found.answer.wire)
    return build_reply(query, found.rcode, answer=answer, authority=found.authority, edns_options=options, tcp=tcp)


def _kept_options(message: bytes, *, tcp: bool) -> Iterator[bytes]:
    """The options of the reply for the last name that are the client's too: the keepalive is for TCP alone."""
    at = find_opt(message)
    if at < 0:
        return
    for code, value in split_options(message[at + OPT_SIZE :]):
        if code in (OPTION_EDE, OPTION_NSID) or (tcp and code == OPTION_TCP_KEEPALIVE):
            yield encode_option(code, value)
