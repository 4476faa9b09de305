"""API servers as a source: by kubeconfig, by the pod's service account, by remote secrets.

Pods are not listed here (`meshdns.sources.resources` says why); a workloadSelector over pods works for a folder of
manifests.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from meshdns.sources.access import Access
from meshdns.sources.clusters import Surroundings
from meshdns.sources.kubeconfig import contexts
from meshdns.sources.kubefiles import ACCOUNT, account, follow_account, follow_kubeconfigs
from meshdns.sources.port import Sink
from meshdns.sources.registrations import Registrations
from meshdns.sources.remotesecrets import Load, follow_secrets
from meshdns.sources.roster import Roster
from meshdns.sources.settings import InClusterSource, KubeconfigSource, RemoteSecretsSource, SourceError

_NAMESPACE_LIMIT: Final = 63  # RFC 1123 label

ApiServerSource = KubeconfigSource | InClusterSource | RemoteSecretsSource


async def run(
    *,
    source: ApiServerSource,
    sink: Sink,
    draw: Callable[[], float],
    registrations: Registrations,
    rank: int = 0,
    unready: Collection[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Report the clusters of `source` to `sink` until cancelled; `draw` gives numbers from 0 to 1 for jitter.

    All sources of one sink share `registrations`; `rank` is the place of this one in the settings. EndpointSlices of
    the clusters `unready` are not read. What is wrong with a source is told to the sink; only a remote secrets source
    without a namespace raises `SourceError` outside of a pod.
    """
    async with asyncio.TaskGroup() as group:
        around = Surroundings(sink, registrations, draw, group, rank, unready)
        match source:
            case KubeconfigSource():
                roster = Roster(f"kubeconfig {_paths(source)}", "", around)
                work = follow_kubeconfigs(source, roster)
            case InClusterSource():
                roster = Roster("the pod's own cluster", "", around)
                work = follow_account(source.cluster, environment, roster)
            case RemoteSecretsSource():
                namespace = source.namespace or _own_namespace(ACCOUNT)
                roster = Roster(f"remote secrets of namespace {namespace}", source.own, around)
                load = _load(source.kubeconfig, environment)
                work = follow_secrets(namespace=namespace, load=load, own=source.own, roster=roster, draw=draw)
        group.create_task(roster.run(), name="roster")
        await work


def _paths(source: KubeconfigSource) -> str:
    return os.pathsep.join(map(str, source.paths))


def _load(kubeconfig: KubeconfigSource | None, environment: Mapping[str, str]) -> Load:
    """How to reach the API server that holds the Secrets."""

    def load() -> Access:
        return account(environment, ACCOUNT) if kubeconfig is None else next(iter(contexts(kubeconfig).values()))

    return load


def _own_namespace(folder: Path) -> str:
    """The namespace of this pod. Raises `SourceError`."""
    try:
        return (folder / "namespace").read_text(encoding="ascii")[:_NAMESPACE_LIMIT].strip()
    except (OSError, UnicodeDecodeError):
        raise SourceError(
            "a source of kind remoteSecrets needs a namespace here: this is no pod; set namespace and context"
        ) from None
