"""What a refusal of an API server means to people, and how long it asks to wait."""

from typing import Final

from meshdns.sources.payload import Status
from meshdns.sources.resources import Resource

_LIMIT: Final = 300.0  # seconds


def reason(resource: Resource, status: Status) -> str:
    """Why a request was refused, for people; ends with what to do."""
    said = status.message or f"HTTP status {status.code}"
    if status.code == 401:
        return f"the credentials are not accepted ({said}); renew the token or certificate of this cluster"
    if status.code == 403:
        group = f'API group "{resource.group}"'
        return f"{said}; grant the verbs list and watch on {resource.plural} in {group} by a ClusterRole"
    if status.code == 404 and resource.optional:
        return f"{resource.title} is not served any more ({said}); install its CRD again, if the cluster is to have it"
    if status.code == 404:
        return f"{resource.title} is not there ({said}); check that the address is a Kubernetes API server"
    if status.code == 429:
        return f"the API server asks for patience ({said}); look at its load"
    return f"the API server refuses {resource.title} ({said}); look at its log"


def retry_seconds(retry_after: str) -> float:
    """A Retry-After header in seconds (RFC 9110, section 10.2.3; API servers send no dates), at most 300."""
    return min(float(retry_after), _LIMIT) if retry_after.isascii() and retry_after.isdigit() else 0.0
