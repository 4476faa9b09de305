"""The one interface between sources and the controller.

Rules:
- A source announces a cluster once with `joined`, naming the kinds it will list, before anything else about it.
- `listed` carries a complete list of one kind and replaces all of that kind; the first one per kind makes it *synced*.
- After the first list, `changed` and `removed` are increments; both are idempotent.
- `contact` says that the API server (or the folder) was heard from; `failed` says that it was not, and why. Neither
  removes anything: last known declarations stay until a list says otherwise. `contact` and then `failed` in one turn
  of the loop say that the source is well and withholds the kind.
- All methods are plain functions, called on the controller's event loop, and never raise.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from meshdns.mesh.declarations import AnyDeclaration, Kind


class Sink(Protocol):
    """What a source tells the controller."""

    def joined(self, cluster: str, kinds: Collection[Kind], *, source: str) -> None:
        """`cluster` will be read by `source` (for people: ``manifests ./clusters``); `kinds` are what it will list."""

    def listed(self, cluster: str, kind: Kind, declarations: Sequence[AnyDeclaration]) -> None:
        """A complete list of one kind: replaces what was known of it."""

    def changed(self, cluster: str, declaration: AnyDeclaration) -> None:
        """One object was added or modified."""

    def removed(self, cluster: str, kind: Kind, namespace: str, name: str) -> None:
        """One object is gone."""

    def contact(self, cluster: str, kind: Kind) -> None:
        """The source was heard from (an event, a bookmark, a good reply)."""

    def failed(self, cluster: str, kind: Kind, reason: str) -> None:
        """The source could not be read; `reason` is for people and ends with what to do."""

    def left(self, cluster: str) -> None:
        """The cluster was removed from the source."""
