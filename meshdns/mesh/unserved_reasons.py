"""Reasons why a declared name is not served, in one short sentence for an extended error (RFC 8914).

The judgement is that of `meshdns.mesh.visibility` and of the name's answer; here it is only put into few words. What
names a cluster is for clients that may see the mesh; all others get the fact alone.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from meshdns.dns.codes import EDE_NO_REACHABLE_AUTHORITY, EDE_OTHER, EDE_PROHIBITED
from meshdns.mesh.answer import Answer, AnswerKind
from meshdns.mesh.candidates import Candidate, EndpointRule
from meshdns.mesh.objects.declarations import Service, ServiceEntry
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.visibility import unexported_names

UNSERVED_KINDS: Final = frozenset({ProblemKind.OUTSIDE_ZONES, ProblemKind.NOT_PUBLIC, ProblemKind.RESERVED_NAME})
"""The kinds of problems for which a host is not served at all."""

MAX_TEXT: Final = 120
"""Bytes of a sentence: a reply must still fit into the 512 bytes of the smallest client."""

_TO_DO: Final = "; see meshdns explain"
_PUBLIC_PROHIBITED: Final = f"this name is not exported to here{_TO_DO}".encode()
_PUBLIC_OTHER: Final = f"this name is declared, but cannot be reached from here{_TO_DO}".encode()
_PUBLIC_PENDING: Final = f"no address is known yet for this name{_TO_DO}".encode()
_PUBLIC_TEXTS: Final = {EDE_PROHIBITED: _PUBLIC_PROHIBITED, EDE_NO_REACHABLE_AUTHORITY: _PUBLIC_PENDING}
_SAYS_LITTLE: Final = frozenset({EndpointRule.NOT_READY, EndpointRule.SELF_REFERENCE})
"""Rules that are the reason only where no other candidate has one."""


def unserved_hosts(
    declaration: ServiceEntry | Service, problems: Iterable[Problem], cluster: str, settings: MeshSettings
) -> Iterator[tuple[str, Problem]]:
    """The hosts of a declaration that are not served because one of its problems says so, each with that problem."""
    refused = {problem.field: problem for problem in problems if problem.kind in UNSERVED_KINDS}
    if not refused:
        return
    if isinstance(declaration, Service):
        for host in unexported_names(declaration, cluster, settings):
            yield host, next(iter(refused.values()))
        return
    for at, host in enumerate(declaration.hosts):
        problem = refused.get(declaration.host_field(at)[0])
        if problem is not None:
            yield host, problem


def host_reason(cluster: str, host: str, problem: Problem) -> bytes:
    """What is kept of a refused host; EDE 18 (Prohibited) where it may not be served, else 0."""
    reason = problem.reason.removeprefix(host)
    why = reason if reason == problem.reason else f"it{reason}"
    return _encode_reason(
        EDE_PROHIBITED if problem.kind is ProblemKind.NOT_PUBLIC else EDE_OTHER, f"{cluster}, but {why}"
    )


def decisive_candidate(answer: Answer) -> Candidate | None:
    """Return the candidate that says why a declared name has no address; None for any other name.

    Of a name that waits for an address the first candidate that does, else the first one that says most.
    """
    if answer.outcome is AnswerKind.PENDING:
        return next((each for each in answer.candidates if each.pending), None)
    if answer.outcome is not AnswerKind.NODATA or answer.records or not answer.candidates:
        return None
    telling = (each for each in answer.candidates if each.rule not in _SAYS_LITTLE)
    return next(telling, answer.candidates[0])


def unreachable_reason(answer: Answer) -> bytes | None:
    """What is kept of a declared name without an address; None for other names."""
    found = decisive_candidate(answer)
    if found is None:
        return None
    code = EDE_NO_REACHABLE_AUTHORITY if answer.outcome is AnswerKind.PENDING else EDE_OTHER
    return _encode_reason(code, f"{found.cluster}: {found.reason}")


def extended_error(reason: bytes, *, show_cluster: bool) -> tuple[int, bytes]:
    """Code and text of the extended error; `show_cluster` is for clients that may see the mesh."""
    code = int.from_bytes(reason[:2], "big")
    if show_cluster:
        return code, reason[2:]
    return code, _PUBLIC_TEXTS.get(code, _PUBLIC_OTHER)


def _encode_reason(code: int, why: str) -> bytes:
    """Code and sentence; a reason that is too long loses its end, never the advice."""
    reason = f"known in cluster {why}".encode()[: MAX_TEXT - len(_TO_DO)].decode(errors="ignore")
    return code.to_bytes(2, "big") + (reason + _TO_DO).encode()
