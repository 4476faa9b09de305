"""Answers on the terminal: JSON and YAML as they came, tables as kubectl prints them."""

import calendar
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import yaml

from meshdns.dns.presentation import escape_unprintable

NONE: Final = "<none>"
UNKNOWN: Final = "<unknown>"

_STAMP: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?Z")


def format_value(value: object, form: str) -> str:
    """A value as ``json`` or ``yaml``, keys in their order, without a final line feed."""
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    text: str = yaml.safe_dump(msgspec.to_builtins(value), sort_keys=False, allow_unicode=True)
    return text.rstrip("\n")


def format_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, with_headers: bool) -> list[str]:
    """Lines in columns that are three spaces apart; empty cells read ``<none>``, what is not printable is escaped."""
    cells = [[escape_unprintable(cell) or NONE for cell in row] for row in rows]
    if with_headers:
        cells.insert(0, list(headers))
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))] if cells else []
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def join_cell(values: Iterable[Any]) -> str:
    """Several values in one cell."""
    return ",".join(str(value) for value in values)


def format_age(created: str, now: float) -> str:
    """The time from an RFC 3339 stamp in UTC to `now` (seconds since the epoch), as kubectl writes it."""
    found = _STAMP.fullmatch(created)
    if found is None:
        return UNKNOWN
    return format_duration(now - calendar.timegm(tuple(map(int, found.groups()))))


def format_duration(seconds: float) -> str:
    """A duration in at most two units, as kubectl's HumanDuration (k8s.io/apimachinery util/duration)."""
    whole = int(max(seconds, 0))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two_units(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two_units(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two_units(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    years = days // 365
    return _two_units(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def _two_units(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first}{unit}{second}{smaller}" if second else f"{first}{unit}"
