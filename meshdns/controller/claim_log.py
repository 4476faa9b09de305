"""Log of claims: each once, and a bounded number of lines whatever is claimed."""

import logging
from collections.abc import Sequence
from typing import Final

from meshdns.mesh.claims import Claim

MAX_LINES: Final = 5
"""Claims of one commit that have a line each."""
_MAX_REMEMBERED: Final = 10_000

_log = logging.getLogger("meshdns.controller")


class ClaimLog:
    """Logs the claims of each commit."""

    def __init__(self) -> None:
        self._logged: set[Claim] = set()

    def write(self, claims: Sequence[Claim]) -> None:
        """Log those that were not logged before: the first ones by name, and how many more there are."""
        fresh = [claim for claim in claims if claim not in self._logged]
        if len(self._logged) + len(fresh) > _MAX_REMEMBERED:
            self._logged.clear()
        self._logged.update(fresh[:_MAX_REMEMBERED])
        for claim in fresh[:MAX_LINES]:
            _log.warning("%s; this is an accident or an attack: see meshdns get problems", claim)
        if len(fresh) > MAX_LINES:
            _log.warning("%d more names are declared by others, too; see meshdns get problems", len(fresh) - MAX_LINES)
