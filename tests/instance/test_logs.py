"""Log lines: one event a line, nobody else's control characters, no error twice."""

import json
import logging

from meshdns.instance.logs import REPEAT_INTERVAL, JsonFormatter, RepeatedErrorFilter, TextFormatter

HOSTILE = 'name "\n{}\x1b[31m\x00'


def record(message: str, *, level: int = logging.INFO, at: float = 0.0) -> logging.LogRecord:
    """A record as the logging package makes it."""
    made = logging.LogRecord("meshdns.test", level, "", 0, message, (), None)
    made.created = at
    return made


def test_json_is_one_line() -> None:
    """What others wrote is inside one string of one object."""
    line = JsonFormatter("controller").format(record(HOSTILE, level=logging.WARNING))
    assert "\n" not in line
    shown = json.loads(line)
    assert (shown["msg"], shown["level"], shown["process"]) == (HOSTILE, "warn", "controller")


def test_text_has_no_control_characters() -> None:
    """Escapes are shown instead, and further lines cannot be taken for ours."""
    first, second = TextFormatter(colours=False).format(record(HOSTILE)).split("\n")
    assert first == 'INFO meshdns.test name "'
    assert second == r"    {}\x1b[31m\x00"


def test_an_error_is_said_once_in_a_while() -> None:
    """Repetitions are counted, and their number told with the next one; state changes are never kept back."""
    once = RepeatedErrorFilter()
    said = [once.filter(record("broken", level=logging.ERROR, at=at)) for at in (0.0, 1.0, 2.0)]
    assert said == [True, False, False]
    late = record("broken", level=logging.ERROR, at=REPEAT_INTERVAL + 1)
    assert once.filter(late)
    assert late.getMessage() == "broken (said 2 times more since)"
    assert all(once.filter(record("cluster east is stale", level=logging.WARNING)) for _ in range(3))
