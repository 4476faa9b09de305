"""`meshdns check` reads what sources name: kubeconfigs, folders of them, folders of clusters."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from meshdns.cli.main import root

CONTEXT = "{cluster: c, user: u}"
GOOD = (
    "current-context: west\nclusters: [{name: c, cluster: {server: 'https://192.0.2.1'}}]\n"
    f"users: [{{name: u, user: {{token: t}}}}]\ncontexts: [{{name: west, context: {CONTEXT}}}]\n"
)


def check(*arguments: str) -> tuple[int, list[str]]:
    """The exit status of `meshdns check`, and the lines that it prints."""
    result = CliRunner().invoke(root, ["check", *arguments])
    return result.exit_code, result.stdout.splitlines()


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Where settings are written; beside them a good kubeconfig and a folder without any."""
    (tmp_path / "good").write_text(GOOD)
    (tmp_path / "windows").write_bytes(b"\xff\xfe" + GOOD.encode("utf-16-le"))
    (tmp_path / "broken").write_text("clusters: [\n")
    (tmp_path / "none").mkdir()
    for name in ("a", "b"):
        (tmp_path / "both").mkdir(exist_ok=True)
        (tmp_path / "both" / name).write_text(GOOD)
    return tmp_path / "meshdns.yaml"


FAULTS = {
    "{kind: kubeconfig, path: missing}": "{0}/missing: no kubeconfig at {0}/missing; name one that exists with "
    "--kubeconfig, in KUBECONFIG, or as path in the settings",
    "{kind: kubeconfig, path: broken}": "{0}/broken: {0}/broken:1: did not find expected node content; "
    "correct the file",
    "{kind: kubeconfig, path: good, contexts: [west, north]}": "{0}/good: {0}/good has no context 'north'; "
    "choose one of: west",
    "{kind: kubeconfig, path: none}": "{0}/none: the folder holds no kubeconfig; put kubeconfigs into it, each for one "
    "cluster, or remove the source",
    "{kind: kubeconfig, path: both}": "{0}/both/b: names the cluster 'c', as another file that is read does; "
    "rename one of the two",
    "{kind: remoteSecrets, namespace: n, path: good, context: east}": "{0}/good: {0}/good has no context 'east'; "
    "choose one of: west",
}


@pytest.mark.parametrize("source", FAULTS)
def test_what_keeps_a_kubeconfig_from_being_read_is_a_problem(settings: Path, source: str) -> None:
    """With the place of the source in the settings, and the exit status of problems."""
    settings.write_text(f"apiVersion: meshdns/v1\nsources:\n- {{kind: inCluster, cluster: east}}\n- {source}\n")
    status, lines = check(str(settings))
    assert lines == [f"{settings}:4: kubeconfig {FAULTS[source].format(settings.parent)}"]
    assert status == 79


@pytest.mark.parametrize("path", ["good", "windows", "missing:good"])
def test_a_good_kubeconfig_is_no_problem(settings: Path, path: str) -> None:
    """And nobody is asked for anything; of several files some may be missing, as with kubectl."""
    settings.write_text(f"apiVersion: meshdns/v1\nsources: [{{kind: kubeconfig, path: '{path}'}}]\n")
    assert check(str(settings)) == (0, [])


def test_the_kubeconfig_of_the_environment_is_the_default(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As kubectl has it."""
    settings.write_text("apiVersion: meshdns/v1\nsources: [{kind: kubeconfig}]\n")
    monkeypatch.setenv("KUBECONFIG", str(settings.parent / "good"))
    assert check(str(settings)) == (0, [])
    monkeypatch.setenv("KUBECONFIG", str(settings.parent / "missing"))
    assert check(str(settings))[0] == 79


ENTRY = """kind: ServiceEntry
metadata: {{name: {0}}}
spec: {{hosts: [{0}.global], location: MESH_INTERNAL, resolution: STATIC, endpoints: [{{address: 192.0.2.1}}]}}
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system, uid: 5f1c}\n---\n"


def test_one_cluster_in_two_folders_is_a_problem_across_sources(tmp_path: Path) -> None:
    """Folders of one source are told apart by their names, those of others by their paths."""
    for folder in ("one/east", "one/west", "two/north"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.yaml").write_text(NAMESPACE + ENTRY.format(folder[-4:]))
    settings = tmp_path / "meshdns.yaml"
    settings.write_text(
        "apiVersion: meshdns/v1\nsources: [{kind: manifests, path: one}, {kind: manifests, path: two}]\n"
    )
    status, lines = check(str(settings))
    reason = "by the UID of kube-system; each is read as a cluster of its own"
    others = f"{tmp_path}/one/east, {tmp_path}/one/west"
    advice = "remove the folders that are too many, or export each from its own cluster"
    assert lines == [
        f"{tmp_path}/one/east: cluster east: is the same cluster as west, {tmp_path}/two/north, {reason}; {advice}",
        f"{tmp_path}/one/west: cluster west: is the same cluster as east, {tmp_path}/two/north, {reason}; {advice}",
        f"{tmp_path}/two/north: cluster north: is the same cluster as {others}, {reason}; {advice}",
    ]
    assert status == 79


def test_folders_that_hold_nothing_are_problems(tmp_path: Path) -> None:
    """A source without clusters, and a cluster without objects."""
    status, lines = check(str(tmp_path))
    assert (status, len(lines)) == (79, 1)
    assert lines[0].startswith(f"{tmp_path}: file {tmp_path.name}: holds no folder of a cluster; ")
    (tmp_path / "east").mkdir()
    status, lines = check(str(tmp_path))
    assert (status, len(lines)) == (79, 1)
    assert lines[0].startswith(f"{tmp_path}/east: folder east: holds no object that is read, and no file whose ")


def test_what_is_skipped_is_listed_on_demand(tmp_path: Path) -> None:
    """It is counted else, and no problem."""
    (tmp_path / "east").mkdir()
    (tmp_path / "east" / "a.yaml").write_text(ENTRY.format("a"))
    (tmp_path / "east" / "kustomization.yaml").write_text("resources: [a.yaml]\n")
    (tmp_path / "east" / "README.md").write_text("words\n")
    assert check(str(tmp_path)) == (0, [])
    status, lines = check("--all", str(tmp_path))
    assert status == 79
    assert [line.split(": ")[2].partition(",")[0] for line in lines] == [
        "a file is not read",
        "is a kustomization and no Kubernetes object",
    ]


RESOLV_CONFS = {
    "": True,
    "# nothing\n": True,
    "nameserver 0.0.0.0\n": True,
    "nameserver ::\nnameserver 224.0.0.1\n": True,
    "NAMESERVER 192.0.2.1\nnameserver=192.0.2.1\nnameserver dns.example\nnameserver 192.0.2.1:53\n": True,
    "nameserver\t192.0.2.1 # x\noptions edns0 trust-ad use-vc ndots:5\n": False,
    "nameserver fe80::1%eth0\nnameserver 192.0.2.1\n": False,
}


@pytest.mark.parametrize("text", RESOLV_CONFS, ids=range(len(RESOLV_CONFS)))
def test_a_resolv_conf_that_names_no_server_is_said(tmp_path: Path, text: str) -> None:
    """On standard error, for the server may see another file."""
    (tmp_path / "resolv.conf").write_text(text)
    (tmp_path / "meshdns.yaml").write_text("apiVersion: meshdns/v1\nforward: [{zone: '.', to: [./resolv.conf]}]\n")
    result = CliRunner().invoke(root, ["check", str(tmp_path / "meshdns.yaml")])
    said = f"meshdns.yaml:2:28: forward[0].to[0]: {tmp_path}/resolv.conf: names no server that can be asked; "
    assert (said in result.stderr) is RESOLV_CONFS[text]
    assert result.exit_code == 0
