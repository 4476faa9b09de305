"""Manifests of the rights that reading a cluster takes, made from the list of what is read.

Rules:
- ``list`` and ``watch`` only, of the resources in `meshdns.sources.kube.resources` and no others; in the own cluster
  also of the Secrets in one namespace. Nothing is ever written, and nothing got by name.
- A service account stands for the reader: that of the pods in the own cluster, one per remote cluster elsewhere.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from meshdns.sources.kube.resources import RESOURCES, Resource

REMOTE_ACCOUNT: Final = "meshdns-reader"
"""The service account by which a remote cluster is read."""

OWN_ACCOUNT: Final = "meshdns"
"""The service account of the pods."""

_VERBS: Final = ("list", "watch")
_GROUP: Final = "rbac.authorization.k8s.io"

Manifest = Mapping[str, Any]


def remote_manifests(namespace: str) -> list[Manifest]:
    """What a remote cluster needs: a namespace, a service account in it and its rights."""
    return [
        _namespace(namespace),
        _service_account(REMOTE_ACCOUNT, namespace),
        *_cluster_rights(REMOTE_ACCOUNT, namespace),
    ]


def own_manifests(namespace: str) -> list[Manifest]:
    """What the own cluster needs: the same for the pods' service account, and their right to read remote secrets."""
    role = {
        **_manifest_head("Role", OWN_ACCOUNT, namespace),
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": list(_VERBS)}],
    }
    binding = {
        **_manifest_head("RoleBinding", OWN_ACCOUNT, namespace),
        **_binding_body("Role", OWN_ACCOUNT, OWN_ACCOUNT, namespace),
    }
    return [
        _namespace(namespace),
        _service_account(OWN_ACCOUNT, namespace),
        *_cluster_rights(OWN_ACCOUNT, namespace),
        role,
        binding,
    ]


def cluster_role_rules() -> list[dict[str, list[str]]]:
    """The rules of the ClusterRole, one per API group."""
    groups = dict.fromkeys(resource.group for resource in RESOURCES.values())
    return [_rule(group, (each for each in RESOURCES.values() if each.group == group)) for group in groups]


def _rule(group: str, resources: Iterable[Resource]) -> dict[str, list[str]]:
    return {"apiGroups": [group], "resources": sorted(each.plural for each in resources), "verbs": list(_VERBS)}


def _cluster_rights(account: str, namespace: str) -> list[Manifest]:
    role = {**_manifest_head("ClusterRole", account), "rules": cluster_role_rules()}
    binding = {
        **_manifest_head("ClusterRoleBinding", account),
        **_binding_body("ClusterRole", account, account, namespace),
    }
    return [role, binding]


def _manifest_head(kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": {"name": name, **place}}


def _binding_body(kind: str, role: str, account: str, namespace: str) -> dict[str, Any]:
    return {
        "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def _namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _service_account(name: str, namespace: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
