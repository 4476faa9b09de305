"""The manifests are what the chart makes, and Kustomize makes of them what Helm would install."""

from pathlib import Path
from typing import Any

import pytest

from tests.deploy import render
from tests.deploy.helm import Objects, built, workload
from tests.deploy.places import KUSTOMIZE, OVERLAYS

pytestmark = pytest.mark.rig


def test_manifests_are_current() -> None:
    """Rendered anew they are the same; ``make manifests`` writes them."""
    there = {str(path.relative_to(KUSTOMIZE)): path.read_text() for path in render.generated()}
    assert there == render.files()


@pytest.mark.parametrize("copy", render.COPIES, ids=lambda copy: copy.name)
def test_copies_are_current(copy: Path) -> None:
    """Alerts and dashboard in the chart are those beside it; ``make manifests`` copies them."""
    assert copy.read_text() == render.COPIES[copy].read_text()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_is_the_chart_with_its_values(overlay: str) -> None:
    """``kustomize build`` gives object by object what ``helm template`` gives."""
    expected = _named(render.without_checksum(render.overlay_objects(overlay)))
    assert _named(_plain(built(KUSTOMIZE / "overlays" / overlay))) == expected


def test_other_settings_roll_the_pods() -> None:
    """The ConfigMap's name carries the hash of the settings, and the pods mount that name."""
    names = set()
    for folder in ("base", "overlays/host-network"):
        objects = built(KUSTOMIZE / folder)
        (settings,) = [each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"]
        volumes = workload(objects)["spec"]["template"]["spec"]["volumes"]
        assert next(each["configMap"]["name"] for each in volumes if each["name"] == "settings") == settings
        names.add(settings)
    assert len(names) == 2


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [{"op": "replace", "path": "/a", "value": 2}]),
        ({"a": {"b/c": 1}}, {"a": {}}, [{"op": "remove", "path": "/a/b~1c"}]),
        ({}, {"a~b": [1]}, [{"op": "add", "path": "/a~0b", "value": [1]}]),
        ({"a": [1, 2]}, {"a": [2]}, [{"op": "replace", "path": "/a", "value": [2]}]),
    ],
)
def test_patches_say_what_differs(before: Any, after: Any, patch: list[Any]) -> None:
    """Only what differs is patched, with the characters of RFC 6901 escaped."""
    assert list(render.differences(before, after)) == patch


def _named(objects: Objects) -> dict[tuple[str, str], Any]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def _plain(objects: Objects) -> Objects:
    """The objects with the generated name of the ConfigMap made plain again."""
    for each in objects:
        if each["kind"] == "ConfigMap":
            each["metadata"]["name"] = "meshdns"
            each["data"]["meshdns.yaml"] = each["data"]["meshdns.yaml"].partition("\n")[2]
    for volume in workload(objects)["spec"]["template"]["spec"]["volumes"]:
        if volume["name"] == "settings":
            volume["configMap"]["name"] = "meshdns"
    return objects
