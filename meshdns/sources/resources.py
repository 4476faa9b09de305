"""The resources of the Kubernetes API that are read, one per `Kind`."""

from dataclasses import dataclass
from typing import Final

from meshdns.mesh.declarations import Kind


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind is found: API group (empty for the core group), plural name, versions from best to oldest.

    An `optional` resource may be absent from a healthy cluster (no Istio CRDs, no EndpointSlices): a 404 then means
    that there are none. Where a core resource is missing, the address is not a Kubernetes API server.
    """

    kind: Kind
    group: str
    plural: str
    versions: tuple[str, ...]
    optional: bool

    @property
    def title(self) -> str:
        """The name as kubectl and RBAC messages write it: ``serviceentries.networking.istio.io``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, version: str) -> str:
        """The URL path of the resource in all namespaces."""
        prefix = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        return f"{prefix}/{self.plural}"


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
    )
}
"""Every kind that is read."""
