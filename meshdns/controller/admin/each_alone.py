"""Items of a list, each worked out on its own: a bad one is left out and logged, all others are shown."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from meshdns.mesh.objects.foreign import describe_error

Given = TypeVar("Given")
Made = TypeVar("Made")

_log = logging.getLogger("meshdns.controller.admin")


def each_alone(make: Callable[[Given], Made], items: Iterable[Given], *, what: str) -> Iterator[Made]:
    """Yield what `make` makes of each item; `what` is one of them, in the words of the log."""
    for item in items:
        try:
            made = make(item)
        except Exception as error:  # noqa: BLE001 — whatever it is costs this item alone
            _log.warning("%s cannot be shown and is left out: %s", what, describe_error(error))
        else:
            yield made
