"""``meshdns remote``: what lets a server read other clusters."""

import asyncio
import base64
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import yaml

from meshdns.cli.options import read_namespace_option
from meshdns.cli.printing import print_document, print_line, print_lines
from meshdns.sources.auth.kubeconfig import ClientConfig, default_paths, load_contexts
from meshdns.sources.kube import rbac
from meshdns.sources.oneshot import read_secret_token, request_token
from meshdns.sources.remote_secrets import LABEL_SELECTOR
from meshdns.sources.settings import KubeconfigSource, SourceError

_NAMESPACE: Final = "meshdns"
_YEAR: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class _KubeconfigOptions:
    """Whose kubeconfig is wanted: the options of the command."""

    kubeconfig: str | None
    context: str | None
    name: str | None
    namespace: str
    service_account: str
    token_secret: str | None
    duration: int
    server: str | None


@click.group("remote")
def command() -> None:
    """Let a server read other clusters: rights and kubeconfigs.

    Nothing is written to any cluster: both commands print what kubectl can apply.

    Examples:

      meshdns remote print-rbac | kubectl --context west apply -f -

      meshdns remote kubeconfig --context west --name west -o secret | kubectl --context main apply -f -
    """


@command.command("print-rbac")
@click.option("--own", is_flag=True, help="For the cluster that the server runs in as pods, with its remote secrets.")
@click.option(
    "-n",
    "--namespace",
    callback=read_namespace_option,
    default=_NAMESPACE,
    show_default=True,
    metavar="NAME",
    help="The namespace for it.",
)
def print_rbac(own: bool, namespace: str) -> None:  # noqa: FBT001 — a flag of the command line
    """Print the service account and the rights that a cluster is read with: list and watch only.

    Examples:

      meshdns remote print-rbac

      meshdns remote print-rbac --own -n meshdns
    """
    manifests = rbac.own_manifests(namespace) if own else rbac.remote_manifests(namespace)
    print_document(yaml.safe_dump_all(manifests, sort_keys=False), nl=False)


@command.command("kubeconfig")
@click.option("--kubeconfig", metavar="FILE", help="The kubeconfig to ask the cluster with. Default: as kubectl.")
@click.option("--context", metavar="NAME", help="Its context. Default: the current one.")
@click.option("--name", metavar="NAME", help="The cluster's name in the mesh. Default: the context.")
@click.option(
    "-n",
    "--namespace",
    callback=read_namespace_option,
    default=_NAMESPACE,
    show_default=True,
    metavar="NAME",
    help="Of the account.",
)
@click.option(
    "--service-account", default=rbac.REMOTE_ACCOUNT, show_default=True, metavar="NAME", help="Who shall read."
)
@click.option("--token-secret", metavar="NAME", help="Take the token of this Secret, which does not expire.")
@click.option("--duration", type=click.IntRange(600), default=_YEAR, show_default=True, help="Seconds; servers cap it.")
@click.option("--server", metavar="URL", help="Where servers reach it. Default: as the context does.")
@click.option("-o", "--output", type=click.Choice(["kubeconfig", "secret"]), default="kubeconfig", show_default=True)
@click.option(
    "--secret-namespace",
    callback=read_namespace_option,
    default=_NAMESPACE,
    show_default=True,
    metavar="NAME",
    help="Of the printed Secret.",
)
def kubeconfig(output: str, secret_namespace: str, **options: Any) -> None:
    """Print a kubeconfig that can do no more than its service account, for a server or a remote secret.

    The rights come from: meshdns remote print-rbac

    Examples:

      meshdns remote kubeconfig --context west --name west

      meshdns remote kubeconfig --context west --name west -o secret | kubectl --context main apply -f -
    """
    try:
        name, config = asyncio.run(_build_kubeconfig(_KubeconfigOptions(**options)))
    except SourceError as error:
        print_lines(str(error), err=True)
        sys.exit(1)
    made = config if output == "kubeconfig" else _secret(name, config, secret_namespace)
    print_document(yaml.safe_dump(made, sort_keys=False), nl=False)


async def _build_kubeconfig(options: _KubeconfigOptions) -> tuple[str, dict[str, Any]]:
    """The cluster's name and a kubeconfig for it. Raises `SourceError`."""
    paths = (Path(options.kubeconfig),) if options.kubeconfig else default_paths(os.environ, Path.home())
    ((found, client_config),) = load_contexts(
        KubeconfigSource(paths, (options.context,) if options.context else ())
    ).items()
    name, authority = options.name or found, client_config.ca_bundle
    if options.token_secret:
        token, kept = await read_secret_token(client_config, options.namespace, options.token_secret)
        authority = authority or kept
    else:
        token, expires = await request_token(
            client_config, options.namespace, options.service_account, options.duration
        )
        print_line(f"the token expires at {expires}; print and apply another one before", err=True)
    return name, _kubeconfig_dict(name, client_config, options.server or client_config.server, authority, token)


def _kubeconfig_dict(
    name: str, client_config: ClientConfig, server: str, authority: bytes, token: str
) -> dict[str, Any]:
    """A kubeconfig with nothing in it that a Secret may not hold."""
    cluster = {
        "server": server,
        "certificate-authority-data": base64.b64encode(authority).decode(),
        "tls-server-name": client_config.server_name,
        "proxy-url": client_config.proxy,
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {key: value for key, value in cluster.items() if value}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }


def _secret(name: str, config: dict[str, Any], namespace: str) -> dict[str, Any]:
    """An Istio remote secret, as istioctl create-remote-secret prints it."""
    label, _, value = LABEL_SELECTOR.partition("=")
    metadata = {
        "name": f"istio-remote-secret-{name.lower()}",
        "namespace": namespace,
        "labels": {label: value},
        "annotations": {"networking.istio.io/cluster": name},
    }
    text = yaml.safe_dump(config, sort_keys=False)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {name: text}}
