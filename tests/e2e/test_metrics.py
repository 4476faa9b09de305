"""What a scrape of a running instance tells: exact numbers, bounded labels, whoever is dead."""

import re
import signal
import socket
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.e2e.load import message
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = pytest.mark.rig

_COREDNS_ZONE = {"server", "zone", "view"}
OF_COREDNS = {
    "coredns_build_info": {"version", "revision", "goversion"},
    "coredns_panics": set(),
    "coredns_plugin_enabled": {*_COREDNS_ZONE, "name"},
    "coredns_dns_requests": {*_COREDNS_ZONE, "proto", "family", "type"},
    "coredns_dns_request_duration_seconds": _COREDNS_ZONE,
    "coredns_dns_request_size_bytes": {*_COREDNS_ZONE, "proto"},
    "coredns_dns_response_size_bytes": {*_COREDNS_ZONE, "proto"},
    "coredns_dns_do_requests": _COREDNS_ZONE,
    "coredns_dns_responses": {*_COREDNS_ZONE, "rcode", "plugin"},
    "coredns_cache_entries": {"server", "type", "zones", "view"},
    "coredns_cache_evictions": {"server", "type", "zones", "view"},
    "coredns_cache_hits": {"server", "type", "zones", "view"},
    "coredns_cache_misses": {"server", "zones", "view"},
    "coredns_cache_served_stale": {"server", "zones", "view"},
    "coredns_forward_max_concurrent_rejects": set(),
    "coredns_health_request_duration_seconds": set(),
    "coredns_health_request_failures": set(),
    "coredns_proxy_request_duration_seconds": {"proxy_name", "to", "rcode"},
    "coredns_reload_failed": set(),
    "coredns_reload_version_info": {"hash", "value"},
}
"""CoreDNS 1.14's metrics that have the same meaning here, and their labels."""


@pytest.fixture
def instance(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """Online Boutique with one worker, telling CoreDNS's names, too."""
    with on_boutique(clusters, resolver, metrics={"corednsNames": True}) as instance:
        wait_until_ready(instance)
        yield instance


def _ask(instance: Instance, name: str, times: int) -> None:
    """Ask over UDP, and read each reply."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(instance.server)
        for ident in range(times):
            client.send(message(name, ident))
            client.recv(512)


def test_each_reply_is_counted_once(instance: Instance) -> None:
    """Ready replies, denials, cached and forwarded ones: requests, responses, sizes and durations all agree."""
    before = instance.metric("meshdns_dns_requests_total", zone="global.")
    before = 0 if before != before else before  # noqa: PLR0124 — nan is unlike itself
    _ask(instance, "frontend.default.global", 50)
    _ask(instance, "nosuch.default.global", 30)
    _ask(instance, "www.example.com", 20)

    def counted(name: str, **labels: str) -> float:
        return instance.metric(f"meshdns_{name}", **labels)

    eventually(
        lambda: counted("dns_requests_total", zone="global.", proto="udp", family="1", type="A") - before >= 80,
        what="the queries are counted",
    )
    assert counted("dns_responses_total", zone="global.", rcode="NXDOMAIN", plugin="mesh") >= 30
    assert counted("answers_total", source="own_entry") >= 50
    assert counted("dns_responses_total", zone=".", plugin="forward", rcode="NOERROR") == 1
    assert counted("cache_hits_total", type="success") == 19
    assert counted("proxy_request_duration_seconds_count", proxy_name="forward", rcode="NOERROR") == 1
    for zone, name in (("global.", "frontend.default.global"), (".", "www.example.com")):
        assert name
        for other in (
            "dns_responses_total",
            "dns_request_duration_seconds_count",
            "dns_request_size_bytes_count",
            "dns_response_size_bytes_count",
        ):
            _agree(counted, zone, other)


def _agree(counted: Callable[..., float], zone: str, other: str) -> None:
    """Wait until a counter equals that of queries: between the two scrapes there may have been a query."""
    eventually(lambda: counted(other, zone=zone) == counted("dns_requests_total", zone=zone), what=f"{other} agrees")


def test_corednss_names_have_its_labels(instance: Instance) -> None:
    """Every metric under coredns_ is one of CoreDNS's, with exactly its labels, and has the value of ours."""
    _ask(instance, "frontend.default.global", 5)
    _ask(instance, "www.example.com", 5)
    instance.ask("frontend.default.global", opts=["+dnssec"])
    eventually(lambda: instance.metric("coredns_dns_requests_total", zone=".") >= 5, what="they are counted")
    eventually(lambda: instance.metric("coredns_dns_do_requests_total") >= 1, what="the DO bit is counted")
    families = {family.name: family for family in plain(instance.page("/metrics")[1])}
    told = {name: family for name, family in families.items() if name.startswith("coredns_")}
    assert set(told) == set(OF_COREDNS)
    for name, family in told.items():
        assert family.samples, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == OF_COREDNS[name], sample
    ours = families["meshdns_dns_requests"].samples
    assert [(s.labels, s.value) for s in told["coredns_dns_requests"].samples] == [(s.labels, s.value) for s in ours]


def test_corednss_names_are_not_told_by_default(clusters: Path, resolver: Unbound) -> None:
    """Without the setting nothing begins with coredns_: alerts would take this server for CoreDNS."""
    with on_boutique(clusters, resolver) as instance:
        wait_until_ready(instance)
        assert "\ncoredns_" not in instance.page("/metrics")[1]


def test_both_formats_can_be_parsed(instance: Instance) -> None:
    """Text and OpenMetrics by Accept, with the same families."""
    _ask(instance, "frontend.default.global", 5)
    families = {family.name for family in plain(instance.page("/metrics")[1])}
    accept = "application/openmetrics-text; version=1.0.0"
    modern = openmetrics(instance.page("/metrics", accept=accept)[1])  # type: ignore[no-untyped-call]
    assert {family.name for family in modern} == families


def test_no_name_and_no_address_is_a_label(instance: Instance) -> None:
    """Names of any octets leave no trace in the metrics, nor do the addresses of askers and answers."""
    hostile = r"\010\"\{\}\\"
    for label in (hostile, r"\255" * 63, "secret"):
        instance.ask(f"{label}.default.global")
        instance.ask(f"{label}.example.com")
    _ask(instance, "frontend.default.global", 3)
    eventually(lambda: instance.metric("meshdns_dns_requests_total", zone="global.") >= 6, what="they are counted")
    text = instance.page("/metrics")[1]
    assert "secret" not in text
    assert "\\255" not in text
    assert "frontend" not in text
    values = set(re.findall(r'(\w+)="([^"]*)"', text))
    addresses = {(label, value) for label, value in values if re.search(r"\d+\.\d+\.\d+\.\d+", value)}
    assert {label for label, _ in addresses} <= {"to"}


def test_the_controllers_numbers_outlive_it(instance: Instance) -> None:
    """With the controller dead the scrape still tells clusters, names and gateways, and that it is silent."""
    eventually(lambda: instance.metric("meshdns_names", cluster="cluster2") > 0, what="names are counted")
    eventually(
        lambda: instance.metric("meshdns_remote_cluster_sync_status", cluster="cluster1", status="synced") == 1,
        what="the cluster is synced",
    )
    names = instance.metric("meshdns_names")
    commits = instance.metric("meshdns_namedb_commits_total")
    with instance.standing(instance.controller):
        eventually(lambda: instance.metric("meshdns_controller_silence_seconds") > 1.5, what="it is silent")
        assert instance.metric("meshdns_names") == names
    instance.kill(instance.controller, signal.SIGKILL)
    assert instance.metric("meshdns_names") == names
    assert instance.metric("meshdns_namedb_commits_total") >= commits
    assert instance.metric("meshdns_propagation_seconds_count") >= 1


def test_workers_sums_outlive_them(instance: Instance) -> None:
    """A worker that begins anew goes on from what its predecessor had published."""
    _ask(instance, "frontend.default.global", 40)
    eventually(lambda: instance.metric("meshdns_answers_total") >= 40, what="they are counted")
    before = instance.metric("meshdns_answers_total")
    (dead,) = instance.workers
    instance.kill(dead)
    eventually(lambda: instance.workers not in ([], [dead]), what="there is a new worker")
    _ask(instance, "frontend.default.global", 10)
    eventually(lambda: instance.metric("meshdns_answers_total") >= before + 10, what="it goes on")


def test_wrong_settings_are_counted(instance: Instance) -> None:
    """A reload that fails shows as in CoreDNS."""
    file = instance.folder / "meshdns.yaml"
    file.write_text(file.read_text() + "workerz: 3\n")
    instance.kill(instance.pid, signal.SIGHUP)
    eventually(lambda: instance.metric("coredns_reload_failed_total") == 1, what="the failure is counted")
    assert instance.page("/ready")[0] == HTTPStatus.OK


def test_what_alerts_and_dashboard_name_is_scraped(instance: Instance) -> None:
    """Every metric that they name is in a live scrape."""
    scraped = {family.name for family in plain(instance.page("/metrics")[1])}
    root = Path(__file__).parents[2]
    for file in ("deploy/prometheus/rules.yaml", "deploy/grafana/meshdns.json"):
        named = set(re.findall(r"\b(meshdns_[a-z_]+|process_[a-z_]+_(?:total|bytes))\b", (root / file).read_text()))
        bare = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in named}
        assert bare <= scraped
