"""The real components as fixtures, and their logs in the reports of failing tests.

- `etcd`, `east_server` and `west_server` live for the session; `east` and `west` are the same servers for one test:
  they run when it begins, and what it made is deleted when it ends.
- A test that wants objects to live longer (a module's worth) takes the servers and calls `clear` itself.
- A component that cannot be had is an error with the reason, never a skip.
"""

import gc
from collections.abc import Generator, Iterator

import hypothesis
import pytest

from tests.rig.apiserver import ApiServer
from tests.rig.component import Component
from tests.rig.etcd import Etcd

hypothesis.settings.register_profile("plain", deadline=None)  # time would tell of the machine
hypothesis.settings.load_profile("plain")

_RIG_FIXTURES = frozenset({"etcd", "east_server", "west_server", "east", "west"})


@pytest.fixture(scope="session")
def etcd() -> Iterator[Etcd]:
    """The store of both clusters."""
    with Etcd() as etcd:
        yield etcd


@pytest.fixture(scope="session")
def east_server(etcd: Etcd) -> Iterator[ApiServer]:
    """The API server of cluster east with Istio's CRDs, service CIDR 10.96.0.0/16."""
    yield from _api_server(etcd, "east", "10.96.0.0/16")


@pytest.fixture(scope="session")
def west_server(etcd: Etcd) -> Iterator[ApiServer]:
    """The API server of cluster west with Istio's CRDs, service CIDR 10.97.0.0/16."""
    yield from _api_server(etcd, "west", "10.97.0.0/16")


@pytest.fixture
def cut_handshakes() -> Iterator[None]:
    """For tests that end clients of API servers at any moment (`tests.sources.real_clusters.ENDS_CLIENTS`).

    asyncio leaves the socket of a TLS handshake that is cut in its first turn to the collector. Without this the
    collector would come to it during another test, which pytest would blame.
    """
    yield
    gc.collect()


@pytest.fixture
def east(east_server: ApiServer) -> Iterator[ApiServer]:
    """Cluster east for one test: running, and empty again afterwards."""
    yield from _for_one_test(east_server)


@pytest.fixture
def west(west_server: ApiServer) -> Iterator[ApiServer]:
    """Cluster west for one test: running, and empty again afterwards."""
    yield from _for_one_test(west_server)


def _api_server(etcd: Etcd, cluster: str, service_cidr: str) -> Iterator[ApiServer]:
    with ApiServer(etcd, cluster, service_cidr) as server:
        server.install_crds()
        server.keep()
        yield server


def _for_one_test(server: ApiServer) -> Iterator[ApiServer]:
    yield server
    if server.running:
        server.resume()
    else:
        server.start()
    server.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark with `rig` what takes its fixtures; tests that start components themselves carry the mark."""
    for item in items:
        if isinstance(item, pytest.Function) and not _RIG_FIXTURES.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.rig)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the log tails of a failed test's components."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for component in item.funcargs.values():
            if isinstance(component, Component) and component.has_folder:
                report.sections.append((f"{component.title} log", component.log_tail()))
    return report
