"""Clusters that send without end, and a Secret that names clusters without end, in a running instance under load."""

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from meshdns.sources.kube.list_budget import default_octets
from meshdns.sources.kube.resources import RESOURCES
from tests.e2e.load import Load
from tests.maxima.__main__ import memory_limit
from tests.maxima.under_load import KNOWN, RATE, scene_with
from tests.rig.waiting import eventually
from tests.sources.fake_api_server import FakeApiServer

pytestmark = [pytest.mark.rig, pytest.mark.slow]

SECRETS = "/api/v1/namespaces/meshdns/secrets"
PATHS = [resource.path(resource.versions[0]) for resource in RESOURCES.values()]
CLUSTERS = 3
MANY = 100  # of the clusters that the Secret names are read
BESIDE_THE_BUDGET = memory_limit() * 3 / 4
"""MiB: what the budget for lists leaves of the chart's limit; where the machine sets no limit the budget is larger."""


class Servers:
    """API servers in a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="API servers", daemon=True)
        self._thread.start()
        self.all = [FakeApiServer() for _ in range(CLUSTERS)]
        for server in self.all:
            self.run(server.start)

    def run(self, work: Callable[[], Any]) -> None:
        """Run a coroutine function in their thread."""
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(30)

    def stop(self) -> None:
        """End them and their thread."""
        for server in self.all:
            self.run(server.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Some at work."""
    made = Servers()
    yield made
    made.stop()


def test_endless_lists_cost_no_name_an_answer(servers: Servers, tmp_path: Path) -> None:
    """Every list of three clusters is endless from one moment on: other changes are served, memory has its bound."""
    began: list[str] = []

    async def endless(request: web.Request) -> web.StreamResponse:
        began.append(request.path)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"metadata":{"resourceVersion":"5"},"items":[')
        item = json.dumps({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"hosts": ["a.global"]}}) + ","
        with contextlib.suppress(ConnectionResetError):
            while True:
                await response.write(item.encode() * 500)
        return response

    async def begin() -> None:
        for server in servers.all:
            for path in PATHS:
                server.scripted_replies[path] = [endless] * 1000
                await server.send(path, b'{"type":"ERROR","object":{"code":410}}\n')

    folder = tmp_path / "kubeconfigs"
    folder.mkdir()
    for number, server in enumerate(servers.all):
        server.kubeconfig(folder / f"c{number}", f"c{number}")
    with scene_with({"kind": "kubeconfig", "path": str(folder)}) as scene:
        before = scene.instance.children()
        with Load(scene.instance.server, KNOWN, rate=RATE, limit=300) as load:
            servers.run(begin)
            eventually(lambda: len(began) >= CLUSTERS * len(PATHS), what="every list was begun")
            for _ in range(3):
                scene.make_small_changes()
            outcome = load.end()
        memory = scene.memory()
        assert outcome.clean, outcome
        assert max(memory["controller"]) - default_octets() / 2**20 < BESIDE_THE_BUDGET
        assert scene.instance.children() == before


def test_a_secret_of_1500_clusters_costs_no_name_an_answer(servers: Servers, tmp_path: Path) -> None:
    """It comes while the instance runs: as many clusters as are read have their memory, nothing ends."""
    home, far = servers.all[:2]
    text = far.kubeconfig(tmp_path / "far").read_text()
    data = {f"c{number:04}": base64.b64encode(text.encode()).decode() for number in range(1500)}
    secret = {"metadata": {"name": "many", "namespace": "meshdns", "creationTimestamp": "2021"}, "data": data}

    async def come() -> None:
        event = {"type": "ADDED", "object": {**secret, "metadata": {**secret["metadata"], "resourceVersion": "6"}}}
        home.objects[SECRETS].append(secret)
        await home.send(SECRETS, json.dumps(event).encode() + b"\n")

    path = home.kubeconfig(tmp_path / "home", "home")
    source = {"kind": "remoteSecrets", "namespace": "meshdns", "path": str(path)}
    with scene_with(source) as scene:
        before = scene.instance.children()
        with Load(scene.instance.server, KNOWN, rate=RATE, limit=300) as load:
            servers.run(come)
            eventually(lambda: len(far.requests) >= MANY * len(PATHS), what="as many clusters as are read are asked")
            scene.make_small_changes()
            outcome = load.end()
        memory = scene.memory()
        assert outcome.clean, outcome
        assert max(memory["controller"]) < memory_limit()
        assert scene.instance.children() == before
