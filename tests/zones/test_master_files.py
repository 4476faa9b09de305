"""What `meshdns zone` prints is loaded by other name servers: BIND's and NSD's checkers accept it."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from meshdns.cli.main import root
from tests.rig.packages import program
from tests.zones.test_golden import GOLDEN, SITUATIONS, settings_of

SETTINGS = sorted(SITUATIONS.glob("*/*.yaml"))


def fault(zone: str, file: Path) -> str:
    """What the checkers of BIND and NSD say against `file` as the zone's master file; empty if nothing."""
    nsd = Path(program("nsd")).with_name("nsd-checkzone")
    said = ""
    for checker in (program("named-checkzone"), str(nsd)):
        done = subprocess.run([checker, zone, str(file)], capture_output=True, text=True, check=False)
        said += done.stdout + done.stderr if done.returncode else ""
    return said


def apexes(golden: Path) -> list[str]:
    """The zones that a file holds, by their SOAs."""
    lines = golden.read_text("utf-8").splitlines()
    return [line.split()[0].removesuffix(".") for line in lines if line.split()[3] == "SOA"]


SINGLE = [golden for golden in GOLDEN if len(apexes(golden)) == 1]


@pytest.mark.rig
@pytest.mark.parametrize("golden", SINGLE, ids=lambda golden: f"{golden.parent.name} from {golden.stem}")
def test_a_golden_file_is_a_master_file(golden: Path) -> None:
    """The master files of the situations load as they stand, where they hold one zone."""
    (zone,) = apexes(golden)
    assert fault(zone, golden) == ""


@pytest.mark.rig
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_what_zone_prints_is_a_master_file(settings: Path, tmp_path: Path) -> None:
    """Every zone of every situation loads when it is printed by itself."""
    for zone in settings_of(settings).zones:
        ended = CliRunner().invoke(root, ["zone", zone.name, "--config", str(settings)])
        assert ended.exit_code == 0, ended.output
        file = tmp_path / "printed.zone"
        file.write_text(ended.stdout, "utf-8")
        assert fault(zone.name, file) == ""


def test_a_server_on_wildcards_alone_has_no_address(tmp_path: Path) -> None:
    """A wildcard is nobody's address: ``ns.<zone>`` has those of the other sockets."""
    flags = ["--config", str(SITUATIONS / "wildcard" / "meshdns.yaml"), "--listen", "0.0.0.0:53"]
    owners = {line.split()[0] for line in CliRunner().invoke(root, ["zone", *flags]).stdout.splitlines()}
    assert "ns.global." not in owners
    both = (
        CliRunner().invoke(root, ["zone", *flags, "--listen", "192.0.2.53:53", "--listen", "[2001:db8::53]:53"]).stdout
    )
    found = [line for line in both.splitlines() if line.startswith("ns.global.")]
    assert found == ["ns.global. 30 IN A 192.0.2.53", "ns.global. 30 IN AAAA 2001:db8::53"]


def test_a_record_for_the_servers_name_wins(tmp_path: Path) -> None:
    """A static record for ``ns.<zone>`` replaces the addresses that are listened on."""
    (tmp_path / "clusters").mkdir()
    settings = tmp_path / "meshdns.yaml"
    settings.write_text(
        "apiVersion: meshdns/v1\nsources: [{kind: manifests, path: ./clusters}]\n"
        "records: [{name: ns.global, type: A, value: 192.0.2.1}]\n"
    )
    printed = CliRunner().invoke(root, ["zone", "--config", str(settings)]).stdout
    assert [line for line in printed.splitlines() if line.startswith("ns.")] == ["ns.global. 30 IN A 192.0.2.1"]
