"""Where a new client's lists wait until they are complete, so that the old client's names are served meanwhile.

A stage stands between the reflectors of one client and the sink. Behind the curtain it keeps what is listed and what
changes; once every kind was listed the curtain rises: all lists go to the sink in one turn of the loop, and from then
on everything passes through.
"""

import math
from collections.abc import Callable, Collection, Sequence

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, key_of
from meshdns.mesh.objects.problems import Problem
from meshdns.sources.sink import Sink


class SyncBuffer:
    """Implements `meshdns.sources.sink.Sink` for one client of one cluster. `on_complete` is told once, in its turn."""

    def __init__(
        self, sink: Sink, kinds: Collection[ObjectKind], *, buffering: bool, on_complete: Callable[[], None]
    ) -> None:
        self._sink = sink
        self._unlisted_kinds = set(kinds)
        self._on_complete = on_complete
        self._is_buffering = buffering
        self._is_closed = False
        self._uid = ""
        self._credentials_expiry = (math.inf, False)
        self._lists: dict[ObjectKind, dict[ObjectKey, AnyDeclaration]] = {}
        self._failures: dict[ObjectKind, str] = {}

    @property
    def is_complete(self) -> bool:
        """Whether every kind was listed."""
        return not self._unlisted_kinds

    @property
    def failure_reason(self) -> str:
        """Why it is not complete yet; empty where nothing failed so far."""
        return next((self._failures[kind] for kind in ObjectKind if kind in self._failures), "")

    def flush(self, cluster: str) -> float:
        """Show all that was kept; returns the seconds after which the sink wants to see it all again, or 0."""
        self._is_buffering = False
        if self._uid:
            self._sink.cluster_identified(cluster, self._uid)
        until, renewed = self._credentials_expiry
        self._sink.credentials_obtained(cluster, until, renewable=renewed)
        again = [self._sink.kind_listed(cluster, kind, list(known.values())) for kind, known in self._lists.items()]
        for kind, reason in self._failures.items():
            self._sink.contact_made(cluster, kind)
            self._sink.read_failed(cluster, kind, reason)
        self._lists.clear()
        return max(again, default=0.0)

    def close(self) -> None:
        """Drop whatever is still said: the client is being ended."""
        self._is_buffering = True
        self._is_closed = True

    def cluster_added(
        self, cluster: str, kinds: Collection[ObjectKind], *, source: str, can_relist: bool = True
    ) -> None:
        """Pass on."""
        self._sink.cluster_added(cluster, kinds, source=source, can_relist=can_relist)

    def source_listed(self, source: str) -> None:
        """Pass on."""
        self._sink.source_listed(source)

    def kind_listed(self, cluster: str, kind: ObjectKind, declarations: Sequence[AnyDeclaration]) -> float:
        """Keep or pass on; the last missing kind makes it complete."""
        again = 0.0
        if self._is_buffering:
            self._lists[kind] = {key_of(each): each for each in declarations}
        else:
            again = self._sink.kind_listed(cluster, kind, declarations)
        if kind in self._unlisted_kinds:
            self._unlisted_kinds.remove(kind)
            if not self._unlisted_kinds and not self._is_closed:
                self._on_complete()
        return again

    def object_changed(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Keep or pass on."""
        if self._is_buffering:
            key = key_of(declaration)
            self._lists.setdefault(key[0], {})[key] = declaration
        else:
            self._sink.object_changed(cluster, declaration)

    def object_removed(self, cluster: str, kind: ObjectKind, namespace: str, name: str) -> None:
        """Keep or pass on."""
        if self._is_buffering:
            self._lists.setdefault(kind, {}).pop((kind, namespace, name), None)
        else:
            self._sink.object_removed(cluster, kind, namespace, name)

    def contact_made(self, cluster: str, kind: ObjectKind) -> None:
        """Pass on what is not hidden: what nobody sees is no contact."""
        self._failures.pop(kind, None)
        if not self._is_buffering:
            self._sink.contact_made(cluster, kind)

    def read_failed(self, cluster: str, kind: ObjectKind, reason: str) -> None:
        """Keep the reason, and pass it on."""
        self._failures[kind] = reason
        if not self._is_buffering:
            self._sink.read_failed(cluster, kind, reason)

    def cluster_identified(self, cluster: str, uid: str) -> None:
        """Keep or pass on."""
        self._uid = uid
        if not self._is_buffering:
            self._sink.cluster_identified(cluster, uid)

    def credentials_obtained(self, cluster: str, expires_at: float, *, renewable: bool) -> None:
        """Keep or pass on."""
        self._credentials_expiry = (expires_at, renewable)
        if not self._is_buffering:
            self._sink.credentials_obtained(cluster, expires_at, renewable=renewable)

    def cluster_removed(self, cluster: str) -> None:
        """Pass on."""
        self._sink.cluster_removed(cluster)

    def source_problems(self, source: str, problems: Sequence[Problem]) -> None:
        """Pass on."""
        self._sink.source_problems(source, problems)
