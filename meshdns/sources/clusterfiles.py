"""The files of one cluster's folder as declarations.

Rules:
- A file is the unit: one that cannot be parsed keeps its last good content whole, and says so; the other files go on.
- Inside a file that parses, each object is judged alone.
- Of several objects with one identity the last file in name order counts, inside a file the last object, and the
  winner carries a problem that names the loser.
- Kinds and API groups that are not read are passed over: a folder may hold whole ``kubectl get all`` output.

What is wrong with a file as a whole travels as one `Unreadable` declaration of kind ServiceEntry, with an empty
namespace and the file's name. No real object has that identity (a ServiceEntry always has a namespace), so it is
replaced and removed, stored in the view and shown by every tool exactly as an object's own problems are, and the port
to the controller needs no second path for problems.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from meshdns.mesh.declarations import AnyDeclaration, Key, Kind, Unreadable, key_of
from meshdns.mesh.manifest import read
from meshdns.mesh.problems import Problem, ProblemKind
from meshdns.sources.documents import Document, DocumentError, Lines, parse
from meshdns.sources.resources import OBJECTS

_NAMES: Final = {name: kind for (_, name), kind in reversed(OBJECTS.items())}  # without apiVersion the first is meant


@dataclass(frozen=True, slots=True)
class FileContent:
    """What one file declares: declarations with the place (``file:line``) of each, and what is wrong with the file."""

    declared: tuple[tuple[str, AnyDeclaration], ...] = ()
    problems: tuple[Problem, ...] = ()


def read_file(path: Path, last: FileContent) -> FileContent:
    """Read one file; one that cannot be parsed gives the `last` content and a problem.

    Raises `OSError` where the file cannot be read at all: that may pass without the file being changed.
    """
    file = _File(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        documents, lines = parse(text)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return file.broken(f"is not UTF-8: {error.reason}", line, last)
    except DocumentError as error:
        return file.broken(error.reason, error.line, last)
    if not text.strip():
        return file.broken("is empty", 1, last)
    return file.content(documents, lines)


def unreadable(path: Path, reason: str, last: FileContent) -> FileContent:
    """The content of a file that could not be read: the `last` one and a problem."""
    return _File(path).broken(f"cannot be read: {reason}", 0, last)


def merge(files: Mapping[str, FileContent]) -> dict[Key, AnyDeclaration]:
    """All declarations of a cluster by identity; `files` by name."""
    merged: dict[Key, AnyDeclaration] = {}
    places: dict[Key, str] = {}
    for name in sorted(files):
        for place, declaration in files[name].declared:
            key = key_of(declaration)
            merged[key] = _winner(declaration, place, places[key]) if key in places else declaration
            places[key] = place
        if files[name].problems:
            whole = Unreadable(of=Kind.SERVICE_ENTRY, namespace="", name=name, problems=files[name].problems)
            merged[key_of(whole)] = whole
    return merged


def _winner(declaration: AnyDeclaration, place: str, other: str) -> AnyDeclaration:
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


class _File:
    """One file on its way from documents to declarations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._problems: list[Problem] = []

    def broken(self, reason: str, line: int, last: FileContent) -> FileContent:
        kept = "; its last good content is served on" if last.declared else ""
        self._report(line, f"{reason}{kept}", "correct the file, or delete it to remove its objects")
        return FileContent(last.declared, tuple(self._problems))

    def content(self, documents: list[Document], lines: Lines) -> FileContent:
        declared = tuple(self._declared(documents, lines))
        return FileContent(declared, tuple(self._problems))

    def _report(self, line: int, reason: str, advice: str) -> None:
        where = self._place(line)
        name = self._path.name
        self._problems.append(Problem(ProblemKind.UNREADABLE, "file", "", name, "", reason, advice, where))

    def _place(self, line: int) -> str:
        return f"{self._path}:{line}" if line else str(self._path)

    def _declared(self, documents: list[Document], lines: Lines) -> Iterator[tuple[str, AnyDeclaration]]:
        for document in documents:
            if document.value is None:
                continue  # nothing between two separators, or comments only
            for obj, kind in self._objects(document, lines):
                declaration = read(kind, obj, where=self._where(obj, lines))
                line = lines.find(obj)
                if declaration is None:
                    self._report(line, f"a {kind.value} has no name", "set metadata.name")
                else:
                    yield self._place(line), declaration

    def _where(self, obj: Any, lines: Lines) -> Callable[[str], str]:
        return lambda field: self._place(lines.find(obj, field))

    def _objects(self, place: Document, lines: Lines) -> Iterator[tuple[Any, Kind]]:
        """The objects of a document that are read, each with its kind; a List gives its items."""
        document = place.value
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            self._report(place.line, "is no Kubernetes object", "give it apiVersion, kind and metadata")
            return
        name, version = document["kind"], document.get("apiVersion")
        items = document.get("items")
        if not (name.endswith("List") and isinstance(items, list)):
            kind = _kind(name, version)
            if kind is not None:
                yield document, kind
            return
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                self._report(lines.find(document, f"items[{index}]"), "an item is no object", "delete the item")
                continue
            # items of a typed list (kubectl get --raw) leave out what the list already says
            kind = _kind(item.get("kind", name.removesuffix("List")), item.get("apiVersion", version))
            if kind is not None:
                yield item, kind


def _kind(name: object, version: object) -> Kind | None:
    """The kind that is meant: other groups have kinds of the same name (Knative's Service, Istio's Gateway)."""
    if not isinstance(name, str):
        return None
    if not isinstance(version, str):
        return _NAMES.get(name)
    group, slash, _ = version.partition("/")
    return OBJECTS.get((group if slash else "", name))
