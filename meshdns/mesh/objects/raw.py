"""A raw Kubernetes object with typed, tolerant access, and the small readings that all kinds share.

Rules:
- Nothing here raises on what an object holds; a value of the wrong type reads as absent.
- Text that cannot be written down again reads as absent too: YAML and JSON escapes can spell half a surrogate pair.
- Lists and mappings are read up to a bound, `MAX_ITEMS` where nothing else is said. What is over a bound counts as
  unreadable: a problem names the bound.
"""

import hashlib
import ipaddress
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

from meshdns.dns import names
from meshdns.mesh.addresses import parse_address
from meshdns.mesh.objects.declarations import ItemPlace, ObjectKind
from meshdns.mesh.objects.foreign import bounded_text
from meshdns.mesh.objects.problems import Problem, ProblemKind, ProblemList

MAX_ITEMS: Final = 256
"""How much of a list or mapping of an object is read: the ``maxItems`` of most lists in Istio's CRDs."""
MAX_NAME: Final = 253
"""Characters of the longest name of an object (Kubernetes, DNS subdomain)."""

_NAMESPACED_DEFAULT: Final = "default"
_CLUSTER_SCOPED: Final = frozenset({ObjectKind.NAMESPACE, ObjectKind.NODE})

_SEPARATORS: Final = frozenset(" /")  # what tells the parts of a reference apart
_SHOWN_NAME: Final = 60

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
        self.written_name = text_of(metadata.get("name"))
        self.written_namespace = _namespace(kind, text_of(metadata.get("namespace")))
        self.name = identity_text(self.written_name)
        self.namespace = sys.intern(identity_text(self.written_namespace))  # few, and named by many
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

    def add_bound_problem(self, field: str, found: int, most: int, items: str = "items") -> None:
        """Note that `field` has more `items` than are read."""
        reason = f"has {found} {items}, of which the first {most} are read; the others count as unreadable"
        self.add_problem(field, reason, "divide the object into several", ProblemKind.OVER_BOUND)

    def list_at(
        self, field: str, parent: Mapping[str, Any] | None = None, path: str = "spec", *, most: int = MAX_ITEMS
    ) -> list[Any]:
        """The first items of the list at `field` of the spec, or of `parent` at `path` (empty: the root).

        A problem where it is no list, or has more than `most` items.
        """
        value = (self.spec if parent is None else parent).get(field)
        if value is None:
            return []
        place = f"{path}.{field}" if path else field
        if isinstance(value, list):
            if len(value) <= most:
                return value
            self.add_bound_problem(place, len(value), most)
            return value[:most]
        self.add_problem(place, "is not a list", "write each item on a line of its own after a dash")
        return []

    def mapping_at(
        self, field: str, parent: Mapping[str, Any], path: str = "spec", *, most: int = MAX_ITEMS
    ) -> Mapping[str, Any]:
        """The first pairs of the mapping at `field` of `parent`, whose place is `path`.

        A problem where it is no mapping, or has more than `most` pairs.
        """
        value = parent.get(field)
        if value is not None and not isinstance(value, Mapping):
            self.add_problem(f"{path}.{field}", "is not a mapping", "write its fields below it")
        return self.first_pairs(mapping_of(value), f"{path}.{field}", most)

    def first_pairs(self, pairs: Mapping[str, Any], place: str, most: int = MAX_ITEMS) -> Mapping[str, Any]:
        """The first pairs of the mapping at `place`; a problem where there are more than `most`."""
        if len(pairs) <= most:
            return pairs
        self.add_bound_problem(place, len(pairs), most, "pairs")
        return dict(itertools.islice(pairs.items(), most))


def identity_text(written: str) -> str:
    """The name or namespace by which an object is known: as written, or a digest of what is no such text at all.

    Kubernetes refuses such names, but what claims to be an API server may send any.
    """
    if len(written) <= MAX_NAME and written.isprintable() and not _SEPARATORS.intersection(written):
        return written
    digest = hashlib.blake2b(written.encode(), digest_size=8).hexdigest()
    return f"{bounded_text(written, _SHOWN_NAME)}#{digest}".replace("/", "_").replace(" ", "_")


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
