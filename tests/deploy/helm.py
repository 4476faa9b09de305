"""Helm and Kustomize on what `deploy` holds."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from tests.deploy.places import CHART
from tests.rig.build import built_program

RELEASE: Final = "meshdns"
NAMESPACE: Final = "meshdns"
KUBERNETES: Final = "1.35"

Objects = list[dict[str, Any]]


class RenderError(Exception):
    """The chart refuses its values; the message is Helm's."""


def rendered(values: Mapping[str, Any] | None = None, *, kubernetes: str = KUBERNETES) -> Objects:
    """The objects of the chart with `values` for an API server of that version, in Helm's order of installation.

    Raises `RenderError`.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values or {})))
        text = _run("template", RELEASE, str(CHART), "-n", NAMESPACE, "--kube-version", kubernetes, "-f", str(file))
    return [document for document in yaml.safe_load_all(text) if document]


def lint() -> str:
    """What Helm's own check says; raises `RenderError` where it finds a fault."""
    return _run("lint", "--strict", str(CHART))


def built(folder: Path) -> Objects:
    """What ``kubectl apply -k folder`` would apply."""
    command = [str(built_program("kustomize")), "build", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RenderError(done.stderr)
    return list(yaml.safe_load_all(done.stdout))


def one(objects: Objects, kind: str) -> dict[str, Any]:
    """The only object of a kind."""
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def workload(objects: Objects) -> dict[str, Any]:
    """The DaemonSet or the Deployment."""
    (found,) = [each for each in objects if each["kind"] in ("DaemonSet", "Deployment")]
    return found


def pod(objects: Objects) -> dict[str, Any]:
    """The Pod that the workload would make, without what its controller and the scheduler add."""
    template = workload(objects)["spec"]["template"]
    metadata = {**template["metadata"], "name": "meshdns-x", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _run(*arguments: str) -> str:
    command = [str(built_program("helm")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RenderError(done.stderr + done.stdout)
    return done.stdout
