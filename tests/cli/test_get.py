"""``meshdns get``: kubectl's habits, stable output for machines, exit codes."""

import json
from pathlib import Path

import pytest
import yaml

from meshdns.controller.cluster_summary import ClusterSummary, GatewaySummary
from meshdns.controller.publisher import Publisher
from tests.cli.admin_server import admin_socket
from tests.cli.command_runner import CommandResult, CommandRunner
from tests.cli.stopped_server import publish, settings_of
from tests.cli.test_explain import flags
from tests.mesh.scene import entry, gateway, remote_gateway

GATEWAYS = (
    GatewaySummary("203.0.113.20", 15443, "cluster2", "Service a/gw", healthy=False),
    GatewaySummary("gw.example.com", 15443, "cluster9", "Service b/gw"),
)


def got(meshdns: CommandRunner, state: Path, *arguments: str) -> CommandResult:
    """The end of ``meshdns get`` over the name database of `state`."""
    return meshdns("get", *arguments, *flags(state))


@pytest.fixture
def boutique(state: Path) -> Path:
    """The state directory of a stopped server for Online Boutique."""
    publish(settings_of("online-boutique", state))
    return state


def test_tables_have_aligned_upper_case_headers(meshdns: CommandRunner, boutique: Path) -> None:
    """Columns begin where their headers do."""
    lines = got(meshdns, boutique, "names").out.splitlines()
    assert lines[0].split() == ["NAME", "ADDRESSES", "TTL", "LEVEL", "CLUSTERS", "REASON"]
    assert {line[lines[0].index("TTL") :].split()[0] for line in lines[1:]} == {"30"}
    assert len(lines) == 13


def test_an_empty_cell_is_none(meshdns: CommandRunner, boutique: Path) -> None:
    """What is not known reads ``<none>``."""
    row = got(meshdns, boutique, "clusters", "cluster2", "--no-headers").out.split()
    network = ["only", "cluster2"]
    assert row == ["cluster2", "manifests", "synced", "<none>", *network, "20", "4", "<none>", "<none>", "<none>"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("names", "frontend.default.global"), "name/frontend.default.global"),
        (("clusters",), "cluster/cluster1\ncluster/cluster2"),
        (("services", "frontend"), "service/cluster2/default/frontend"),
        (("services", "default/frontend"), "service/cluster2/default/frontend"),
        (("networks",), "network/only cluster1\nnetwork/only cluster2"),
    ],
)
def test_o_name_is_what_can_be_asked_for_again(
    meshdns: CommandRunner, boutique: Path, arguments: tuple[str, ...], expected: str
) -> None:
    """``-o name`` prints noun and identity, one a line; an end of an identity selects."""
    assert got(meshdns, boutique, *arguments, "-o", "name").out == expected + "\n"


def test_wide_adds_columns(meshdns: CommandRunner, boutique: Path) -> None:
    """``-o wide`` shows the objects behind a name."""
    line = got(meshdns, boutique, "names", "frontend.default.global", "-o", "wide", "--no-headers").out
    assert line.rstrip().endswith("cluster1/ServiceEntry default/frontend")


def test_services_show_readiness_and_age(meshdns: CommandRunner, boutique: Path) -> None:
    """A Service's ready endpoints are counted, and its age is that of its object."""
    row = got(meshdns, boutique, "services", "frontend", "--no-headers").out.split()
    assert row[:6] == ["cluster2", "default", "frontend", "ClusterIP", "10.20.0.32", "<none>"]
    assert row[6:8] == ["80/TCP", "1/1"]
    assert row[8][-1] in "dhy"


@pytest.mark.parametrize("what", ["names", "services", "clusters", "gateways", "networks", "problems"])
def test_machine_output_is_versioned_and_the_same_in_both_forms(
    meshdns: CommandRunner, boutique: Path, what: str
) -> None:
    """JSON and YAML carry ``apiVersion``, ``kind`` and ``items``, a running server's as a stopped one's."""
    texts = [got(meshdns, boutique, what, "-o", form).out for form in ("json", "yaml")]
    listing = json.loads(texts[0])
    assert listing == yaml.safe_load(texts[1])
    assert list(listing) == ["apiVersion", "kind", "items"]
    assert (listing["apiVersion"], listing["kind"]) == ("meshdns/v1", f"{what[:-1].capitalize()}List")


def test_a_running_server_is_asked(meshdns: CommandRunner, state: Path) -> None:
    """The list comes from the admin socket, with the time since each cluster was heard of."""
    settings = settings_of("online-boutique", state)
    with admin_socket(settings, publish(settings), {"cluster1": 200.0, "cluster2": 1.0}):
        ended = got(meshdns, state, "clusters")
    assert "answered by the running server" in ended.err
    assert ended.out.splitlines()[1].split()[-2:] == ["3m20s", "<none>"]


def test_gateways_and_networks_show_what_was_written_down(meshdns: CommandRunner, state: Path) -> None:
    """Gateways come with port, network and health; those that were never probed say so."""

    def describe(publisher: Publisher) -> None:
        publisher.set_summary("cluster9", ClusterSummary("manifests", "synced", network="net-2", gateways=GATEWAYS))

    publish(settings_of("online-boutique", state), change=describe)
    rows = [line.split() for line in got(meshdns, state, "gateways", "--no-headers").out.splitlines()]
    assert rows == [
        ["cluster9", "203.0.113.20", "15443", "net-2", "unhealthy"],
        ["cluster9", "gw.example.com", "15443", "net-2", "not", "probed"],
    ]
    network = got(meshdns, state, "networks", "net-2", "--no-headers").out.split()
    assert network == ["net-2", "cluster9", "203.0.113.20,gw.example.com", "<none>"]


DEAD_GATEWAY = ("cluster9", gateway("gw.cluster9.example"))
NEEDS_GATEWAY = ("cluster9", entry("10.9.9.9", host="far.prod.global", name="far"))


def published_with_dead_gateway(state: Path, addresses: tuple[str, ...]) -> None:
    """Online Boutique and a third cluster, whose gateway's host name resolves to `addresses`."""

    def resolve(publisher: Publisher) -> None:
        publisher.set_resolved_addresses("gw.cluster9.example", addresses)

    settings = settings_of("online-boutique", state)
    publish(settings, more=[DEAD_GATEWAY, NEEDS_GATEWAY], gateways=True, change=resolve)


def test_a_cluster_without_usable_gateway_is_told_everywhere(meshdns: CommandRunner, state: Path) -> None:
    """By the lists of clusters, gateways, names and problems, and by the explanation of a name."""
    published_with_dead_gateway(state, ())
    cluster_row = got(meshdns, state, "clusters", "cluster9", "--no-headers").out.rstrip()
    assert "1 (1 without address)" in cluster_row
    assert cluster_row.endswith("no gateway has an address; names that need one: 1")
    (gateway_row,) = got(meshdns, state, "gateways", "cluster9", "--no-headers").out.splitlines()
    assert gateway_row.endswith("no address: resolves to nothing")
    (name_row,) = got(meshdns, state, "names", "far.prod.global", "--no-headers").out.splitlines()
    assert name_row.split(maxsplit=4) == [
        *("far.prod.global", "<none>", "<none>", "<none>"),
        "cluster9   cluster9: gw.cluster9.example resolves to nothing",
    ]
    problems = json.loads(got(meshdns, state, "problems", "cluster9", "-o", "json").out)["items"]
    assert {(each["kind"], each["object"], each["name"], each["cause"]) for each in problems} == {
        ("unresolved", "Service", "gateway", "cluster cluster9"),
        ("no gateway", "Cluster", "cluster9", "cluster cluster9"),
    }
    explained = meshdns("explain", "far.prod.global", *flags(state)).out
    assert "Match: exact: far.prod.global. is known" in explained
    assert "cluster cluster9: gw.cluster9.example resolves to nothing" in explained
    assert "nobody declares" not in explained


def test_a_gateway_that_resolves_is_told_by_none(meshdns: CommandRunner, state: Path) -> None:
    """With an address there is nothing to tell."""
    published_with_dead_gateway(state, ("203.0.113.9",))
    assert "without address" not in got(meshdns, state, "clusters").out
    assert json.loads(got(meshdns, state, "problems", "cluster9", "-o", "json").out)["items"] == []
    (item,) = json.loads(got(meshdns, state, "names", "far.prod.global", "-o", "json").out)["items"]
    assert (item["addresses"], item["reason"]) == (["203.0.113.9"], "")


def test_a_gateway_into_a_network_without_clusters_is_listed_for_it(meshdns: CommandRunner, state: Path) -> None:
    """It stands beside its holder's own gateways, and the network it leads into is known by it."""
    publish(
        settings_of("online-boutique", state),
        more=[("cluster1", remote_gateway("net-vm", "203.0.113.9"))],
        gateways=True,
    )
    rows = [line.split() for line in got(meshdns, state, "gateways", "--no-headers").out.splitlines()]
    assert ["cluster1", "203.0.113.9", "15443", "net-vm", "not", "probed"] in rows
    network = got(meshdns, state, "networks", "net-vm", "--no-headers").out.split()
    assert network == ["net-vm", "<none>", "203.0.113.9", "<none>"]


def test_problems_name_field_reason_and_advice(meshdns: CommandRunner, state: Path) -> None:
    """What is wrong with an object is listed with its field and what to do."""
    wrong = entry("203.0.113.9", host="bad host!.prod.global", name="wrong")
    publish(settings_of("online-boutique", state), more=[("cluster2", wrong)])
    ended = got(meshdns, state, "problems")
    assert ended.status == 0
    row = next(line for line in ended.out.splitlines() if "wrong" in line)
    assert row.split()[:2] == ["cluster2", "error"]
    assert row.split()[3:5] == ["ServiceEntry/prod/wrong", "spec.hosts[0]"]


def test_problems_tell_how_urgent_they_are_since_when_and_what_causes_them(meshdns: CommandRunner, state: Path) -> None:
    """JSON has all of it in keys of its own; the table has the age, as for clusters."""
    outside = entry("203.0.113.9", host="api.example.com", name="outside")
    publish(settings_of("online-boutique", state), more=[("cluster2", outside)])
    (found,) = json.loads(got(meshdns, state, "problems", "--all", "-o", "json").out)["items"]
    assert {key: found[key] for key in ("severity", "normal", "since", "cause")} == {
        "severity": "expected",
        "normal": True,
        "since": "2027-01-15T08:00:00Z",
        "cause": "settings",
    }
    header, row = (line.split() for line in got(meshdns, state, "problems", "--all", "-o", "wide").out.splitlines())
    assert header == ["CLUSTER", "SEVERITY", "SINCE", "OBJECT", "FIELD", "REASON", "ADVICE", "KIND", "CAUSE", "WHERE"]
    assert row[2][-1] in "smhdy"


def test_normal_problems_are_counted_and_listed_on_request(meshdns: CommandRunner, state: Path) -> None:
    """Hosts outside the zones alarm nobody: they are counted on standard error, and listed with ``--all``."""
    outside = entry("203.0.113.9", host="api.example.com", name="outside")
    publish(settings_of("online-boutique", state), more=[("cluster2", outside)])
    quiet, loud = got(meshdns, state, "problems"), got(meshdns, state, "problems", "--all")
    assert (quiet.status, quiet.out) == (0, "")
    assert "1 host is outside the zones or not public (normal; list them with --all)" in quiet.err
    assert "api.example.com is in no configured zone" in loud.out


def test_no_problems_is_good(meshdns: CommandRunner, boutique: Path) -> None:
    """A mesh without problems ends with 0 and says so."""
    ended = got(meshdns, boutique, "problems")
    assert (ended.status, ended.out) == (0, "")
    assert ended.err.endswith("no problems found\n")


def test_nothing_found_is_1_with_the_next_step(meshdns: CommandRunner, boutique: Path) -> None:
    """A name that is not there ends with 1 and how to list all."""
    ended = got(meshdns, boutique, "names", "nosuch.global")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.endswith("list all with: meshdns get names\n")


def test_nobody_to_ask_is_69_with_the_next_step(meshdns: CommandRunner, state: Path) -> None:
    """Neither server nor view ends with 69 and what to start."""
    ended = got(meshdns, state, "clusters")
    assert (ended.status, ended.out) == (69, "")
    assert "start meshdns serve" in ended.err


def test_an_unknown_kind_is_2(meshdns: CommandRunner) -> None:
    """A kind that does not exist is wrong usage, and the kinds are named."""
    ended = meshdns("get", "pods")
    assert ended.status == 2
    assert "'names', 'services', 'clusters', 'gateways', 'networks', 'problems'" in ended.err


def test_all_namespaces_is_accepted(meshdns: CommandRunner, boutique: Path) -> None:
    """``-A`` changes nothing: all namespaces are listed anyway."""
    assert got(meshdns, boutique, "services", "-A").out == got(meshdns, boutique, "services").out
