"""The recipes of docs/install/vm.md work as they are printed, as far as their program runs here."""

import re
from pathlib import Path
from typing import Final

import pytest

from meshdns.config.load import read_settings_file
from meshdns.stubdomains.stub import parse_stub_domain
from meshdns.stubdomains.targets import TARGETS
from tests.deploy.places import CHECKOUT
from tests.e2e.instance import on_boutique, wait_until_ready
from tests.rig.dig import dig
from tests.rig.dnsmasq import Dnsmasq
from tests.rig.unbound import Unbound

pytestmark = pytest.mark.rig

PAGE: Final = CHECKOUT / "docs" / "install" / "vm.md"


def _block(containing: str) -> str:
    """The first fenced block of the page with these words."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(next(block for block in blocks if containing in block))


def test_dnsmasq_sends_the_zone_here(clusters: Path, resolver: Unbound) -> None:
    """With the printed lines dnsmasq answers names of the mesh, private addresses too, though it stops rebinding."""
    with on_boutique(clusters, resolver) as instance:
        wait_until_ready(instance)
        text = _block("server=/global/").replace("127.0.0.1#1053", f"{instance.address}#{instance.port}")
        lines = [f"--{line}" for line in text.splitlines() if not line.startswith("#")]
        with Dnsmasq(*lines, "--stop-dns-rebind") as front:
            assert dig("frontend.default.global", port=front.port).rdata == ("203.0.113.20",)
            assert dig("adservice.default.global", port=front.port).rdata == ("10.20.0.31",)


def test_resolv_conf_has_its_settings(tmp_path: Path) -> None:
    """The settings for a plain resolv.conf listen where it points, and do not forward to it."""
    file = tmp_path / "meshdns.yaml"
    file.write_text("apiVersion: meshdns/v1\n" + _block("listen:"))
    settings = read_settings_file(file, "/")
    (server,) = re.findall(r"^nameserver (\S+)$", _block("nameserver"), re.MULTILINE)
    assert settings.listen == (f"{server}:53",)
    assert server not in str(settings.forward)


@pytest.mark.parametrize("target", ["systemd-resolved", "dnsmasq"])
def test_recipe_is_what_is_printed(target: str) -> None:
    """``meshdns stub-domain print`` for 127.0.0.1:1053 has the same files, trust anchors too."""
    for part in TARGETS[target].snippets:
        text = part.render(parse_stub_domain(["global"], "127.0.0.1", 1053))
        assert _block(part.place) == text
