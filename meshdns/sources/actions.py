"""What a reflector wants done next."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class List:
    """Ask for a page of a list."""

    path: str
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class Watch:
    """Open a watch."""

    path: str
    resource_version: str
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until then; `rouse` says that the wait is over when the server is heard by another kind."""

    until: float
    rouse: bool = False


@dataclass(frozen=True, slots=True)
class Refresh:
    """Load the credentials anew: the server did not accept them."""


Action = List | Watch | Wait | Refresh
