"""The bytes of a file of manifests as documents, each read by itself where not all of them can be.

Rules:
- Text is UTF-8, or UTF-16 or UTF-32 that begins with a byte order mark. All else is refused, with what it seems to be.
  Byte order marks at the beginning of later lines, as joined files have them, are passed over.
- A file is read as one text. Only where that fails is it divided: at lines of ``---`` and ``...``, which are no part
  of any value in YAML 1.2 (section 9.1.2), at lines of more dashes, and between JSON values that follow each other
  (``jq``, JSON lines). A document that cannot be read then is a fault with its line, and those around it are read.
- A text that is over its budget, or falls into too many pieces, is refused whole.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from meshdns.mesh.objects.foreign import shown
from meshdns.sources.documents import (
    FILE_BUDGET,
    DocumentError,
    DocumentReader,
    LineIndex,
    ManifestDocument,
    NodeBudget,
    OverBudgetError,
)

MAX_PIECES: Final = 50_000
"""Documents of a text that is not read as a whole; each takes some 10 µs beside its content."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32-LE"),  # begins as that of UTF-16
    (codecs.BOM_UTF32_BE, "UTF-32-BE"),
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
)
_NULS_WITHOUT_MARK: Final = (
    (re.compile(rb"[^\0]\0\0\0|\0\0\0[^\0]"), "UTF-32"),
    (re.compile(rb"[^\0]\0[^\0]\0|\0[^\0]\0[^\0]"), "UTF-16"),
)
_COMPRESSIONS: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh91AY&SY", "bzip2"),
)
_MARK_AT_LINE: Final = re.compile("^\ufeff+", re.MULTILINE)
_SEPARATOR: Final = re.compile(r"^(?:---(?=[ \t\r\n]|\Z)|-{4,}[ \t]*\r?$|\.\.\.(?=[ \t\r\n]|\Z))", re.MULTILINE)
_NO_CONTENT: Final = re.compile(r"(?:[ \t\r]*(?:#[^\n]*|%[^\n]*)?(?:\n|\Z))*")  # directives belong to what follows
_JSON_START: Final = re.compile(r"(?:---[ \t]*(?:#[^\n]*)?\n?)?\s*(?=\[|\{(?![{%]))")  # {{ and {% are of templates
_TEMPLATE_MARK: Final = re.compile(r"\{[{%]")
_JSON_TOKEN: Final = re.compile(r'\\.|["{}\[\]]', re.DOTALL)
_MAX_JSON_DEPTH: Final = 64


class ManifestFault(NamedTuple):
    """A document that cannot be read: why, its line, and the text of it."""

    reason: str
    line: int
    text: str
    is_template: bool = False
    """Whether it seems to be a template that was not rendered."""


class ManifestText(NamedTuple):
    """The documents of a file that can be read, those that cannot, and where everything stands."""

    documents: list[ManifestDocument]
    faults: list[ManifestFault]
    lines: LineIndex


class _Piece(NamedTuple):
    """A part of a text, and the line it begins on."""

    text: str
    line: int


def read_manifests(content: bytes, budget: NodeBudget = FILE_BUDGET) -> ManifestText:
    """Read a file of manifests. Raises `DocumentError` where nothing of it can be read."""
    text = decode_text(content)
    if not text.strip():
        raise DocumentError("is empty", 1)
    reader = DocumentReader(budget)
    try:
        return ManifestText(reader.read(text), [], reader.lines)
    except OverBudgetError:
        raise
    except DocumentError as error:
        return _read_pieces(text, budget, error)


def _read_pieces(text: str, budget: NodeBudget, fault: DocumentError) -> ManifestText:
    reader = DocumentReader(budget)
    found = ManifestText([], [], reader.lines)
    for count, piece in enumerate(_divide(text)):
        if count >= MAX_PIECES:
            raise _too_many_pieces(fault)
        try:
            found.documents.extend(reader.read(piece.text, piece.line))
        except OverBudgetError:
            raise
        except DocumentError as error:
            _read_values(piece, reader, found, error)
    return found


def _read_values(piece: _Piece, reader: DocumentReader, found: ManifestText, fault: DocumentError) -> None:
    """Read the JSON values of a piece that is no document as a whole, or note its fault."""
    for count, part in enumerate(_divide_json(piece)):
        if count >= MAX_PIECES:
            raise _too_many_pieces(fault)
        if part == piece:
            found.faults.append(_fault(fault, piece))
            continue
        try:
            found.documents.extend(reader.read(part.text, part.line))
        except OverBudgetError:
            raise
        except DocumentError as error:
            found.faults.append(_fault(error, part))


def _too_many_pieces(fault: DocumentError) -> DocumentError:
    reason = f"{fault.reason}; of a file that is divided for that at most {MAX_PIECES} documents are read"
    return DocumentError(reason, fault.line)


def decode_text(content: bytes) -> str:
    """Return the text of a file. Raises `DocumentError`."""
    for magic, name in _COMPRESSIONS:
        if content.startswith(magic):
            raise DocumentError(f"is compressed ({name}), and compressed files are not read", 1)
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "UTF-8"))
    if not mark:
        for pattern, name in _NULS_WITHOUT_MARK:
            if pattern.match(content):
                raise DocumentError(f"seems to be {name} without a byte order mark", 1)
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentError(_decoding_fault(error, encoding), content.count(b"\n", 0, error.start) + 1) from None
    return _MARK_AT_LINE.sub("", text) if "\ufeff" in text else text


def _decoding_fault(error: UnicodeDecodeError, encoding: str) -> str:
    if encoding != "UTF-8":
        return f"is not {encoding}, which its byte order mark says: {error.reason}"
    byte = error.object[error.start]
    return f"is not UTF-8: {error.reason} 0x{byte:02X}, which is {shown(chr(byte))} in Latin-1"


def _divide(text: str) -> Iterator[_Piece]:
    """The pieces of a text between its separators; one of directives and comments alone is part of the next."""
    start, line = 0, 1
    for match in _SEPARATOR.finditer(text):
        end = match.start()
        if _NO_CONTENT.fullmatch(text, start, end) is None:
            yield _Piece(text[start:end], line)
            line += text.count("\n", start, end)
            start = end
        if match[0] != "---":  # it is no part of what follows
            line += text.count("\n", start, match.end())
            start = match.end()
    yield _Piece(text[start:], line)


def _divide_json(piece: _Piece) -> Iterator[_Piece]:
    """The JSON values of a piece, and what stands between them; a piece that is no JSON is one part."""
    begin = _JSON_START.match(piece.text)
    if begin is None:
        yield piece
        return
    text, line, counted = piece.text, piece.line, 0
    for start, end in _json_ranges(text, begin.end()):
        part = text[start:end]
        if part.strip():
            begins = start + len(part) - len(part.lstrip())
            line += text.count("\n", counted, begins)
            counted = begins
            yield _Piece(text[begins:end], line)


def _json_ranges(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Where values and what is between them begin and end; what is never closed or too deep reaches to the end."""
    depth, is_in_string = 0, False
    for token in _JSON_TOKEN.finditer(text, start):
        character = token[0]
        if character == '"':
            is_in_string = not is_in_string
        elif is_in_string or character[0] == "\\":
            continue
        elif character in "{[":
            if depth == 0:
                yield start, token.start()
                start = token.start()
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                yield start, token.end()
                start = token.end()
        if not 0 <= depth <= _MAX_JSON_DEPTH:
            break
    yield start, len(text)


def _fault(error: DocumentError, piece: _Piece) -> ManifestFault:
    return ManifestFault(error.reason, error.line, piece.text, _TEMPLATE_MARK.search(piece.text) is not None)
