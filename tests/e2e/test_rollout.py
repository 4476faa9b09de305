"""A rollout whose rights are missing stops at its first pod: it is never ready, and says which right it lacks."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.instance import Instance
from tests.rig.apiserver import ApiServer
from tests.rig.waiting import eventually

ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "meshdns"}}


def role(*resources: tuple[str, str]) -> list[dict[str, Any]]:
    """A ClusterRole to list and watch resources (group and plural), bound to the account."""
    rules = [{"apiGroups": [group], "resources": [plural], "verbs": ["list", "watch"]} for group, plural in resources]
    api = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": "meshdns"}, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "meshdns"},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "meshdns"},
            "subjects": [{"kind": "ServiceAccount", "name": "meshdns", "namespace": "default"}],
        },
    ]


@pytest.fixture
def instance(east: ApiServer, tmp_path: Path) -> Iterator[Instance]:
    """An instance in east that reads it with a service account's token."""
    east.apply(ACCOUNT)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = east.post("/api/v1/namespaces/default/serviceaccounts/meshdns/token", request)["status"]["token"]
    config = east.kubeconfig()
    config["users"][0]["user"]["token"] = token
    path = tmp_path / "east.yaml"
    path.write_text(yaml.safe_dump(config))
    with Instance({"sources": [{"kind": "kubeconfig", "path": str(path)}], "vantage": {"cluster": "east"}}) as running:
        yield running


NEEDED = (
    ("", "namespaces"),
    ("", "services"),
    ("discovery.k8s.io", "endpointslices"),
    ("networking.istio.io", "serviceentries"),
    ("networking.istio.io", "workloadentries"),
)


@pytest.mark.parametrize("missing", [-1, 1, 3], ids=["all", "services", "serviceentries"])
def test_without_a_right_it_is_never_ready_and_says_which(east: ApiServer, instance: Instance, missing: int) -> None:
    """Time does not make ready; the right does, without a restart."""
    granted = [right for number, right in enumerate(NEEDED) if number != missing and missing >= 0]
    for manifest in role(*granted):
        east.apply(manifest)
    lacking = NEEDED[missing] if missing >= 0 else NEEDED[-2]
    reason = f'grant the verbs list and watch on {lacking[1]} in API group "{lacking[0]}"'
    eventually(lambda: reason in instance.page("/ready")[1], what=f"/ready says: {reason}", within=240)
    assert instance.page("/ready")[0] == HTTPStatus.SERVICE_UNAVAILABLE
    if missing >= 0:
        for manifest in role(*NEEDED):
            east.apply(manifest)
        eventually(lambda: instance.page("/ready")[0] == HTTPStatus.OK, what="the right makes it ready", within=240)
