"""The chart's rights are enough and no more than that: the program runs with them against a real API server.

They are those of `meshdns.sources.kube.rbac` (test_chart.py), of which none can be spared (tests/e2e/test_rbac.py).
"""

import copy
from typing import Any

import pytest

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources.kube.resources import RESOURCES, Resource
from tests.deploy.helm import NAMESPACE, Objects, one, rendered
from tests.deploy.pod import Pod, install
from tests.rig.apiserver import ApiServer
from tests.rig.dig import dig
from tests.rig.ports import LOOPBACK, free_port
from tests.rig.waiting import eventually

pytestmark = pytest.mark.rig

ENTRY: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "shop"},
    "spec": {
        "hosts": ["shop.default.global"],
        "location": "MESH_INTERNAL",
        "ports": [{"name": "http", "number": 80, "protocol": "HTTP"}],
        "resolution": "STATIC",
        "endpoints": [{"address": "10.20.0.7"}],
    },
}


@pytest.fixture
def ports() -> tuple[int, int]:
    """Where the pod listens: for DNS and for HTTP."""
    return free_port(), free_port()


@pytest.fixture
def objects(platform: ApiServer, ports: tuple[int, int]) -> Objects:
    """The chart, installed, on loopback instead of all addresses."""
    http = {"listen": f"{LOOPBACK}:{ports[1]}"}
    settings = {"listen": [f"{LOOPBACK}:{ports[0]}"], "http": http, "lameduck": "0s"}
    objects = rendered({"settings": settings, "namespace": {"create": True}})
    install(platform, objects)
    return objects


def _pod(objects: Objects, server: ApiServer, ports: tuple[int, int]) -> Pod:
    return Pod(objects, server, http=(LOOPBACK, ports[1]))


def test_rights_are_enough(platform: ApiServer, objects: Objects, ports: tuple[int, int]) -> None:
    """With the chart's token, settings, arguments and user it gets ready, and complains of nothing."""
    platform.apply(ENTRY)
    with _pod(objects, platform, ports) as pod:
        eventually(lambda: dig("shop.default.global", port=ports[0]).rdata == ("10.20.0.7",), what="it answers")
        (cluster,) = pod.get("clusters")
        assert cluster["status"] == "synced"
        assert cluster.get("reason", "") in ("", "<none>")


def test_missing_right_is_named(platform: ApiServer, objects: Objects, ports: tuple[int, int]) -> None:
    """Without the right to ServiceEntries the pod stays alive, and ``meshdns get clusters`` says what to grant."""
    resource = RESOURCES[ObjectKind.SERVICE_ENTRY]
    platform.apply(_without(one(objects, "ClusterRole"), resource))
    eventually(lambda: not _may_list(platform, resource), what="the right is gone")
    with _pod(objects, platform, ports).unready() as pod:
        group = f'API group "{resource.group}"'
        advice = f"grant the verbs list and watch on {resource.plural} in {group} by a ClusterRole"
        eventually(lambda: advice in str(pod.get("clusters")), what=f"the list of clusters says: {advice}", within=60)


def test_nothing_else_may_be_read(platform: ApiServer, objects: Objects) -> None:
    """The token reads no Secrets, no ConfigMaps, no Pods, and writes nothing."""
    (review,) = (_reviews(platform, verb, group, plural) for verb, group, plural in [("list", "", "services")])
    assert review
    for verb in ("get", "create", "update", "patch", "delete"):
        for kind in ObjectKind:
            if kind in RESOURCES:
                assert not _reviews(platform, verb, RESOURCES[kind].group, RESOURCES[kind].plural)
    for plural in ("secrets", "configmaps", "pods", "serviceaccounts"):
        assert not _reviews(platform, "list", "", plural)


def _without(role: dict[str, Any], resource: Resource) -> dict[str, Any]:
    """The role with one resource left out."""
    less = copy.deepcopy(role)
    for rule in less["rules"]:
        if rule["apiGroups"] == [resource.group]:
            rule["resources"] = [each for each in rule["resources"] if each != resource.plural]
    less["rules"] = [rule for rule in less["rules"] if rule["resources"]]
    return less


def _may_list(server: ApiServer, resource: Resource) -> bool:
    return _reviews(server, "list", resource.group, resource.plural)


def _reviews(server: ApiServer, verb: str, group: str, plural: str) -> bool:
    """Whether the API server would allow it to the service account, by its own word."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{NAMESPACE}:meshdns",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"],
            "resourceAttributes": {"verb": verb, "group": group, "resource": plural},
        },
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(server.post(path, review)["status"]["allowed"])
