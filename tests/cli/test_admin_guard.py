"""Who may order what on the admin socket and its loopback port."""

import http.client
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from meshdns.config import Settings
from tests.cli.admin_server import admin_socket, asked
from tests.cli.stopped_server import publish, settings_of
from tests.rig.ports import free_port
from tests.rig.waiting import eventually


@pytest.fixture
def settings(state: Path) -> Settings:
    """Online Boutique with a loopback port beside the socket."""
    settings = settings_of("online-boutique", state)
    admin = settings.admin.model_copy(update={"listen": f"127.0.0.1:{free_port()}"})
    return settings.model_copy(update={"admin": admin})


class Served:
    """A server with its socket, its port and what was ordered of it."""

    def __init__(self, path: Path, port: int, orders: list[str]) -> None:
        self.path = path
        self.port = port
        self.orders = orders

    def ask(
        self,
        target: str,
        *,
        method: str = "GET",
        host: str = "localhost",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str]]:
        """Status and headers of a request to the port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, target, headers={"Host": host, **(headers or {})})
            reply = connection.getresponse()
            reply.read()
            return reply.status, dict(reply.getheaders())
        finally:
            connection.close()

    def listens(self) -> bool:
        """Whether somebody answers on the port."""
        try:
            return self.ask("/clusters")[0] == 200
        except ConnectionError:
            return False


@pytest.fixture
def served(settings: Settings) -> Iterator[Served]:
    """A running server."""
    orders: list[str] = []
    known = {"/reload": lambda: orders.append("reload"), "/cache/flush": lambda: orders.append("flush")}
    with admin_socket(settings, publish(settings), orders=known) as path:
        made = Served(path, int((settings.admin.listen or "").rpartition(":")[2]), orders)
        eventually(made.listens, what="the port is served")
        yield made


def test_orders_are_taken_on_the_socket(served: Served) -> None:
    """Whoever may use the socket may order; by GET nothing is ordered."""
    assert asked(served.path, "/cache/flush", "POST") == (200, {"done": True})
    assert asked(served.path, "/reload", "POST")[0] == 200
    assert served.orders == ["flush", "reload"]
    assert asked(served.path, "/reload", "GET")[0] in (404, 405)
    assert served.orders == ["flush", "reload"]


def test_no_order_is_taken_on_the_port(served: Served) -> None:
    """Every user of the machine, and every page in a browser on it, reaches a loopback port."""
    assert served.ask("/reload", method="POST")[0] == 403
    assert served.orders == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8053", "127.0.0.1.evil.example", "10.0.0.1", "[::2]:1"])
def test_strangers_names_are_refused(served: Served, host: str) -> None:
    """A page of another site whose name was made to point here (DNS rebinding) learns nothing."""
    assert served.ask("/clusters", host=host)[0] == 403


@pytest.mark.parametrize("target", ["/", "/clusters", "/explain?name=a.global", "/overview", "/totals", "/queries"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_requests_of_another_sites_page_are_refused(served: Served, target: str, site: str) -> None:
    """Scripts, images and streams of another origin get 403 under our own name too, and only a link is followed."""
    from_page = {"Origin": "http://evil.example", "Sec-Fetch-Site": site, "Accept": "text/event-stream"}
    for mode in ("cors", "no-cors", "websocket"):
        assert served.ask(target, headers={**from_page, "Sec-Fetch-Mode": mode})[0] == 403
    assert served.ask("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})[0] == 200


def test_no_other_origin_is_granted_anything(served: Served) -> None:
    """A browser without Fetch Metadata may send the request, and lets no page of another origin read the reply."""
    origin = {"Origin": "http://evil.example"}
    status, headers = served.ask("/clusters", headers=origin)
    assert (status, headers["Cross-Origin-Resource-Policy"]) == (200, "same-origin")
    status, preflight = served.ask("/clusters", method="OPTIONS", headers=origin)
    assert status == 403
    assert not [name for name in (*headers, *preflight) if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("host", ["localhost", "localhost:8053", "127.0.0.1:8053", "[::1]:8053"])
def test_loopback_names_are_served(served: Served, host: str) -> None:
    """Under its own names it answers, and lets a page load nothing from elsewhere."""
    status, headers = served.ask("/clusters", host=host)
    assert status == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_refusals_carry_the_policy_too(served: Served) -> None:
    """A path that is not there, too."""
    status, headers = served.ask("/nosuch")
    assert status == 404
    assert "Content-Security-Policy" in headers


def test_no_query_is_kept_where_none_was_sampled(served: Served) -> None:
    """``/queries`` is a list like the others."""
    status, listing = asked(served.path, "/queries")
    assert (status, listing["kind"], listing["items"]) == (200, "QueryList", [])
