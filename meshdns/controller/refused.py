"""The names that somebody declares and of which nothing is served, as the view keeps them for extended errors.

Rules:
- A name that is served has no refusal, whoever else is refused for it: judging it costs a look into a dict.
- A change of one declaration touches its own hosts alone. Of several that are refused for one host the first by
  cluster, kind, namespace and name is told.
- They are bounded; beyond that a denial goes without a reason until its name is judged anew.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from meshdns.dns import names
from meshdns.mesh.answer import Answer
from meshdns.mesh.declarations import AnyDeclaration, Key, Service, ServiceEntry, key_of
from meshdns.mesh.problems import Problem
from meshdns.mesh.refused import refusal, refused_hosts, unreachable
from meshdns.mesh.settings import MeshSettings

MOST: Final = 100_000
"""Refusals in the view: some 20 MiB."""

_By = tuple[str, str, str, str]
"""Cluster, kind, namespace and name of a declaration."""


class Refused:
    """Which hosts are refused to whom, and what the view holds of it."""

    def __init__(self, settings: MeshSettings, most: int = MOST) -> None:
        self._settings = settings
        self._most = most
        self._hosts: dict[str, dict[_By, bytes]] = {}
        self._by: dict[_By, list[str]] = {}
        self._due: set[str] = set()
        self._kept: dict[bytes, bytes] = {}
        self._leftovers: set[bytes] = set()  # of an earlier process, not judged yet
        self._changes: dict[bytes, bytes | None] = {}

    def restore(self, kept: Mapping[bytes, bytes]) -> None:
        """Take over what an earlier process left in the view."""
        self._kept = dict(kept)
        self._leftovers = set(kept)

    def declare(self, cluster: str, declaration: AnyDeclaration, problems: Iterable[Problem]) -> None:
        """Note which hosts of a declaration are refused, by its own problems."""
        if not isinstance(declaration, ServiceEntry | Service):
            return
        by = _by(cluster, key_of(declaration))
        if by in self._by:
            self._withdraw(by)
        for host, problem in refused_hosts(declaration, problems, cluster, self._settings):
            if self._settings.zone_of(host) is not None:  # else it is no matter of ours
                self._hosts.setdefault(host, {})[by] = refusal(cluster, host, problem)
                self._by.setdefault(by, []).append(host)
                self._due.add(host)

    def forget(self, cluster: str, key: Key) -> None:
        """Forget a declaration."""
        by = _by(cluster, key)
        if by in self._by:
            self._withdraw(by)

    def judge(self, name: str, owner: bytes, answer: Answer | None) -> None:
        """Take over what has become of a name; empty non-terminals and names that are gone may be refused."""
        if answer is not None and answer.considered:
            self._keep(owner, unreachable(answer))
        elif self._hosts or self._kept:
            self._keep(owner, None if answer is not None and answer.records else self._first(name))

    def settle(self, declares: Callable[[str], bool]) -> None:
        """Judge the hosts whose declarations changed while their names did not, once all names have been judged.

        `declares` says whether a name has an answer of its own, which is then what counts.
        """
        for host in self._due:
            if not declares(host):
                self._keep(names.wire(host), self._first(host))
        self._due.clear()
        for owner in self._leftovers.copy():
            self._keep(owner, None)

    def changes(self) -> dict[bytes, bytes | None]:
        """What the view does not hold yet; whoever takes it commits it."""
        taken, self._changes = self._changes, {}
        return taken

    def _withdraw(self, by: _By) -> None:
        for host in self._by.pop(by):
            self._due.add(host)
            refusals = self._hosts[host]
            refusals.pop(by, None)
            if not refusals:
                del self._hosts[host]

    def _first(self, name: str) -> bytes | None:
        refusals = self._hosts.get(name)
        return refusals[min(refusals)] if refusals else None

    def _keep(self, owner: bytes, wanted: bytes | None) -> None:
        """Have the view hold `wanted` of an owner name."""
        self._leftovers.discard(owner)
        if self._kept.get(owner) == wanted:
            return
        if wanted is None:
            del self._kept[owner]
        elif owner in self._kept or len(self._kept) < self._most:
            self._kept[owner] = wanted
        else:
            return
        self._changes[owner] = wanted


def _by(cluster: str, key: Key) -> _By:
    return (cluster, key[0].value, key[1], key[2])
