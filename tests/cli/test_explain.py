"""``meshdns explain``: what the running server or the database it left says, and the exit codes."""

import json
from pathlib import Path
from typing import Literal

import pytest
import yaml

from meshdns.config import read_settings_file
from meshdns.config.model import ProbeSection
from meshdns.namedb.location import current_database
from tests.cli.admin_server import admin_socket
from tests.cli.command_runner import CommandRunner
from tests.cli.stopped_server import ZONES, publish, settings_of
from tests.mesh.scene import entry, gateway, passthrough_gateway, service

THERE = entry("10.0.0.7", host="there.default.global", name="there")
BOUTIQUE = ZONES / "online-boutique" / "meshdns.yaml"


def flags(state: Path, settings: Path = BOUTIQUE) -> tuple[str, ...]:
    """The flags that lead to a state directory."""
    return ("--config", str(settings), "--state-dir", str(state))


def test_a_running_server_is_asked(meshdns: CommandRunner, state: Path) -> None:
    """The answer comes from the admin socket, and standard error says so."""
    settings = settings_of("online-boutique", state)
    with admin_socket(settings, publish(settings)):
        ended = meshdns("explain", "frontend.default.global", *flags(state))
    assert ended.status == 0
    assert ended.out.startswith("frontend.default.global. A: 203.0.113.20 (TTL 30, NOERROR)\n")
    assert ended.err == f"answered by the running server on {state}/admin.sock\n"


def test_the_view_of_a_stopped_server_is_read(meshdns: CommandRunner, state: Path) -> None:
    """Where nobody answers the name database says the same, and standard error says that it was the name database."""
    settings = settings_of("online-boutique", state)
    view = publish(settings)
    stopped = meshdns("explain", "frontend.default.global", "-o", "json", *flags(state))
    with admin_socket(settings, view):
        running = meshdns("explain", "frontend.default.global", "-o", "json", *flags(state))
    assert stopped.status == running.status == 0
    assert stopped.out == running.out
    assert f"read from the name database {view}" in stopped.err


def test_winners_and_losers_are_named(meshdns: CommandRunner, state: Path) -> None:
    """The own cluster's ServiceEntry answers through the other's gateway, whose Service loses to it."""
    publish(settings_of("online-boutique", state))
    out = meshdns("explain", "frontend.default.global", *flags(state)).out
    assert "ServiceEntry cluster1/default/frontend: level 2, a ServiceEntry of the own cluster" in out
    assert "spec.endpoints[0] 203.0.113.20: a gateway of another cluster, as its own cluster writes it" in out
    assert "-> 203.0.113.20, reached through a gateway: chosen" in out
    assert "lost: level 2 answered first: ServiceEntry default/frontend of cluster1" in out


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (("frontend.default.global",), "A: 203.0.113.20 (TTL 30, NOERROR)"),
        (("frontend.default.global", "aaaa"), "why: the name exists, but has no record of type AAAA"),
        (("FRONTEND.default.global.",), "Match: exact: frontend.default.global. is known"),
        (("default.global",), "Match: empty non-terminal"),
        (("frontendd.default.global",), "the nearest known name: frontend.default.global."),
        (("nosuch.default.global",), "A: NXDOMAIN"),
        (("global", "SOA"), "Match: the apex of the zone"),
        (("example.com",), "forwarded to /etc/resolv.conf (forward zone .)"),
    ],
)
def test_every_name_has_an_explanation(
    meshdns: CommandRunner, state: Path, question: tuple[str, ...], expected: str
) -> None:
    """Known, covered, unknown and foreign names, in any letter case."""
    publish(settings_of("online-boutique", state))
    ended = meshdns("explain", *question, *flags(state))
    assert ended.status == 0
    assert expected in ended.out


@pytest.mark.parametrize(
    ("ready", "complete", "name", "error"),
    [
        (False, False, "frontend.default.global", "extended error 14: the own cluster has not synced yet"),
        (True, False, "nosuch.default.global", "extended error 14: a cluster has not synced yet"),
    ],
)
def test_before_sync_it_is_servfail(
    meshdns: CommandRunner, state: Path, *, ready: bool, complete: bool, name: str, error: str
) -> None:
    """What the authority answers before it may answer is what is explained."""
    publish(settings_of("online-boutique", state), ready=ready, complete=complete)
    out = meshdns("explain", name, *flags(state)).out
    assert out.startswith(f"{name}. A: SERVFAIL\n")
    assert error in out


def test_a_stale_answer_is_told(meshdns: CommandRunner, state: Path) -> None:
    """The last known data of a silent cluster is answered with extended error 3."""
    publish(settings_of("online-boutique", state), stale=["cluster2"])
    out = meshdns("explain", "frontend.default.global", *flags(state)).out
    assert "with extended error 3: last known data of cluster2" in out


def test_a_declaration_that_does_not_count_is_told(meshdns: CommandRunner, state: Path) -> None:
    """A host that is not exported to all is unknown, and the explanation names who declares it and what to do."""
    hidden = entry("203.0.113.9", host="hidden.prod.global", name="hidden", exportTo=["."])
    publish(settings_of("online-boutique", state), more=[("cluster2", hidden)])
    out = meshdns("explain", "hidden.prod.global", *flags(state)).out
    assert "ServiceEntry cluster2/prod/hidden names it, but does not count" in out
    assert "exportTo" in out


def test_a_service_that_does_not_count_is_told(meshdns: CommandRunner, state: Path) -> None:
    """Its annotation keeps its derived name to its cluster."""
    hidden = service("hidden", annotations={"networking.istio.io/exportTo": "."})
    publish(settings_of("online-boutique", state), more=[("cluster2", hidden)])
    out = meshdns("explain", "hidden.prod.global", *flags(state)).out
    assert "Service cluster2/prod/hidden names it, but does not count" in out
    assert "exportTo" in out


def test_what_the_gateways_can_carry_is_told(meshdns: CommandRunner, state: Path) -> None:
    """An Istio Gateway that passes other hosts only is named, with its port, beside the problem that follows."""
    passed = passthrough_gateway("*.local", selector="ingressgateway")
    publish(settings_of("online-boutique", state), more=[("cluster2", passed)], gateways=True)
    out = meshdns("explain", "frontend.default.global", *flags(state)).out
    assert "cluster2: port 15443, for *.local (IstioGateway istio-system/cross-network)" in out
    assert "-> frontend.default.global. is not: clients get no further" in out
    assert "problem: spec.endpoints[0]: the gateways of cluster cluster2 pass no TLS through for this host" in out
    found = json.loads(meshdns("explain", "frontend.default.global", "-o", "json", *flags(state)).out)
    assert [(each["cluster"], each["passes"]) for each in found["carriage"]] == [("cluster2", False)]
    assert found["declarations"][0]["endpoints"][0]["host"] == "frontend.default.global"


@pytest.mark.parametrize(("kind", "health"), [("tcp", "healthy"), ("none", "not probed")])
def test_health_is_told_only_where_gateways_are_probed(
    meshdns: CommandRunner, state: Path, kind: Literal["tcp", "none"], health: str
) -> None:
    """Without probes nobody knows whether a gateway is alive."""
    settings = settings_of("online-boutique", state).model_copy(update={"probe": ProbeSection(type=kind)})
    publish(settings, gateways=True)
    out = meshdns("explain", "frontend.default.global", *flags(state)).out
    gateway = next(line.strip() for line in out.splitlines() if "gateway of cluster2" in line)
    assert gateway.startswith("gateway of cluster2: 203.0.113.20, port 15443, Service istio-system/")
    assert gateway.endswith(f", {health}")
    row = meshdns("get", "gateways", "cluster2", "--no-headers", *flags(state)).out.strip()
    assert row.endswith(health)


def test_a_gateway_without_address_is_told(meshdns: CommandRunner, state: Path) -> None:
    """The object that should lead into the other cluster is named with its problem."""
    waiting = gateway(name="istio-eastwestgateway")
    publish(settings_of("online-boutique", state), more=[("cluster3", waiting), ("cluster3", THERE)], gateways=True)
    out = meshdns("explain", "there.default.global", *flags(state)).out
    assert "Problems of gateways" in out
    assert "Service cluster3/istio-system/istio-eastwestgateway: status.loadBalancer.ingress: has no address yet" in out


def test_wildcards_say_what_they_beat(meshdns: CommandRunner, state: Path) -> None:
    """A covered name shows the names that were not known and the wildcard that was less specific."""
    publish(settings_of("wildcard", state))
    out = meshdns("explain", "a.eu.shop.global", *flags(state, ZONES / "wildcard" / "meshdns.yaml")).out
    assert "Match: wildcard: *.eu.shop.global. covers it" in out
    assert "more specific, not known: a.eu.shop.global." in out
    assert "less specific, beaten: *.shop.global." in out


def test_yaml_is_the_same_as_json(meshdns: CommandRunner, state: Path) -> None:
    """Both forms carry the same versioned value."""
    publish(settings_of("online-boutique", state))
    texts = [meshdns("explain", "frontend.default.global", "-o", form, *flags(state)).out for form in ("json", "yaml")]
    assert json.loads(texts[0]) == yaml.safe_load(texts[1])
    assert json.loads(texts[0])["apiVersion"] == "meshdns/v1"


def test_without_server_and_view_it_says_what_to_do(meshdns: CommandRunner, state: Path) -> None:
    """Nobody to ask is 69, with the next step."""
    ended = meshdns("explain", "frontend.default.global", *flags(state))
    assert (ended.status, ended.out) == (69, "")
    assert "holds no name database; start meshdns serve" in ended.err


def test_a_damaged_view_is_not_read(meshdns: CommandRunner, state: Path) -> None:
    """A name database whose check fails is refused with the next step instead of ending the tool."""
    publish(settings_of("online-boutique", state))
    file = current_database(state) / "data.mdb"
    file.write_bytes(file.read_bytes()[:5000])
    ended = meshdns("explain", "frontend.default.global", *flags(state))
    assert ended.status == 69
    assert "start meshdns serve, which rebuilds it" in ended.err


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("a..b",), "write it as in frontend.default.global"),
        (("frontend.default.global", "BOGUS"), "write A, AAAA"),
        ((), "Missing argument"),
    ],
)
def test_wrong_usage_is_2(meshdns: CommandRunner, arguments: tuple[str, ...], advice: str) -> None:
    """Names and types that cannot be asked for are wrong usage, told before anybody is asked."""
    ended = meshdns("explain", *arguments)
    assert ended.status == 2
    assert advice in ended.err


def test_wrong_settings_are_65(meshdns: CommandRunner, tmp_path: Path) -> None:
    """Settings that cannot be used end it with their place in the file."""
    file = tmp_path / "meshdns.yaml"
    file.write_text("apiVersion: meshdns/v1\nzone: []\n")
    ended = meshdns("explain", "frontend.default.global", "--config", str(file))
    assert ended.status == 65
    assert f"{file}:2:1:" in ended.err


def test_a_fallback_zone_names_who_is_asked_first(meshdns: CommandRunner, state: Path) -> None:
    """A Kubernetes name is explained with its upstream and what the mesh says where that denies it."""
    settings = yaml.safe_load(BOUTIQUE.read_text())
    settings["sources"][0]["path"] = str(BOUTIQUE.parent / "clusters")
    settings["fallback"] = [{"zone": "cluster.local", "upstream": ["192.0.2.10"]}]
    file = state / "meshdns.yaml"
    file.write_text(yaml.safe_dump(settings))
    publish(read_settings_file(file, "/").model_copy(update={"state_dir": str(state)}))
    found = meshdns("explain", "cartservice.default.svc.cluster.local", *flags(state, file)).out
    assert "Zone cluster.local.: 192.0.2.10" in found
    assert "is asked first; where it denies the name, the mesh answers" in found
    assert "only where the zone's upstream denies the name" in found
    assert found.startswith("cartservice.default.svc.cluster.local. A: 203.0.113.20")
    unknown = meshdns("explain", "nosuch.default.svc.cluster.local", *flags(state, file)).out
    assert "why: its upstream is asked first, and the mesh has nothing to add" in unknown


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            ("20.113.0.203.in-addr.arpa", "PTR"),
            ["PTR: west.gateways.global.", "a reverse zone, which holds PTR records"],
        ),
        (("cart.10.in-addr.arpa",), ["A: NXDOMAIN", "a reverse zone", "evil/greedy names it, but does not count"]),
        (
            ("west.gateways.global",),
            [
                "A: 10.7.0.20, 203.0.113.20",
                "exact: west.gateways.global. is known",
                "west/gateways: level 7, the zone's own name for the gateways of a cluster",
                "a gateway of the cluster",
                "gateway of west: 203.0.113.20, port 15443",
            ],
        ),
        (("lab.gateways.global",), ["NODATA", "the cluster has no gateway"]),
        (("ns.global",), ["A: 127.0.0.1", "exists because of the zone itself", "evil/greedy names it, but does not"]),
        (("gateways.global",), ["NODATA", "empty non-terminal"]),
    ],
)
def test_what_belongs_to_a_zone_is_told(
    meshdns: CommandRunner, state: Path, question: tuple[str, ...], expected: list[str]
) -> None:
    """Reverse zones, names of gateways and the server, with who claims them."""
    publish(settings_of("reverse-zones", state))
    told = meshdns("explain", *question, *flags(state, ZONES / "reverse-zones" / "meshdns.yaml")).out
    assert [text for text in expected if text not in told] == [], told
