"""References to objects and to parts of them, as values.

They are no Structs: where one is encoded it is written as the text that people read (`encode_reference`), as version
0.1 wrote it, so that each version reads what the other wrote. `parse` is for what is stored as text: encoded answers,
and the origins of gateways in the summaries of clusters.
"""

import re
from typing import Final

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind, key_of
from meshdns.mesh.objects.problems import Problem

_KINDS: Final = {kind.value: kind for kind in ObjectKind}
_LIST_ITEM: Final = re.compile(r"(spec\.[a-z]+)\[([0-9]+)\]")


class ObjectRef:
    """An object, by its identity inside its cluster. Immutable.

    `kind` is None for what no cluster holds, the settings: such a reference has a name alone.
    """

    __slots__ = ("_text", "kind", "name", "namespace")

    def __init__(self, kind: ObjectKind | None, namespace: str, name: str) -> None:
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self._text = ""

    @property
    def kind_text(self) -> str:
        """The kind as people read it; empty where there is none."""
        return self.kind.value if self.kind is not None else ""

    def __str__(self) -> str:
        if not self._text:  # once for all candidates of an object, each of which is encoded
            self._text = f"{self.kind.value} {self.namespace}/{self.name}" if self.kind is not None else self.name
        return self._text

    def __repr__(self) -> str:
        return f"ObjectRef({self})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectRef):
            return NotImplemented
        return (self.kind, self.namespace, self.name) == (other.kind, other.namespace, other.name)

    def __hash__(self) -> int:
        return hash((self.kind, self.namespace, self.name))

    @classmethod
    def parse(cls, text: str) -> "ObjectRef":
        """The reference that ``str`` made `text` of; text that names no object is a name alone."""
        kind, _, rest = text.partition(" ")
        namespace, slash, name = rest.partition("/")
        return cls(_KINDS[kind], namespace, name) if slash and kind in _KINDS else cls(None, "", text)


class FieldRef:
    """The part of an object that gave a candidate. Immutable.

    `path` is a field, empty for the whole object; `index` is the item where the field is a list and one item is meant,
    else -1. Where the object selects another one, `selected` is that one and `path` is empty. A pod of a headless
    Service is named by its host name instead of a field.
    """

    __slots__ = ("index", "path", "selected")

    def __init__(self, path: str = "", index: int = -1, selected: ObjectRef | None = None) -> None:
        self.path = path
        self.index = index
        self.selected = selected

    def __str__(self) -> str:
        if self.selected is not None:
            return str(self.selected)
        return self.path if self.index < 0 else f"{self.path}[{self.index}]"

    def __repr__(self) -> str:
        return f"FieldRef({self})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FieldRef):
            return NotImplemented
        return (self.path, self.index, self.selected) == (other.path, other.index, other.selected)

    def __hash__(self) -> int:
        return hash((self.path, self.index, self.selected))

    @classmethod
    def parse(cls, text: str) -> "FieldRef":
        """The reference that ``str`` made `text` of."""
        if " " in text:
            return cls(selected=ObjectRef.parse(text))
        item = _LIST_ITEM.fullmatch(text)
        return cls(item[1], int(item[2])) if item is not None else cls(text)


SETTINGS: Final = ObjectRef(None, "", "settings")
"""What declares the static records."""

GATEWAYS: Final = ObjectRef(None, "", "gateways")
"""What gives the zone's own name of a cluster's gateways its addresses."""

RECORDS_FIELD: Final = "records"
HOSTS_FIELD: Final = "spec.hosts"
ENDPOINTS_FIELD: Final = "spec.endpoints"
ADDRESSES_FIELD: Final = "spec.addresses"
SELECTOR_FIELD: Final = "spec.workloadSelector"

WHOLE_OBJECT: Final = FieldRef()
"""Every part of it."""


_REFERENCES: Final = (ObjectRef, FieldRef)


def ref_of(declaration: AnyDeclaration) -> ObjectRef:
    """The reference to a declaration."""
    return ObjectRef(*key_of(declaration))


def problem_ref(problem: Problem) -> ObjectRef:
    """The reference to the object of a problem."""
    return ObjectRef(_KINDS.get(problem.object), problem.namespace, problem.name)


def encode_reference(value: object) -> str:
    """How msgspec is to encode a reference (``enc_hook``). Raises `NotImplementedError` for anything else."""
    if isinstance(value, _REFERENCES):
        return str(value)
    raise NotImplementedError(type(value))


def decode_reference(wanted: type, text: str) -> ObjectRef | FieldRef:
    """How msgspec is to decode a reference (``dec_hook``). Raises `NotImplementedError` for anything else."""
    if wanted is ObjectRef:
        return ObjectRef.parse(text)
    if wanted is FieldRef:
        return FieldRef.parse(text)
    raise NotImplementedError(wanted)
