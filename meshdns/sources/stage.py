"""Where a new client's lists wait until they are complete, so that the old client's names are served meanwhile.

A stage stands between the reflectors of one client and the sink. Behind the curtain it keeps what is listed and what
changes; once every kind was listed the curtain rises: all lists go to the sink in one turn of the loop, and from then
on everything passes through.
"""

import math
from collections.abc import Callable, Collection, Sequence

from meshdns.mesh.declarations import AnyDeclaration, Key, Kind, key_of
from meshdns.mesh.problems import Problem
from meshdns.sources.port import Sink


class Stage:
    """Implements `meshdns.sources.port.Sink` for one client of one cluster. `complete` is told once, in its turn."""

    def __init__(self, sink: Sink, kinds: Collection[Kind], *, hidden: bool, complete: Callable[[], None]) -> None:
        self._sink = sink
        self._missing = set(kinds)
        self._complete = complete
        self._hidden = hidden
        self._over = False
        self._uid = ""
        self._until = (math.inf, False)
        self._lists: dict[Kind, dict[Key, AnyDeclaration]] = {}
        self._failures: dict[Kind, str] = {}

    @property
    def ready(self) -> bool:
        """Whether every kind was listed."""
        return not self._missing

    @property
    def reason(self) -> str:
        """Why it is not complete yet; empty where nothing failed so far."""
        return next((self._failures[kind] for kind in Kind if kind in self._failures), "")

    def rise(self, cluster: str) -> float:
        """Show all that was kept; returns the seconds after which the sink wants to see it all again, or 0."""
        self._hidden = False
        if self._uid:
            self._sink.identified(cluster, self._uid)
        until, renewed = self._until
        self._sink.authenticated(cluster, until, renewed=renewed)
        again = [self._sink.listed(cluster, kind, list(known.values())) for kind, known in self._lists.items()]
        for kind, reason in self._failures.items():
            self._sink.contact(cluster, kind)
            self._sink.failed(cluster, kind, reason)
        self._lists.clear()
        return max(again, default=0.0)

    def close(self) -> None:
        """Drop whatever is still said: the client is being ended."""
        self._hidden = True
        self._over = True

    def joined(self, cluster: str, kinds: Collection[Kind], *, source: str, relists: bool = True) -> None:
        """Pass on."""
        self._sink.joined(cluster, kinds, source=source, relists=relists)

    def named(self, source: str) -> None:
        """Pass on."""
        self._sink.named(source)

    def listed(self, cluster: str, kind: Kind, declarations: Sequence[AnyDeclaration]) -> float:
        """Keep or pass on; the last missing kind makes it complete."""
        again = 0.0
        if self._hidden:
            self._lists[kind] = {key_of(each): each for each in declarations}
        else:
            again = self._sink.listed(cluster, kind, declarations)
        if kind in self._missing:
            self._missing.remove(kind)
            if not self._missing and not self._over:
                self._complete()
        return again

    def changed(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Keep or pass on."""
        if self._hidden:
            key = key_of(declaration)
            self._lists.setdefault(key[0], {})[key] = declaration
        else:
            self._sink.changed(cluster, declaration)

    def removed(self, cluster: str, kind: Kind, namespace: str, name: str) -> None:
        """Keep or pass on."""
        if self._hidden:
            self._lists.setdefault(kind, {}).pop((kind, namespace, name), None)
        else:
            self._sink.removed(cluster, kind, namespace, name)

    def contact(self, cluster: str, kind: Kind) -> None:
        """Pass on what is not hidden: what nobody sees is no contact."""
        self._failures.pop(kind, None)
        if not self._hidden:
            self._sink.contact(cluster, kind)

    def failed(self, cluster: str, kind: Kind, reason: str) -> None:
        """Keep the reason, and pass it on."""
        self._failures[kind] = reason
        if not self._hidden:
            self._sink.failed(cluster, kind, reason)

    def identified(self, cluster: str, uid: str) -> None:
        """Keep or pass on."""
        self._uid = uid
        if not self._hidden:
            self._sink.identified(cluster, uid)

    def authenticated(self, cluster: str, until: float, *, renewed: bool) -> None:
        """Keep or pass on."""
        self._until = (until, renewed)
        if not self._hidden:
            self._sink.authenticated(cluster, until, renewed=renewed)

    def left(self, cluster: str) -> None:
        """Pass on."""
        self._sink.left(cluster)

    def troubled(self, source: str, problems: Sequence[Problem]) -> None:
        """Pass on."""
        self._sink.troubled(source, problems)
