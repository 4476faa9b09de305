"""Search in very many names.

A search decodes as few answers as it can: names are first matched as they are stored, in wire format.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

import msgspec

from meshdns.dns import names

MAX_MATCHES: Final = 5000
"""Names that are put in order; of a word that more of them hold, the first ones found are."""

_LIMIT: Final = 1000

_KeyValue = tuple[bytes, bytes]


class NameSelection(msgspec.Struct, frozen=True):
    """Names that hold `name` (lower-case), in `zone`, resting on `cluster`; empty is any. At most `limit` items."""

    name: str = ""
    zone: str = ""
    cluster: str = ""
    limit: int = _LIMIT


def read_selection(query: Mapping[str, str]) -> NameSelection | None:
    """The selection from the words of a request; None where there is none of them."""
    if query.keys().isdisjoint(NameSelection.__struct_fields__):
        return None
    limit = query.get("limit", "")
    return NameSelection(
        name=query.get("name", "").lower().removesuffix("."),
        zone=query.get("zone", "").lower().removesuffix("."),
        cluster=query.get("cluster", ""),
        limit=min(int(limit), _LIMIT) if limit.isascii() and limit.isdigit() and len(limit) < 6 else _LIMIT,
    )


def select_names(items: Iterable[_KeyValue], selection: NameSelection) -> list[tuple[str, bytes]]:
    """Names in text, with what is stored of them, that a selection wants by their name and zone, best ones first."""
    found = list(islice(_matches(items, selection), MAX_MATCHES))
    found.sort(key=lambda each: (each[0] != selection.name, not each[0].startswith(selection.name), each[0]))
    return found


def _matches(items: Iterable[_KeyValue], selection: NameSelection) -> Iterator[tuple[str, bytes]]:
    pattern = re.compile(re.escape(selection.name.encode()).replace(rb"\.", b"."), re.DOTALL)  # a dot is a length octet
    for key, value in items:
        if pattern.search(key):
            name = names.to_text(key)
            if selection.name in name and (
                not selection.zone or names.is_subdomain(name.removeprefix("*."), selection.zone)
            ):
                yield name, value
