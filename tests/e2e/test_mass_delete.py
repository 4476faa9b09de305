"""An API server that forgets most of what it had, with 200 OK: a store put back to an older state, or an empty one."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.instance import Instance, wait_until_ready
from tests.rig.apiserver import ApiServer
from tests.rig.etcd import Etcd
from tests.rig.waiting import eventually

pytestmark = [pytest.mark.rig, pytest.mark.timeout(900), pytest.mark.long]

ENTRIES = 20
HOLD = 6.0  # seconds in place of a minute
LAST = f"service-{ENTRIES - 1}.shop.global"


def entry(number: int) -> dict[str, Any]:
    """A ServiceEntry with an address of its own."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": f"service-{number}"},
        "spec": {
            "hosts": [f"service-{number}.shop.global"],
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{"address": f"192.0.2.{number + 1}"}],
        },
    }


class Cluster:
    """An API server with a store of its own, whose states can be kept and put back."""

    def __init__(self, etcd: Etcd, server: ApiServer) -> None:
        self.server = server
        self._etcd = etcd

    def keep(self) -> None:
        """Remember the store's state of now."""
        self._etcd.stop()
        shutil.copytree(self._data, self._data.with_name("kept"))
        self._etcd.start()

    def forget(self, *, everything: bool) -> None:
        """Go back to the state that was kept, or to none."""
        self.server.stop()
        self._etcd.stop()
        shutil.rmtree(self._data)
        if not everything:
            shutil.copytree(self._data.with_name("kept"), self._data)
        self._etcd.start()
        self.server.start()

    @property
    def _data(self) -> Path:
        return self._etcd.folder / "data"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Cluster south, which nobody else uses; its state without ServiceEntries is kept."""
    with Etcd() as etcd, ApiServer(etcd, "south", "10.98.0.0/16") as server:
        server.install_crds()
        cluster = Cluster(etcd, server)
        cluster.keep()
        yield cluster


@pytest.fixture
def instance(cluster: Cluster, tmp_path: Path) -> Iterator[Instance]:
    """An instance that reads it and serves all of its entries."""
    eventually(lambda: [cluster.server.apply(entry(number)) for number in range(ENTRIES)], what="entries are there")
    kubeconfig = cluster.server.write_kubeconfig(tmp_path / "south.yaml")
    settings = {
        "sources": [{"kind": "kubeconfig", "path": str(kubeconfig)}],
        "clusters": {"south": {"massDeleteHold": f"{HOLD:g}s"}},
    }
    with Instance(settings) as running:
        wait_until_ready(running)
        assert running.addresses(LAST) == [f"192.0.2.{ENTRIES}"]
        yield running


@pytest.mark.parametrize("everything", [False, True], ids=["older", "empty"])
def test_what_a_restored_store_lacks_is_served_until_a_second_list_agrees(
    cluster: Cluster, instance: Instance, *, everything: bool
) -> None:
    """The names answer through the loss and the alarm; they end when the cluster has said twice that they are gone."""
    cluster.forget(everything=everything)
    said = f"{ENTRIES} of {ENTRIES} objects of kind ServiceEntry were missing from a list"

    def alarmed() -> bool:
        assert instance.addresses(LAST) == [f"192.0.2.{ENTRIES}"]
        return said in instance.log()

    eventually(alarmed, what="the guard alarms", within=240)
    assert instance.addresses(LAST) == [f"192.0.2.{ENTRIES}"]
    eventually(lambda: instance.ask(LAST).status == "NXDOMAIN", what="a second list is believed", within=240)


def test_objects_that_are_deleted_go_at_once(cluster: Cluster, instance: Instance) -> None:
    """What the cluster itself deletes is no loss, however much it is."""
    for number in range(ENTRIES):
        cluster.server.remove(entry(number))
    eventually(lambda: instance.ask(LAST).status == "NXDOMAIN", what="the last name is gone", within=HOLD - 1)
    assert "were missing from a list" not in instance.log()
