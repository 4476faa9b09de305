"""YAML text becomes a plain tree that remembers where everything stood.

Rules:
- Scalars are those of YAML 1.2's core schema: ``no`` and ``12:30`` are text, ``0123`` is 123 (YAML 1.1 reads False, 750
  and 83).
- Keys are text and occur once. Anchors, tags and merge keys are refused: a settings file says what it means.
- All faults are collected, up to a bound; only what is no YAML at all stops at the first.
- The number of values has a bound, which holds while they are read.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import yaml

KeyPath = tuple[str | int, ...]
"""Where something stands in the settings: keys of mappings and indexes of lists, from the outside in."""

_STR: Final = "tag:yaml.org,2002:str"
_MAX_DIGITS: Final = 18  # more than any setting needs, less than what makes int() expensive
_MAX_DEPTH: Final = 64  # the settings nest five deep
MAX_VALUES: Final = 100_000
"""Values of a settings file, keys among them: 10,000 records of a name, a type, a value and a TTL."""
MAX_FAULTS: Final = 100
"""Faults of a settings file that are listed."""


class Fault(NamedTuple):
    """A fault and its place: `line` and `column` count from 1, `path` may be empty."""

    line: int
    column: int
    path: KeyPath
    message: str

    def __str__(self) -> str:
        where = f"{self.line}:{self.column}: "
        return where + (f"{dotted_path(self.path)}: " if self.path else "") + self.message


def dotted_path(path: KeyPath) -> str:
    """A path as people read it: ``sources[0].path``; keys that hold dots or brackets are quoted."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        elif re.fullmatch(r"[\w-]{1,80}", part, re.ASCII):
            out += f".{part}" if out else part
        else:
            out += f"[{part[:80]!r}]"
    return out


class SettingsDocument:
    """The one document of a settings file: its `tree`, its `faults`, and the place of every path."""

    def __init__(self, text: str) -> None:
        self.faults: list[Fault] = []
        self._root: yaml.Node | None = None
        self._seen: set[int] = set()
        self.tree: Any = None
        try:
            self._root = yaml.compose(text, Loader=_CoreLoader)
            if self._root is not None:
                self.tree = self._to_python(self._root, ())
        except _OverBudgetError as error:
            self.faults = [Fault(error.line, error.column, (), f"holds more than {MAX_VALUES} values; remove some")]
        except yaml.reader.ReaderError as error:
            self.faults = [_reader_fault(error, text)]
        except yaml.MarkedYAMLError as error:
            self.faults = [_syntax_fault(error, text)]
        except (yaml.YAMLError, ValueError, OverflowError):  # PyYAML hands escapes to chr() as they are
            self.faults = [Fault(1, 1, (), "holds an escape such as \\U that is no character; correct it")]
        except RecursionError:
            self.faults = [Fault(1, 1, (), "nests too deeply; remove brackets")]

    def position_of(self, path: KeyPath, *, key: bool = False) -> tuple[int, int, KeyPath]:
        """Line, column and the part of `path` that is in the document.

        With `key` the place of the last key itself, not of its value. Parts that the document lacks are passed over:
        the model's own marks (the kind of a source) stand between real ones.
        """
        node, mark, found = self._root, None, []
        for part in path:
            step = _child(node, part)
            if step is not None:
                name, node = step
                mark = name.start_mark if name is not None and key else node.start_mark
                found.append(part)
        mark = mark or (self._root.start_mark if self._root is not None else None)
        return (mark.line + 1, mark.column + 1, tuple(found)) if mark else (1, 1, ())

    def fault(self, path: KeyPath, message: str, *, key: bool = False, missing_key: str = "") -> Fault:
        """A fault at `path`; `missing_key` is a key that should be there and is not."""
        line, column, found = self.position_of(path, key=key)
        return Fault(line, column, (*found, missing_key) if missing_key else found, message)

    def _to_python(self, node: yaml.Node, path: KeyPath) -> Any:
        if id(node) in self._seen:
            return self._report(node, path, "anchors are not supported here; repeat the value")
        self._seen.add(id(node))
        if len(path) > _MAX_DEPTH:
            return self._report(node, path, "nests too deeply; remove brackets")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._to_python(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, value in node.value:
            key = name.value
            if not isinstance(name, yaml.ScalarNode) or name.tag != _STR:
                self._report(name, path, f"the key {_abbreviated(key)} is not text; put it in quotes")
            elif key in out:
                self._report(name, (*path, key), "occurs twice; remove one of the two")
            elif not _is_encodable(key):
                self._report(name, path, "the key holds half a surrogate pair; write the character itself")
            else:
                out[key] = self._to_python(value, (*path, key))
        return out

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        reader = _SCALARS.get(node.tag)
        if reader is None:
            return self._report(node, path, f"the tag {_abbreviated(node.tag)} is not supported here; remove it")
        if not _is_encodable(node.value):
            return self._report(node, path, "holds half a surrogate pair; write the character itself")
        try:
            return reader(node.value)
        except ValueError:
            return self._report(
                node, path, f"{_abbreviated(node.value)} is no number meshdns could use; write a smaller one"
            )

    def _report(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        if len(self.faults) > MAX_FAULTS:
            return
        if len(self.faults) == MAX_FAULTS:
            path, message = (), "more faults follow; correct the others first"
        mark = node.start_mark
        self.faults.append(Fault(mark.line + 1, mark.column + 1, path, message))


def suggest_key(key: str, known: Sequence[str]) -> str:
    """Advice on an unknown key: the known one that was probably meant, else all of them."""
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower().replace("_", "").replace("-", ""), folded, n=1, cutoff=0.6)
    return f"did you mean {folded[close[0]]!r}?" if close else f"use one of {', '.join(known)}"


class _OverBudgetError(Exception):
    """The document has too many values; line and column count from 1."""

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column)
        self.line = line
        self.column = column


class _CoreLoader(yaml.SafeLoader):
    """Resolves plain scalars by YAML 1.2's core schema (chapter 10.3.2) and nothing else; counts values."""

    _composed = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a value or key. Raises `_OverBudgetError`."""
        self._composed += 1
        if self._composed > MAX_VALUES:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _OverBudgetError(mark.line + 1, mark.column + 1)
        return super().compose_node(parent, index)

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own protocol

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803  PyYAML's name
        """Refuse brackets that nest too deeply at once: each costs a walk over all that enclose it."""
        if self.flow_level > _MAX_DEPTH:
            raise RecursionError
        super().fetch_flow_collection_start(TokenClass)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN", list("-+.")),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$", re.ASCII), _first)


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(text)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: Final[dict[str, Callable[[str], Any]]] = {
    _STR: str,
    "tag:yaml.org,2002:null": lambda _text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": _integer,
    "tag:yaml.org,2002:float": _float,
}


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    """The key node (None in a list) and value node of `part` in `node`; None where it has none."""
    if isinstance(node, yaml.MappingNode):
        return next(((name, value) for name, value in node.value if name.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _abbreviated(value: object) -> str:
    text = str(value) if isinstance(value, str) else "of brackets"
    return repr(text if len(text) <= 80 else text[:77] + "...") if isinstance(value, str) else text


def _reader_fault(error: yaml.reader.ReaderError, text: str) -> Fault:
    at = int(error.position)
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return Fault(line, column, (), "holds a character that YAML forbids; remove it")


def _syntax_fault(error: yaml.MarkedYAMLError, text: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    rest = text.splitlines()[line][column:] if line < len(text.splitlines()) else ""
    if rest.startswith("\t"):
        return Fault(line + 1, column + 1, (), "a tab cannot indent YAML; use spaces")
    if "single document" in str(error.context):
        return Fault(line + 1, column + 1, (), "a second document begins; settings are one document: remove it")
    said = "; ".join(_clean(words) for words in (error.context, error.problem) if words)
    return Fault(line + 1, column + 1, (), f"is no YAML ({said}); correct the brackets, quotes or indentation here")


def _clean(words: str) -> str:
    return " ".join(words.split())[:200]


def decode_text(data: bytes) -> tuple[str, list[Fault]]:
    """Return the text of a file's bytes, and a fault if they are no UTF-8 (a byte order mark is dropped)."""
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        fault = Fault(before.count(b"\n") + 1, column, (), "is not UTF-8; save the file in UTF-8")
        return "", [fault]
