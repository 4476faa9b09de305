"""What the tests of running instances share: a resolver behind them and a folder of clusters to read."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import boutique
from tests.rig.unbound import Unbound

_AWAY = """\
  local-zone: "away.example." redirect
  local-data: "away.example. 60 IN A 192.0.2.81"
"""


@pytest.fixture(scope="session")
def resolver() -> Iterator[Unbound]:
    """Answers www.example.com, and every name below away.example."""
    with Unbound(["www.example.com. 60 IN A 192.0.2.80"], _AWAY) as unbound:
        yield unbound


@pytest.fixture
def clusters(tmp_path: Path) -> Path:
    """A folder of clusters: Online Boutique, free to be changed."""
    return Path(shutil.copytree(boutique.ZONE, tmp_path / "clusters"))
