"""Parser from a raw Kubernetes object to a slim declaration.

Rules:
- Never raises, whatever the object holds: old clusters accept objects that today's validation refuses.
- Each host and each endpoint is judged alone: the good ones are kept, the bad ones become problems.
- An object that cannot even be named gives ``None``; one that can be named but not used gives `UnreadableObject`.
- Unknown fields are ignored, as Kubernetes clients do.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind, UnreadableObject
from meshdns.mesh.objects.foreign import describe_error
from meshdns.mesh.objects.istio import istio_gateway, service_entry, workload_entry
from meshdns.mesh.objects.kubernetes import endpoint_slice, gateway, namespace, node, pod, service
from meshdns.mesh.objects.raw import FieldLocator, RawObject


def parse_object(kind: ObjectKind, obj: object, *, where: FieldLocator | None = None) -> AnyDeclaration | None:
    """Read one object of a known kind; see the rules above.

    `where` gives ``file:line`` for a field path and is left out for objects from an API server.
    """
    raw = RawObject(kind, obj, where)
    if not raw.name:
        return None
    try:
        found = _READERS[kind](raw)
    except Exception as error:  # noqa: BLE001 — the border: one object must not end a list
        raw.add_problem("spec", f"cannot be read: {describe_error(error)}", "compare it with the CRD's schema")
        found = UnreadableObject(
            object_kind=kind, namespace=raw.namespace, name=raw.name, created=raw.created, problems=raw.problems
        )
    return msgspec.structs.replace(found, where=raw.place_of()) if where else found


_READERS: Final[dict[ObjectKind, Callable[[RawObject], AnyDeclaration]]] = {
    ObjectKind.SERVICE_ENTRY: service_entry,
    ObjectKind.WORKLOAD_ENTRY: workload_entry,
    ObjectKind.SERVICE: service,
    ObjectKind.ENDPOINT_SLICE: endpoint_slice,
    ObjectKind.NAMESPACE: namespace,
    ObjectKind.GATEWAY: gateway,
    ObjectKind.ISTIO_GATEWAY: istio_gateway,
    ObjectKind.NODE: node,
    ObjectKind.POD: pod,
}
