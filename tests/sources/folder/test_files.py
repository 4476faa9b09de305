"""In a folder, an object's kind is told by its API group and its name together."""

from pathlib import Path

import pytest

from meshdns.mesh.objects.declarations import ObjectKind, key_of
from meshdns.sources.folder.source import load_folder

MEANT: dict[tuple[str, str], ObjectKind | None] = {
    ("gateway.networking.k8s.io/v1", "Gateway"): ObjectKind.GATEWAY,
    ("gateway.networking.k8s.io/v1beta1", "Gateway"): ObjectKind.GATEWAY,
    ("networking.istio.io/v1", "Gateway"): ObjectKind.ISTIO_GATEWAY,
    ("networking.istio.io/v1alpha3", "Gateway"): ObjectKind.ISTIO_GATEWAY,
    ("", "Gateway"): ObjectKind.GATEWAY,
    ("networking.istio.io/v1", "IstioGateway"): None,
    ("v1", "Gateway"): None,
    ("v1", "Pod"): ObjectKind.POD,
    ("v1", "Node"): ObjectKind.NODE,
    ("metrics.k8s.io/v1beta1", "Node"): None,
    ("serving.knative.dev/v1", "Service"): None,
    ("v1", "Service"): ObjectKind.SERVICE,
}


@pytest.mark.parametrize(("version", "name"), MEANT)
def test_a_kind_is_told_by_its_group(tmp_path: Path, version: str, name: str) -> None:
    """Kinds of the same name in groups that are not read are passed over without a word."""
    (tmp_path / "east").mkdir()
    head = f"apiVersion: {version}\n" if version else ""
    (tmp_path / "east" / "a.yaml").write_text(f"{head}kind: {name}\nmetadata: {{name: thing}}\n")
    found = load_folder(tmp_path).clusters["east"]
    expected = MEANT[version, name]
    assert [key_of(each)[0] for each in found] == ([] if expected is None else [expected])
    assert not any(each.problems for each in found)
