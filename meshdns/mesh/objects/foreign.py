"""Text about foreign values: bounded in length and in work, and on one line.

A value from an object, a file, a key or a reply may be of any size and type. It is shown by these functions alone.
"""

import itertools
from collections.abc import Iterable
from typing import Final

MAX_TEXT: Final = 200
"""The longest text, in characters, that is kept of anything foreign."""
MAX_REASON: Final = 400
"""The longest reason, in characters, which may hold several foreign texts."""
MAX_PLACE: Final = 1024
"""The longest ``file:line``, in characters."""
MAX_SHOWN: Final = 80
"""The longest text, in characters, that shows one value inside a sentence."""
MAX_LISTED: Final = 5
"""How many items of a list are named."""

_CUT: Final = "…"
_MAX_BITS: Final = 128  # of an int that is written out: making digits takes quadratic time


def bounded_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return `text` on one line and in at most `limit` characters; what cannot be printed is escaped."""
    line = " ".join(text[: 2 * limit].split())
    if not line.isprintable():
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return line if len(line) <= limit and len(text) <= 2 * limit else line[: limit - 1] + _CUT


def shown(value: object, limit: int = MAX_SHOWN) -> str:
    """Return text that shows any value in at most `limit` characters; nothing is made of what a container holds."""
    match value:
        case str():
            short = value if len(value) <= limit else value[:limit]
            text = repr(short)
            return text if len(text) <= limit and short is value else text[: limit - 2] + _CUT + text[-1]
        case None | bool() | float():
            return repr(value)
        case int():
            return repr(value) if value.bit_length() <= _MAX_BITS else f"a number of {value.bit_length()} bits"
        case bytes() | bytearray():
            return counted(len(value), "byte")
        case dict():
            return f"a mapping of {counted(len(value), 'key')}"
        case list() | tuple() | set() | frozenset():
            return f"a list of {counted(len(value), 'item')}"
        case _:
            return bounded_text(f"a value of type {type(value).__name__}", limit)


def bounded_message(message: str) -> str:
    """Return a message in bounded length: its reason and, behind the last semicolon, its advice."""
    reason, semicolon, advice = message.rpartition("; ")
    if not semicolon:
        return bounded_text(message, MAX_REASON)
    return f"{bounded_text(reason, MAX_REASON)}; {bounded_text(advice)}"


def describe_error(error: BaseException) -> str:
    """Return the type of an exception and what it says."""
    kind, said = type(error).__name__, words_of(error)
    return f"{kind} ({said})" if said != kind else kind


def words_of(error: BaseException) -> str:
    """Return what an exception says, else its type; a library's may quote the value that it choked on."""
    said = [bounded_text(each) for each in error.args[:MAX_LISTED] if isinstance(each, str)]
    return bounded_text(" ".join(said)) or type(error).__name__


def listed(texts: Iterable[str], most: int = MAX_LISTED, separator: str = ", ", *, limit: int = MAX_TEXT) -> str:
    """Return the first `most` texts, each bounded, and how many more there are."""
    items = iter(texts)
    first = [bounded_text(text, limit) for text in itertools.islice(items, most)]
    more = sum(1 for _ in items)
    return separator.join(first) + (f" and {more} more" if more else "")


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with what is counted: ``1 host``, ``2 hosts``; `many` where it is not formed so."""
    return f"{number} {one if number == 1 else many or one + 's'}"
