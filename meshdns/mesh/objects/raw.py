"""A raw Kubernetes object with typed, tolerant access, and the small readings that all kinds share.

Rules:
- Nothing here raises on what an object holds; a value of the wrong type reads as absent.
- Text that cannot be written down again reads as absent too: YAML and JSON escapes can spell half a surrogate pair.
"""

import ipaddress
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

from meshdns.dns import names
from meshdns.mesh.addresses import parse_address
from meshdns.mesh.objects.declarations import ItemPlace, ObjectKind
from meshdns.mesh.objects.problems import Problem, ProblemKind, ProblemList

_NAMESPACED_DEFAULT: Final = "default"
_CLUSTER_SCOPED: Final = frozenset({ObjectKind.NAMESPACE, ObjectKind.NODE})

FieldLocator = Callable[[str], str]


class RawObject:
    """A raw object with typed, tolerant access; collects problems as it is read."""

    def __init__(self, kind: ObjectKind, obj: object, where: FieldLocator | None) -> None:
        self.kind = kind
        self._where = where
        self._problems = ProblemList()
        root = obj if isinstance(obj, Mapping) else {}
        metadata = mapping_of(root.get("metadata"))
        self.root: Mapping[str, Any] = root
        self.name = text_of(metadata.get("name"))
        self.namespace = sys.intern(_namespace(kind, text_of(metadata.get("namespace"))))  # few, and named by many
        self.created = text_of(metadata.get("creationTimestamp"))
        self.uid = text_of(metadata.get("uid"))
        self.labels = texts_of(metadata.get("labels"))
        self.annotations = texts_of(metadata.get("annotations"))
        self.spec = mapping_of(root.get("spec"))
        self.status = mapping_of(root.get("status"))
        if "spec" in root and not isinstance(root["spec"], Mapping):
            self.add_problem("spec", "is not a mapping", "write the fields of the object below it")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was found wrong so far."""
        return self._problems.problems()

    def add_problem(self, field: str, reason: str, advice: str, kind: ProblemKind = ProblemKind.MALFORMED) -> None:
        """Note what is wrong with `field`, a path inside the object."""
        if self._problems.is_full:
            self._problems.count(kind)
            return
        where = self.place_of(field)
        self._problems.add(
            Problem(kind, self.kind.value, self.namespace, self.name, field, reason, advice, where),
        )

    def place_of(self, field: str = "") -> str:
        """The ``file:line`` of `field`, or of the object; empty for objects from an API server."""
        return self._where(field) if self._where else ""

    def item_places(self, path: str, indexes: Sequence[int]) -> tuple[ItemPlace, ...]:
        """Where the kept items of the list at `path` were written; empty where that goes without saying."""
        found = tuple((index, self.place_of(f"{path}[{index}]")) for index in indexes)
        return found if self._where or any(index != at for at, (index, _) in enumerate(found)) else ()

    def list_at(self, field: str, parent: Mapping[str, Any] | None = None, path: str = "spec") -> list[Any]:
        """The list at `field` of the spec, or of `parent` at `path` (empty: the root); a problem where it is none."""
        value = (self.spec if parent is None else parent).get(field)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        place = f"{path}.{field}" if path else field
        self.add_problem(place, "is not a list", "write each item on a line of its own after a dash")
        return []

    def mapping_at(self, field: str, parent: Mapping[str, Any], path: str = "spec") -> Mapping[str, Any]:
        """The mapping at `field` of `parent`, whose place is `path`; a problem where it is none."""
        value = parent.get(field)
        if value is not None and not isinstance(value, Mapping):
            self.add_problem(f"{path}.{field}", "is not a mapping", "write its fields below it")
        return mapping_of(value)


def _namespace(kind: ObjectKind, written: str) -> str:
    return "" if kind in _CLUSTER_SCOPED else written or _NAMESPACED_DEFAULT


def mapping_of(value: object) -> Mapping[str, Any]:
    """The mapping; an empty one where it is none."""
    if value is None:
        return {}
    # dict, which JSON makes, is told apart at once; to ask an abstract class takes several times as long
    return value if isinstance(value, (dict, Mapping)) else {}


def is_text(value: object) -> TypeGuard[str]:
    """Whether `value` is text that UTF-8 can hold."""
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value))


def text_of(value: object) -> str:
    """The text; empty where it is none."""
    return value if is_text(value) else ""


def texts_of(value: object) -> dict[str, str]:
    """The pairs of text of a mapping; others are left out."""
    return {k: v for k, v in mapping_of(value).items() if is_text(k) and is_text(v)}


def label_pairs(value: object) -> tuple[tuple[str, str], ...]:
    """The pairs of text of a mapping, sorted."""
    return tuple(sorted(texts_of(value).items()))


def port_number(value: object) -> int:
    """A port number, 1 to 65535; 0 where it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536:
        return value
    return 0


def canonical_address(value: object) -> str:
    """An IP address in canonical text (RFC 5952); ``/32`` and ``/128`` count as single; empty where it is none."""
    if not isinstance(value, str):
        return ""
    single = value.strip()
    if "/" not in single:
        address = parse_address(single) if "%" not in single else None
        return address.compressed if address is not None else ""
    try:
        network = ipaddress.ip_network(single, strict=False)
    except ValueError:
        return ""
    return network.network_address.compressed if network.prefixlen == network.max_prefixlen else ""


def normalize_host(value: str) -> str:
    """A host name as it is compared: lower-case, without trailing dot; only ASCII folds (RFC 4343 section 3)."""
    host = value.strip().removesuffix(".")
    return host.lower() if host.isascii() else host


def host_fault(host: str) -> str:
    """Why a normalized host name cannot be served; empty where it can (a leading ``*.`` is a wildcard)."""
    if host == "*":
        return "is a bare wildcard"
    if canonical_address(host):
        return "is an IP address"
    return names.invalid_reason(host.removeprefix("*."))
