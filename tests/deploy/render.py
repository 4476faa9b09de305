"""The manifests of `deploy/kustomize`, rendered from the chart, and the files that the chart has copies of.

Rules:
- The base is the chart with ``base/values.yaml``. An overlay is its own values.yaml over that, and is kept as what
  differs: patches for what both have, files for what only it has.
- The settings file is a file of its own that Kustomize's generator makes the ConfigMap of: the hash in the ConfigMap's
  name rolls the pods, so the chart's annotation with a hash is left out.
- Helm reads no file outside of a chart, so the chart has copies of the alerts and of the dashboard.

``python -m tests.deploy.render`` writes them. To change them, change the chart or a values.yaml and run it.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.helm import RELEASE, Objects, one, rendered, workload
from tests.deploy.places import CHART, DEPLOY, KUSTOMIZE, OVERLAYS

VALUES: Final = "values.yaml"
COPIES: Final = {
    CHART / "files" / "rules.yaml": DEPLOY / "prometheus" / "rules.yaml",
    CHART / "files" / "meshdns.json": DEPLOY / "grafana" / "meshdns.json",
}
"""What the chart holds of others, and what each is a copy of."""

_CHECKSUM: Final = "checksum/settings"
_BASE_KUBERNETES: Final = "1.33"  # the newest without PreferSameNode, so that any server takes the base
_HEADER: Final = "# Rendered from deploy/chart by `make manifests`: change values.yaml or the chart, not this.\n"

Key = tuple[str, str]


class _Block(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Block.add_representer(str, _text)


def main() -> int:
    """Write the copies and the manifests anew."""
    for copy, original in COPIES.items():
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(original.read_text())
    for file in generated():
        file.unlink()
    for path, text in files().items():
        target = KUSTOMIZE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return 0


def generated() -> list[Path]:
    """All files there that are not written by hand."""
    return [path for path in KUSTOMIZE.rglob("*.yaml") if path.name != VALUES]


def files() -> dict[str, str]:
    """What the files should hold, by their path below `deploy/kustomize`."""
    base = base_objects()
    found = {f"base/{name}": text for name, text in _base_files(base).items()}
    for overlay in OVERLAYS:
        differing = _overlay_files(base, overlay_objects(overlay))
        found.update({f"overlays/{overlay}/{name}": text for name, text in differing.items()})
    return found


def base_objects() -> Objects:
    """The chart with the base's values."""
    return rendered(_values("base"), kubernetes=_BASE_KUBERNETES)


def overlay_objects(overlay: str) -> Objects:
    """The chart with an overlay's values over the base's; `kubernetes` in them is the version it needs."""
    own = _values(f"overlays/{overlay}")
    kubernetes = own.pop("kubernetes", _BASE_KUBERNETES)
    return rendered(_merged(_values("base"), own), kubernetes=str(kubernetes))


def without_checksum(objects: Objects) -> Objects:
    """The objects without the annotation that Helm's users need."""
    workload(objects)["spec"]["template"]["metadata"]["annotations"].pop(_CHECKSUM)
    return objects


def _base_files(objects: Objects) -> dict[str, str]:
    plain = {_file_of(each): _yaml(each) for each in without_checksum(objects) if each["kind"] != "ConfigMap"}
    settings = one(objects, "ConfigMap")
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": settings["metadata"]["namespace"],
        "resources": sorted(plain),
        "configMapGenerator": [
            {
                "name": settings["metadata"]["name"],
                "files": ["meshdns.yaml"],
                "options": {"labels": settings["metadata"]["labels"]},
            }
        ],
    }
    own = {"meshdns.yaml": settings["data"]["meshdns.yaml"], "kustomization.yaml": _yaml(kustomization)}
    return {name: _HEADER + text for name, text in {**plain, **own}.items()}


def _overlay_files(base: Objects, objects: Objects) -> dict[str, str]:
    before, after = _by_key(base), _by_key(without_checksum(objects))
    added = {_file_of(each): _yaml(each) for key, each in after.items() if key not in before}
    kustomization: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../base", *sorted(added)],
    }
    patches = [*_removals(before, after), *_changes(before, after)]
    if patches:
        kustomization["patches"] = patches
    settings = one(objects, "ConfigMap")["data"]
    if settings != one(base, "ConfigMap")["data"]:
        kustomization["configMapGenerator"] = [{"name": RELEASE, "behavior": "replace", "files": ["meshdns.yaml"]}]
        added["meshdns.yaml"] = settings["meshdns.yaml"]
    return {name: _HEADER + text for name, text in {**added, "kustomization.yaml": _yaml(kustomization)}.items()}


def _removals(before: Mapping[Key, dict[str, Any]], after: Mapping[Key, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for key, manifest in before.items():
        if key not in after:
            identity = {name: manifest["metadata"][name] for name in ("name", "namespace")}
            gone = {"$patch": "delete", "apiVersion": manifest["apiVersion"], "kind": key[0], "metadata": identity}
            yield {"patch": _yaml(gone)}


def _changes(before: Mapping[Key, dict[str, Any]], after: Mapping[Key, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for key, manifest in after.items():
        operations = list(differences(before.get(key, manifest), manifest)) if key[0] != "ConfigMap" else []
        if operations:
            yield {"target": {"kind": key[0], "name": key[1]}, "patch": _yaml(operations)}


def differences(before: Any, after: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """The JSON patch (RFC 6902) that makes `after` of `before`; a list that differs is replaced as a whole."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        if before != after:
            yield {"op": "replace", "path": path, "value": after}
        return
    for name in before:
        place = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in after:
            yield {"op": "remove", "path": place}
        else:
            yield from differences(before[name], after[name], place)
    for name in after:
        if name not in before:
            yield {"op": "add", "path": f"{path}/{name.replace('~', '~0').replace('/', '~1')}", "value": after[name]}


def _by_key(objects: Objects) -> dict[Key, dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def _file_of(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind'].lower()}.yaml"


def _values(folder: str) -> dict[str, Any]:
    return dict(yaml.safe_load((KUSTOMIZE / folder / VALUES).read_text()) or {})


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        name: _merged(below[name], above[name])
        for name in below.keys() & above.keys()
        if isinstance(below[name], dict) and isinstance(above[name], dict)
    }
    return {**below, **above, **both}


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Block, sort_keys=False, width=120)


if __name__ == "__main__":
    sys.exit(main())
