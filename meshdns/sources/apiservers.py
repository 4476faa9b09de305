"""API servers as a source: by kubeconfig, by the pod's service account, by remote secrets.

Pods are not listed here (`meshdns.sources.kube.resources` says why); a workloadSelector over pods works for a folder of
manifests.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from meshdns.sources.auth.kubeconfig import ClientConfig, load_contexts
from meshdns.sources.cluster_reader import SourceContext
from meshdns.sources.cluster_set import ClusterSet
from meshdns.sources.kubeconfig_files import (
    SERVICE_ACCOUNT_DIR,
    service_account_config,
    watch_kubeconfigs,
    watch_service_account,
)
from meshdns.sources.read_limits import ReadLimits, create_read_limits
from meshdns.sources.registry import ClusterRegistry
from meshdns.sources.remote_secrets import LoadClientConfig, watch_remote_secrets
from meshdns.sources.settings import (
    DEFAULT_MAX_CLUSTERS,
    InClusterSource,
    KubeconfigSource,
    RemoteSecretsSource,
    SourceError,
)
from meshdns.sources.sink import Sink

_NAMESPACE_LIMIT: Final = 63  # RFC 1123 label

ApiServerSource = KubeconfigSource | InClusterSource | RemoteSecretsSource


async def watch_api_servers(  # noqa: PLR0913 — one keyword for each thing that a process has once
    *,
    source: ApiServerSource,
    sink: Sink,
    draw: Callable[[], float],
    registry: ClusterRegistry,
    limits: ReadLimits | None = None,
    rank: int = 0,
    without_readiness: Collection[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Report the clusters of `source` to `sink` until cancelled; `draw` gives numbers from 0 to 1 for jitter.

    All sources of one sink share `registry` and `limits`; `rank` is the place of this one in the settings.
    EndpointSlices of the clusters `without_readiness` are not read. Problems of a source are reported to the sink; only
    a remote secrets source without a namespace raises `SourceError` outside of a pod.
    """
    async with asyncio.TaskGroup() as group:
        is_named = not isinstance(source, RemoteSecretsSource)
        most = source.max_clusters if isinstance(source, RemoteSecretsSource) else DEFAULT_MAX_CLUSTERS
        shared = limits or create_read_limits(registry.own)
        context = SourceContext(sink, registry, draw, group, shared, rank, without_readiness, is_named, most)
        match source:
            case KubeconfigSource():
                cluster_set = ClusterSet(f"kubeconfig {_joined_paths(source)}", "", context)
                work = watch_kubeconfigs(source, cluster_set)
            case InClusterSource():
                cluster_set = ClusterSet("the pod's own cluster", "", context)
                work = watch_service_account(source.cluster, environment, cluster_set)
            case RemoteSecretsSource():
                namespace = source.namespace or _own_namespace(SERVICE_ACCOUNT_DIR)
                cluster_set = ClusterSet(f"remote secrets of namespace {namespace}", source.own, context)
                load = _config_loader(source.kubeconfig, environment)
                work = watch_remote_secrets(
                    namespace=namespace,
                    load_client_config=load,
                    own=source.own,
                    cluster_set=cluster_set,
                    draw=draw,
                    budget=shared.budget,
                )
        group.create_task(cluster_set.run(), name="cluster set")
        await work


def _joined_paths(source: KubeconfigSource) -> str:
    return os.pathsep.join(map(os.fspath, source.paths))


def _config_loader(kubeconfig: KubeconfigSource | None, environment: Mapping[str, str]) -> LoadClientConfig:
    """How to reach the API server that holds the Secrets."""

    def load() -> ClientConfig:
        return (
            service_account_config(environment, SERVICE_ACCOUNT_DIR)
            if kubeconfig is None
            else next(iter(load_contexts(kubeconfig).values()))
        )

    return load


def _own_namespace(folder: Path) -> str:
    """The namespace of this pod. Raises `SourceError`."""
    try:
        return (folder / "namespace").read_text(encoding="ascii")[:_NAMESPACE_LIMIT].strip()
    except (OSError, UnicodeDecodeError):
        raise SourceError(
            "a source of kind remoteSecrets needs a namespace here: this is no pod; set namespace and context"
        ) from None
