"""What the tests of the deployment share. Its API server has CRDs that other tests install for themselves."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import boutique
from tests.rig.apiserver import ApiServer
from tests.rig.etcd import Etcd
from tests.rig.unbound import Unbound


@pytest.fixture(scope="session")
def platform_server(etcd: Etcd) -> Iterator[ApiServer]:
    """A cluster with the CRDs of Istio, the Gateway API and the Prometheus operator, service CIDR 10.96.0.0/16."""
    with ApiServer(etcd, "platform") as server:
        server.install_crds("istio", "gateway-api", "prometheus")
        server.keep()
        yield server


@pytest.fixture
def platform(platform_server: ApiServer) -> Iterator[ApiServer]:
    """That cluster for one test; what it made is deleted when it ends."""
    yield platform_server
    platform_server.clear()


@pytest.fixture(scope="session")
def resolver() -> Iterator[Unbound]:
    """A resolver behind meshdns that knows www.example.com."""
    with Unbound(["www.example.com. 60 IN A 192.0.2.80"]) as unbound:
        yield unbound


@pytest.fixture
def clusters(tmp_path: Path) -> Path:
    """A folder of clusters: Online Boutique."""
    return Path(shutil.copytree(boutique.ZONE, tmp_path / "clusters"))
