"""The keys ``meshdns.io/…`` of objects: each is read as an annotation or as a label.

Rules:
- A value of ``export`` that cannot be read, or is neither true nor false, hides; one of ``ttl`` or ``answer`` is
  ignored. Each is a problem.
- Where label and annotation differ, of ``export`` the one that hides counts, else the annotation.
- A key that meshdns does not know does nothing, and is a problem; so is one on a kind of object where it does nothing.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.foreign import MAX_SHOWN, bounded_text, shown
from meshdns.mesh.objects.labels import ANSWER_ANNOTATION, EXPORT_LABEL, TTL_ANNOTATION
from meshdns.mesh.objects.problems import ProblemKind
from meshdns.mesh.objects.raw import RawObject, TextPairs
from meshdns.mesh.objects.scalars import WORDS_TEXT, nearest, truth_of

_PREFIX: Final = "meshdns.io/"
_SLASH: Final = slice(len(_PREFIX) - 1, len(_PREFIX))  # where it is in our keys; nearly all others have it elsewhere
_NONE: Final[frozenset[str]] = frozenset()
_KINDS: Final = {
    EXPORT_LABEL: frozenset({ObjectKind.SERVICE, ObjectKind.SERVICE_ENTRY}),
    TTL_ANNOTATION: frozenset({ObjectKind.SERVICE_ENTRY}),
    ANSWER_ANNOTATION: frozenset({ObjectKind.SERVICE_ENTRY}),
}
"""The kinds of objects on which each key says something."""

ANSWER_MODES: Final = ("gateway", "vip", "endpoints")
_MAX_TTL: Final = 86400

T = TypeVar("T")


def export_of(raw: RawObject) -> bool | None:
    """Whether an object is to be exported; False also where that cannot be read, None where nothing is said."""
    if _says_nothing(raw, EXPORT_LABEL):
        return None
    found = []
    for field, pairs in _places(raw):
        if EXPORT_LABEL in pairs.texts:
            text = pairs.texts[EXPORT_LABEL]
            value = truth_of(text)
            if value is None:
                reason = f"{shown(text)} is neither true nor false, so that the object is hidden"
                raw.add_problem(f"{field}.{EXPORT_LABEL}", reason, f"write one of {WORDS_TEXT}, in quotes")
            found.append(bool(value))
        elif pairs.is_unread(EXPORT_LABEL):
            found.append(False)
    if len(set(found)) > 1:
        _add_conflict(raw, EXPORT_LABEL, "the one that hides counts")
    return all(found) if found else None


def ttl_of(raw: RawObject) -> int:
    """The TTL in seconds; -1 where none is written that can be read."""
    return _first_value(raw, TTL_ANNOTATION, _read_ttl, "is no TTL", lambda _: f"use seconds, 0 to {_MAX_TTL}", -1)


def _read_ttl(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    return int(text) if is_number and int(text) <= _MAX_TTL else None


def answer_mode_of(raw: RawObject) -> str:
    """The answer mode; empty where none is written that is known."""
    return _first_value(raw, ANSWER_ANNOTATION, _read_answer_mode, "is unknown", _answer_advice, "")


def _read_answer_mode(text: str) -> str | None:
    return text if text in ANSWER_MODES else None


def _answer_advice(text: str) -> str:
    meant = nearest(text, ANSWER_MODES)  # of two texts at most
    return f"write {meant}" if meant else "use gateway, vip or endpoints"


def _first_value(
    raw: RawObject, key: str, read: Callable[[str], T | None], fault: str, advice: Callable[[str], str], default: T
) -> T:
    """The value of the annotation, else of the label; what cannot be read is a problem, and so are two that differ."""
    if _says_nothing(raw, key):
        return default
    found = []
    for field, pairs in _places(raw):
        text = pairs.texts.get(key)
        if text is None:
            continue
        value = read(text)
        if value is None:
            raw.add_problem(f"{field}.{key}", f"{shown(text)} {fault}", advice(text))
        else:
            found.append(value)
    if len(set(found)) > 1:
        _add_conflict(raw, key, "the annotation counts")
    return found[0] if found else default


def _says_nothing(raw: RawObject, key: str) -> bool:
    """Whether an object certainly has no value of `key`, as nearly all have none."""
    unread = raw.label_pairs.unread != _NONE or raw.annotation_pairs.unread != _NONE
    return key not in raw.labels and key not in raw.annotations and not unread


def _places(raw: RawObject) -> Iterator[tuple[str, TextPairs]]:
    yield "metadata.annotations", raw.annotation_pairs
    yield "metadata.labels", raw.label_pairs


def _add_conflict(raw: RawObject, key: str, winner: str) -> None:
    reason = f"differs from the annotation of the same key; {winner}"
    raw.add_problem(f"metadata.labels.{key}", reason, "delete one of the two", ProblemKind.CONFLICT)


def check_own_keys(raw: RawObject) -> None:
    """Note each key ``meshdns.io/…`` of an object that does nothing there."""
    for field, pairs in _places(raw):
        for key in (*pairs.texts, *(pairs.unread or ())):
            if key[_SLASH] == "/" and key[: len(_PREFIX)].lower() == _PREFIX and raw.kind not in _KINDS.get(key, ()):
                raw.add_problem(f"{field}.{bounded_text(key, MAX_SHOWN)}", *_key_fault(raw, key))


def _key_fault(raw: RawObject, key: str) -> tuple[str, str]:
    if key in _KINDS:
        return f"does nothing on a {raw.kind.value}", "delete it, or set it on the object that declares the name"
    names = (known.removeprefix(_PREFIX) for known, kinds in _KINDS.items() if raw.kind in kinds)
    meant = raw.hint(key[len(_PREFIX) :], names)
    advice = f"write {_PREFIX}{meant}" if meant else f"delete it; known are {', '.join(sorted(_KINDS))}"
    return "is no key that meshdns knows, so that it does nothing", advice
