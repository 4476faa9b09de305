"""The kind that a manifest means by its apiVersion and kind, and a hint where it seems to mistype one that is read.

Rules:
- A kind is told by its API group and its name together: other groups have kinds of the same name (Knative's Service).
  Without apiVersion the name alone tells it.
- A hint needs both halves: a group that is ours or nearly ours, or one that has no such kind, and a name that is or
  nearly is one of a kind that is read. Whatever else people have is passed over in silence.
"""

import re
from typing import Final, NamedTuple

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources.kube.resources import KIND_BY_GROUP_AND_NAME, RESOURCES

_KIND_BY_NAME: Final = {
    name: kind for (_, name), kind in reversed(KIND_BY_GROUP_AND_NAME.items())
}  # without apiVersion the first is meant
_GROUPS: Final = frozenset(group for group, _ in KIND_BY_GROUP_AND_NAME)
_FOREIGN_TO_ALL: Final = frozenset({"apps", "batch", "extensions", "networking.k8s.io", "config.istio.io"})
"""Groups of Kubernetes and Istio that have none of the kinds that are read."""
_HELM_ADVICE: Final = "keep the output of helm template here"
_MOVE_ADVICE: Final = "keep it elsewhere, or let its name begin with a dot"
_OTHER_FILES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), (what, advice))
    for pattern, what, advice in (
        (r"kustomization\.ya?ml", "a kustomization", "keep the output of kustomize build here"),
        (r"(chart|requirements|values[-.\w]*)\.ya?ml", "part of a Helm chart", _HELM_ADVICE),
        (r"helmfile[-.\w]*\.ya?ml", "a file of helmfile", _HELM_ADVICE),
        (r"((docker-)?compose[-.\w]*|skaffold|mkdocs)\.ya?ml", "a file of another tool", _MOVE_ADVICE),
        (r"(package(-lock)?|tsconfig[-.\w]*|renovate)\.json", "a file of another tool", _MOVE_ADVICE),
    )
)


class KindHint(NamedTuple):
    """The kind that seems to be meant, as manifests write it."""

    name: str
    version: str


def kind_of(name: object, version: object) -> ObjectKind | None:
    """Return the kind that is meant, or None if it is not read."""
    if not isinstance(name, str):
        return None
    if not isinstance(version, str):
        return _KIND_BY_NAME.get(name)
    group, slash, _ = version.partition("/")
    return KIND_BY_GROUP_AND_NAME.get((group if slash else "", name))


def other_file(name: str) -> tuple[str, str] | None:
    """Return what a file is that lies beside manifests and holds none, and what to do; None for any other name."""
    return next((found for pattern, found in _OTHER_FILES if pattern.fullmatch(name)), None)


def is_kustomization(name: str, version: object) -> bool:
    """Whether a document is kustomize's own, which says what is to be built of the files beside it."""
    is_own_group = isinstance(version, str) and version.startswith("kustomize.config.k8s.io/")
    return is_own_group and name in ("Kustomization", "Component")


def hint_for(name: object, version: object) -> KindHint | None:
    """Return the kind that is meant by one that is not read, or None if it is none of ours."""
    if not isinstance(name, str):
        return None
    if not isinstance(version, str):
        meant = [(group, known) for group, known in KIND_BY_GROUP_AND_NAME if _is_near_kind(name, known)]
    else:
        meant = [
            (group, known)
            for group, known in KIND_BY_GROUP_AND_NAME
            if (_is_near_group(version, group) and _is_near_kind(name, known))
            or (name == known and _has_no_such_kind(version))
        ]
    return _hint(*meant[0]) if meant else None


def _hint(group: str, name: str) -> KindHint:
    kind = KIND_BY_GROUP_AND_NAME[group, name]
    version = RESOURCES[kind].versions[0] if kind in RESOURCES else "v1"
    return KindHint(name, f"{group}/{version}" if group else version)


def _has_no_such_kind(version: str) -> bool:
    """Whether a version is of a group that is known, so that a kind which is not read there is not in it at all."""
    group, slash, _ = version.partition("/")
    return (group if slash else "") in _GROUPS | _FOREIGN_TO_ALL


def _is_near_group(version: str, group: str) -> bool:
    written, slash, _ = version.lower().partition("/")
    if not group:
        return not slash and _distance(written, "v1", 1) <= 1
    return _distance(written, group, 2) <= 2 or (group.endswith(".istio.io") and "istio" in written)


def _is_near_kind(written: str, known: str) -> bool:
    name, wanted = written.lower(), known.lower()
    singular = name.removesuffix("ies") + "y" if name.endswith("ies") else name.removesuffix("s")
    if wanted in (name, singular):
        return True
    bound = min(2, len(wanted) // 5)  # a short name is near to many
    return _distance(name, wanted, bound) <= bound


def _distance(one: str, other: str, bound: int) -> int:
    """Return how many characters are to be added, left out, changed or swapped; over `bound` something over it."""
    if abs(len(one) - len(other)) > bound:
        return bound + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, right in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
