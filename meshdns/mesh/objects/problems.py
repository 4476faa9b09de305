"""Problems are values: what is wrong with an object, where, and what to do about it.

A problem never stops the good parts of its object from being served. It is shown by ``check``, ``get problems``, the
metrics and the log alike, and it disappears with the declaration that carries it.

Whatever a problem quotes, its texts are bounded where it is made, and so is the number of problems of one object
(`first_problems`): what is stored and printed of an object does not grow with the object.

Each kind of problem is declared once, in `ProblemKind`; ``docs/problems.md`` is written from there. To add a kind, add
a member and a section of ``docs/runbooks.md``.
"""

import enum
import re
from collections.abc import Iterable
from typing import Final, Self

import msgspec

from meshdns.mesh.objects.foreign import MAX_PLACE, MAX_REASON, bounded_text


class Severity(enum.Enum):
    """How urgent a kind of problem is. The members are in order, the most urgent one first."""

    ERROR = "error"
    """Something that is declared is not served, or a part of meshdns does not work."""
    WARNING = "warning"
    """Everything is served, but perhaps not as its author meant it."""
    EXPECTED = "expected"
    """Normal in most meshes: it is counted, and nobody has to act."""


class ProblemKind(enum.Enum):
    """Closed set of kinds; the value is what people read and metrics have as a label. It is stored: never change it."""

    severity: Severity
    meaning: str
    """One sentence for people."""
    advice: str
    """What to do where the problem itself does not say it."""
    runbook: str
    """A section of ``docs/runbooks.md``, by its anchor."""

    def __new__(cls, value: str, severity: Severity, meaning: str, advice: str, runbook: str) -> Self:
        """Return the member with all that is declared of it."""
        member = object.__new__(cls)
        member._value_ = value
        member.severity, member.meaning, member.advice, member.runbook = severity, meaning, advice, runbook
        return member

    MALFORMED = (
        "malformed",
        Severity.ERROR,
        "A field of an object breaks the rules of its kind.",
        "correct the field",
        "problem-malformed",
    )
    OUTSIDE_ZONES = (
        "outside zones",
        Severity.EXPECTED,
        "A ServiceEntry declares a host that is in none of the configured zones.",
        "add a zone to serve the host from the mesh",
        "problem-outside-zones",
    )
    NOT_PUBLIC = (
        "not public",
        Severity.EXPECTED,
        "A host is in a zone, but its declaration is not exported to all or may not speak for it.",
        "export the declaration to all, or allow its cluster and namespace in the settings",
        "problem-not-public",
    )
    HIDDEN = (
        "hidden",
        Severity.WARNING,
        "A host or a derived name lies in a zone or forward zone of the settings that begins inside its zone.",
        "rename what is declared, or change the zones",
        "problem-hidden",
    )
    UNREACHABLE = (
        "unreachable",
        Severity.ERROR,
        "An endpoint has no address that clients of this instance can reach.",
        "give the endpoint an address that can be reached from here, or a gateway",
        "problem-unreachable",
    )
    UNRESOLVED = (
        "unresolved",
        Severity.ERROR,
        "A host name of an endpoint or a gateway has no address: it resolves to nothing usable, or its look-ups fail.",
        "correct the host name, or have the servers under forward resolve it",
        "problem-unresolved",
    )
    NEVER_SERVED = (
        "never served",
        Severity.ERROR,
        "An address is loopback, link-local, unspecified or multicast, so it is not served.",
        "use an address of a network",
        "problem-never-served",
    )
    PORT_MISMATCH = (
        "port mismatch",
        Severity.WARNING,
        "An endpoint listens on another port than clients connect to.",
        "listen on the port of the Service, or let clients ask for SRV records",
        "problem-port-mismatch",
    )
    NO_GATEWAY = (
        "no gateway",
        Severity.ERROR,
        "Endpoints have to be reached through gateways, and none leads to them.",
        "give the cluster a gateway, or set clusters.<name>.gateways",
        "meshdnsgatewaymissing",
    )
    NO_ENDPOINTS = (
        "no endpoints",
        Severity.ERROR,
        "A declaration has no endpoints, and its host cannot be resolved instead.",
        "add endpoints to the declaration",
        "problem-no-endpoints",
    )
    CONFLICT = (
        "conflict",
        Severity.WARNING,
        "Two declarations, files or clusters contradict each other; one of them is used.",
        "remove one of the two, or make them agree",
        "meshdnsnameconflict",
    )
    SHADOWED = (
        "shadowed",
        Severity.WARNING,
        "A wildcard covers a whole zone, and with it names that were meant for other servers.",
        "declare narrower hosts, or keep the zone out of search lists",
        "problem-shadowed",
    )
    RESERVED_NAME = (
        "reserved name",
        Severity.ERROR,
        "A declaration claims a name of a zone itself, or of a reverse zone, so it is not served under that name.",
        "give the object another name or host; only a static record may have this name",
        "problem-reserved-name",
    )
    UNREADABLE = (
        "unreadable",
        Severity.ERROR,
        "A source, a file, a Secret or a cluster cannot be read.",
        "correct what the reason names; it is read again without a restart",
        "problem-unreadable",
    )
    EMPTY = (
        "empty",
        Severity.WARNING,
        "A folder that is named as a source, or as a cluster of one, holds nothing that is read.",
        "put into it what is to be read, or remove it",
        "problem-empty",
    )
    SKIPPED = (
        "skipped",
        Severity.EXPECTED,
        "A file in a folder of manifests is not read, because it holds none.",
        "keep it elsewhere, or let its name begin with a dot",
        "problem-skipped",
    )
    DATABASE = (
        "database",
        Severity.ERROR,
        "The name database cannot be written, so changes of the mesh are not served.",
        "free space, or remove the directory of the name database and restart meshdns, which rebuilds it",
        "meshdnsdatabasenotwritable",
    )
    MASS_DELETE = (
        "mass delete",
        Severity.WARNING,
        "Many objects were missing from one list of a cluster; they are served until another list agrees.",
        "check whether the API server of the cluster lost them",
        "problem-mass-delete",
    )
    OVER_BOUND = (
        "over bound",
        Severity.ERROR,
        "An object, or what a name rests on, has more parts than are read; the others count as unreadable.",
        "divide the object into several",
        "problem-over-bound",
    )
    NOT_FOUND = (
        "not found",
        Severity.WARNING,
        "The settings name a cluster or a network that no source and no object brings.",
        "correct the name, or add the source that brings it",
        "problem-not-found",
    )
    NOT_COMPUTED = (
        "not computed",
        Severity.ERROR,
        "An error in meshdns keeps a name, the gateways or a stored item from being worked out; all others are.",
        "report it with the reason; it is tried again by itself",
        "problem-not-computed",
    )


_MAX_NAME: Final = 253  # characters of the names of objects
_LIMITS: Final = (
    ("object", _MAX_NAME),
    ("namespace", _MAX_NAME),
    ("name", _MAX_NAME),
    ("field", _MAX_NAME),
    ("reason", MAX_REASON),
    ("advice", MAX_REASON),
    ("where", MAX_PLACE),
    ("cause", 3 * _MAX_NAME),
)
"""The longest texts of a problem, in characters."""

MAX_PROBLEMS: Final = 50
"""Problems of one object that are named one by one."""


class Problem(msgspec.Struct, frozen=True, gc=False):
    """One thing wrong with one field of one object; every text of it is one line of bounded length."""

    kind: ProblemKind
    object: str
    """The kind of the object."""
    namespace: str
    name: str
    field: str
    """A path inside the object, ``spec.endpoints[1].address`` for example; empty for the whole object."""
    reason: str
    advice: str = ""
    """What to do next; empty where the advice of the kind says it."""
    where: str = ""
    """``file:line`` for manifests, empty for objects read from an API server."""
    cause: str = ""
    """What has to change for the problem to disappear (`cluster_cause`, …); empty where it is the object itself."""

    def __post_init__(self) -> None:
        """Bound the texts, which quote values of any size."""
        for field, limit in _LIMITS:
            text = getattr(self, field)
            if len(text) > limit or not text.isprintable():
                msgspec.structs.force_setattr(self, field, bounded_text(text, limit))

    @property
    def severity(self) -> Severity:
        """The severity of its kind."""
        return self.kind.severity

    @property
    def next_step(self) -> str:
        """Its advice, or else that of its kind."""
        return self.advice or self.kind.advice


class DatedProblem(Problem, frozen=True, gc=False):
    """A problem as it is stored."""

    since: float = 0.0
    """When it was first seen, in Unix time; 0 where that is not known."""


def with_time(problem: Problem, since: float) -> DatedProblem:
    """Return a problem with the time at which it was first seen."""
    return DatedProblem(
        problem.kind,
        problem.object,
        problem.namespace,
        problem.name,
        problem.field,
        problem.reason,
        problem.advice,
        problem.where,
        problem.cause,
        since,
    )


class ProblemList:
    """Problems of one object: the first `most`, and how many more there are."""

    def __init__(self, most: int = MAX_PROBLEMS) -> None:
        self._most = most
        self._listed: list[Problem] = []
        self._unlisted = 0
        self._urgent: tuple[ProblemKind, Problem] | None = None  # the most urgent kind of those that are not listed

    @property
    def is_full(self) -> bool:
        """Whether a further problem is only counted."""
        return len(self._listed) >= self._most

    def add(self, problem: Problem) -> None:
        """List a problem, or count it."""
        if self.is_full:
            self.count(problem.kind, problem)
        else:
            self._listed.append(problem)

    def count(self, kind: ProblemKind, one: Problem | None = None) -> None:
        """Count a problem that is not listed; without `one` it has the object of those that are."""
        self._unlisted += 1
        if self._urgent is None or _URGENCY[kind.severity] < _URGENCY[self._urgent[0].severity]:
            self._urgent = kind, one or self._listed[0]

    @property
    def rest(self) -> Problem | None:
        """The problem that stands for those that are not listed; None if all are."""
        return unlisted_problem(*self._urgent, self._unlisted) if self._urgent is not None else None

    def problems(self) -> tuple[Problem, ...]:
        """Return the listed ones, and one that stands for the others."""
        return (*self._listed, self.rest) if self.rest is not None else tuple(self._listed)


def first_problems(problems: Iterable[Problem], most: int = MAX_PROBLEMS) -> tuple[Problem, ...]:
    """Return the first `most` problems of an object, and one that stands for the others."""
    found = ProblemList(most)
    for each in problems:
        found.add(each)
    return found.problems()


def unlisted_problem(kind: ProblemKind, one: Problem, number: int) -> Problem:
    """Return the problem that stands for `number` problems that are not listed, of the object of `one`."""
    reason = f"has more problems, not listed: {number}"
    advice = "correct those that are listed; the others are listed then"
    return Problem(kind, one.object, one.namespace, one.name, "", reason, advice)


_URGENCY: Final = {severity: number for number, severity in enumerate(Severity)}

SETTINGS_CAUSE: Final = "settings"
"""The cause of problems that only the settings of this instance can end."""


UNRESOLVED_ADVICE: Final = ProblemKind.UNRESOLVED.advice


def cluster_cause(cluster: str) -> str:
    """Return the cause of what a cluster lacks."""
    return f"cluster {cluster}"


def network_cause(network: str) -> str:
    """Return the cause of what a network lacks."""
    return f"network {network}"


def host_name_cause(host: str) -> str:
    """Return the cause of what a host name does not resolve to."""
    return f"host name {host}"


def object_cause(cluster: str, kind: str, namespace: str, name: str) -> str:
    """Return the cause that is an object: ``ServiceEntry east/prod/cart``."""
    return f"{kind} {'/'.join(filter(None, (cluster, namespace, name)))}".rstrip()


def cause_of(cluster: str, problem: Problem) -> str:
    """Return what a problem of `cluster` is grouped by, beside its kind."""
    return problem.cause or object_cause(cluster, problem.object, problem.namespace, problem.name)


ProblemIdentity = tuple[str, ProblemKind, str, str, str, str, str]
"""Cluster, kind, object, namespace, name, field, and the reason without what changes while the problem stays."""

_VOLATILE_NUMBER: Final = re.compile(r"(?<![\w.:/-])\d+(?:\.\d+)?(?:ms|[smhd%])?(?![\w/-]|[.:]\w)")
"""A number by itself, with a unit or without: not a digit of a name, an address or a version."""


def identity_of(cluster: str, problem: Problem) -> ProblemIdentity:
    """Return what tells one problem from another over time.

    Advice, place and cause are left out: a problem whose manifest gains a line above it stays the same problem.
    """
    reason = _VOLATILE_NUMBER.sub("#", problem.reason)
    return (cluster, problem.kind, problem.object, problem.namespace, problem.name, problem.field, reason)
