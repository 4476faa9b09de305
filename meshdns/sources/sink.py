"""The one interface between sources and the controller.

Rules:
- A source announces a cluster once with `cluster_added`, naming the kinds it will list, before anything else about it.
- `kind_listed` carries a complete list of one kind and replaces all of that kind; the first one per kind makes it
  *synced*. Where too much is missing from it at once, the sink keeps what is missing and asks for a second list.
- After the first list, `object_changed` and `object_removed` are increments; both are idempotent.
- `contact_made` says that the API server (or the folder) was heard from; `read_failed` says that it was not, and why.
  Neither removes anything: last known declarations stay until a list says otherwise. `contact_made` and then
  `read_failed` in one turn of the loop say that the source is well and withholds the kind.
- All methods are plain functions, called on the controller's event loop, and never raise.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.objects.problems import Problem


class Sink(Protocol):
    """What a source tells the controller."""

    def cluster_added(
        self, cluster: str, kinds: Collection[ObjectKind], *, source: str, can_relist: bool = True
    ) -> None:
        """`cluster` will be read by `source` (for people: ``manifests ./clusters``); `kinds` are what it will list.

        A source that `can_relist` lists again when `kind_listed` asks for it; what another one lists is believed at
        once.
        """

    def source_listed(self, source: str) -> None:
        """`source` has joined every cluster that it has now; said after each look at what it has, the first above all.

        What an earlier process knew, and no source has named, is then gone.
        """

    def kind_listed(self, cluster: str, kind: ObjectKind, declarations: Sequence[AnyDeclaration]) -> float:
        """A complete list of one kind: replaces what was known of it.

        Returns 0, or the seconds after which the sink wants to see another list before it believes what this one
        lacks; until then that is kept.
        """

    def object_changed(self, cluster: str, declaration: AnyDeclaration) -> None:
        """One object was added or modified."""

    def object_removed(self, cluster: str, kind: ObjectKind, namespace: str, name: str) -> None:
        """One object is gone."""

    def contact_made(self, cluster: str, kind: ObjectKind) -> None:
        """The source was heard from (an event, a bookmark, a good reply)."""

    def read_failed(self, cluster: str, kind: ObjectKind, reason: str) -> None:
        """The source could not be read; `reason` is for people and ends with what to do."""

    def cluster_identified(self, cluster: str, uid: str) -> None:
        """The UID of the cluster's namespace ``kube-system``, said before its lists and again when it changed."""

    def credentials_obtained(self, cluster: str, expires_at: float, *, renewable: bool) -> None:
        """What the cluster is read with is good until then, a Unix time; infinite where it does not say.

        `renewable` says that another is got before, from a file, a plugin or a provider.
        """

    def cluster_removed(self, cluster: str) -> None:
        """The cluster was removed from the source."""

    def source_problems(self, source: str, problems: Sequence[Problem]) -> None:
        """What is wrong with `source` itself (a kubeconfig, a Secret): replaces what it said before; empty: nothing."""
