"""The client of an API server goes nowhere else, and costs no more than one connection per request."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from meshdns.sources import oneshot
from meshdns.sources.auth.kubeconfig import ClientConfig
from meshdns.sources.kube.client import ApiConnection, auth_provider_token
from meshdns.sources.settings import KubeconfigSource, SourceError
from tests.sources.fake_api_server import ENTRIES, FakeApiServer, FastLoop
from tests.sources.real_clusters import running_sources

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LONG = 2000.0  # seconds of the fast loop: 40 s by the wall


class Redirector:
    """A server that redirects everything to a second one, which counts who comes."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.visits: list[str] = []
        self.url = ""
        self.target = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Redirector"]:
        """Both listen on free ports of the loopback."""

        async def visited(request: web.Request) -> web.StreamResponse:
            self.visits.append(request.path)
            return web.json_response({})

        async def redirect(request: web.Request) -> web.StreamResponse:
            return web.Response(status=self.status, headers={"Location": f"{self.target}{request.path}?{'x' * 5000}"})

        runners = []
        for answer in (visited, redirect):
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", answer)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.target, self.url = self.url, f"http://127.0.0.1:{runner.addresses[0][1]}"
            runners.append(runner)
        try:
            yield self
        finally:
            for runner in runners:
                await runner.cleanup()


async def _get(access: ClientConfig) -> None:
    connection = ApiConnection(access)
    try:
        async with connection.get("/api/v1/nodes", {"watch": "true"}):
            raise AssertionError
    finally:
        await connection.close()


async def _read(access: ClientConfig) -> None:
    await oneshot.read_objects(access, ["/api/v1/namespaces/a"])


async def _post(access: ClientConfig) -> None:
    await oneshot.request_token(access, "a", "b", 600)


REQUESTS = {"a watch": _get, "one object": _read, "a token of a service account": _post}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(request_name: str, status: int) -> None:
    """Whatever is asked for, the refusal names the status and the begin of the target."""

    async def play() -> None:
        async with Redirector(status).running() as redirector:
            with pytest.raises(SourceError) as refused:
                await REQUESTS[request_name](ClientConfig("test", redirector.url))
            assert redirector.visits == []
            assert f"redirects to '{redirector.target}" in str(refused.value)
            assert f"(HTTP status {status}), which is not followed" in str(refused.value)
            assert len(str(refused.value)) < 400

    asyncio.run(play())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the library's own
def test_an_identity_provider_cannot_send_us_elsewhere() -> None:
    """The request for a new token goes to the server that the kubeconfig names, and to no other."""
    expired = base64.urlsafe_b64encode(json.dumps({"exp": 1}).encode()).decode().rstrip("=")

    async def play() -> None:
        async with Redirector(302).running() as redirector:
            provider = {
                "name": "oidc",
                "config": {
                    "client-id": "c",
                    "client-secret": "s",
                    "id-token": f"{expired}.{expired}.x",
                    "refresh-token": "r",
                    "idp-issuer-url": redirector.url,
                },
            }
            with pytest.raises(SourceError, match="auth-provider"):
                await auth_provider_token(
                    ClientConfig("test", "http://127.0.0.1:9", auth_provider=json.dumps(provider))
                )
            assert redirector.visits == []

    asyncio.run(play())


def test_a_cluster_that_redirects_is_not_read(tmp_path: Path) -> None:
    """Its failure says where it points; nothing was asked there."""
    api, target = FakeApiServer(), FakeApiServer()

    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{target.port}{ENTRIES}"})

    async def play() -> None:
        api.scripted_replies[ENTRIES].append(redirect)
        await target.start()
        await api.start()
        try:
            async with running_sources(KubeconfigSource((api.kubeconfig(tmp_path / "config"),))) as sink:
                await sink.wait_until(lambda: sink.clusters and sink.clusters["west"].failures, seconds=LONG)
                assert "(HTTP status 302), which is not followed" in sink.clusters["west"].failures[0]
                assert target.requests == []
        finally:
            await api.stop()
            await target.stop()

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(play())


def test_clusters_of_one_authority_share_a_tls_context() -> None:
    """One more client costs no context."""

    async def play() -> set[int]:
        connections = [ApiConnection(ClientConfig(f"c{n}", f"https://127.0.0.{n}:9")) for n in range(1, 20)]
        contexts = set()
        for connection in connections:
            with pytest.raises(SourceError):
                await connection.fetch("/")
            assert connection._client is not None
            contexts.add(id(connection._client._api.rest_client.ssl_context))
        for connection in connections:
            await connection.close()
        return contexts

    assert len(asyncio.run(play())) == 1
