"""Scalars of objects: the text of what should have been text, the words for true and false, and names that are near.

Rules:
- A scalar where text is wanted counts as the text that stands in the file, or in the JSON of an API server; it is a
  problem all the same, for Kubernetes refuses it.
- ``null`` is no scalar: it is absence.
"""

import difflib
import json
from collections.abc import Iterable
from typing import Final

_MAX_BITS: Final = 256  # of an int that is written out: a label has 63 characters, and making digits takes long

_WORDS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
"""Go's ``strconv.ParseBool``, YAML 1.1 (https://yaml.org/type/bool.html) and YAML 1.2, in any case."""
WORDS_TEXT: Final = "true, false, yes, no, on, off, 1 and 0"

_MAX_COMPARED: Final = 64  # characters of a key or word that is compared with others, which takes quadratic time
LIKENESS: Final = 0.6


def scalar_text(value: object) -> str | None:
    """The JSON text of a number or truth value, a text itself; None for all else."""
    match value:
        case str():
            return value
        case bool() | float():
            return json.dumps(value)
        case int():
            return str(value) if value.bit_length() <= _MAX_BITS else None
        case _:
            return None


def truth_of(text: str) -> bool | None:
    """What a word says in any case, blanks around it left out; None where it is neither true nor false."""
    return _WORDS.get(text.strip().lower())


def nearest(text: str, known: Iterable[str], likeness: float = LIKENESS) -> str:
    """The one of `known` that was probably meant; empty where none is like it. Letter case makes no difference.

    `likeness` is a ratio of `difflib`, from 0 to 1.
    """
    by_fold = {each.lower(): each for each in known}
    if len(text) > _MAX_COMPARED:
        return ""
    found = difflib.get_close_matches(text.strip().lower(), by_fold, n=1, cutoff=likeness)
    return by_fold[found[0]] if found else ""
