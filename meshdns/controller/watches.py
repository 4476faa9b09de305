"""How many watches an instance opens, by API server: in a DaemonSet each node opens them all."""

from collections.abc import Iterator

from meshdns.config.model import Settings
from meshdns.config.sources import InCluster, Kubeconfig, RemoteSecrets
from meshdns.sources.resources import resources


def watches(settings: Settings) -> Iterator[tuple[str, int]]:
    """API servers, for people, with the number of watches that one instance opens at each."""
    for source in settings.sources:
        match source:
            case InCluster():
                yield f"cluster {source.cluster}", _watches(settings, source.cluster)
            case Kubeconfig():
                for name in source.contexts:
                    yield f"cluster {name}", _watches(settings, name)
                if not source.contexts:
                    yield f"each cluster of {source.path or 'the kubeconfig'}", _watches(settings, "")
            case RemoteSecrets():
                namespace = source.namespace or "the pod's namespace"
                yield f"the cluster with the remote secrets of {namespace}, in addition", 1
                yield f"each cluster of the remote secrets of {namespace}", _watches(settings, "")


def _watches(settings: Settings, cluster: str) -> int:
    known = settings.clusters.get(cluster)
    return len(resources(readiness=known is None or known.readiness))
