"""The page of bounds names tests that exist and the numbers of the code."""

import importlib
import re
from collections import Counter
from typing import Any

import pytest

from tests.docs.pages import CHECKOUT

ROWS = {
    cells[0]: cells
    for line in (CHECKOUT / "docs/bounds.md").read_text("utf-8").splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 5 and cells[0] not in ("what", "---")
}
KIB, MIB = 1 << 10, 1 << 20
NUMBERS = [
    ("`spec.endpoints` of a ServiceEntry", "mesh.endpoint_list.MAX_ENDPOINTS", 1),
    ("`spec.hosts` of a ServiceEntry", "mesh.objects.raw.MAX_ITEMS", 1),
    ("ports × endpoints of a declaration", "mesh.endpoint_list._MAX_ENDPOINT_PORTS", 1),
    ("candidates of one host", "mesh.endpoint_list.MAX_CANDIDATES", 1),
    ("names in our zones", "mesh.name_table.MAX_LOOKUPS", 1),
    ("addresses that a host name", "mesh.host_states.MAX_RESOLVED", 1),
    ("servers, hosts of an Istio", "mesh.objects.istio.MAX_GATEWAY_HOSTS", 1),
    ("passthrough rules of a cluster", "mesh.passthrough.MAX_RULES", 1),
    ("gateway addresses", "mesh.topology.MAX_GATEWAYS", 1),
    ("endpoints of an EndpointSlice", "mesh.objects.kubernetes.MAX_SLICE_ENDPOINTS", 1),
    ("name, namespace of an object", "mesh.objects.raw.MAX_NAME", 1),
    ("work of one turn", "controller.publisher.NAMES_PER_COMMIT", 1),
    ("work of one turn", "controller.publisher.CANDIDATES_PER_COMMIT", 1),
    ("host names looked up", "mesh.lookup_plan.MAX_HOSTS_PER_OWNER", 1),
    ("look-ups at once", "mesh.host_resolution.MAX_CONCURRENT_LOOKUPS", 1),
    ("gateway probes at once", "mesh.gateway_health.MAX_CONCURRENT_PROBES", 1),
    ("claims shown", "mesh.claims.MAX_CLAIMS", 1),
    ("log lines of claims", "controller.claim_log.MAX_LINES", 1),
    ("problems of one object", "mesh.objects.problems.MAX_PROBLEMS", 1),
    ("text that others wrote", "mesh.objects.foreign.MAX_TEXT", 1),
    ("decoded rows", "authority.synthesis_cache.MAX_BYTES", MIB),
    ("values of a YAML file", "sources.documents.FILE_BUDGET.written", 1),
    ("documents of a YAML file", "sources.manifest_text.MAX_PIECES", 1),
    ("files of a cluster's folder", "sources.folder.tree.MAX_FILES", 1),
    ("files of a cluster's folder", "sources.folder.tree.MAX_FOLDERS", 1),
    ("files of a cluster's folder", "sources.folder.tree.MAX_DEPTH", 1),
    ("values of one key", "sources.documents.SECRET_BUDGET.written", 1),
    ("value of one key", "sources.remote_secrets._VALUE_LIMIT", KIB),
    ("clusters of a kubeconfig", "sources.settings.DEFAULT_MAX_CLUSTERS", 1),
    ("line of a watch", "sources.kube.payload.LINE_LIMIT", MIB),
    ("continue token", "sources.kube.payload._TOKEN_LIMIT", 1),
    ("connections of the HTTP port", "instance.connections.MAX_CONNECTIONS", 1),
    ("the same of one address", "upstream.forwarder.MAX_PER_CLIENT", 1),
    ("UDP sockets to one upstream", "upstream.udp.MAX_SOCKETS", 1),
    ("UDP sockets that only wait", "upstream.udp.MAX_RETIRED", 1),
    ("exchanges over TCP", "upstream.tcp.MAX_TCP_EXCHANGES", 1),
    ("records of an upstream's reply", "dns.reply.MAX_RECORDS", 1),
    ("aliases that lead", "worker.alias_completion.MAX_LINKS", 1),
    ("reply cache", "worker.reply_cache.MAX_MEMORY", MIB),
    ("TCP connections", "worker.tcp_server.MAX_CONNECTIONS", 1),
    ("text of an extended error", "dns.edns_options.MAX_UDP_TEXT", 1),
    ("servers of a resolv.conf", "forwarding.upstreams.MAX_NAMESERVERS", 1),
    ("a settings file", "config.regular_file.MAX_SIZE", MIB),
    ("values, faults of a settings file", "config.document.MAX_VALUES", 1),
    ("orders of a reload", "supervisor.reloading.MAX_ORDERS", 1),
    ("a line of a child", "instance.pipe.MAX_MESSAGE", KIB),
]


def test_each_bound_names_tests_that_exist() -> None:
    """Each row has at least one test, and each name is there."""
    sources = "\n".join(path.read_text() for path in (CHECKOUT / "tests").rglob("test_*.py"))
    there = Counter(re.findall(r"^(?:async )?def (test_\w+)\(", sources, re.MULTILINE))
    assert len(ROWS) > 70
    for cells in ROWS.values():
        named = re.findall(r"`(test_\w+)`", cells[4])
        assert named, cells
        assert {name: there[name] for name in named} == dict.fromkeys(named, 1), cells


@pytest.mark.parametrize(("row", "constant", "unit"), NUMBERS)
def test_the_number_of_a_bound_is_that_of_the_code(row: str, constant: str, unit: int) -> None:
    """The row that begins so holds the constant, in the unit of the page."""
    (cells,) = [cells for what, cells in ROWS.items() if what.startswith(row)]
    parts = constant.split(".")
    at = 2 if parts[1].islower() and not parts[1].startswith("_") else 1
    while parts[at].islower():
        at += 1
    value: Any = importlib.import_module("meshdns." + ".".join(parts[:at]))
    for name in parts[at:]:
        value = getattr(value, name)
    assert str(value // unit) in re.findall(r"\d+", cells[2].replace(",", ""))
