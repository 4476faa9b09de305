"""The situations under zones/: what their manifests mean from each vantage is what their master files say."""

from pathlib import Path

import dns.zone
import pytest

from meshdns.cli.commands.zone import master_file
from meshdns.config import Settings, read_settings_file
from meshdns.config.model import VantageSection
from meshdns.config.sections import ManifestsSection
from meshdns.config.translate import mesh_settings, nameserver_addresses
from meshdns.controller import offline

SITUATIONS = Path(__file__).parents[2] / "zones"
GOLDEN = sorted(SITUATIONS.glob("*/*.zone"))
OUTSIDE = "outside"
"""The vantage of a master file of this name: no cluster and no network."""


def settings_of(golden: Path) -> Settings:
    """The settings beside the master file, else the situation's, seen from where the master file's name says."""
    if golden.with_suffix(".yaml").exists():
        return read_settings_file(golden.with_suffix(".yaml"), str(golden.parent))
    found = read_settings_file(golden.parent / "meshdns.yaml", str(golden.parent))
    cluster = None if golden.stem == OUTSIDE else golden.stem
    return found.model_copy(update={"vantage": VantageSection(cluster=cluster)})


def served(settings: Settings) -> list[str]:
    """The master file of every zone of the settings, one after the other."""
    return [line for lines in served_zones(settings) for line in lines]


def served_zones(settings: Settings) -> list[list[str]]:
    """The master files of the zones of the settings, in their order."""
    paths = [Path(source.path) for source in settings.sources if isinstance(source, ManifestsSection)]
    answers = offline.answers(offline.read_folders(paths), mesh_settings(settings))
    addresses = nameserver_addresses(settings)
    return [list(master_file(zone, settings, answers, serial=1, addresses=addresses)) for zone in settings.zones]


def without_serial(lines: list[str]) -> list[str]:
    """The lines with the serial of each SOA left out."""
    fields = [line.split() for line in lines]
    return [" ".join([*each[:6], *each[7:]] if each[3] == "SOA" else each) for each in fields]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: f"{golden.parent.name} from {golden.stem}")
def test_a_situation_is_served_as_its_master_file_says(golden: Path) -> None:
    """Line by line, but for the SOA's serial."""
    assert without_serial(served(settings_of(golden))) == without_serial(golden.read_text("utf-8").splitlines())


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: f"{golden.parent.name} from {golden.stem}")
def test_what_is_printed_is_a_zone(golden: Path) -> None:
    """Another implementation reads the master file: one SOA, one NS, nothing outside the zone."""
    settings = settings_of(golden)
    for zone, lines in zip(settings.zones, served_zones(settings), strict=True):
        found = dns.zone.from_text("\n".join(lines) + "\n", origin=f"{zone.name}.", relativize=False)
        assert found.get_soa().minimum == zone.negative_ttl


def test_every_situation_is_complete() -> None:
    """A README, settings, and master files whose names are clusters, the outside, or settings of their own."""
    folders = sorted(path for path in SITUATIONS.iterdir() if path.is_dir())
    assert folders
    for folder in folders:
        clusters = {path.name for path in (folder / "clusters").iterdir()}
        views = {path.stem for path in folder.glob("*.zone")}
        assert (folder / "README.md").is_file(), folder
        assert (folder / "meshdns.yaml").is_file(), folder
        assert views, folder
        assert views <= clusters | {OUTSIDE} | {path.stem for path in folder.glob("*.yaml")}, folder


FAULTLESS = sorted({golden.parent for golden in GOLDEN if not (golden.parent / "problems.txt").exists()})


@pytest.mark.parametrize("situation", FAULTLESS, ids=lambda folder: folder.name)
def test_a_situation_without_a_list_of_problems_has_none(situation: Path) -> None:
    """What is shown as a good example is free of faults."""
    settings = read_settings_file(situation / "meshdns.yaml", str(situation))
    paths = [Path(source.path) for source in settings.sources if isinstance(source, ManifestsSection)]
    assert offline.problems(offline.read_folders(paths), mesh_settings(settings)) == []
