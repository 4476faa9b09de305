"""The resources of the Kubernetes API that are read, one per `ObjectKind`.

Pods are read from manifests only. To list and watch all pods of a cluster costs its API server and this process more
than all else together, for the few that a ServiceEntry's workloadSelector selects.

Objects are selected by the server where no name can rest on the others: Gateways only with the network label, slices
only with that of their Service. Services cannot be, not even those of another network: each may have a derived name, be
the endpoint of a ServiceEntry or the gateway of a cluster, and these are marked by three labels of which a selector can
ask for all, but not for any. ExternalName Services, which have no name of their own, are too few to pay for a filter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.labels import NETWORK_LABEL, SERVICE_NAME_LABEL


@dataclass(frozen=True, slots=True)
class Resource:
    """The API resource of a kind: API group (empty for the core group), plural name, versions from best to oldest.

    An `optional` resource may be absent from a healthy cluster (no Istio CRDs, no EndpointSlices): a 404 then means
    that there are none. Where a core resource is missing, the address is not a Kubernetes API server.

    A `may_be_forbidden` resource may be withheld too: a 403 then counts as none, with the reason kept, for only
    gateways rest on it, which have other sources, and names must not wait for a right that many readers lack.
    """

    kind: ObjectKind
    group: str
    plural: str
    versions: tuple[str, ...]
    optional: bool
    may_be_forbidden: bool = False
    label_selector: str = ""  # selector of the objects that matter

    @property
    def selector_query(self) -> Mapping[str, str]:
        """The part of a query that selects them."""
        return {"labelSelector": self.label_selector} if self.label_selector else {}

    @property
    def title(self) -> str:
        """The name as kubectl and RBAC messages write it: ``serviceentries.networking.istio.io``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, version: str) -> str:
        """The URL path of the resource in all namespaces."""
        prefix = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        return f"{prefix}/{self.plural}"


_GATEWAY_API: Final = "gateway.networking.k8s.io"
_DISCOVERY: Final = "discovery.k8s.io"
_ISTIO: Final = "networking.istio.io"
_ISTIO_VERSIONS: Final = ("v1", "v1beta1", "v1alpha3")  # v1 since Istio 1.22, v1beta1 since 1.5

RESOURCES: Final = {
    resource.kind: resource
    for resource in (
        Resource(ObjectKind.SERVICE_ENTRY, _ISTIO, "serviceentries", _ISTIO_VERSIONS, optional=True),
        Resource(ObjectKind.WORKLOAD_ENTRY, _ISTIO, "workloadentries", _ISTIO_VERSIONS, optional=True),
        Resource(ObjectKind.SERVICE, "", "services", ("v1",), optional=False),
        Resource(
            ObjectKind.ENDPOINT_SLICE,
            _DISCOVERY,
            "endpointslices",
            ("v1",),
            optional=True,
            label_selector=SERVICE_NAME_LABEL,
        ),
        Resource(ObjectKind.NAMESPACE, "", "namespaces", ("v1",), optional=False),
        Resource(
            ObjectKind.GATEWAY,
            _GATEWAY_API,
            "gateways",
            ("v1", "v1beta1"),
            optional=True,
            may_be_forbidden=True,
            label_selector=NETWORK_LABEL,
        ),
        Resource(ObjectKind.ISTIO_GATEWAY, _ISTIO, "gateways", _ISTIO_VERSIONS, optional=True, may_be_forbidden=True),
        Resource(ObjectKind.NODE, "", "nodes", ("v1",), optional=True, may_be_forbidden=True),
    )
}
"""Every kind that is listed and watched: all but Pod."""


def resources_to_watch(*, readiness: bool) -> dict[ObjectKind, Resource]:
    """What is listed and watched in a cluster; without `readiness` no EndpointSlices."""
    return {kind: each for kind, each in RESOURCES.items() if readiness or kind is not ObjectKind.ENDPOINT_SLICE}


KIND_BY_GROUP_AND_NAME: Final = {("", ObjectKind.POD.value): ObjectKind.POD} | {
    (resource.group, "Gateway" if kind is ObjectKind.ISTIO_GATEWAY else kind.value): kind
    for kind, resource in RESOURCES.items()
}
"""Every kind that is read, by API group and the kind that manifests write: two groups have a kind Gateway."""
