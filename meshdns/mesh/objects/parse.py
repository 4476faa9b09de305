"""Parser from a raw Kubernetes object to a slim declaration.

Rules:
- Never raises, whatever the object holds: old clusters accept objects that today's validation refuses.
- Each host and each endpoint is judged alone: the good ones are kept, the bad ones become problems.
- An object that cannot even be named gives ``None``; one that can be named but not used gives `UnreadableObject`.
- Unknown fields are ignored, as Kubernetes clients do.
- A name that Kubernetes would refuse is a problem. Where it is a part of names in DNS the object is an
  `UnreadableObject`; elsewhere it only identifies the object, which is read.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from meshdns.dns import names
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind, UnreadableObject
from meshdns.mesh.objects.foreign import describe_error, shown
from meshdns.mesh.objects.istio import istio_gateway, service_entry, workload_entry
from meshdns.mesh.objects.kubernetes import endpoint_slice, gateway, namespace, node, pod, service
from meshdns.mesh.objects.own_keys import check_own_keys
from meshdns.mesh.objects.raw import FieldLocator, RawObject, WrittenText


def parse_object(
    kind: ObjectKind, obj: object, *, where: FieldLocator | None = None, written: WrittenText | None = None
) -> AnyDeclaration | None:
    """Read one object of a known kind; see the rules above.

    `where` gives ``file:line`` for a field path, `written` what a scalar is written as; both are left out for objects
    from an API server.
    """
    raw = RawObject(kind, obj, where, written)
    if not raw.name:
        return None
    found = _read(raw) if _judge_names(raw) else _unreadable(raw)
    return msgspec.structs.replace(found, where=raw.place_of()) if where else found


def _read(raw: RawObject) -> AnyDeclaration:
    try:
        check_own_keys(raw)
        return _READERS[raw.kind](raw)
    except Exception as error:  # noqa: BLE001 — the border: one object must not end a list
        raw.add_problem("spec", f"cannot be read: {describe_error(error)}", "compare it with the CRD's schema")
        return _unreadable(raw)


def _unreadable(raw: RawObject) -> UnreadableObject:
    return UnreadableObject(
        object_kind=raw.kind, namespace=raw.namespace, name=raw.name, created=raw.created, problems=raw.problems
    )


def _judge_names(raw: RawObject) -> bool:
    """Note what is wrong with the name and namespace of an object; return whether it can be read in spite of that."""
    readable = not raw.has_unread_namespace
    for field, written, known_as, in_dns in (
        ("name", raw.written_name, raw.name, raw.kind in _NAMES_IN_DNS),
        ("namespace", raw.written_namespace, raw.namespace, raw.kind in _NAMESPACES_IN_DNS),
    ):
        is_label = in_dns or field == "namespace"
        fault = (
            names.invalid_reason(known_as)
            if written == known_as
            else "is no name of an object, which is known by a digest"
        )
        if not fault and is_label and "." in known_as:
            fault = "has dots, and must be one label"
        if fault and written:
            raw.add_problem(f"metadata.{field}", f"{shown(written)} {fault}", "use lower-case letters, digits and -")
            readable = readable and not in_dns
    return readable


_NAMES_IN_DNS: Final = frozenset({ObjectKind.SERVICE, ObjectKind.NAMESPACE})
_NAMESPACES_IN_DNS: Final = frozenset({ObjectKind.SERVICE, ObjectKind.ENDPOINT_SLICE})


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
