"""What refusals are told as."""

from meshdns.mesh.declarations import Kind
from meshdns.sources.payload import Status
from meshdns.sources.refusals import reason
from meshdns.sources.resources import RESOURCES


def test_a_kind_that_a_cluster_need_not_have_is_no_reason_to_doubt_the_address() -> None:
    """Where a watch on ServiceEntries ends with 404, the CRD was deleted; without Services it is no Kubernetes API."""
    assert "install its CRD again" in reason(RESOURCES[Kind.SERVICE_ENTRY], Status(404))
    assert "check that the address is a Kubernetes API server" in reason(RESOURCES[Kind.SERVICE], Status(404))
