"""Sections of the settings about where declarations come from."""

from typing import Annotated, Literal

from pydantic import Field

from meshdns.config.section import Section
from meshdns.config.values import Name, Namespace, Path


class Manifests(Section):
    """A folder with one folder of Kubernetes manifests per cluster."""

    kind: Literal["manifests"] = "manifests"
    path: Path = Field(description="The folder; <path>/<cluster>/*.yaml. Relative to the settings file.")


class InCluster(Section):
    """The cluster this process runs in, through its service account."""

    kind: Literal["inCluster"] = "inCluster"
    cluster: Name = Field(
        default="Kubernetes", description="The cluster's name. Default: Kubernetes, Istio's own default."
    )


class Kubeconfig(Section):
    """Contexts of a kubeconfig; each context is a cluster of that name."""

    kind: Literal["kubeconfig"] = "kubeconfig"
    path: Path | None = Field(
        default=None,
        description="The file, or several joined by colons as in KUBECONFIG, or a folder of kubeconfigs, each for the "
        "cluster of its current context. Relative to the settings file. Default: KUBECONFIG, else ~/.kube/config.",
    )
    contexts: tuple[Name, ...] = Field(default=(), description="The contexts to read. Default: the current context.")


class RemoteSecrets(Section):
    """Kubeconfigs in Secrets labelled istio/multiCluster=true, as istiod reads them."""

    kind: Literal["remoteSecrets"] = "remoteSecrets"
    namespace: Namespace | None = Field(default=None, description="Their namespace. Default: that of this pod.")
    path: Path | None = Field(
        default=None,
        description="The kubeconfig to read the Secrets with. Relative to the settings file. Default: none, this pod's "
        "service account.",
    )
    context: Name | None = Field(
        default=None, description="The context of that kubeconfig. Default: the current context."
    )


Source = Annotated[Manifests | InCluster | Kubeconfig | RemoteSecrets, Field(discriminator="kind")]
