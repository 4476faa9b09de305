"""What is not well can be seen at a glance, without colours, too."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from meshdns.controller.publisher import Publisher
from tests.cli.admin_server import admin_socket, short_folder
from tests.cli.stopped_server import publish, settings_of
from tests.page.browser import chromium, watched
from tests.rig.ports import LOOPBACK, free_port

pytestmark = pytest.mark.rig


def _without_cluster2(publisher: Publisher) -> None:
    publisher.name_table.set_health("203.0.113.20", 15443, healthy=False)


def test_a_dead_gateway_stands_out() -> None:
    """Its node has a sign of its own and says so, and the drawing's name counts it; others are as they were."""
    with short_folder() as state:
        settings = settings_of("online-boutique", Path(state))
        port = free_port()
        admin = settings.admin.model_copy(update={"listen": f"{LOOPBACK}:{port}"})
        probe = settings.probe.model_copy(update={"type": "tcp"})
        settings = settings.model_copy(update={"admin": admin, "probe": probe})
        view = publish(settings, gateways=True, change=_without_cluster2)
        with (
            admin_socket(settings, view),
            chromium() as browser,
            watched(browser, f"http://{LOOPBACK}:{port}") as found,
        ):
            drawing = found.open().locator("#drawing svg")
            expect(drawing).to_have_attribute("aria-label", re.compile("1 unhealthy"))
            expect(drawing.locator(".node.gateway.bad")).to_have_text(re.compile("203.0.113.20.*unhealthy"))
            expect(drawing.locator(".node.gateway.bad .mark path")).to_have_count(1)
            expect(drawing.locator(".node.gateway.bad")).to_have_count(1)
