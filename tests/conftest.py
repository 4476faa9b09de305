"""The real components as fixtures, and their logs in the reports of failing tests.

- `etcd`, `east_server` and `west_server` live for the session; `east` and `west` are the same servers for one test:
  they run when it begins, and what it made is deleted when it ends.
- A test that wants objects to live longer (a module's worth) takes the servers and calls `clear` itself.
- A component that cannot be had is an error with the reason, never a skip.
- The mark `rig` is set where a fixture provides a component; a test without it that starts one fails.
- Hypothesis' number of examples comes from the profile alone: `check`, `test` (the default) or `fuzz`, chosen with
  ``--hypothesis-profile``. No test sets its own.
- With ``--quick``, as `make check` runs, a test without the mark `slow` may use up to a second of processor time.
"""

import gc
import os
import time
import typing
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import hypothesis
import pytest
from xdist.remote import Producer

from tests.rig.apiserver import ApiServer
from tests.rig.component import Component
from tests.rig.etcd import Etcd
from tests.rig.marks import UNMARKED
from tests.rig.scheduler import ALONE, AloneLast
from tests.rig.seeded import seeded_data
from tests.rig.wheel import built_once

for _profile, _examples in (("check", 20), ("test", 100), ("fuzz", 1000)):
    # No deadline: time would tell of the machine.
    hypothesis.settings.register_profile(_profile, deadline=None, max_examples=_examples)
hypothesis.settings.load_profile("test")

_SHARED: Final = {
    "clusters": frozenset({"east_server", "west_server"}),
    "platform": frozenset({"platform_server", "etcd"}),
}
"""Fixtures of servers that take long to start: tests that use them share a worker; the first group that fits counts."""

_QUICK_CPU: Final = 1.0
"""Seconds of processor time that a test without `slow` may use, with what it started and awaited."""

_QUICK_WALL: Final = 10.0
"""Seconds that it may take: ten times as many, because other programs on the machine lengthen these."""


@pytest.fixture(scope="session")
def etcd() -> Iterator[Etcd]:
    """The store of all clusters, in which their CRDs are installed."""
    with Etcd(seeded_data()) as etcd:
        yield etcd


@pytest.fixture(scope="session")
def east_server(etcd: Etcd) -> Iterator[ApiServer]:
    """The API server of cluster east with Istio's CRDs, service CIDR 10.96.0.0/16."""
    yield from _api_server(etcd, "east", "10.96.0.0/16")


@pytest.fixture(scope="session")
def west_server(etcd: Etcd) -> Iterator[ApiServer]:
    """The API server of cluster west with Istio's CRDs, service CIDR 10.97.0.0/16."""
    yield from _api_server(etcd, "west", "10.97.0.0/16")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built once for all workers of a test run."""
    folder = tmp_path_factory.getbasetemp()
    return built_once(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


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


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quick`, which holds every test without `slow` to its limits."""
    parser.addoption("--quick", action="store_true", help="fail unmarked tests that are slow")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> AloneLast:
    """How several workers share the tests."""
    return AloneLast(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Set `rig`, tell the scheduler the groups, and put them in order: the slowest first, `alone` last."""
    for item in items:
        if isinstance(item, pytest.Function) and _takes_component(item):
            item.add_marker(pytest.mark.rig)
        if hasattr(config, "workerinput") and _group(item) and item.parent:
            item._id = item.parent.id.child(f"{item.name}@{_group(item)}")  # as xdist has it; it sets what pytest had
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    """What is handed out before what: tests that share servers take longest, then those of files marked `long`."""
    ranks = [*_SHARED, "long", "", ALONE]
    return ranks.index(_group(item) or ("long" if item.get_closest_marker("long") else ""))


def _group(item: pytest.Item) -> str:
    """The group that a test is in beside its file: it runs alone, or on real API servers that others use, too."""
    if item.get_closest_marker(ALONE):
        return ALONE
    fixtures = set(item.fixturenames) if isinstance(item, pytest.Function) else set()
    return next((group for group, servers in _SHARED.items() if fixtures & servers), "")


def _takes_component(item: pytest.Function) -> bool:
    """Whether a fixture of the test is declared to provide a component."""
    definitions = [found[-1] for found in item._fixtureinfo.name2fixturedefs.values()]
    return any(_names_component(typing.get_type_hints(each.func).get("return")) for each in definitions)


def _names_component(kind: object) -> bool:
    """Whether a return type is a component's class, or has one among its arguments."""
    if isinstance(kind, type) and issubclass(kind, Component):
        return True
    return any(_names_component(argument) for argument in typing.get_args(kind))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Say in the environment that a test without `rig` runs: see `tests.rig.marks`."""
    if item.get_closest_marker("rig") is None:
        os.environ[UNMARKED] = item.nodeid
    try:
        return (yield)
    finally:
        os.environ.pop(UNMARKED, None)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a test that is slow without saying so."""
    marked = any(pyfuncitem.get_closest_marker(name) for name in ("rig", "slow", "alone"))
    if marked or not pyfuncitem.config.getoption("quick"):
        return (yield)
    cpu, wall = sum(os.times()[:4]), time.monotonic()
    result = yield
    cpu, wall = sum(os.times()[:4]) - cpu, time.monotonic() - wall
    if cpu > _QUICK_CPU or wall > _QUICK_WALL:
        pytest.fail(f"{cpu:.1f} s of processor time in {wall:.1f} s: make it faster, or mark it with pytest.mark.slow")
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the log tails of a failed test's components."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for component in item.funcargs.values():
            if isinstance(component, Component) and component.has_folder:
                report.sections.append((f"{component.title} log", component.log_tail()))
    return report
