"""The files of one cluster's folder as declarations.

Rules:
- A file that cannot be read, is empty or holds no object at all keeps its last good content whole, and says so; the
  other files go on.
- Of a file with documents that cannot be parsed the others are read, each object by itself. Which objects the broken
  ones hold is not known: of what the file gave before they broke, all that it does not declare now is served on until
  they can be read again.
- Whatever a file makes this program do costs that file alone: `read_file` is the border.
- Of several objects with one identity the last file in name order counts, inside a file the last object, and the
  winner carries a problem that names the loser.
- Kinds and API groups that are not read are passed over: a folder may hold whole ``kubectl get all`` output. One that
  seems to be mistyped is a problem. Lists are unfolded, also inside lists and arrays.

What is wrong with a file as a whole travels as one `UnreadableObject` declaration of kind ServiceEntry, with an empty
namespace and the file's name. No real object has that identity (a ServiceEntry always has a namespace), so it is
replaced and removed, stored in the name database and shown by every tool exactly as an object's own problems are, and
the `Sink` needs no second path for problems.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from meshdns.config.regular_file import read_regular_file
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, UnreadableObject, key_of
from meshdns.mesh.objects.foreign import MAX_PLACE, MAX_TEXT, bounded_text, counted, describe_error, shown
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.objects.problems import Problem, ProblemKind, ProblemList
from meshdns.sources.documents import DocumentError, LineIndex
from meshdns.sources.folder.kinds import hint_for, is_kustomization, kind_of, other_file
from meshdns.sources.manifest_text import ManifestText, read_manifests

FILE_LIMIT: Final = 32 * 2**20
"""Bytes of a file of manifests: ten thousands of objects."""

_CORRECT: Final = "correct the file, or delete it to remove its objects"
_RENDER: Final = "keep the rendered manifests here (of Helm the output of helm template)"
_TEMPLATE_MARK: Final = "{{"
_KEPT: Final = "; its last good content is served on"


@dataclass(frozen=True, slots=True)
class FileContent:
    """Content of one file: declarations with the place (``file:line``) of each, and the problems of the file."""

    declarations: tuple[tuple[str, AnyDeclaration], ...] = ()
    problems: tuple[Problem, ...] = ()
    kept: tuple[tuple[str, AnyDeclaration], ...] = ()
    """Declarations of earlier readings that documents which are broken now may hold."""
    broken: frozenset[int] = frozenset()
    """Hashes of the documents that are broken."""


def read_file(path: Path, previous: FileContent, name: str = "") -> FileContent:
    """Read one file; one that cannot be parsed gives the `previous` content and a problem.

    `name` is the path below the cluster's folder. Raises `OSError` where the file cannot be read at all: that may pass
    without the file being changed.
    """
    return _parse(_FileParser(path, name), read_regular_file(path, max_size=FILE_LIMIT)[0], previous)


def parse_content(path: Path, content: bytes) -> FileContent:
    """Parse what was read elsewhere, as `read_file` does; `path` names it for people."""
    return _parse(_FileParser(path, ""), content, FileContent())


def _parse(file: "_FileParser", content: bytes, previous: FileContent) -> FileContent:
    try:
        return file.content(read_manifests(content), previous)
    except DocumentError as error:
        return file.broken_content(error.reason, error.line, previous)
    except Exception as error:  # noqa: BLE001 — the border: one file must not end the others
        return file.broken_content(f"cannot be read: {describe_error(error)}", 0, previous)


def unreadable_file(path: Path, reason: str, previous: FileContent, name: str = "") -> FileContent:
    """The content of a file that could not be read: the `previous` one and a problem."""
    return _FileParser(path, name).broken_content(f"cannot be read: {reason}", 0, previous)


def merge_files(files: Mapping[str, FileContent]) -> dict[ObjectKey, AnyDeclaration]:
    """All declarations of a cluster by identity; `files` by name."""
    merged: dict[ObjectKey, AnyDeclaration] = {}
    places: dict[ObjectKey, str] = {}
    for name in sorted(files):
        for place, declaration in (*files[name].kept, *files[name].declarations):
            key = key_of(declaration)
            merged[key] = _with_conflict(declaration, place, places[key]) if key in places else declaration
            places[key] = place
        if files[name].problems:
            whole = UnreadableObject(
                object_kind=ObjectKind.SERVICE_ENTRY,
                namespace="",
                name=_key_name(name),
                problems=files[name].problems,
            )
            merged[key_of(whole)] = whole
    return merged


def _key_name(name: str) -> str:
    """A name that a key can hold: of bytes that are no UTF-8 Python makes what none can. Of a long path its end."""
    return bounded_text(name if len(name) <= MAX_TEXT else "…" + name[1 - MAX_TEXT :])


def _with_conflict(declaration: AnyDeclaration, place: str, other: str) -> AnyDeclaration:
    kind, namespace, name = key_of(declaration)
    problem = Problem(
        ProblemKind.CONFLICT,
        kind.value,
        namespace,
        name,
        "metadata.name",
        f"is declared twice; {other} does not count, this one comes after it",
        "delete one of the two",
        place,
    )
    return msgspec.structs.replace(declaration, problems=(*declaration.problems, problem))


_Item = tuple[Any, ObjectKind]


class _FileParser:
    """One file on its way from documents to declarations."""

    def __init__(self, path: Path, name: str = "") -> None:
        self._path = path
        self._name = name or path.name
        self._other = other_file(path.name)
        self._problems = ProblemList()
        self._lines = LineIndex()
        self._strange_lines: list[int] = []  # of documents that are no Kubernetes objects
        self._template_names: list[tuple[int, str]] = []  # objects whose name was not rendered, each with its kind
        self._has_objects = False

    def broken_content(self, reason: str, line: int, previous: FileContent) -> FileContent:
        """Return the `previous` content with a problem."""
        kept = _KEPT if previous.declarations or previous.kept else ""
        self._report(line, f"{reason}{kept}", _CORRECT)
        return FileContent(previous.declarations, self._problems.problems(), previous.kept, previous.broken)

    def content(self, found: ManifestText, previous: FileContent) -> FileContent:
        """Return what the documents declare, with all of the `previous` content that broken ones may hold."""
        self._lines = found.lines
        declared = tuple(self._declarations(found))
        broken = frozenset(hash(fault.text) for fault in found.faults)
        if self._strange_lines and not self._has_objects:
            broken |= {hash(None)}  # an error message in place of manifests
        kept = _kept_declarations(previous, declared, broken)
        suffix = _KEPT if kept else ""
        templates = [*self._template_names]
        for fault in found.faults:
            if fault.is_template:
                templates.append((fault.line, fault.reason))
            else:
                self._report(fault.line, f"{fault.reason}{suffix}", _CORRECT)
        self._report_templates(sorted(templates), suffix)
        for line in self._strange_lines:
            self._report(
                line, f"is no Kubernetes object{suffix}", "give it apiVersion, kind and metadata, or keep it elsewhere"
            )
        return FileContent(declared, self._problems.problems(), kept, broken)

    def _report_templates(self, templates: list[tuple[int, str]], suffix: str) -> None:
        """Report the templates among the documents once, for the file is rendered as a whole."""
        if templates:
            line, reason = templates[0]
            more = f", as {counted(len(templates) - 1, 'more document')} of the file" if len(templates) > 1 else ""
            self._report(line, f"seems to be a template that was not rendered{more}: {reason}{suffix}", _RENDER)

    def _report(self, line: int, reason: str, advice: str, kind: ProblemKind = ProblemKind.UNREADABLE) -> None:
        self._problems.add(Problem(kind, "file", "", self._name, "", reason, advice, self._location(line)))

    def _location(self, line: int) -> str:
        return bounded_text(f"{self._path}:{line}" if line else f"{self._path}", MAX_PLACE)

    def _declarations(self, found: ManifestText) -> Iterator[tuple[str, AnyDeclaration]]:
        for document in found.documents:
            if document.value is None:
                continue  # nothing between two separators, or comments only
            for obj, kind in self._objects(document.value, document.line):
                line = self._lines.line_of(obj)
                if _is_named_by_template(obj):
                    self._template_names.append((line, f"the name of a {kind.value} holds {_TEMPLATE_MARK}"))
                    continue
                declaration = parse_object(kind, obj, where=self._field_locator(obj), written=self._lines.text_of)
                if declaration is not None:
                    yield self._location(line), declaration
                elif _has_generated_name(obj):
                    reason = f"a {kind.value} has metadata.generateName, and no name before it is created"
                    self._report(line, reason, "set metadata.name, or keep what the API server made of it")
                else:
                    self._report(line, f"a {kind.value} has no name", "set metadata.name")

    def _field_locator(self, obj: Any) -> Callable[[str], str]:
        return lambda field: self._location(self._lines.line_of(obj, field))

    def _objects(self, value: Any, line: int, name: object = None, version: object = None) -> Iterator[_Item]:
        """The objects in a value that are read, each with its kind; a list has a `name` and `version` for its items."""
        if isinstance(value, list):
            yield from self._items(value, value, "", None, version)
            return
        if isinstance(value, dict):
            name, version = value.get("kind", name), value.get("apiVersion", version)
            items = value.get("items")
            if isinstance(items, list) and (name is None or (isinstance(name, str) and name.endswith("List"))):
                # items of a typed list (kubectl get --raw) leave out what the list already says
                yield from self._items(items, value, "items", (name or "").removesuffix("List") or None, version)
                return
        if not isinstance(value, dict) or not isinstance(name, str):
            self._note_stranger(line)
            return
        self._has_objects = True
        kind = kind_of(name, version)
        if kind is not None:
            yield value, kind
        else:
            self._hint(value, name, version)

    def _items(self, items: list[Any], parent: Any, field: str, name: object, version: object) -> Iterator[_Item]:
        self._has_objects = True
        for index, item in enumerate(items):
            line = self._lines.line_of(parent, f"{field}[{index}]")
            if isinstance(item, dict | list):
                yield from self._objects(item, line, name, version)
            else:
                self._report(line, "an item is no object", "delete the item")

    def _note_stranger(self, line: int) -> None:
        if self._other is None:
            self._strange_lines.append(line)
        else:
            what, advice = self._other
            self._other = "", ""
            if what:
                self._report(line, f"is {what} and no Kubernetes object, and is not read", advice, ProblemKind.SKIPPED)

    def _hint(self, value: Any, name: str, version: object) -> None:
        line = self._lines.line_of(value)
        if is_kustomization(name, version):
            reason = "is a kustomization, which is not built; manifests beside it are read as they are written"
            self._report(line, reason, "keep the output of kustomize build here", ProblemKind.SKIPPED)
            return
        hint = hint_for(name, version)
        if hint is not None:
            meant = f"kind {hint.name} of apiVersion {hint.version}"
            written = f"kind {shown(name)}" + ("" if version is None else f" of apiVersion {shown(version)}")
            self._report(line, f"{written} is not read; {meant} seems to be meant", f"write {meant}")


def _has_generated_name(obj: Any) -> bool:
    metadata = obj.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("generateName"))


def _is_named_by_template(obj: Any) -> bool:
    """Whether the name was to be rendered; no API server takes such a name, so that there is no such object."""
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return isinstance(name, str) and _TEMPLATE_MARK in name


def _kept_declarations(
    previous: FileContent, declared: tuple[tuple[str, AnyDeclaration], ...], broken: frozenset[int]
) -> tuple[tuple[str, AnyDeclaration], ...]:
    """What documents that are `broken` may hold: of those that were before no more than was kept for them."""
    if not broken:
        return ()
    known = previous.kept if broken <= previous.broken else (*previous.kept, *previous.declarations)
    keys = {key_of(declaration) for _, declaration in declared}
    return tuple(each for each in known if key_of(each[1]) not in keys)
