"""Wrong input of every kind to every command: a line that says what is wrong and what to do, and the code for it."""

import os
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from meshdns.cli.main import root
from tests.cli.command_runner import set_no_settings

FILES: Final = ("missing", "folder", "empty", "binary", "broken.yaml", "manifest.yaml", "fifo")
CONFIG: Final = (
    ("check", "{}"),
    ("serve", "--config", "{}"),
    ("zone", "--config", "{}"),
    ("zone", "--running", "--config", "{}"),
    ("get", "names", "--config", "{}"),
    ("explain", "a.global", "--config", "{}"),
    ("diff", "--server", "127.0.0.1:1", "--config", "{}"),
    ("tail", "--config", "{}"),
    ("reload", "--config", "{}"),
    ("cache", "flush", "--config", "{}"),
)
"""Commands that read a settings file; ``check`` of a folder is right."""

READ: Final = (
    ("remote", "kubeconfig", "--kubeconfig", "{}"),
    ("stub-domain", "print", "--target", "coredns", "--kubeconfig", "{}"),
    ("stub-domain", "print", "--target", "coredns", "--ip", "192.0.2.1", "--file", "{}"),
    ("stub-domain", "diff", "--target", "coredns", "--ip", "192.0.2.1", "--file", "{}"),
)
"""Commands that read a kubeconfig, or what is deployed: there every text is a Corefile, and an empty one is as well."""

STOPPED: Final = (
    ("get", "names"),
    ("explain", "a.global"),
    ("diff", "--server", "127.0.0.1:1"),
    ("tail",),
    ("reload",),
    ("cache", "flush"),
    ("zone", "--running"),
)

WRONG: Final[dict[str, tuple[tuple[str, ...], int, str]]] = {
    "a list that is none": (("get", "pods"), 2, "'pods' is not one of 'names', 'services'"),
    "a name that is none": (
        ("explain", "a..b"),
        2,
        "'a..b' has an empty label; write it as in frontend.default.global",
    ),
    "a long name": (("explain", "x" * 300), 2, "is 300 octets long, more than 253; write it as in"),
    "a type that is none": (("explain", "a.global", "FOO"), 2, "'FOO' is unknown; write A, AAAA, SRV or TYPE65"),
    "a server that is none": (("diff", "--server", "192.0.2.300"), 2, "'192.0.2.300' is no server; write an address"),
    "an RCODE that is none": (("tail", "--rcode", "FOO"), 2, "'FOO' is unknown; write one of NOERROR, FORMERR,"),
    "a type to wait for": (("tail", "--type", "FOO"), 2, "'FOO' is unknown; write A, AAAA, SRV or TYPE65"),
    "a client that is none": (("tail", "--client", "web-0"), 2, "'web-0' begins no address; write one as in 10.8. or"),
    "a shell that is none": (("completion", "tcsh"), 2, "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    "no path to check": (("check", ""), 2, "'' is no path; name a settings file or a folder of clusters"),
    "no settings file": (("serve", "--config", ""), 65, "--config: '' is no path; name a settings file, or leave"),
    "a zone that is none": (("zone", "", "--running"), 2, "'' is none of the zones of the settings; they are: global"),
    "a namespace that is none": (("remote", "print-rbac", "-n", "A b"), 2, "--namespace: 'A b' is no namespace; use"),
    "no namespace": (
        ("remote", "kubeconfig", "--secret-namespace", ""),
        2,
        "'' is no namespace; use lower-case letters",
    ),
    "a cluster that is none": (("serve", "--cluster", "a b"), 65, "--cluster: 'a b' is no name; use 1 to 253"),
    "a listener that is none": (("serve", "--listen", "host"), 65, "--listen: 'host' is no address and port; write"),
    "no workers": (("serve", "--workers", "0"), 65, "--workers: 0 is out of range; use at least 1"),
    "a page for all": (("demo", "--page", "192.0.2.1:80"), 2, "can be reached by others; write a loopback address"),
    "an address that is none": (
        ("stub-domain", "print", "--target", "unbound", "--ip", "x"),
        1,
        "'x' is no IP address; name the ClusterIP of the Service, or an address",
    ),
    "a stub zone that is none": (
        ("stub-domain", "check", "--via", "127.0.0.1:1", "--zone", "a..b"),
        2,
        "the zone 'a..b' has an empty label; write it as in global",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a wrong file of each kind, without clusters and settings, where the commands run."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "broken.yaml").write_text("apiVersion: [\n")
    (tmp_path / "manifest.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n")
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)
    set_no_settings(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


def refused(*arguments: str) -> tuple[int, str]:
    """The exit code and what is said on standard error; nothing is printed for programs, and nothing is raised."""
    ended = CliRunner().invoke(root, arguments)
    assert isinstance(ended.exception, SystemExit), (arguments, ended.exception)
    assert ended.stdout == "", arguments
    return ended.exit_code, ended.stderr


@pytest.mark.parametrize("file", FILES)
@pytest.mark.usefixtures("folder")
def test_a_wrong_settings_file_is_named_with_what_to_do(file: str) -> None:
    """By every command that reads one, with the code for wrong settings."""
    for command in CONFIG:
        if (command[0], file) != ("check", "folder"):
            status, said = refused(*(part.format(file) for part in command))
            assert (status, said[: len(file)], "; " in said) == (65, file, True), command


@pytest.mark.parametrize("file", FILES)
@pytest.mark.usefixtures("folder")
def test_another_wrong_file_is_named_with_what_to_do(file: str) -> None:
    """A kubeconfig, and what is deployed; a pipe without a writer is not waited for."""
    for command in READ:
        if command[-2] == "--kubeconfig" or file not in ("empty", "broken.yaml"):
            status, said = refused(*(part.format(file) for part in command))
            assert (status, file in said, "; " in said, "Errno" in said) == (1, True, True, False), command


@pytest.mark.parametrize("state", ["missing", "folder", "empty", "fifo"])
@pytest.mark.usefixtures("folder")
def test_without_a_server_the_next_step_is_named(state: str) -> None:
    """A state directory that is not there, is empty, or is none."""
    for command in STOPPED:
        status, said = refused(*command, "--state-dir", state)
        assert (status, state in said, "; start meshdns serve, or name" in said) == (69, True, True), command


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.usefixtures("folder")
def test_a_wrong_argument_is_named_with_what_to_do(case: str) -> None:
    """With the code for wrong usage, or for wrong settings where a flag stands for one."""
    arguments, status, text = WRONG[case]
    found, said = refused(*arguments)
    assert (found, text in said) == (status, True), said


def test_a_zone_without_clusters_is_no_zone(folder: Path) -> None:
    """An empty zone would pass for an answer: the folder is named, and nothing is printed."""
    (folder / "m.yaml").write_text("sources: [{kind: manifests, path: ./missing}]\n")
    status, said = refused("zone", "--config", "m.yaml")
    assert status == 1
    assert f"{folder}/missing: cannot be read: No such file or directory; name a folder of cluster folders" in said


def test_a_running_server_is_read_whatever_its_sources(folder: Path) -> None:
    """``zone --running`` needs none of them here."""
    (folder / "m.yaml").write_text("sources: [{kind: kubeconfig, path: ./missing}]\nstateDir: ./state\n")
    status, said = refused("zone", "--running", "--config", "m.yaml")
    assert (status, "holds no name database" in said) == (69, True)
