"""Lists of a cluster whose identity is another than that of the declarations that are served.

Rules:
- Declarations belong to one identity, the UID of the namespace ``kube-system``. What is stored says it itself: that
  namespace is one of the declarations.
- What a source reports of another identity, or of one that is not known yet where the served one is, is kept apart
  until every kind is listed. It then takes the place of all that was served, in one turn and without the mass-delete
  guard: that is for lists of the same cluster. Nothing of two clusters is served side by side, in neither direction.
- If the served cluster comes back before, what was kept apart is dropped.
- An API server whose store was lost has another identity, too, and declares nothing. What was served stays as a whole
  for as long as the guard holds, and gives way to a list after that.

Pure.
"""

from collections.abc import Iterable
from typing import Final

from meshdns.controller.withheld_store import WithheldStore
from meshdns.mesh.objects.declarations import AnyDeclaration, Namespace, ObjectKey, ObjectKind, key_of

SYSTEM_NAMESPACE: Final[ObjectKey] = (ObjectKind.NAMESPACE, "", "kube-system")


def identity_in(declarations: Iterable[AnyDeclaration]) -> str:
    """The identity of the cluster that declares these; empty where they do not say."""
    for declaration in declarations:
        if isinstance(declaration, Namespace) and declaration.name == SYSTEM_NAMESPACE[2]:
            return declaration.uid
    return ""


_MESH_KINDS: Final = frozenset({ObjectKind.SERVICE_ENTRY, ObjectKind.WORKLOAD_ENTRY, ObjectKind.SERVICE})
_OF_EVERY_CLUSTER: Final[ObjectKey] = (ObjectKind.SERVICE, "default", "kubernetes")


class PendingIdentity(WithheldStore):
    """What was reported of one cluster under the identity `uid` (empty: not known) while another is served."""

    def __init__(self, uid: str) -> None:
        super().__init__()
        self.empty_since: float | None = None
        """When all of it was listed first, where it declares nothing."""
        self._uid = uid
        self.listed_kinds: set[ObjectKind] = set()

    @property
    def uid(self) -> str:
        """The identity, as the source says or the lists do."""
        namespace = self._declarations.get(SYSTEM_NAMESPACE)
        return self._uid or (identity_in([namespace]) if namespace is not None else "")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is declared but what each API server makes by itself."""
        return not any(key[0] in _MESH_KINDS and key != _OF_EVERY_CLUSTER for key in self._declarations)

    def replace_kind(self, kind: ObjectKind, declarations: Iterable[AnyDeclaration]) -> None:
        """A complete list of one kind came."""
        self._declarations = {key: value for key, value in self._declarations.items() if key[0] is not kind}
        self._declarations.update((key_of(each), each) for each in declarations)
        self.listed_kinds.add(kind)
