"""What the admin port sends for the page: files with their types and ages, small lists, and nothing to other sites."""

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.admin_server import admin_socket, short_folder
from tests.cli.stopped_server import publish, settings_of
from tests.rig.ports import LOOPBACK, free_port
from tests.rig.waiting import eventually


class Port:
    """A loopback port that is asked."""

    def __init__(self, number: int) -> None:
        self.number = number

    def ask(self, target: str, headers: Mapping[str, str] | None = None) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and text; status 0 where nobody listens."""
        connection = http.client.HTTPConnection(LOOPBACK, self.number, timeout=10)
        try:
            connection.request("GET", target, headers=dict(headers or {}))
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read().decode()
        except ConnectionError:
            return 0, {}, ""
        finally:
            connection.close()


@pytest.fixture(scope="module")
def port() -> Iterator[Port]:
    """The admin port over the name database of Online Boutique."""
    with short_folder() as state:
        settings = settings_of("online-boutique", Path(state))
        found = Port(free_port())
        admin = settings.admin.model_copy(update={"listen": f"{LOOPBACK}:{found.number}"})
        settings = settings.model_copy(update={"admin": admin})
        with admin_socket(settings, publish(settings, gateways=True)):
            eventually(lambda: found.ask("/")[0] == 200, what="the port is served")
            yield found


def test_every_file_is_sent_with_its_type_and_kept_for_ever(port: Port) -> None:
    """The start is asked for each time; what it names has a digest in its address and never changes."""
    status, headers, text = port.ask("/")
    assert (status, headers["Cache-Control"]) == (200, "no-cache")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    files = re.findall(r'(?:href|src)="(/page/[^"]+)"', text)
    assert len(files) == 4
    for file in files:
        status, headers, _ = port.ask(file)
        assert status == 200
        assert "immutable" in headers["Cache-Control"]
        assert headers["Content-Type"].partition(";")[0] in ("image/svg+xml", "text/css", "text/javascript")


def test_files_of_another_version_are_not_sent(port: Port) -> None:
    """Two versions are never mixed."""
    status, _, text = port.ask("/page/0123456789abcdef/main.js")
    assert status == 404
    assert "load it again" in text


def test_no_markup_carries_script_or_style(port: Port) -> None:
    """The policy forbids both; the page needs neither, and nothing from elsewhere."""
    _, headers, text = port.ask("/")
    assert "require-trusted-types-for 'script'" in headers["Content-Security-Policy"]
    assert not re.search(r"\sstyle=|\son\w+=|https?://", text)
    assert re.findall(r"<script[^>]*>([^<]*)</script>", text) == [""]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_pages_can_ask_for_nothing(port: Port, site: str) -> None:
    """A stranger's page may link here, but neither read nor hold a stream."""
    assert port.ask("/overview", {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors"})[0] == 403
    assert port.ask("/", {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})[0] == 200


def test_the_overview_is_small_and_whole(port: Port) -> None:
    """Clusters, networks, gateways and zones in one value."""
    overview = json.loads(port.ask("/overview")[2])
    assert (overview["kind"], overview["cluster"]) == ("Overview", "cluster1")
    assert [each["name"] for each in overview["clusters"]] == ["cluster1", "cluster2"]
    assert [each["address"] for each in overview["gateways"]] == ["198.51.100.10", "203.0.113.20"]
    assert overview["zones"][0]["ready"] is True


def test_totals_are_told(port: Port) -> None:
    """A bucket for each bound, and one above."""
    totals = json.loads(port.ask("/totals")[2])
    assert totals["kind"] == "Totals"
    assert len(totals["durations"]) == len(totals["bounds"]) + 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=frontend", ["frontend.default.global"]),
        ("name=end.default", ["frontend.default.global"]),
        ("name=endxdefault", []),
        ("name=service.default.global&limit=2", ["adservice.default.global", "cartservice.default.global"]),
        ("name=cart&cluster=cluster2", ["cartservice.default.global"]),
        ("name=adservice&cluster=cluster2", []),
        ("name=cart&zone=example", []),
        ("name=%00%FF", []),
    ],
)
def test_names_are_found_by_any_part(port: Port, query: str, found: list[str]) -> None:
    """A part of the name, across labels; a cluster that the answer rests on; a zone; not more than wanted."""
    listing = json.loads(port.ask(f"/names?{query}")[2])
    assert [item["name"] for item in listing["items"]] == found


@pytest.mark.slow
def test_the_demo_serves_the_page() -> None:
    """``meshdns demo`` says where the page is, and it is there."""
    page, command = Port(free_port()), [sys.executable, "-m", "meshdns", "demo"]
    for flag, number in (("--listen", free_port()), ("--http", free_port()), ("--page", page.number)):
        command += [flag, f"{LOOPBACK}:{number}"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        eventually(lambda: "<h1>meshdns</h1>" in page.ask("/")[2], what="the page is served", within=60)
        eventually(lambda: '"count":9' in page.ask("/overview")[2], what="the names are counted")
    finally:
        demo.send_signal(signal.SIGINT)
        said = demo.communicate(timeout=30)[0]
    assert f"http://{LOOPBACK}:{page.number}" in said
