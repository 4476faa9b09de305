"""Why nothing is served of a name that somebody declares, in one short sentence for an extended error (RFC 8914).

The judgement is that of `meshdns.mesh.visibility` and of the name's answer; here it is only put into few words. What
names a cluster is for those who may look inside, all others are told the fact alone.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from meshdns.dns.codes import EDE_PROHIBITED
from meshdns.mesh.answer import Answer, Outcome
from meshdns.mesh.declarations import Service, ServiceEntry
from meshdns.mesh.problems import NORMAL, Problem, ProblemKind
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.visibility import hidden_names

MAX_TEXT: Final = 120
"""Octets of a sentence: a reply must still fit into the 512 octets of the smallest client."""

_OTHER: Final = 0  # RFC 8914 section 4.1: Other Error
_TO_DO: Final = "; see meshdns explain"
_PROHIBITED_TO_ALL: Final = f"this name is not exported to here{_TO_DO}".encode()
_OTHER_TO_ALL: Final = f"this name is declared, but cannot be reached from here{_TO_DO}".encode()


def refused_hosts(
    declaration: ServiceEntry | Service, problems: Iterable[Problem], cluster: str, settings: MeshSettings
) -> Iterator[tuple[str, Problem]]:
    """The hosts of a declaration that are not served because one of its problems says so, each with that problem."""
    refused = {problem.field: problem for problem in problems if problem.kind in NORMAL}
    if not refused:
        return
    if isinstance(declaration, Service):
        for host in hidden_names(declaration, cluster, settings):
            yield host, next(iter(refused.values()))
        return
    for at, host in enumerate(declaration.hosts):
        problem = refused.get(declaration.host_field(at)[0])
        if problem is not None:
            yield host, problem


def refusal(cluster: str, host: str, problem: Problem) -> bytes:
    """What is kept of a refused host; EDE 18 (Prohibited) where it may not be served, else 0."""
    reason = problem.reason.removeprefix(host)
    why = reason if reason == problem.reason else f"it{reason}"
    return _kept(EDE_PROHIBITED if problem.kind is ProblemKind.NOT_PUBLIC else _OTHER, f"{cluster}, but {why}")


def unreachable(answer: Answer) -> bytes | None:
    """What is kept of a declared name without an address, by the first rule that applied; None for other names."""
    if answer.outcome is not Outcome.NODATA or answer.records or not answer.considered:
        return None
    first = answer.considered[0]
    return _kept(_OTHER, f"{first.cluster}: {first.rule.value}")


def told(kept: bytes, *, inside: bool) -> tuple[int, bytes]:
    """Code and text of the extended error; `inside` is for those who may know what is where."""
    code = int.from_bytes(kept[:2], "big")
    if inside:
        return code, kept[2:]
    return code, _PROHIBITED_TO_ALL if code == EDE_PROHIBITED else _OTHER_TO_ALL


def _kept(code: int, why: str) -> bytes:
    """Code and sentence; a reason that is too long loses its end, never the advice."""
    reason = f"known in cluster {why}".encode()[: MAX_TEXT - len(_TO_DO)].decode(errors="ignore")
    return code.to_bytes(2, "big") + (reason + _TO_DO).encode()
