"""Logging of all processes of an instance: an object a line for machines, a short line for people.

Rules:
- ``json``: ``ts``, ``level``, ``logger``, ``msg``, and ``error`` with the traceback of an exception. JSON escapes input
  of others, so that one event is one line.
- ``text``: level, logger and message; control characters in input are escaped and further lines are indented, so that
  no client can write lines or colours into a terminal.
- A state change is logged by the code that detects it. An error that repeats within `REPEAT_INTERVAL` seconds is
  counted, and the count is logged with the next one that passes.
"""

import logging
import sys
import time
from collections import OrderedDict
from typing import Final

import msgspec

from meshdns.mesh.objects.foreign import counted

REPEAT_INTERVAL: Final = 60.0  # seconds in which the same error is logged once
_MAX_TRACKED: Final = 256
_LEVELS: Final = {"WARNING": "warn"}
_COLOURS: Final = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "31"}


def configure_logging(level: str, log_format: str, *, process: str) -> None:
    """Log on standard error from `level` on, as ``text``, ``json``, or ``auto``: text on a terminal."""
    terminal = sys.stderr.isatty()
    as_text = log_format == "text" or (log_format == "auto" and terminal)
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter(colours=terminal) if as_text else JsonFormatter(process))
    handler.addFilter(RepeatedErrorFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class JsonFormatter(logging.Formatter):
    """An object a line; `process` names the process of the instance."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one record."""
        shown = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": _LEVELS.get(record.levelname, record.levelname.lower()),
            "process": self._process,
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            shown["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(shown).decode()


class TextFormatter(logging.Formatter):
    """A line for people."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one record, with the traceback of its exception below."""
        level = record.levelname
        if self._colours and level in _COLOURS:
            level = f"\x1b[{_COLOURS[level]}m{level}\x1b[0m"
        line = f"{level} {record.name} {escape_control_characters(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class RepeatedErrorFilter(logging.Filter):
    """Passes the same error once in `REPEAT_INTERVAL` seconds, with the number of suppressed ones."""

    def __init__(self) -> None:
        super().__init__()
        self._last_logged: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record. Below errors all are logged: they may report a state change."""
        if record.levelno < logging.ERROR or record.exc_info:
            return True
        key = (record.name, record.getMessage())
        when, suppressed = self._last_logged.pop(key, (float("-inf"), 0))
        if record.created - when < REPEAT_INTERVAL:
            self._last_logged[key] = (when, suppressed + 1)
            return False
        self._last_logged[key] = (record.created, 0)
        if len(self._last_logged) > _MAX_TRACKED:
            self._last_logged.popitem(last=False)
        if suppressed:
            record.msg, record.args = f"{key[1]} (said {counted(suppressed, 'time')} more since)".replace("%", "%%"), ()
        return True


def escape_control_characters(text: str) -> str:
    r"""Return text without control characters: they are written as ``\x1b``, and text after a line feed is indented."""
    return "".join(_escaped_character(char) for char in text)


def _escaped_character(char: str) -> str:
    if char.isprintable():
        return char
    return "\n    " if char == "\n" else repr(char)[1:-1]
