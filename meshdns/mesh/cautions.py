"""What can be read and is not sound: endpoints that are served as written although Istio would not, or never served.

These problems rest on the declaration alone: neither on the settings nor on what else is declared.
"""

from collections.abc import Iterator

from meshdns.mesh.addresses import Scope, parsed, scope
from meshdns.mesh.declarations import AnyDeclaration, Resolution, ServiceEntry, WorkloadEntry
from meshdns.mesh.problems import Problem, ProblemKind

_NEVER = "means nothing to anybody else (loopback, link-local, unspecified or multicast), so it is never served"
_NEVER_ADVICE = "use an address of a network"


def cautions(declaration: AnyDeclaration) -> Iterator[Problem]:
    """What a reader of `declaration` should know of its endpoints."""
    match declaration:
        case ServiceEntry():
            yield from _entry(declaration)
        case WorkloadEntry() if never_served(declaration.endpoint.address):
            reason = f"{declaration.endpoint.address} {_NEVER}"
            yield _problem(declaration, ProblemKind.NEVER_SERVED, ("spec.address", declaration.where), reason)


def never_served(text: str) -> bool:
    """Whether `text` is an address that is served to nobody."""
    return scope(text) is Scope.NEVER


def _entry(entry: ServiceEntry) -> Iterator[Problem]:
    for at, endpoint in enumerate(entry.endpoints):
        field, where = entry.endpoint_field(at)
        if never_served(endpoint.address):
            reason = f"{endpoint.address} {_NEVER}"
            yield _problem(entry, ProblemKind.NEVER_SERVED, (f"{field}.address", where), reason)
        elif entry.resolution is Resolution.STATIC and _is_host_name(endpoint.address):
            reason = f"{endpoint.address} is a host name, which Istio refuses under STATIC; it is served as written"
            advice = "set resolution: DNS, or write an IP address"
            yield _problem(entry, ProblemKind.MALFORMED, (f"{field}.address", where), reason, advice)
    if entry.resolution is not Resolution.NONE:
        return
    if entry.endpoints:
        reason = "are ignored by Istio under resolution NONE; they are served as written"
        advice = "set resolution: STATIC, or DNS where they are host names"
        _, where = entry.endpoint_field(0)
        yield _problem(entry, ProblemKind.MALFORMED, ("spec.endpoints", where), reason, advice)
    for address in filter(never_served, entry.addresses):
        place = ("spec.addresses", entry.where)
        yield _problem(entry, ProblemKind.NEVER_SERVED, place, f"{address} {_NEVER}")


def _is_host_name(address: str) -> bool:
    return bool(address) and not address.startswith("unix:") and parsed(address) is None


def _problem(
    declaration: ServiceEntry | WorkloadEntry,
    kind: ProblemKind,
    place: tuple[str, str],
    reason: str,
    advice: str = _NEVER_ADVICE,
) -> Problem:
    field, where = place
    named = "ServiceEntry" if isinstance(declaration, ServiceEntry) else "WorkloadEntry"
    return Problem(kind, named, declaration.namespace, declaration.name, field, reason, advice, where)
