"""Source events, and the one interface between sources and the controller.

Rules:
- A source announces a cluster once with `ClusterAdded`, which names the kinds that it will list, before any other event
  of that cluster.
- `KindListed` carries a complete list of one kind and replaces all of that kind. The first one per kind makes it
  *synced*. If the list lacks too much at once, the sink keeps what is missing and asks for a second list.
- After the first list, `ObjectChanged` and `ObjectRemoved` are increments. Both are idempotent.
- `ContactMade` says that the API server (or the folder) answered; `ReadFailed` says that it did not, and the reason.
  Neither removes anything: the last known declarations stay until a list says otherwise. `ContactMade` and then
  `ReadFailed` in one turn of the loop say that the API server is well and withholds the kind.
- `SourceListed` and `SourceProblems` are about a source as a whole; every other event is about one of its clusters.
- Events are values: frozen, compared by content, and safe to keep. A watch makes one for each object, so they are
  Structs: a frozen dataclass takes ten times as long to make. Match the most frequent ones first.
"""

from typing import Protocol

import msgspec

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind
from meshdns.mesh.objects.foreign import bounded_message
from meshdns.mesh.objects.problems import Problem


class ClusterAdded(msgspec.Struct, frozen=True):
    """`source` will read `cluster`."""

    cluster: str
    kinds: frozenset[ObjectKind]
    """The kinds that the source will list."""
    source: str
    """The source's name for people: ``manifests ./clusters``."""
    can_relist: bool = True
    """Whether the source lists again when the sink asks for it. The lists of one that cannot are believed at once."""


class KindListed(msgspec.Struct, frozen=True):
    """A complete list of one kind replaces all declarations of that kind."""

    cluster: str
    kind: ObjectKind
    declarations: tuple[AnyDeclaration, ...]


class ObjectChanged(msgspec.Struct, frozen=True):
    """One object was added or modified."""

    cluster: str
    declaration: AnyDeclaration


class ObjectRemoved(msgspec.Struct, frozen=True):
    """One object was deleted."""

    cluster: str
    key: ObjectKey


class ContactMade(msgspec.Struct, frozen=True):
    """The API server or the folder answered: an event, a bookmark, a good reply."""

    cluster: str
    kind: ObjectKind


class ReadFailed(msgspec.Struct, frozen=True):
    """The API server or the folder could not be read."""

    cluster: str
    kind: ObjectKind
    reason: str
    """The reason for people, which ends with what to do; its length is bounded."""

    def __post_init__(self) -> None:
        """Bound the reason: it quotes what servers say."""
        msgspec.structs.force_setattr(self, "reason", bounded_message(self.reason))


class ClusterIdentified(msgspec.Struct, frozen=True):
    """The identity of the cluster is known: reported before its lists, and again when it changed.

    Every kind is listed anew after it. The sink keeps what another identity lists apart until it has all kinds.
    """

    cluster: str
    uid: str
    """The UID of the namespace ``kube-system``; empty where a new connection does not know it yet."""


class CredentialsObtained(msgspec.Struct, frozen=True):
    """The source has credentials for the cluster."""

    cluster: str
    expires_at: float
    """The Unix time until which they are valid; infinite if they do not say."""
    renewable: bool
    """Whether a file, a plugin or a provider gives others before that time."""


class ClusterRemoved(msgspec.Struct, frozen=True):
    """The cluster was removed from its source."""

    cluster: str
    at_once: bool = False
    """Whether its names go at once: it is not the cluster that it says it is."""


class SourceListed(msgspec.Struct, frozen=True):
    """The source has added every cluster that it has; reported after each poll, above all the first.

    A cluster that only an earlier process knew, and that no source has added, is then gone.
    """

    source: str


class SourceProblems(msgspec.Struct, frozen=True):
    """All problems of the source itself (a kubeconfig, a Secret); they replace those reported before."""

    source: str
    problems: tuple[Problem, ...]


SourceEvent = (
    ClusterAdded
    | KindListed
    | ObjectChanged
    | ObjectRemoved
    | ContactMade
    | ReadFailed
    | ClusterIdentified
    | CredentialsObtained
    | ClusterRemoved
    | SourceListed
    | SourceProblems
)


class Sink(Protocol):
    """The receiver of source events."""

    def report(self, event: SourceEvent) -> float:
        """Take in an event: a plain function, called on the controller's event loop, which never raises.

        Return 0, or for `KindListed` the seconds after which the sink wants another list. Until then it keeps what
        this list lacks.
        """
