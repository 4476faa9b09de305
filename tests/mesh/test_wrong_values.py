"""Values that are not what they should be, as they show in answers: what cannot be read narrows and never widens."""

import pytest

from meshdns.mesh.answer import AnswerKind
from meshdns.mesh.settings import MeshSettings
from tests.mesh import scene

HOST = "reviews.prod.global"


def forwarding_mesh() -> MeshSettings:
    """Settings with a forward zone that encloses the mesh zone, so that a host can be forwarded by itself."""
    return scene.mesh(forward_zones=("global",))


@pytest.mark.parametrize("resolution", ["DNS", "NONE", "DYNAMIC_DNS", "STATIC"])
@pytest.mark.parametrize(
    "endpoints", [["x y"], [7], [None], "198.51.100.9", {"address": "198.51.100.9"}, [{"address": "198.51.100.9:80"}]]
)
def test_unreadable_endpoints_are_no_reason_to_forward_the_host(resolution: str, endpoints: object) -> None:
    """The entry has an endpoint, so another server does not speak for it."""
    declared = scene.entry(resolution=resolution, endpoints=endpoints)
    found = scene.answers(forwarding_mesh(), {"east": [declared]})[HOST]
    assert found.outcome is AnswerKind.NODATA


def test_an_entry_without_endpoints_is_forwarded() -> None:
    """The host itself is what Istio would resolve."""
    found = scene.answers(forwarding_mesh(), {"east": [scene.entry(resolution="DNS")]})[HOST]
    assert found.outcome is AnswerKind.FORWARD
