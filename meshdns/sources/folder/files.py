"""The files of one cluster's folder as declarations.

Rules:
- A file is the unit: one that cannot be parsed keeps its last good content whole, and says so; the other files go on.
- Inside a file that parses, each object is judged alone.
- Whatever a file makes this program do costs that file alone: `read_file` is the border.
- Of several objects with one identity the last file in name order counts, inside a file the last object, and the
  winner carries a problem that names the loser.
- Kinds and API groups that are not read are passed over: a folder may hold whole ``kubectl get all`` output.

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
from meshdns.mesh.objects.foreign import MAX_PLACE, bounded_text, describe_error
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.objects.problems import Problem, ProblemKind, ProblemList
from meshdns.sources.documents import DocumentError, LineIndex, ManifestDocument, parse_documents
from meshdns.sources.kube.resources import KIND_BY_GROUP_AND_NAME

FILE_LIMIT: Final = 32 * 2**20
"""Bytes of a file of manifests: ten thousands of objects."""

_KIND_BY_NAME: Final = {
    name: kind for (_, name), kind in reversed(KIND_BY_GROUP_AND_NAME.items())
}  # without apiVersion the first is meant


@dataclass(frozen=True, slots=True)
class FileContent:
    """Content of one file: declarations with the place (``file:line``) of each, and the problem of the file."""

    declarations: tuple[tuple[str, AnyDeclaration], ...] = ()
    problems: tuple[Problem, ...] = ()


def read_file(path: Path, previous: FileContent) -> FileContent:
    """Read one file; one that cannot be parsed gives the `previous` content and a problem.

    Raises `OSError` where the file cannot be read at all: that may pass without the file being changed.
    """
    try:
        return _parse_file(path, read_regular_file(path, max_size=FILE_LIMIT)[0], previous)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 — the border: one file must not end the others
        return _FileParser(path).broken_content(f"cannot be read: {describe_error(error)}", 0, previous)


def parse_content(path: Path, content: bytes) -> FileContent:
    """Parse what was read elsewhere, as `read_file` does; `path` names it for people."""
    try:
        return _parse_file(path, content, FileContent())
    except Exception as error:  # noqa: BLE001 — as in `read_file`
        return _FileParser(path).broken_content(f"cannot be read: {describe_error(error)}", 0, FileContent())


def _parse_file(path: Path, content: bytes, previous: FileContent) -> FileContent:
    file = _FileParser(path)
    try:
        text = content.decode("utf-8-sig")
        documents, lines = parse_documents(text)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return file.broken_content(f"is not UTF-8: {error.reason}", line, previous)
    except DocumentError as error:
        return file.broken_content(error.reason, error.line, previous)
    if not text.strip():
        return file.broken_content("is empty", 1, previous)
    return file.content(documents, lines)


def unreadable_file(path: Path, reason: str, previous: FileContent) -> FileContent:
    """The content of a file that could not be read: the `previous` one and a problem."""
    return _FileParser(path).broken_content(f"cannot be read: {reason}", 0, previous)


def merge_files(files: Mapping[str, FileContent]) -> dict[ObjectKey, AnyDeclaration]:
    """All declarations of a cluster by identity; `files` by name."""
    merged: dict[ObjectKey, AnyDeclaration] = {}
    places: dict[ObjectKey, str] = {}
    for name in sorted(files):
        for place, declaration in files[name].declarations:
            key = key_of(declaration)
            merged[key] = _with_conflict(declaration, place, places[key]) if key in places else declaration
            places[key] = place
        if files[name].problems:
            whole = UnreadableObject(
                object_kind=ObjectKind.SERVICE_ENTRY,
                namespace="",
                name=bounded_text(name),  # of bytes that are no UTF-8 Python makes what no key can hold
                problems=files[name].problems,
            )
            merged[key_of(whole)] = whole
    return merged


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


class _FileParser:
    """One file on its way from documents to declarations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._problems = ProblemList()

    def broken_content(self, reason: str, line: int, previous: FileContent) -> FileContent:
        kept = "; its last good content is served on" if previous.declarations else ""
        self._report(line, f"{reason}{kept}", "correct the file, or delete it to remove its objects")
        return FileContent(previous.declarations, self._problems.problems())

    def content(self, documents: list[ManifestDocument], lines: LineIndex) -> FileContent:
        declared = tuple(self._declarations(documents, lines))
        return FileContent(declared, self._problems.problems())

    def _report(self, line: int, reason: str, advice: str) -> None:
        where = self._location(line)
        name = self._path.name
        self._problems.add(Problem(ProblemKind.UNREADABLE, "file", "", name, "", reason, advice, where))

    def _location(self, line: int) -> str:
        return bounded_text(f"{self._path}:{line}" if line else f"{self._path}", MAX_PLACE)

    def _declarations(
        self, documents: list[ManifestDocument], lines: LineIndex
    ) -> Iterator[tuple[str, AnyDeclaration]]:
        for document in documents:
            if document.value is None:
                continue  # nothing between two separators, or comments only
            for obj, kind in self._objects(document, lines):
                declaration = parse_object(kind, obj, where=self._field_locator(obj, lines))
                line = lines.line_of(obj)
                if declaration is None:
                    self._report(line, f"a {kind.value} has no name", "set metadata.name")
                else:
                    yield self._location(line), declaration

    def _field_locator(self, obj: Any, lines: LineIndex) -> Callable[[str], str]:
        return lambda field: self._location(lines.line_of(obj, field))

    def _objects(self, source_document: ManifestDocument, lines: LineIndex) -> Iterator[tuple[Any, ObjectKind]]:
        """The objects of a document that are read, each with its kind; a List gives its items."""
        document = source_document.value
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            self._report(source_document.line, "is no Kubernetes object", "give it apiVersion, kind and metadata")
            return
        name, version = document["kind"], document.get("apiVersion")
        items = document.get("items")
        if not (name.endswith("List") and isinstance(items, list)):
            kind = _kind_of(name, version)
            if kind is not None:
                yield document, kind
            return
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                self._report(lines.line_of(document, f"items[{index}]"), "an item is no object", "delete the item")
                continue
            # items of a typed list (kubectl get --raw) leave out what the list already says
            kind = _kind_of(item.get("kind", name.removesuffix("List")), item.get("apiVersion", version))
            if kind is not None:
                yield item, kind


def _kind_of(name: object, version: object) -> ObjectKind | None:
    """The kind that is meant: other groups have kinds of the same name (Knative's Service, Istio's Gateway)."""
    if not isinstance(name, str):
        return None
    if not isinstance(version, str):
        return _KIND_BY_NAME.get(name)
    group, slash, _ = version.partition("/")
    return KIND_BY_GROUP_AND_NAME.get((group if slash else "", name))
