"""Declared names that are not served, with the reasons that the name database keeps for extended errors.

Rules:
- A name that is served has no reason, whatever else declares it: judging it costs one look-up in a dict.
- A change of one declaration touches its own hosts alone. Of several that are refused for one host the first by
  cluster, kind, namespace and name counts.
- They are bounded; beyond that a denial goes without a reason until its name is judged again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from meshdns.dns import names
from meshdns.mesh.answer import Answer
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, Service, ServiceEntry, key_of
from meshdns.mesh.objects.problems import Problem
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.unserved_reasons import host_reason, unreachable_reason, unserved_hosts

MAX_REASONS: Final = 100_000
"""Reasons in the name database: some 20 MiB."""

_DeclarationId = tuple[str, str, str, str]
"""Cluster, kind, namespace and name of a declaration."""


class UnservedNames:
    """Reasons why declared hosts are not served, and what the name database holds of them."""

    def __init__(self, settings: MeshSettings, limit: int = MAX_REASONS) -> None:
        self._settings = settings
        self._limit = limit
        self._reasons_by_host: dict[str, dict[_DeclarationId, bytes]] = {}
        self._hosts_by_declaration: dict[_DeclarationId, list[str]] = {}
        self._pending_hosts: set[str] = set()
        self._stored: dict[bytes, bytes] = {}
        self._unchecked: set[bytes] = set()  # of an earlier process, not judged yet
        self._changes: dict[bytes, bytes | None] = {}

    def restore(self, stored: Mapping[bytes, bytes]) -> None:
        """Take over what an earlier process left in the name database."""
        self._stored = dict(stored)
        self._unchecked = set(stored)

    def update_declaration(self, cluster: str, declaration: AnyDeclaration, problems: Iterable[Problem]) -> None:
        """Note which hosts of a declaration are refused, by its own problems."""
        if not isinstance(declaration, ServiceEntry | Service):
            return
        by = _declaration_id(cluster, key_of(declaration))
        if by in self._hosts_by_declaration:
            self._remove_reasons(by)
        for host, problem in unserved_hosts(declaration, problems, cluster, self._settings):
            if self._settings.zone_of(host) is None or names.invalid_reason(host.removeprefix("*.")):
                continue  # no matter of ours, or nothing that can be asked for
            if len(self._reasons_by_host) < self._limit or host in self._reasons_by_host:
                self._reasons_by_host.setdefault(host, {})[by] = host_reason(cluster, host, problem)
                self._hosts_by_declaration.setdefault(by, []).append(host)
                self._pending_hosts.add(host)

    def remove_declaration(self, cluster: str, key: ObjectKey) -> None:
        """Forget a declaration."""
        by = _declaration_id(cluster, key)
        if by in self._hosts_by_declaration:
            self._remove_reasons(by)

    def update_name(self, name: str, owner: bytes, answer: Answer | None) -> None:
        """Take over what has become of a name; empty non-terminals and names that are gone may be refused."""
        if answer is not None and answer.candidates:
            self._set_reason(owner, unreachable_reason(answer))
        elif self._reasons_by_host or self._stored:
            self._set_reason(owner, None if answer is not None and answer.records else self._first_reason(name))

    def update_pending(self, has_own_answer: Callable[[str], bool]) -> None:
        """Judge the hosts whose declarations changed while their names did not, once all names have been judged.

        `has_own_answer` says whether a name has an answer of its own, which is then what counts.
        """
        for host in self._pending_hosts:
            if not has_own_answer(host):
                self._set_reason(names.to_wire(host), self._first_reason(host))
        self._pending_hosts.clear()
        for owner in self._unchecked.copy():
            self._set_reason(owner, None)

    def take_changes(self) -> dict[bytes, bytes | None]:
        """Return and forget what the name database does not hold yet; the caller commits it."""
        taken, self._changes = self._changes, {}
        return taken

    def _remove_reasons(self, declaration_id: _DeclarationId) -> None:
        for host in self._hosts_by_declaration.pop(declaration_id):
            self._pending_hosts.add(host)
            refusals = self._reasons_by_host[host]
            refusals.pop(declaration_id, None)
            if not refusals:
                del self._reasons_by_host[host]

    def _first_reason(self, name: str) -> bytes | None:
        refusals = self._reasons_by_host.get(name)
        return refusals[min(refusals)] if refusals else None

    def _set_reason(self, owner: bytes, reason: bytes | None) -> None:
        """Have the name database hold `reason` of an owner name."""
        self._unchecked.discard(owner)
        if self._stored.get(owner) == reason:
            return
        if reason is None:
            del self._stored[owner]
        elif owner in self._stored or len(self._stored) < self._limit:
            self._stored[owner] = reason
        else:
            return
        self._changes[owner] = reason


def _declaration_id(cluster: str, key: ObjectKey) -> _DeclarationId:
    return (cluster, key[0].value, key[1], key[2])
