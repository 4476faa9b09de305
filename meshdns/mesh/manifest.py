"""From a raw Kubernetes object to a slim declaration.

Rules:
- Never raises, whatever the object holds: old clusters accept objects that today's validation refuses (DESIGN 5.2).
- Each host and each endpoint is judged alone: the good ones are kept, the bad ones become problems.
- An object that cannot even be named gives ``None``; one that can be named but not used gives `Unreadable`.
- Unknown fields are ignored, as Kubernetes clients do.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from meshdns.mesh.declarations import AnyDeclaration, Kind, Unreadable
from meshdns.mesh.istio import istio_gateway, service_entry, workload_entry
from meshdns.mesh.kubernetes import endpoint_slice, gateway, namespace, node, pod, service
from meshdns.mesh.raw import RawObject, Where


def read(kind: Kind, obj: object, *, where: Where | None = None) -> AnyDeclaration | None:
    """Read one object of a known kind; see the rules above.

    `where` gives ``file:line`` for a field path and is left out for objects from an API server.
    """
    raw = RawObject(kind, obj, where)
    if not raw.name:
        return None
    try:
        found = _READERS[kind](raw)
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        raw.report("spec", f"cannot be read: {error}", "compare it with the CRD's schema")
        found = Unreadable(of=kind, namespace=raw.namespace, name=raw.name, created=raw.created, problems=raw.problems)
    return msgspec.structs.replace(found, where=raw.where()) if where else found


_READERS: Final[dict[Kind, Callable[[RawObject], AnyDeclaration]]] = {
    Kind.SERVICE_ENTRY: service_entry,
    Kind.WORKLOAD_ENTRY: workload_entry,
    Kind.SERVICE: service,
    Kind.ENDPOINT_SLICE: endpoint_slice,
    Kind.NAMESPACE: namespace,
    Kind.GATEWAY: gateway,
    Kind.ISTIO_GATEWAY: istio_gateway,
    Kind.NODE: node,
    Kind.POD: pod,
}
