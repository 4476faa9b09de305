"""The rights that ``meshdns remote`` prints are just enough, against real API servers with RBAC on."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshdns.sources.kube import rbac
from meshdns.sources.kube.resources import RESOURCES, Resource
from meshdns.sources.settings import KubeconfigSource, RemoteSecretsSource
from tests.rig.apiserver import ApiServer
from tests.sources.real_clusters import (
    ENDS_CLIENTS,
    NAMESPACE,
    entry,
    grant_read_rights,
    kubeconfig,
    remote_secret,
    running_sources,
    wait_until_synced,
)

pytestmark = ENDS_CLIENTS

FOLDER = Path(__file__).parents[2] / "deploy" / "rbac"


def printed(*arguments: str) -> str:
    """What ``meshdns remote`` prints."""
    program = str(Path(sys.executable).with_name("meshdns"))
    done = subprocess.run([program, "remote", *arguments], check=True, capture_output=True, text=True, timeout=30)
    return done.stdout


def without(resource: Resource, verb: str) -> dict[str, Any]:
    """The ClusterRole without one verb on one resource."""
    role: dict[str, Any] = next(
        dict(each) for each in rbac.remote_manifests(NAMESPACE) if each["kind"] == "ClusterRole"
    )
    rules: list[dict[str, Any]] = []
    for rule in role["rules"]:
        for plural in rule["resources"]:
            mine = (rule["apiGroups"], plural) == ([resource.group], resource.plural)
            verbs = [each for each in rule["verbs"] if not (mine and each == verb)]
            rules.append({**rule, "resources": [plural], "verbs": verbs})
    return {**role, "rules": rules}


@pytest.mark.parametrize(("file", "arguments"), [("own.yaml", ["--own"]), ("remote.yaml", [])])
def test_the_files_are_what_the_command_prints(file: str, arguments: list[str]) -> None:
    """There is one source of them."""
    assert (FOLDER / file).read_text() == printed("print-rbac", *arguments)


def test_the_rights_are_enough(east: ApiServer, tmp_path: Path) -> None:
    """A reader with no other rights reads everything, and nothing is refused."""
    east.apply(entry("shop"))
    path = tmp_path / "config"
    path.write_text(kubeconfig(east, "east", {"token": grant_read_rights(east)}))

    async def play() -> None:
        async with running_sources(KubeconfigSource((path,))) as sink:
            await wait_until_synced(sink, "east")
            await asyncio.to_thread(east.apply, entry("cart"))
            await sink.wait_until(lambda: sink.hosts("east") == ["cart.global", "shop.global"])
            east_known = sink.clusters["east"]
            optional = {each.title for each in RESOURCES.values() if each.optional}
            assert [reason for reason in east_known.failures if not any(title in reason for title in optional)] == []
            assert [reason for reason in east_known.failures if "forbidden" in reason] == []

    asyncio.run(play())


CASES = [(resource, "list") for resource in RESOURCES.values()] + [(next(iter(RESOURCES.values())), "watch")]


@pytest.mark.parametrize(("resource", "verb"), CASES, ids=lambda each: getattr(each, "title", each))
def test_no_right_can_be_spared(east: ApiServer, tmp_path: Path, resource: Resource, verb: str) -> None:
    """Without one of them the reason names resource, group and verb, and what to grant; no other kind is touched."""
    token = grant_read_rights(east)
    east.apply(without(resource, verb))
    path = tmp_path / "config"
    path.write_text(kubeconfig(east, "east", {"token": token}))
    others = [kind for kind in RESOURCES if kind is not resource.kind]

    async def play() -> None:
        async with running_sources(KubeconfigSource((path,))) as sink:
            await wait_until_synced(sink, "east", others)
            forbidden = [f'cannot {verb} resource "{resource.plural}" in API group "{resource.group}"']
            await sink.wait_until(lambda: any(forbidden[0] in reason for reason in sink.clusters["east"].failures))
            reasons = {reason for reason in sink.clusters["east"].failures if "forbidden" in reason}
            assert len(reasons) == 1
            advice = f'grant the verbs list and watch on {resource.plural} in API group "{resource.group}"'
            assert advice in reasons.pop()

    asyncio.run(play())


def test_the_own_rights_read_the_remote_secrets_and_the_missing_one_is_named(east: ApiServer, tmp_path: Path) -> None:
    """Without the Role the reason names the namespace; with it the Secrets are read, soon after it was granted."""
    east.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    for manifest in rbac.own_manifests(NAMESPACE):
        east.apply(manifest)
    account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{rbac.OWN_ACCOUNT}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = tmp_path / "config"
    path.write_text(kubeconfig(east, "east", {"token": east.post(account, body)["status"]["token"]}))
    east.apply(remote_secret("west", west="no kubeconfig"))

    async def play() -> None:
        allowed = RemoteSecretsSource(NAMESPACE, KubeconfigSource((path,)))
        denied = RemoteSecretsSource("other", KubeconfigSource((path,)))
        async with running_sources(allowed, denied) as sink:
            await sink.wait_until(
                lambda: any("west" in each for each in sink.problems_by_source.get(title(NAMESPACE), []))
            )
            await sink.wait_until(lambda: sink.problems_by_source.get(title("other")))
            assert 'cannot list resource "secrets"' in sink.problems_by_source[title("other")][0]
            assert (
                "grant list and watch on secrets in the namespace other by a Role"
                in sink.problems_by_source[title("other")][0]
            )

    def title(namespace: str) -> str:
        return f"remote secrets of namespace {namespace}"

    asyncio.run(play())


def test_the_printed_secret_lets_a_server_read_the_cluster(east: ApiServer, west: ApiServer, tmp_path: Path) -> None:
    """``remote kubeconfig -o secret`` for west, applied to east, makes west's names known."""
    for manifest in yaml.safe_load_all(printed("print-rbac")):
        west.apply(manifest)
        east.apply(manifest)
    west.apply(entry("shop"))
    east_config, west_config = east.write_kubeconfig(tmp_path / "east"), west.write_kubeconfig(tmp_path / "west")
    secret = printed("kubeconfig", "--kubeconfig", str(west_config), "--name", "west", "-o", "secret")
    east.apply(yaml.safe_load(secret))

    async def play() -> None:
        source = RemoteSecretsSource(NAMESPACE, KubeconfigSource((east_config,)))
        async with running_sources(source) as sink:
            await wait_until_synced(sink, "west")
            assert sink.hosts("west") == ["shop.global"]

    asyncio.run(play())


def test_a_kept_token_is_taken_from_its_secret(west: ApiServer, tmp_path: Path) -> None:
    """``--token-secret`` prints the token that the Secret holds."""
    token = grant_read_rights(west)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "reader-token", "namespace": NAMESPACE},
        "stringData": {"token": token},
    }
    west.apply(secret)
    config = west.write_kubeconfig(tmp_path / "west")
    made = yaml.safe_load(printed("kubeconfig", "--kubeconfig", str(config), "--token-secret", "reader-token"))
    assert made["users"] == [{"name": "west", "user": {"token": token}}]
    assert made["clusters"][0]["cluster"]["server"] == west.url
