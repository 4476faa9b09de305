"""A raw Kubernetes object with typed, tolerant access, and the small readings that all kinds share.

Rules:
- Nothing here raises on what an object holds. `null` is absence. A scalar where text is wanted counts as the text that
  was written; everything else of a wrong type cannot be read, which is a problem. What rests on it narrows: a reader
  can tell it from what is absent.
- Text that cannot be written down again cannot be read either: YAML and JSON escapes can spell half a surrogate pair.
- Lists and mappings are read up to a bound, `MAX_ITEMS` where nothing else is said. What is over a bound counts as
  unreadable: a problem names the bound.
"""

import hashlib
import ipaddress
import itertools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard

from meshdns.dns import names
from meshdns.mesh.addresses import parse_address
from meshdns.mesh.objects.declarations import ItemPlace, ObjectKind
from meshdns.mesh.objects.foreign import MAX_SHOWN, bounded_text, shown
from meshdns.mesh.objects.problems import Problem, ProblemKind, ProblemList
from meshdns.mesh.objects.scalars import LIKENESS, nearest, scalar_text

MAX_ITEMS: Final = 256
"""How much of a list or mapping of an object is read: the ``maxItems`` of most lists in Istio's CRDs."""
MAX_NAME: Final = 253
"""Characters of the longest name of an object (Kubernetes, DNS subdomain)."""

MAX_PORT_DIGITS: Final = 5

_NAMESPACED_DEFAULT: Final = "default"
_CLUSTER_SCOPED: Final = frozenset({ObjectKind.NAMESPACE, ObjectKind.NODE})

_SEPARATORS: Final = frozenset(" /")  # what tells the parts of a reference apart
_SHOWN_NAME: Final = 60

FieldLocator = Callable[[str], str]
"""The ``file:line`` of a field path."""

WrittenText = Callable[[object, str | int], str | None]
"""What the scalar under a key of a container is written as; None where `scalar_text` of its value says it."""


class TextPairs(NamedTuple):
    """The pairs of a mapping of texts, and the keys whose values cannot be read."""

    texts: dict[str, str]
    unread: frozenset[str] | None = frozenset()
    """None where it is no mapping at all, so that any key may have a value."""

    def is_unread(self, key: str) -> bool:
        """Whether there may be a value of `key` that cannot be read."""
        return self.unread is None or key in self.unread

    @property
    def is_complete(self) -> bool:
        """Whether all of it can be read."""
        return self.unread is not None and not self.unread


class RawObject:
    """A raw object with typed, tolerant access; collects problems as it is read."""

    def __init__(
        self, kind: ObjectKind, obj: object, where: FieldLocator | None, written: WrittenText | None = None
    ) -> None:
        self.kind = kind
        self._where = where
        self._written = written
        self._problems = ProblemList()
        root = obj if isinstance(obj, Mapping) else {}
        metadata = mapping_of(root.get("metadata"))
        self.root: Mapping[str, Any] = root
        name, name_fault = self._read_text(metadata, "name")
        namespace, namespace_fault = self._read_text(metadata, "namespace")
        self.has_unread_namespace = namespace is None and kind not in _CLUSTER_SCOPED
        self.written_name = name or ""
        self.written_namespace = _namespace(kind, shown(metadata["namespace"]) if namespace is None else namespace)
        self.name = identity_text(self.written_name)
        self.namespace = sys.intern(identity_text(self.written_namespace))  # few, and named by many
        for field, fault in (("metadata.name", name_fault), ("metadata.namespace", namespace_fault)):
            if fault:
                self.add_problem(field, *fault)
        self.created = text_of(metadata.get("creationTimestamp"))
        self.uid = text_of(metadata.get("uid"))
        self.label_pairs = self.texts_at("labels", metadata, "metadata")
        self.annotation_pairs = self.texts_at("annotations", metadata, "metadata")
        self.labels = self.label_pairs.texts
        self.annotations = self.annotation_pairs.texts
        self.spec = mapping_of(root.get("spec"))
        self.status = mapping_of(root.get("status"))
        self.has_unread_spec = root.get("spec") is not None and not isinstance(root["spec"], Mapping)
        if self.has_unread_spec:
            self.add_problem("spec", "is not a mapping", "write the fields of the object below it")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was found wrong so far."""
        return self._problems.problems()

    def hint(self, text: str, known: Iterable[str], likeness: float = LIKENESS) -> str:
        """The one of `known` that was probably meant (`nearest`); empty also where it would not be shown any more."""
        return "" if self._problems.is_full else nearest(text, known, likeness)

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

    def _read_text(self, parent: Mapping[str, Any], key: str) -> tuple[str | None, tuple[str, str] | None]:
        """The text under `key`: empty where it is absent, None where it cannot be read; and reason and advice."""
        value = parent.get(key)
        if value is None:
            return "", None
        if is_text(value):
            return value, None
        text = None
        if isinstance(value, int | float):
            text = self._written(parent, key) if self._written is not None else None
            text = scalar_text(value) if text is None else text
        if text is None or not is_text(text):
            return None, (f"{shown(value)} is no text", "write a text")
        written = bounded_text(text, MAX_SHOWN)
        kind = "a truth value" if isinstance(value, bool) else "a number"
        return text, (f"{written} is {kind}, not text", f'quote it: "{written}"')

    def text_at(self, field: str, parent: Mapping[str, Any], path: str) -> str | None:
        """The text at `field` of `parent`, whose place is `path`: empty where it is absent, None if it cannot be read.

        A problem where it is no text.
        """
        value = parent.get(field)
        if value is None:
            return ""
        if is_text(value):
            return value
        text, fault = self._read_text(parent, field)
        if fault is not None:
            self.add_problem(f"{path}.{field}" if path else field, *fault)
        return text

    def texts_at(self, field: str, parent: Mapping[str, Any], path: str, *, needs_values: bool = False) -> TextPairs:
        """The texts of the mapping at `field` of `parent`, whose place is `path`.

        A null value counts as absent, or, where it `needs_values`, as unreadable. A problem where something is no text.
        """
        value = parent.get(field)
        if value is None:
            return TextPairs({})
        place = f"{path}.{field}"
        if not isinstance(value, (dict, Mapping)):
            self.add_problem(place, "is not a mapping", "write its fields below it")
            return TextPairs({}, None)
        texts = texts_of(value)
        if len(texts) == len(value):
            return TextPairs(texts)
        return self._odd_texts(value, place, needs_values=needs_values)

    def _odd_texts(self, pairs: Mapping[str, Any], place: str, *, needs_values: bool) -> TextPairs:
        texts: dict[str, str] = {}
        unread = set()
        for key, value in pairs.items():
            text, fault = self._read_text(pairs, key)
            if value is None and needs_values:
                text, fault = None, ("is null", "write a text, or delete the key")
            if fault is not None:
                self.add_problem(f"{place}.{bounded_text(key) if is_text(key) else shown(key)}", *fault)
            if text is None or not is_text(key):
                unread.add(key)
            elif value is not None:
                texts[key] = text
        return TextPairs(texts, frozenset(unread))

    def selector_at(self, field: str, parent: Mapping[str, Any], path: str) -> tuple[tuple[str, str], ...] | None:
        """The pairs of the selector at `field` of `parent`, sorted; None if it cannot be read, and so selects nothing.

        It is read whole or not at all, for with fewer pairs it would select more.
        """
        found = self.texts_at(field, parent, path, needs_values=True)
        if not found.is_complete:
            return None
        if len(found.texts) > MAX_ITEMS:
            reason = f"has {len(found.texts)} pairs, more than {MAX_ITEMS}, so that it selects nothing"
            self.add_problem(f"{path}.{field}", reason, "select by fewer labels", ProblemKind.OVER_BOUND)
            return None
        return tuple(sorted(found.texts.items()))

    def word_at(
        self,
        field: str,
        parent: Mapping[str, Any],
        path: str,
        words: Sequence[str],
        *,
        numbered: bool = False,
        folded: bool = False,
    ) -> str | None:
        """The one of `words` at `field` of `parent`, whose place is `path`: the first where it is absent or unknown.

        None where it is of a type that no such word has. Enums of protocol buffers may be written by their numbers
        (`numbered`, ProtoJSON), and none of theirs is empty; `folded` words are upper-case and may be written in any
        case. A problem where it is not one of them.
        """
        value = parent.get(field)
        if value is None or (value == "" and not numbered):
            return words[0]
        text = value.upper() if folded and isinstance(value, str) else value
        if isinstance(text, str) and text in words:
            return text
        if numbered and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(words):
            return words[value]
        meant = self.hint(value, words) if isinstance(value, str) else ""
        advice = f"write {meant}" if meant else f"use {', '.join(words[:-1])} or {words[-1]}"
        place = f"{path}.{field}" if path else field
        if isinstance(value, str):
            self.add_problem(place, f"{shown(value)} is unknown; read as {words[0]}", advice)
            return words[0]
        self.add_problem(place, f"{shown(value)} is unknown", advice)
        return None

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


def port_advice(value: object, advice: str) -> str:
    """What to do about a value that is no port number; `advice` where it is not just quoted."""
    is_quoted = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_PORT_DIGITS
    return "write it without quotes" if is_quoted else advice


def canonical_address(value: object) -> str:
    """An IP address in canonical text (RFC 5952); ``/32`` and ``/128`` count as single; empty where it is none.

    An IPv4-mapped IPv6 address is the IPv4 address in it.
    """
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
    return canonical_address(network.network_address.compressed) if network.prefixlen == network.max_prefixlen else ""


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
    return names.host_fault(host.removeprefix("*."))
