"""YAML and JSON text as plain values that remember their lines.

Rules:
- JSON is read as the YAML it is. Scalars are those of YAML 1.2's core schema (section 10.3.2): ``no`` and ``12:30`` are
  text, ``0123`` is 123. Mapping keys are always text, as in JSON. Output of ``kubectl get -o yaml`` loads unchanged.
- A key that occurs twice is an error: otherwise the last one would win in silence. So are merge keys (``<<``), which
  YAML 1.2 dropped, and tags other than the core schema's.
- Values are built from parser events, without recursion and to a bounded depth: PyYAML's composer recurses in C and
  crashes the process on a file of 100,000 opening brackets. An alias is the very object it names, so that nested
  aliases cost no memory.
- Errors are `DocumentError` with a line; nothing else is raised for any text.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

_MAX_DEPTH: Final = 64  # CRDs nest some 20 deep
_PARSER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is some ten times faster

_KEYWORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS: Final = frozenset("0123456789+-.")
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,400}")  # longer ones stay text: Python refuses to convert them
_OCTAL_OR_HEX: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY_OR_NAN: Final = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TEXT_TAGS: Final = frozenset({None, "!", "tag:yaml.org,2002:str"})
_PLAIN_TAGS: Final = frozenset({f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")})
_COLLECTION_TAGS: Final = frozenset({None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_SURROGATES: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)")
_INDEX: Final = re.compile(r"\[(\d{1,9})\]")


class DocumentError(Exception):
    """Text that is no YAML or JSON, or says a thing twice; `line` counts from 1."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class ManifestDocument(NamedTuple):
    """One document and the line it begins on."""

    value: Any
    line: int


class LineIndex:
    """Index of the lines of the values of one text; lines count from 1."""

    def __init__(self) -> None:
        self._container_lines: dict[int, int] = {}
        self._child_lines: dict[int, dict[str | int, int]] = {}
        self._containers: list[Any] = []  # an identity is only good while its object lives

    def add_container(self, container: Any, line: int) -> dict[str | int, int]:
        """Note a mapping or sequence that begins on `line`; returns the lines of its children, to be filled."""
        self._containers.append(container)
        self._container_lines[id(container)] = line
        return self._child_lines.setdefault(id(container), {})

    def line_of(self, value: Any, field: str = "") -> int:
        """The line of the deepest part of `field` below `value`; a field's line is that of its key.

        `field` is a path as problems carry it: ``spec.endpoints[1].address``. Keys may hold dots themselves
        (``metadata.annotations.meshdns.io/ttl``): the longest key that fits is taken.
        """
        line = self._container_lines.get(id(value), 1)
        while field:
            children = self._child_lines.get(id(value), {})
            step, field = _next_step(field, children)
            if step is None:
                break
            line, value = children[step], value[step]
        return line


def _next_step(field: str, children: dict[str | int, int]) -> tuple[str | int | None, str]:
    index = _INDEX.match(field)
    if index is not None:
        number = int(index[1])
        return (number if number in children else None), field[index.end() :].removeprefix(".")
    for end in range(len(field), 0, -1):
        if (end == len(field) or field[end] in ".[") and field[:end] in children:
            return field[:end], field[end:].removeprefix(".")
    return None, ""


def parse_documents(text: str) -> tuple[list[ManifestDocument], LineIndex]:
    """The documents of a text, in order, and where everything in them stands. Raises `DocumentError`."""
    lines = LineIndex()
    return list(_documents(_SURROGATES.sub(_join_surrogates, text), lines)), lines


def _join_surrogates(match: re.Match[str]) -> str:
    """JSON escapes characters past U+FFFF as two surrogates (RFC 8259, section 7); YAML has no such escape."""
    return match[1] + bytes.fromhex(match[2] + match[3]).decode("utf-16-be")


def _documents(text: str, lines: LineIndex) -> Iterator[ManifestDocument]:
    try:
        parser = _PARSER(text)
        builder = _DocumentBuilder(lines)
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                builder = _DocumentBuilder(lines)
            elif isinstance(event, yaml.DocumentEndEvent):
                yield ManifestDocument(builder.value, builder.line)
            elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                builder.add(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line, text.rstrip().count("\n")) if mark else 0  # the end of the text is its last line
        raise DocumentError(error.problem or str(error), line + 1) from None
    except yaml.reader.ReaderError as error:
        raise DocumentError(error.reason, text.count("\n", 0, error.position) + 1) from None
    except (ValueError, OverflowError) as error:
        raise DocumentError(str(error), 1) from None


class _DocumentBuilder:
    """Builds one document from parser events."""

    def __init__(self, lines: LineIndex) -> None:
        self.value: Any = None
        self.line = 1
        self._lines = lines
        self._open_containers: list[tuple[Any, dict[str | int, int]]] = []
        self._keys: list[str | None] = []  # per open mapping the key that waits for its value
        self._anchors: dict[str, Any] = {}

    def add(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionEndEvent):
            self._open_containers.pop()
            self._keys.pop()
        elif isinstance(event, yaml.AliasEvent):
            self._add_value(self._resolve_alias(event.anchor, line), line)
        elif isinstance(event, yaml.ScalarEvent):
            self._add_scalar(event, line)
        else:
            self._add_collection(event, line)

    def _resolve_alias(self, anchor: str | None, line: int) -> Any:
        if anchor is None or anchor not in self._anchors:
            raise DocumentError(f"the alias *{anchor} has no anchor before it", line)
        value = self._anchors[anchor]
        if any(value is container for container, _ in self._open_containers):
            raise DocumentError(f"the alias *{anchor} stands inside what it names", line)
        return value

    def _add_scalar(self, event: Any, line: int) -> None:
        if self._expects_key():
            self._add_key(event, line)
            return
        value = _scalar_value(event, line)
        if event.anchor:
            self._anchors[event.anchor] = value
        self._add_value(value, line)

    def _expects_key(self) -> bool:
        return bool(self._open_containers) and isinstance(self._open_containers[-1][0], dict) and self._keys[-1] is None

    def _add_key(self, event: Any, line: int) -> None:
        key = event.value
        mapping, children = self._open_containers[-1]
        if key in mapping:
            raise DocumentError(f"the key {key[:80]!r} occurs twice, first on line {children[key]}", line)
        if key == "<<" and event.implicit[0]:
            raise DocumentError("merge keys (<<) are not part of YAML 1.2", line)
        self._keys[-1] = key
        children[key] = line

    def _add_collection(self, event: Any, line: int) -> None:
        if event.tag not in _COLLECTION_TAGS:
            raise DocumentError(f"the tag {event.tag} is not known here", line)
        if len(self._open_containers) == _MAX_DEPTH:
            raise DocumentError(f"nested more than {_MAX_DEPTH} deep", line)
        container: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        if event.anchor:
            self._anchors[event.anchor] = container
        self._add_value(container, line)
        self._open_containers.append((container, self._lines.add_container(container, line)))
        self._keys.append(None)

    def _add_value(self, value: Any, line: int) -> None:
        if not self._open_containers:
            self.value, self.line = value, line
            return
        parent, children = self._open_containers[-1]
        if isinstance(parent, list):
            children[len(parent)] = line
            parent.append(value)
            return
        key = self._keys[-1]
        if key is None:
            raise DocumentError("a mapping key must be text", line)
        parent[key] = value
        self._keys[-1] = None


def _scalar_value(event: Any, line: int) -> Any:
    if event.tag in _PLAIN_TAGS or (event.tag is None and event.implicit[0]):
        return _plain_scalar(event.value)
    if event.tag in _TEXT_TAGS:
        return event.value
    raise DocumentError(f"the tag {event.tag} is not known here", line)


def _plain_scalar(text: str) -> Any:
    """A plain scalar by the core schema."""
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0)
    special = _INFINITY_OR_NAN.fullmatch(text)
    return float(text.replace(".", "")) if special else text
