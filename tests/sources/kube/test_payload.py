"""What refusals are told as."""

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources.kube.payload import ApiStatus, refusal_reason
from meshdns.sources.kube.resources import RESOURCES


def test_a_kind_that_a_cluster_need_not_have_is_no_reason_to_doubt_the_address() -> None:
    """Where a watch on ServiceEntries ends with 404, the CRD was deleted; without Services it is no Kubernetes API."""
    assert "install its CRD again" in refusal_reason(RESOURCES[ObjectKind.SERVICE_ENTRY], ApiStatus(404))
    assert "check that the address is a Kubernetes API server" in refusal_reason(
        RESOURCES[ObjectKind.SERVICE], ApiStatus(404)
    )
