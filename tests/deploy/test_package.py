"""Wheel and sdist: complete, typed, and the same octets each time they are built."""

import email
import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import meshdns
from tests.deploy.places import CHECKOUT

pytestmark = pytest.mark.slow

_EPOCH = "1700000000"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Path]]:
    """Wheel and sdist, built twice, by their suffix."""
    return [_build(tmp_path_factory.mktemp(f"dist{number}")) for number in range(2)]


def test_builds_are_the_same(built: list[dict[str, Path]]) -> None:
    """With SOURCE_DATE_EPOCH two builds have the same name and hash."""
    first, second = ({path.name: _hash(path) for path in each.values()} for each in built)
    assert first == second
    assert len(first) == 2


def test_metadata_is_complete(built: list[dict[str, Path]]) -> None:
    """Name, version, licence, Python, description, readme and classifiers are there."""
    with zipfile.ZipFile(built[0][".whl"]) as wheel:
        (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
        found = email.message_from_bytes(wheel.read(name))
        names = wheel.namelist()
        entry = wheel.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert found["Version"] == meshdns.__version__
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.11"
    assert found["Description-Content-Type"] == "text/markdown"
    assert found["Summary"]
    assert "Typing :: Typed" in found.get_all("Classifier", [])
    assert "meshdns/py.typed" in names
    assert any(each.endswith(".dist-info/licenses/LICENSE") for each in names)
    assert "meshdns = meshdns.cli.main:main" in entry


def test_sdist_carries_what_the_wheel_is_built_of(built: list[dict[str, Path]]) -> None:
    """Sources, situations, deployment and tests are in it, and nothing that was left by a run."""
    with tarfile.open(built[0][".gz"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "deploy/chart/Chart.yaml", "meshdns/py.typed"} <= names
    assert not [name for name in names if name.endswith(".pyc") or ".venv" in name]


def _build(folder: Path) -> dict[str, Path]:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
    for target in ("wheel", "sdist"):
        command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
        subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, capture_output=True)
    return {path.suffix: path for path in folder.iterdir()}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
