"""Every command: its help, its exit codes, and errors that end with what to do."""

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from meshdns import __version__
from meshdns.cli import main as command_line
from meshdns.cli.commands import demo
from tests.cli.command_runner import CommandRunner
from tests.cli.stopped_server import ZONES

COMMANDS = ("check", "demo", "explain", "get", "serve", "version", "zone")


def test_help_is_light() -> None:
    """``meshdns --help`` loads neither settings nor clients nor the name database."""
    program = (
        "import sys; from meshdns.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'pydantic', 'kubernetes', 'aiohttp', 'lmdb', 'yaml'} & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ended.stderr == "[]\n"
    assert all(f"\n  {name} " in ended.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(meshdns: CommandRunner, name: str) -> None:
    """``--help`` of each command ends with 0 and begins with its usage."""
    ended = meshdns(name, "--help")
    assert ended.status == 0
    assert ended.out.startswith(f"Usage: meshdns {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_commands_say(name: str) -> None:
    """The line in the list of commands is the first sentence of the command's own help, or fits it."""
    command = importlib.import_module(f"meshdns.cli.commands.{name}").command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command_line._COMMANDS[name].endswith(".")


def test_version(meshdns: CommandRunner) -> None:
    """The version is that of the package."""
    ended = meshdns("version")
    assert ended.status == 0
    assert ended.out.startswith(f"meshdns {__version__} (Python ")


def test_an_unknown_command_is_2(meshdns: CommandRunner) -> None:
    """A command that does not exist is wrong usage, with where to look."""
    ended = meshdns("nosuch")
    assert ended.status == 2
    assert "Try 'meshdns --help' for help." in ended.err


def test_check_of_a_clean_folder_is_0(meshdns: CommandRunner) -> None:
    """A situation without problems is clean."""
    ended = meshdns("check", str(ZONES / "online-boutique" / "meshdns.yaml"))
    assert (ended.status, ended.out) == (0, "")
    assert ended.err.endswith("0 problems\n")


def test_check_of_a_folder_of_one_cluster_looks_from_there(meshdns: CommandRunner, tmp_path: Path) -> None:
    """Nobody says that its Services are for others, which would need a gateway."""
    text = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.1}}"
    for cluster, lines in (("east", 0), ("west", 2)):
        (tmp_path / cluster).mkdir()
        (tmp_path / cluster / "web.yaml").write_text(text)
        assert len(meshdns("check", str(tmp_path)).out.splitlines()) == lines


def test_check_of_a_wrong_object_is_79(meshdns: CommandRunner, tmp_path: Path) -> None:
    """A problem is printed with file and line, and ends with the status of findings."""
    folder = tmp_path / "clusters" / "east"
    folder.mkdir(parents=True)
    (folder / "wrong.yaml").write_text(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: wrong, namespace: prod}\n"
        "spec:\n  hosts: ['bad host.global']\n  resolution: STATIC\n  endpoints: [{address: 203.0.113.7}]\n"
    )
    ended = meshdns("check", str(tmp_path / "clusters"))
    assert ended.status == 79
    assert "wrong.yaml:5: ServiceEntry prod/wrong: spec.hosts[0]:" in ended.out


def test_check_of_wrong_settings_is_65(meshdns: CommandRunner, tmp_path: Path) -> None:
    """An unknown key is refused with its place and the nearest key."""
    file = tmp_path / "meshdns.yaml"
    file.write_text("apiVersion: meshdns/v1\nlisten_: []\n")
    ended = meshdns("check", str(file))
    assert ended.status == 65
    assert f"{file}:2:1:" in ended.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [("nameserver 0.0.0.0\n", "names no server that can be asked;"), (None, "No such file or directory;")],
    ids=["no server", "missing"],
)
def test_check_looks_at_the_files_that_settings_name(
    meshdns: CommandRunner, tmp_path: Path, content: str | None, reason: str
) -> None:
    """What is wrong here is said with its place, and is no problem: the server may see other files."""
    file, named = tmp_path / "meshdns.yaml", tmp_path / "rc.conf"
    file.write_text("apiVersion: meshdns/v1\nforward:\n- zone: .\n  to: [./rc.conf]\n")
    if content is not None:
        named.write_text(content)
    ended = meshdns("check", str(file))
    assert ended.status == 0
    assert ended.err.startswith(f"{file}:4:8: forward[0].to[0]: {named}: {reason}")


def test_zone_prints_a_master_file(meshdns: CommandRunner) -> None:
    """The zone of a situation begins with SOA and NS."""
    ended = meshdns("zone", "global", "--config", str(ZONES / "online-boutique" / "meshdns.yaml"))
    assert ended.status == 0
    assert [line.split()[3] for line in ended.out.splitlines()[:2]] == ["SOA", "NS"]


def test_zone_of_an_unknown_name_is_2(meshdns: CommandRunner) -> None:
    """A zone that is not configured is wrong usage, and those that are configured are named."""
    ended = meshdns("zone", "nosuch", "--config", str(ZONES / "online-boutique" / "meshdns.yaml"))
    assert ended.status == 2
    assert "they are: global" in ended.err


def test_zone_without_a_view_says_what_to_do(meshdns: CommandRunner, state: Path) -> None:
    """``--running`` without a name database ends with 69 and what to do."""
    config = str(ZONES / "online-boutique" / "meshdns.yaml")
    ended = meshdns("zone", "--running", "--config", config, "--state-dir", str(state))
    assert ended.status == 69
    assert "holds no name database; start meshdns serve, or name" in ended.err
    assert "--state-dir" in ended.err


def test_demo_lists_the_clusters_it_has(meshdns: CommandRunner) -> None:
    """Another one is wrong usage: standing in it, no name would be answered."""
    ended = meshdns("demo", "--cluster", "cluster3")
    assert ended.status == 2
    assert "'cluster3' is not one of 'cluster1', 'cluster2'" in ended.err


def test_the_clusters_of_the_demo_are_those_of_its_example() -> None:
    """The list is kept by hand, so that help needs no file."""
    folders = (ZONES / "online-boutique" / "clusters").iterdir()
    assert sorted(folder.name for folder in folders) == list(demo._CLUSTERS)
