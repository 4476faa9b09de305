"""Sources at work on real API servers, and who may read there."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources import apiservers
from meshdns.sources.apiservers import ApiServerSource
from meshdns.sources.kube import rbac
from meshdns.sources.kube.resources import RESOURCES
from meshdns.sources.registry import ClusterRegistry
from tests.rig.apiserver import ApiServer
from tests.sources.recording_sink import RecordingSink

ENDS_CLIENTS = [
    pytest.mark.rig,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.usefixtures("cut_handshakes"),
]
"""Marks of modules that end clients of real API servers at any moment (see the fixture)."""

NAMESPACE = "meshdns"
TOKEN_REQUEST = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}


@asynccontextmanager
async def running_sources(*sources: ApiServerSource, own: str = "") -> AsyncIterator[RecordingSink]:
    """The sources at work in the cluster `own`, with no more waits than needed."""
    sink = RecordingSink()
    registrations = ClusterRegistry(own)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                apiservers.watch_api_servers(
                    source=source, sink=sink, draw=lambda: 0.0, registry=registrations, rank=rank
                ),
                name="source",
            )
            for rank, source in enumerate(sources)
        ]
        yield sink
        for task in tasks:
            task.cancel()


async def wait_until_synced(
    sink: RecordingSink, cluster: str, kinds: Collection[ObjectKind] = tuple(RESOURCES)
) -> None:
    """Wait until these kinds of the cluster were listed."""
    await sink.wait_until(lambda: cluster in sink.clusters and sink.clusters[cluster].synced >= set(kinds))


def entry(name: str) -> dict[str, Any]:
    """A ServiceEntry for <name>.global."""
    spec = {"hosts": [f"{name}.global"], "resolution": "DNS", "ports": [{"number": 80, "name": "http"}]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def grant_read_rights(server: ApiServer, account: str = rbac.REMOTE_ACCOUNT) -> str:
    """Make the service account for a remote reader with its rights; a token for it."""
    for manifest in rbac.remote_manifests(NAMESPACE):
        server.apply(manifest)
    return token(server, account)


def token(server: ApiServer, account: str = rbac.REMOTE_ACCOUNT) -> str:
    """A new token of a service account."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
    return str(server.post(path, TOKEN_REQUEST)["status"]["token"])


def kubeconfig(server: ApiServer, name: str, user: Mapping[str, Any], url: str = "") -> str:
    """A kubeconfig for `server` (reached by `url`) with that user."""
    config = server.kubeconfig(name)
    config["users"][0]["user"] = dict(user)
    config["clusters"][0]["cluster"]["server"] = url or server.url
    return json.dumps(config)


def remote_secret(name: str, **kubeconfigs: str) -> dict[str, Any]:
    """A remote secret with these keys."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"istio/multiCluster": "true"}},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in kubeconfigs.items()},
    }
