"""A running instance with a page: Online Boutique, and a ServiceEntry that means harm."""

import http.client
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser

from tests.e2e.boutique import ZONE
from tests.e2e.instance import Instance, wait_until_ready
from tests.page.browser import chromium
from tests.rig.ports import LOOPBACK, free_port

HARM = '"><script>alert(1)</script>{}\u202e\u0007'
"""Markup, a control character and one that reverses the text after it."""

_HARMFUL = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "harm", "namespace": "default"},
    "spec": {
        "hosts": [f"{HARM}.default.global", f"{'a' * 63}.{'b' * 63}.{'c' * 63}.global"],
        "endpoints": [{"address": "192.0.2.9"}],
    },
}


class Paged(Instance):
    """An instance whose admin port serves the page."""

    def __init__(self, clusters: Path) -> None:
        self.admin = free_port()
        super().__init__(
            {
                "sources": [{"kind": "manifests", "path": str(clusters)}],
                "vantage": {"cluster": "cluster1"},
                "admin": {"listen": f"{LOOPBACK}:{self.admin}"},
            }
        )

    @property
    def origin(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.admin}"

    def asked(self, target: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a request to the admin port; status 0 where nobody listens."""
        connection = http.client.HTTPConnection(LOOPBACK, self.admin, timeout=10)
        try:
            connection.request("GET", target, headers=headers)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        except ConnectionError:
            return 0, {}, b""
        finally:
            connection.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paged]:
    """An instance with a page."""
    clusters = Path(shutil.copytree(ZONE, tmp_path_factory.mktemp("page") / "clusters"))
    (clusters / "cluster1" / "harm.yaml").write_text(yaml.safe_dump(_HARMFUL))
    with Paged(clusters) as instance:
        wait_until_ready(instance)
        yield instance


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module: while it lives, no other event loop can run in this thread."""
    with chromium() as found:
        yield found
