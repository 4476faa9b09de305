"""Contexts are found as kubectl finds them, and every mistake is named with what to do."""

from pathlib import Path

import pytest

from meshdns.sources.auth.kubeconfig import default_paths, load_contexts
from meshdns.sources.settings import KubeconfigSource, SourceError

EAST = """
current-context: east
clusters: [{name: c, cluster: {server: "https://east"}}]
users: [{name: u, user: {exec: {command: cloud-login, apiVersion: client.authentication.k8s.io/v1}}}]
contexts: [{name: east, context: {cluster: c, user: u}}, {name: bare, context: {cluster: none}}]
"""
WEST = """
current-context: west
clusters: [{name: w, cluster: {server: "https://west"}}]
contexts: [{name: west, context: {cluster: w, user: nobody}}]
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two kubeconfig files, each with a current context of its own."""
    (tmp_path / "east").write_text(EAST)
    (tmp_path / "west").write_text(WEST)
    return tmp_path / "east", tmp_path / "west"


def test_the_first_current_context_is_the_default(files: tuple[Path, Path]) -> None:
    """Of several files the first that names a current context decides; missing files are passed over."""
    ((name, access),) = load_contexts(KubeconfigSource((files[0].with_name("none"), *files))).items()
    assert (name, access.server) == ("east", "https://east")
    assert access.plugin is not None
    assert access.plugin.command == "cloud-login"


def test_contexts_of_all_files_can_be_named(files: tuple[Path, Path]) -> None:
    """The order is that of the settings."""
    assert list(load_contexts(KubeconfigSource(files, ("west", "east")))) == ["west", "east"]


MISTAKES = {
    "unknown context": (EAST, ("north",), "has no context 'north'; choose one of: bare, east"),
    "no cluster": (EAST, ("bare",), "context 'bare' of {path} names no cluster with a server; correct it with kubectl"),
    "no current context": ("{}", (), "{path} has no current context; choose one with kubectl config use-context"),
    "duplicate key": ("a: 1\na: 2", (), "{path}:2: the key 'a' occurs twice, first on line 1; correct the file"),
    "no mapping": ("text", (), "{path} is no kubeconfig; write one with kubectl config"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_what_to_do(tmp_path: Path, mistake: str) -> None:
    """The message names the file and ends with the next step."""
    text, names, message = MISTAKES[mistake]
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(SourceError) as caught:
        load_contexts(KubeconfigSource((path,), names))
    assert message.format(path=path) in str(caught.value)


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    """All files that were looked for are listed."""
    with pytest.raises(
        SourceError, match=r"no kubeconfig at .*/none; name one that exists with --kubeconfig, in KUBECONFIG, or"
    ):
        load_contexts(KubeconfigSource((tmp_path / "none",)))


def test_the_default_files_are_those_of_kubectl() -> None:
    """KUBECONFIG is a list of files; without it there is one in the home directory."""
    home = Path("/home/me")
    assert default_paths({"KUBECONFIG": "/a::/b"}, home) == (Path("/a"), Path("/b"))
    assert default_paths({}, home) == (home / ".kube/config",)
