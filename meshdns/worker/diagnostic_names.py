"""Diagnostic names of type TXT, for operators who have dig and nothing else.

- ``_explain.<name>``: the reasons for the answer of the name.
- ``_status.<zone>``: the status of each cluster, and which special names are left to upstreams.
- ``whoami.<zone>``: the client's address as seen from here; a declared name of that kind is answered as declared.

The first two show the inside of the mesh, and exist for the clients of `allowDebug` alone.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from meshdns.authority import explain_txt
from meshdns.authority.authority import Authority
from meshdns.dns import names
from meshdns.dns.codes import TYPE_TXT
from meshdns.dns.query import Query
from meshdns.instance.samples import address_text
from meshdns.worker.acl import AccessList
from meshdns.worker.database_read import DatabaseRead

_STATUS: Final = b"\x07_status"
_WHOAMI: Final = b"\x06whoami"


class _ClusterStatus(msgspec.Struct, frozen=True):
    """The fields of a cluster's summary that are shown."""

    status: str = ""
    network: str = ""
    reason: str = ""


class DiagnosticNames:
    """Answers diagnostic names in `zones`, by wire name, to the clients that `access_list` admits.

    `forwarded` are the apexes of the special zones that are left to upstreams by ``specialNames: auto``.
    """

    def __init__(
        self,
        authority: Authority,
        zones: Iterable[bytes],
        access_list: AccessList,
        forwarded: Collection[bytes] = (),
    ) -> None:
        self._authority = authority
        self._forwarded = tuple(sorted(map(names.to_text, forwarded)))
        self._zones = frozenset(zones)
        self._access_list = access_list

    def admits(self, source: bytes) -> bool:
        """Return whether a client may know what is in which cluster."""
        return self._access_list.admits(source)

    def respond(self, query: Query, rows: DatabaseRead | None, source: bytes, port: int, *, tcp: bool) -> bytes | None:
        """Return the reply to a diagnostic name; None for any other query."""
        lower = query.qname_lower
        if query.qtype != TYPE_TXT or query.error_rcode:
            return None
        if lower.startswith(explain_txt.PREFIX):
            return self._explain(query, rows, tcp=tcp) if self._access_list.admits(source) else None
        if lower.startswith(_STATUS) and lower[len(_STATUS) :] in self._zones:
            return (
                explain_txt.txt_reply(query, self._status(rows), tcp=tcp) if self._access_list.admits(source) else None
            )
        if lower.startswith(_WHOAMI) and lower[len(_WHOAMI) :] in self._zones:
            if rows is not None and rows.row(lower) is not None:
                return None
            return explain_txt.txt_reply(
                query, [f"{address_text(source)} port {port} {'tcp' if tcp else 'udp'}"], tcp=tcp
            )
        return None

    def _status(self, rows: DatabaseRead | None) -> Iterator[str]:
        """Return the lines of the status; that of special names comes before those of clusters, which may be many."""
        lines = _status_lines(rows)
        yield next(lines)
        if self._forwarded:
            yield f"special names forwarded to private upstreams: {_brief(self._forwarded)}"
        yield from lines

    def _explain(self, query: Query, rows: DatabaseRead | None, *, tcp: bool) -> bytes:
        name = query.qname_lower[len(explain_txt.PREFIX) :]
        owner = self._authority.covering_owner(name, rows) if rows is not None else None
        reason = rows.provenance(owner) if rows is not None and owner is not None else None
        return explain_txt.explain_reply(query, reason, tcp=tcp)


def _brief(zones: tuple[str, ...]) -> str:
    """Return zones in one line; of the reverse zones, of which there are many, that there are some."""
    reverse = tuple(zone for zone in zones if zone.endswith((".in-addr.arpa", ".ip6.arpa")))
    return ", ".join(
        (*(zone for zone in zones if zone not in reverse), *(("private reverse zones",) if reverse else ()))
    )


def _status_lines(rows: DatabaseRead | None) -> Iterator[str]:
    """One line for the name database, one for each cluster."""
    if rows is None:
        yield "no name database: the mesh has not been read yet"
        return
    state = rows.state
    unknown = "denied" if state.complete else "not denied: a cluster has not synced yet"
    yield f"serial {rows.serial}, {'ready' if state.ready else 'not ready'}, unknown names are {unknown}"
    if state.is_controller_silent:
        yield "the controller is silent: all this is the last that it said"
    for name, described in rows.clusters():
        cluster = msgspec.json.decode(described, type=_ClusterStatus)
        network = f", network {cluster.network}" if cluster.network else ""
        reason = f": {cluster.reason}" if cluster.reason else ""
        yield f"{name.decode()}={cluster.status}{network}{reason}"
