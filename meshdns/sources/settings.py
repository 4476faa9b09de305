"""Settings of sources as plain values, checked and without defaults that depend on the machine, and their errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshdns.mesh.objects.foreign import bounded_message, describe_error
from meshdns.mesh.objects.problems import Problem, ProblemKind

DEFAULT_MAX_CLUSTERS: Final = 1000
"""Clusters of one source that the operator's own files name; each takes a MiB."""


@dataclass(frozen=True, slots=True)
class ManifestsSource:
    """A folder of clusters: ``<path>/<cluster name>/*.yaml``."""

    path: Path


@dataclass(frozen=True, slots=True)
class KubeconfigSource:
    """Contexts of one or more kubeconfig files, merged as kubectl does: the first file that says something wins.

    Without `contexts` the current context is meant. The cluster's name is the context's name. A folder among the
    `paths` holds one kubeconfig per file, each for one cluster.
    """

    paths: tuple[Path, ...]
    contexts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InClusterSource:
    """The cluster this process runs in as a pod, read with the pod's own service account; `cluster` is its name."""

    cluster: str


@dataclass(frozen=True, slots=True)
class RemoteSecretsSource:
    """Kubeconfigs in the Secrets of `namespace` (empty: the pod's) that are labelled ``istio/multiCluster=true``.

    They are read with a context of `kubeconfig`, or without one with the pod's own service account. `own` is the
    cluster this process stands in, which needs no such Secret; empty where it stands in none. Of the clusters that they
    name `max_clusters` are read.
    """

    namespace: str
    kubeconfig: KubeconfigSource | None = None
    own: str = ""
    max_clusters: int = 100


AnySource = ManifestsSource | KubeconfigSource | InClusterSource | RemoteSecretsSource


class SourceError(Exception):
    """A source that cannot be used as it is set up; `message` is for people and ends with what to do."""

    def __init__(self, message: str) -> None:
        self.message = bounded_message(message)
        super().__init__(self.message)


@contextmanager
def source_errors(where: str) -> Iterator[None]:
    """Turn every exception into a `SourceError` about `where`, a key or file that others write.

    The one guard of what is read of a kubeconfig: no value in it can end more than itself.
    """
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        reason = f"cannot be read: {describe_error(error)}"
        raise SourceError(f"{where} {reason}; correct it, and report this if it is correct") from error


def problem_from_message(subject: str, name: str, message: str, namespace: str = "") -> Problem:
    """Return the problem of a source itself, from a message that ends with what to do behind its last semicolon."""
    reason, _, advice = message.rpartition("; ")
    return Problem(ProblemKind.UNREADABLE, subject, namespace, name, "", reason or message, advice)
