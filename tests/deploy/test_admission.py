"""Real API servers take every object of every overlay, and their Pod Security admission takes the pods."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import pytest

from tests.deploy.helm import NAMESPACE, Objects, built, one, pod, rendered
from tests.deploy.places import KUSTOMIZE, OVERLAYS
from tests.rig.apiserver import ApiServer
from tests.rig.etcd import Etcd
from tests.rig.kubernetes import Refused

pytestmark = pytest.mark.rig

_DRY_RUN: Final = "dryRun=All&fieldValidation=Strict&fieldManager=rig&force=true"
_RANGES: Final = {"gke": "34.118.224.0/20", "openshift": "172.30.0.0/16"}
_EVERYTHING: Final = {
    "kind": "Deployment",
    "service": {"clusterIP": "10.96.0.53"},
    "kubeconfig": {"secretName": "clusters", "contexts": ["west"]},
    "remoteSecrets": {"enabled": True},
    "podCIDRs": ["34.64.0.0/14"],
    "criticalPodsQuota": True,
    "admin": {"listen": "127.0.0.1:8053"},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "grafanaDashboard": {"enabled": True, "labels": {"team": "dns"}},
    "namespace": {"create": True},
}


def _dry_run(server: ApiServer, manifest: dict[str, Any]) -> Any:
    """Have the server default, validate and admit an object without keeping it; unknown fields are faults."""
    return server.request(
        "PATCH", f"{server.path(manifest)}?{_DRY_RUN}", manifest, content_type="application/apply-patch+yaml"
    )


def _admit_all(server: ApiServer, objects: Objects) -> None:
    """Dry-run all of them, and the pod that would follow; the namespace is really made."""
    server.apply(one(objects, "Namespace"))
    for manifest in objects:
        _dry_run(server, manifest)
    admitted = _dry_run(server, pod(objects))
    assert admitted["spec"]["priority"] >= 2_000_000_000


@pytest.fixture(params=["base", *OVERLAYS])
def overlay(request: pytest.FixtureRequest, etcd: Etcd) -> Iterator[tuple[ApiServer, Objects]]:
    """The objects of an overlay and an API server with the range of Services that the platform has."""
    name = request.param
    objects = built(KUSTOMIZE / "base" if name == "base" else KUSTOMIZE / "overlays" / name)
    if name in _RANGES:
        with ApiServer(etcd, name, _RANGES[name]) as server:
            yield server, objects
    else:
        server = request.getfixturevalue("platform")
        yield server, objects


def test_api_server_takes_the_overlay(overlay: tuple[ApiServer, Objects]) -> None:
    """Server-side dry run, with strict fields, of each object and of the pod under the namespace's own labels."""
    _admit_all(*overlay)


def test_api_server_takes_everything_at_once(platform: ApiServer) -> None:
    """As before, with all that the chart can make, under the restricted level."""
    objects = rendered(_EVERYTHING)
    level = one(objects, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted"
    _admit_all(platform, objects)


@pytest.mark.parametrize("address", ["", "10.96.0.53"], ids=["allocated", "fixed"])
def test_service_has_an_address(platform: ApiServer, address: str) -> None:
    """The address is the one that was chosen, or one from the range of Services."""
    objects = rendered({"service": {"clusterIP": address}, "namespace": {"create": True}})
    platform.apply(one(objects, "Namespace"))
    service = _dry_run(platform, one(objects, "Service"))
    assert service["spec"]["clusterIP"] == address if address else service["spec"]["clusterIP"].startswith("10.96.")
    assert service["spec"]["trafficDistribution"] == "PreferSameNode"


_LOOSENED: Final[dict[str, dict[str, Any]]] = {
    "runAsNonRoot": {"pod": {"runAsNonRoot": False}},
    "seccompProfile": {"pod": {"seccompProfile": {"type": "Unconfined"}}},
    "allowPrivilegeEscalation": {"container": {"allowPrivilegeEscalation": True}},
    "capabilities": {"container": {"capabilities": {}}},
}


@pytest.mark.parametrize("part", _LOOSENED)
def test_admission_is_at_work(platform: ApiServer, part: str) -> None:
    """The same server refuses the same pod with any of its restrictions loosened."""
    objects = rendered({"namespace": {"create": True}})
    platform.apply(one(objects, "Namespace"))
    loose = deepcopy(pod(objects))
    change = _LOOSENED[part]
    loose["spec"]["securityContext"].update(change.get("pod", {}))
    loose["spec"]["containers"][0]["securityContext"].update(change.get("container", {}))
    with pytest.raises(Refused, match="violates PodSecurity"):
        _dry_run(platform, loose)


def test_older_server_is_not_shown_what_it_refuses(platform: ApiServer) -> None:
    """PreferSameNode is gone for an old API server; a made-up value shows that the server does look at it."""
    old = one(rendered({"namespace": {"create": True}}, kubernetes="1.33"), "Service")
    platform.apply(one(rendered({"namespace": {"create": True}}), "Namespace"))
    assert "trafficDistribution" not in _dry_run(platform, old)["spec"]
    wrong = {**old, "spec": {**old["spec"], "trafficDistribution": "PreferNobody"}}
    with pytest.raises(Refused, match="trafficDistribution"):
        _dry_run(platform, wrong)


def test_namespace_is_the_objects_own() -> None:
    """All that lives in a namespace lives in the one that the overlays make."""
    cluster_wide = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
    for name in OVERLAYS:
        namespaced = [each for each in built(KUSTOMIZE / "overlays" / name) if each["kind"] not in cluster_wide]
        assert {each["metadata"]["namespace"] for each in namespaced} == {NAMESPACE}
