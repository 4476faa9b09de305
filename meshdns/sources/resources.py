"""The resources of the Kubernetes API that are read, one per `Kind`.

Pods are read from manifests only. To list and watch all pods of a cluster costs its API server and this process more
than all else together, for the few that a ServiceEntry's workloadSelector selects.
"""

from dataclasses import dataclass
from typing import Final

from meshdns.mesh.declarations import Kind


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind is found: API group (empty for the core group), plural name, versions from best to oldest.

    An `optional` resource may be absent from a healthy cluster (no Istio CRDs, no EndpointSlices): a 404 then means
    that there are none. Where a core resource is missing, the address is not a Kubernetes API server.

    A `dispensable` resource may be withheld too: a 403 then counts as none, with the reason kept, for only gateways
    rest on it, which have other sources, and names must not wait for a right that many readers lack.
    """

    kind: Kind
    group: str
    plural: str
    versions: tuple[str, ...]
    optional: bool
    dispensable: bool = False

    @property
    def title(self) -> str:
        """The name as kubectl and RBAC messages write it: ``serviceentries.networking.istio.io``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, version: str) -> str:
        """The URL path of the resource in all namespaces."""
        prefix = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        return f"{prefix}/{self.plural}"


_GATEWAY_API: Final = "gateway.networking.k8s.io"
_ISTIO: Final = "networking.istio.io"
_ISTIO_VERSIONS: Final = ("v1", "v1beta1", "v1alpha3")  # v1 since Istio 1.22, v1beta1 since 1.5

RESOURCES: Final = {
    resource.kind: resource
    for resource in (
        Resource(Kind.SERVICE_ENTRY, _ISTIO, "serviceentries", _ISTIO_VERSIONS, optional=True),
        Resource(Kind.WORKLOAD_ENTRY, _ISTIO, "workloadentries", _ISTIO_VERSIONS, optional=True),
        Resource(Kind.SERVICE, "", "services", ("v1",), optional=False),
        Resource(Kind.ENDPOINT_SLICE, "discovery.k8s.io", "endpointslices", ("v1",), optional=True),
        Resource(Kind.NAMESPACE, "", "namespaces", ("v1",), optional=False),
        Resource(Kind.GATEWAY, _GATEWAY_API, "gateways", ("v1", "v1beta1"), optional=True, dispensable=True),
        Resource(Kind.ISTIO_GATEWAY, _ISTIO, "gateways", _ISTIO_VERSIONS, optional=True, dispensable=True),
        Resource(Kind.NODE, "", "nodes", ("v1",), optional=True, dispensable=True),
    )
}
"""Every kind that is listed and watched: all but Pod."""

OBJECTS: Final = {("", Kind.POD.value): Kind.POD} | {
    (resource.group, "Gateway" if kind is Kind.ISTIO_GATEWAY else kind.value): kind
    for kind, resource in RESOURCES.items()
}
"""Every kind that is read, by API group and the kind that manifests write: two groups have a kind Gateway."""
