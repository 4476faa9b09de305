"""Five of forty clusters whose gateway's host name does not exist: all say so, and all say that it went away."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from meshdns.cli.main import root
from tests.e2e.dead_gateways_scene import (
    ADDRESS,
    CLUSTERS,
    DEAD,
    SERVICES,
    ScriptedUpstream,
    host_name,
    write_clusters,
)
from tests.e2e.instance import Instance, wait_until_ready
from tests.rig.ports import LOOPBACK
from tests.rig.prometheus import Prometheus
from tests.rig.waiting import eventually

pytestmark = [pytest.mark.rig, pytest.mark.slow]  # a look-up is repeated after 30 s at the earliest


@pytest.fixture
def upstream() -> ScriptedUpstream:
    """The upstream, which denies everything at first."""
    return ScriptedUpstream()


@pytest.fixture
def instance(tmp_path: Path, upstream: ScriptedUpstream) -> Iterator[Instance]:
    """An instance in cluster c01, ready."""
    write_clusters(tmp_path / "clusters")
    with upstream.serving() as port:
        settings = {
            "sources": [{"kind": "manifests", "path": str(tmp_path / "clusters")}],
            "vantage": {"cluster": CLUSTERS[0]},
            "forward": [{"zone": ".", "to": [f"{LOOPBACK}:{port}"]}],
            "allowDebug": ["127.0.0.0/8"],
        }
        with Instance(settings) as made:
            wait_until_ready(made)
            yield made


@pytest.fixture
def prometheus(instance: Instance) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the instance every 5 s; each shipped `for` is 10 s there instead of minutes."""
    with Prometheus(f"{LOOPBACK}:{instance.http}", wait="10s") as made:
        yield made


def listed(instance: Instance, *arguments: str) -> list[dict[str, Any]]:
    """The items of a list, as ``-o json`` prints them."""
    ended = run(instance, "get", *arguments, "-o", "json")
    found: list[dict[str, Any]] = json.loads(ended)["items"]
    return found


def run(instance: Instance, *arguments: str) -> str:
    """The output of a command about the instance."""
    command = [*arguments, "--config", str(instance.folder / "meshdns.yaml")]
    ended = CliRunner().invoke(root, command)
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def reports(instance: Instance) -> dict[str, Any]:
    """What the lists and metrics say of gateways, without what is fine."""
    problems = Counter((each["cluster"], each["object"], each["kind"]) for each in listed(instance, "problems"))
    clusters = {
        each["name"]: (each["gatewaysWithoutAddress"], each["namesWithoutGateway"])
        for each in listed(instance, "clusters")
        if each["gatewaysWithoutAddress"] or each["namesWithoutGateway"]
    }
    gateways = {each["cluster"]: each["state"] for each in listed(instance, "gateways") if each["state"]}
    gauges = {
        cluster: (
            instance.metric("meshdns_names_without_gateway", cluster=cluster),
            instance.metric("meshdns_gateways_without_address", cluster=cluster, state="resolves to nothing"),
        )
        for cluster in (CLUSTERS[1], *DEAD)
    }
    return {"problems": problems, "clusters": clusters, "gateways": gateways, "gauges": gauges}


def test_dead_gateways_are_told_and_go_away(
    instance: Instance, upstream: ScriptedUpstream, prometheus: Prometheus
) -> None:
    """The object and the cluster have a problem each, whatever the number of names; each name says why.

    A real Prometheus with the shipped rules, each `for` made 10 s, alerts of the five clusters and ends the alerts
    when their gateways have addresses. `tests/supervisor/test_metrics_reference.py` proves the shipped `for`.
    """
    told = {
        "problems": Counter(
            {(cluster, *each): 1 for cluster in DEAD for each in (("Service", "unresolved"), ("Cluster", "no gateway"))}
        ),
        "clusters": dict.fromkeys(DEAD, (1, len(SERVICES))),
        "gateways": dict.fromkeys(DEAD, "resolves to nothing"),
        "gauges": {CLUSTERS[1]: (0, 0), **dict.fromkeys(DEAD, (len(SERVICES), 1))},
    }
    eventually(lambda: reports(instance) == told, what="the dead gateways are told")
    dead, name = DEAD[0], f"cart.shop-{DEAD[0]}.global"
    reason = f"known in cluster {dead}: {host_name(dead)} resolves to nothing"
    for rtype in ("A", "AAAA", "TXT", "SRV"):
        reply = instance.ask(name, rtype)
        assert (reply.status, reply.ede) == ("NOERROR", (f"0 (Other): ({reason})",))
    assert instance.ask(name, tcp=True).ede == (f"0 (Other): ({reason}; see meshdns explain)",)
    explained = run(instance, "explain", name)
    assert f"cluster {dead}: {host_name(dead)} resolves to nothing" in explained
    assert "nobody declares" not in explained
    assert [each["reason"] for each in listed(instance, "names", name)] == [
        f"{dead}: {host_name(dead)} resolves to nothing"
    ]
    alert = "MeshdnsGatewayMissing"
    eventually(
        lambda: prometheus.clusters_alerted(alert) == dict.fromkeys(DEAD, "firing"),
        what="the alert fires for the clusters of dead gateways alone",
        within=300,
    )
    upstream.answers = True
    upstream.wait_for_answers([host_name(cluster) for cluster in DEAD], within=400)
    fine = {
        "problems": Counter(),
        "clusters": {},
        "gateways": {},
        "gauges": dict.fromkeys((CLUSTERS[1], *DEAD), (0, 0)),
    }
    eventually(lambda: reports(instance) == fine, what="the gateways have addresses")
    eventually(lambda: not prometheus.clusters_alerted(alert), what="the alert ends", within=300)
    assert instance.addresses(name) == [ADDRESS]
    assert instance.ask(name).ede == ()
    assert "resolves to nothing" not in run(instance, "explain", name)
