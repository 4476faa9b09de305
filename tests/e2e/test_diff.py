"""``meshdns diff`` against real servers: one that asks us, and one that answers as captured clients hear."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_runner import CommandRunner
from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.rig.coredns import CoreDNS
from tests.rig.unbound import Unbound

pytestmark = pytest.mark.rig

_OTHER = """\
. {
    bind 127.0.0.1
    template IN A frontend.default.global {
        answer "{{ .Name }} 30 IN A 240.240.0.1"
    }
    template IN AAAA frontend.default.global {
        rcode NXDOMAIN
    }
    forward . 127.0.0.1:%d
}
"""


@pytest.fixture
def meshdns(capsys: pytest.CaptureFixture[str]) -> CommandRunner:
    """The command."""
    return CommandRunner(capsys)


@pytest.fixture
def instance(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """Online Boutique seen from cluster1."""
    with on_boutique(clusters, resolver) as instance:
        wait_until_ready(instance)
        yield instance


def test_a_server_that_asks_us_does_not_differ(meshdns: CommandRunner, instance: Instance) -> None:
    """Through CoreDNS every name is answered as it is here."""
    with CoreDNS(f". {{\n  bind 127.0.0.1\n  cache 30\n  forward . 127.0.0.1:{instance.port}\n}}\n") as front:
        ended = meshdns(
            "diff", "--server", f"127.0.0.1:{front.port}", "--config", str(instance.folder / "meshdns.yaml")
        )
    assert (ended.status, ended.out) == (0, "")
    assert f"0 of 12 names differ from 127.0.0.1:{front.port}" in ended.err


def test_what_a_sidecar_or_istiocoredns_answers_is_named(meshdns: CommandRunner, instance: Instance) -> None:
    """A VIP is one, a denial of the whole name for want of an address of one family is the other."""
    with CoreDNS(_OTHER % instance.port) as front:
        config = str(instance.folder / "meshdns.yaml")
        ended = meshdns("diff", "--server", f"127.0.0.1:{front.port}", "--config", config, "-o", "json")
    assert ended.status == 1
    found = {(item["name"], item["type"]): item for item in json.loads(ended.out)["items"]}
    assert set(found) == {("frontend.default.global", "A"), ("frontend.default.global", "AAAA")}
    captured = found["frontend.default.global", "A"]
    assert (captured["server"], captured["meshdns"]) == (["240.240.0.1"], ["203.0.113.20"])
    assert captured["note"].startswith("a VIP that Istio allocated: captured by a sidecar")
    assert found["frontend.default.global", "AAAA"]["note"].startswith("denied as istiocoredns does")
