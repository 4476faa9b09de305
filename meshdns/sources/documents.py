"""YAML and JSON text as plain values that remember their lines.

Rules:
- JSON is read as the YAML it is. Scalars are those of YAML 1.2's core schema (section 10.3.2): ``no`` and ``12:30`` are
  text, ``0123`` is 123. Mapping keys are always text, as in JSON. Output of ``kubectl get -o yaml`` loads unchanged.
- A key that occurs twice is an error: otherwise the last one would win in silence.
- Of a scalar that is no text the text of the file is kept where it cannot be made from the value again: ``1.10`` is
  1.1, and ``0x10`` is 16. `LineIndex.text_of` has it.
- Merge keys (``<<``) mean what YAML 1.1 says: a mapping or a list of mappings, of which the first one that has a key
  wins; the mapping's own keys win over all. Each key that is merged counts as a value that an alias stands for.
- The tags of YAML 1.1 are read: ``!!binary`` is the text that it encodes, ``!!timestamp`` is the text as written. The
  value of any other tag is an `UnknownTag`, which is no text, mapping or list; the rest of the document is read.
- Values are built from parser events, without recursion and to a bounded depth: PyYAML's composer recurses in C and
  crashes the process on a file of 100,000 opening brackets.
- An alias is the very object it names, so that nested aliases cost no memory. A walk over the values meets that object
  once for each alias, so each counts with all that it expands to: see `NodeBudget`. A text over its budget is refused
  before anything walks over it.
- Errors are `DocumentError` with a line; nothing else is raised for any text.
"""

import base64
import itertools
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

from meshdns.mesh.objects.foreign import MAX_SHOWN, bounded_text, describe_error, shown
from meshdns.mesh.objects.scalars import scalar_text

_MAX_DEPTH: Final = 64  # with what aliases stand for; CRDs nest some 20 deep
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
_YAML_TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = frozenset({None, "!", *(_YAML_TAG + name for name in ("str", "timestamp", "value", "merge"))})
_PLAIN_TAGS: Final = frozenset({_YAML_TAG + name for name in ("null", "bool", "int", "float")})
_BINARY_TAG: Final = _YAML_TAG + "binary"
_COLLECTION_TAGS: Final = frozenset({None, "!", *(_YAML_TAG + name for name in ("map", "seq", "set", "omap", "pairs"))})
_MERGE_KEY: Final = "<<"
_COLON_AT_BRACKET: Final = "found unexpected ':'"  # as the C parser says it
_NOT_PRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # section 5.1
_SURROGATES: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_INDEX: Final = re.compile(r"\[(\d{1,9})\]")


class NodeBudget(NamedTuple):
    """Bounds on the values of a text: scalars, sequences and mappings, keys apart."""

    written: int
    """The values in all documents of the text, which take memory."""
    aliased: int
    """The values that the aliases of one document stand for, nested ones expanded, which take time."""


FILE_BUDGET: Final = NodeBudget(written=500_000, aliased=100_000)
"""For an operator's own file: the output of ``kubectl get`` on 10,000 Services."""
SECRET_BUDGET: Final = NodeBudget(written=20_000, aliased=1000)
"""For a key of a Secret: a kubeconfig for one cluster has some 20 values, one of a person's some thousand."""


class DocumentError(Exception):
    """Text that is no YAML or JSON, says a thing twice or is over its budget; `line` counts from 1."""

    def __init__(self, reason: str, line: int) -> None:
        self.reason = bounded_text(reason)
        self.line = line
        super().__init__(self.reason)


class OverBudgetError(DocumentError):
    """Text with more values than its budget has, whatever document they are in."""


class UnknownTag:
    """A value that cannot be read, for its tag is not known here. It stands wherever a value can."""

    __slots__ = ()


UNKNOWN_TAG: Final = UnknownTag()


class ManifestDocument(NamedTuple):
    """One document and the line it begins on."""

    value: Any
    line: int


class LineIndex:
    """Index of the lines of the values of one text, and of what scalars are written as; lines count from 1."""

    def __init__(self) -> None:
        self._container_lines: dict[int, int] = {}
        self._child_lines: dict[int, dict[str | int, int]] = {}
        self._child_texts: dict[int, dict[str | int, str]] = {}
        self._containers: list[Any] = []  # an identity is only good while its object lives

    def add_container(self, container: Any, line: int) -> dict[str | int, int]:
        """Note a mapping or sequence that begins on `line`; returns the lines of its children, to be filled."""
        self._containers.append(container)
        self._container_lines[id(container)] = line
        return self._child_lines.setdefault(id(container), {})

    def add_text(self, container: Any, key: str | int, text: str) -> None:
        """Note what the scalar under `key` of a mapping or sequence is written as."""
        self._child_texts.setdefault(id(container), {})[key] = text

    def text_of(self, container: Any, key: str | int) -> str | None:
        """What the scalar under `key` is written as; None where that is known without the file: by `scalar_text`."""
        return self._child_texts.get(id(container), {}).get(key)

    def copy_child(self, source: Any, target: Any, key: str) -> None:
        """Note that the value under `key` of the mapping `target` is the one of `source`: its line and its text."""
        self._child_lines[id(target)][key] = self._child_lines[id(source)][key]
        text = self.text_of(source, key)
        if text is not None:
            self.add_text(target, key, text)

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


def parse_documents(text: str, budget: NodeBudget = FILE_BUDGET) -> tuple[list[ManifestDocument], LineIndex]:
    """The documents of a text, in order, and where everything in them stands. Raises `DocumentError`."""
    reader = DocumentReader(budget)
    return reader.read(text), reader.lines


class DocumentReader:
    """Reads the documents of one text, whole or in pieces that share its budget of values."""

    def __init__(self, budget: NodeBudget = FILE_BUDGET) -> None:
        self.lines = LineIndex()
        self._budget = budget
        self._written = 0

    def read(self, text: str, first_line: int = 1) -> list[ManifestDocument]:
        """The documents of a piece that begins on `first_line`. Raises `DocumentError`."""
        try:
            return list(self._documents(_SURROGATES.sub(_join_surrogates, text), first_line))
        except DocumentError:
            raise
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = min(mark.line, text.rstrip().count("\n")) if mark else 0  # the end of the text is its last line
            reason = error.problem or describe_error(error)
            if ("any token" in reason or "tab character" in reason) and _begins_with_tab(text, line):
                reason = "a tab begins the line; YAML indents with spaces"
            if reason == _COLON_AT_BRACKET:
                reason = "a value in brackets ends in a colon; quote the value"  # 2001:db8::
            raise DocumentError(reason, first_line + line) from None
        except yaml.reader.ReaderError as error:
            found = _NOT_PRINTABLE.search(text)
            if found is None:
                raise DocumentError(error.reason, first_line) from None
            reason = f"control characters are not allowed (U+{ord(found[0]):04X})"
            raise DocumentError(reason, first_line + text.count("\n", 0, found.start())) from None
        except Exception as error:  # noqa: BLE001 — PyYAML and conversions raise many kinds; a text costs only itself
            raise DocumentError(f"cannot be read: {describe_error(error)}", first_line) from None

    def _documents(self, text: str, first_line: int) -> Iterator[ManifestDocument]:
        parser = _PARSER(text)
        builder = _DocumentBuilder(self.lines, self._budget, self._written, first_line)
        try:
            while parser.check_event():
                event = parser.get_event()
                if isinstance(event, yaml.DocumentStartEvent):
                    builder = _DocumentBuilder(self.lines, self._budget, builder.written, first_line)
                elif isinstance(event, yaml.DocumentEndEvent):
                    yield ManifestDocument(builder.value, builder.line)
                elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                    builder.add(event)
        finally:
            self._written = builder.written


def _join_surrogates(match: re.Match[str]) -> str:
    """JSON escapes characters past U+FFFF as two surrogates (RFC 8259, section 7); YAML has no such escape."""
    return match[1] + bytes.fromhex(match[2] + match[3]).decode("utf-16-be")


def _begins_with_tab(text: str, line: int) -> bool:
    return next(itertools.islice(text.splitlines(), line, None), "").lstrip(" ").startswith("\t")


class _Anchor(NamedTuple):
    """What an anchor names: the values that a walk over it meets, how deep it nests, and a scalar's written text."""

    value: Any
    size: int
    height: int
    text: str | None = None


class _OpenContainer:
    """A mapping or sequence whose end was not read yet."""

    __slots__ = ("anchor", "children", "height", "is_merging", "is_unreadable", "key", "merged", "size_before", "value")

    def __init__(self, value: Any, children: dict[str | int, int], anchor: str | None, size_before: int) -> None:
        self.value = value
        self.children = children
        self.anchor = anchor
        self.size_before = size_before  # the values of the document before it
        self.height = 1
        self.key: str | None = None  # of a mapping, the key that waits for its value
        self.is_merging = False  # whether that key is the merge key
        self.merged: tuple[Any, int] | None = None  # the value of its merge key, and the line of that
        self.is_unreadable = False  # for its tag; its own content is read, as it may set anchors


class _DocumentBuilder:
    """Builds one document from parser events; `written` values were in the documents before it."""

    def __init__(self, lines: LineIndex, budget: NodeBudget, written: int = 0, first_line: int = 1) -> None:
        self.value: Any = None
        self.line = first_line
        self._first_line = first_line
        self.written = written
        self._aliased = 0
        self._budget = budget
        self._lines = lines
        self._open_containers: list[_OpenContainer] = []
        self._anchors: dict[str, _Anchor | _OpenContainer] = {}

    def add(self, event: Any) -> None:
        line = event.start_mark.line + self._first_line
        if isinstance(event, yaml.CollectionEndEvent):
            self._close_container()
        elif isinstance(event, yaml.AliasEvent):
            self._add_alias(event.anchor, line)
        elif isinstance(event, yaml.ScalarEvent):
            self._add_scalar(event, line)
        else:
            self._add_collection(event, line)

    @property
    def _size(self) -> int:
        """The values that a walk over the documents so far meets."""
        return self.written + self._aliased

    def _close_container(self) -> None:
        closed = self._open_containers.pop()
        if closed.merged is not None:
            self._merge(closed, *closed.merged)
        if closed.anchor is not None and self._anchors[closed.anchor] is closed:
            value = UNKNOWN_TAG if closed.is_unreadable else closed.value
            self._anchors[closed.anchor] = _Anchor(value, self._size - closed.size_before, closed.height)
        self._raise_height(closed.height)

    def _raise_height(self, height: int) -> None:
        if self._open_containers:
            parent = self._open_containers[-1]
            parent.height = max(parent.height, height + 1)

    def _merge(self, container: _OpenContainer, merged: Any, line: int) -> None:
        """Add to a mapping the keys of others that it lacks."""
        for source in merged if isinstance(merged, list) else [merged]:
            if not isinstance(source, dict):
                raise DocumentError("a merge key (<<) takes a mapping, or a list of mappings", line)
            self._aliased += len(source)
            if self._aliased > self._budget.aliased:
                reason = f"its aliases and merge keys stand for more than {self._budget.aliased} values"
                raise DocumentError(f"{reason}; write fewer of them", line)
            for key in [key for key in source if key not in container.value]:
                container.value[key] = source[key]
                self._lines.copy_child(source, container.value, key)

    def _add_alias(self, written: str | None, line: int) -> None:
        name = written or ""
        anchor = self._anchors.get(name)
        if anchor is None:
            raise DocumentError(f"the alias *{bounded_text(name, MAX_SHOWN)} has no anchor before it", line)
        if isinstance(anchor, _OpenContainer):
            raise DocumentError(f"the alias *{bounded_text(name, MAX_SHOWN)} stands inside what it names", line)
        self._check_depth(anchor.height, line)
        self._aliased += anchor.size
        if self._aliased > self._budget.aliased:
            raise DocumentError(
                f"its aliases stand for more than {self._budget.aliased} values; write fewer aliases", line
            )
        self._raise_height(anchor.height)
        self._add_value(anchor.value, line, anchor.text)

    def _check_depth(self, height: int, line: int) -> None:
        if len(self._open_containers) + height > _MAX_DEPTH:
            raise DocumentError(f"nested more than {_MAX_DEPTH} deep", line)

    def _count_written(self, line: int) -> None:
        self.written += 1
        if self.written > self._budget.written:
            raise OverBudgetError(f"holds more than {self._budget.written} values; split it into several files", line)

    def _add_scalar(self, event: Any, line: int) -> None:
        if self._expects_key():
            self._add_key(event, line)
            return
        self._count_written(line)
        value = _scalar_value(event)
        text = event.value if isinstance(value, int | float) and scalar_text(value) != event.value else None
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(value, 1, 0, text)
        self._add_value(value, line, text)

    def _expects_key(self) -> bool:
        parent = self._open_containers[-1] if self._open_containers else None
        return parent is not None and parent.key is None and isinstance(parent.value, dict)

    def _add_key(self, event: Any, line: int) -> None:
        key = event.value
        parent = self._open_containers[-1]
        if key in parent.value:
            raise DocumentError(f"the key {shown(key)} occurs twice, first on line {parent.children[key]}", line)
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(key, 1, 0)
        if key == _MERGE_KEY and event.implicit[0]:
            if parent.merged is not None:
                raise DocumentError("a merge key (<<) occurs twice; give it a list", line)
            parent.merged, parent.is_merging = (None, line), True
        parent.key = key
        parent.children[key] = line

    def _add_collection(self, event: Any, line: int) -> None:
        self._check_depth(1, line)
        size_before = self._size
        self._count_written(line)
        container: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        children = self._lines.add_container(container, line)
        opened = _OpenContainer(container, children, event.anchor, size_before)
        opened.is_unreadable = event.tag not in _COLLECTION_TAGS
        self._add_value(UNKNOWN_TAG if opened.is_unreadable else container, line)
        self._open_containers.append(opened)
        if event.anchor is not None:
            self._anchors[event.anchor] = opened

    def _add_value(self, value: Any, line: int, text: str | None = None) -> None:
        if not self._open_containers:
            self.value, self.line = value, line
            return
        parent = self._open_containers[-1]
        if text is not None:
            self._lines.add_text(parent.value, len(parent.value) if parent.key is None else parent.key, text)
        if isinstance(parent.value, list):
            parent.children[len(parent.value)] = line
            parent.value.append(value)
            return
        if parent.key is None:
            raise DocumentError("a mapping key must be text", line)
        if parent.is_merging:
            parent.merged, parent.is_merging = (value, line), False
        else:
            parent.value[parent.key] = value
        parent.key = None


def _scalar_value(event: Any) -> Any:
    if event.tag in _PLAIN_TAGS or (event.tag is None and event.implicit[0]):
        return _plain_scalar(event.value)
    if event.tag in _TEXT_TAGS:
        return event.value
    if event.tag == _BINARY_TAG:
        try:
            return base64.b64decode("".join(event.value.split()), validate=True).decode("utf-8")
        except ValueError:
            pass  # bytes that are no text are the value of nothing that is read
    return UNKNOWN_TAG


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
