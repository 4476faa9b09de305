"""Problems are values: what is wrong with an object, where, and what to do about it.

A problem never stops the good parts of its object from being served. It is shown by ``check``, ``get problems``, the
metrics and the log alike, and it disappears with the declaration that carries it.
"""

import enum
from typing import Final

import msgspec


class ProblemKind(enum.Enum):
    """Closed set of causes; the value is what a person and a metric label read."""

    MALFORMED = "malformed"
    OUTSIDE_ZONES = "outside zones"
    NOT_PUBLIC = "not public"
    UNREACHABLE = "unreachable"
    NEVER_SERVED = "never served"
    PORT_MISMATCH = "port mismatch"
    NO_GATEWAY = "no gateway"
    NO_ENDPOINTS = "no endpoints"
    CONFLICT = "conflict"
    SHADOWED = "shadowed"
    UNREADABLE = "unreadable"
    DATABASE = "database"
    MASS_DELETE = "mass delete"


EXPECTED_KINDS: Final = frozenset({ProblemKind.OUTSIDE_ZONES, ProblemKind.NOT_PUBLIC})
"""Kinds that are counted but alarm nobody: most clusters declare hosts that are not for a mesh DNS."""


class Problem(msgspec.Struct, frozen=True, gc=False):
    """One thing wrong with one field of one object.

    ``field`` is a path inside the object, ``spec.endpoints[1].address`` for example; ``where`` is ``file:line`` for
    manifests and empty for objects read from an API server. ``advice`` says what to do next.
    """

    kind: ProblemKind
    object: str
    namespace: str
    name: str
    field: str
    reason: str
    advice: str = ""
    where: str = ""
