"""``meshdns diff --with``: what manifests would change before they are applied."""

import json
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshdns.controller.what_if import OUTSIDE, Change, Mesh, compare
from tests.cli.command_runner import CommandResult, CommandRunner
from tests.cli.stopped_server import ZONES, publish, settings_of
from tests.mesh.scene import endpoint_slice, entry, gateway, mesh, service, system_namespace

BOUTIQUE = ("--config", str(ZONES / "online-boutique" / "meshdns.yaml"))
DECLARED = ZONES / "online-boutique" / "clusters" / "cluster1" / "serviceentries.yaml"


def service_entry(name: str, *addresses: str, host: str = "", **spec: Any) -> str:
    """A ServiceEntry of the shop as a file has it."""
    return yaml.safe_dump(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "hosts": [host or f"{name}.default.global"],
                "location": "MESH_INTERNAL",
                "ports": [{"name": "grpc", "number": 15443, "protocol": "GRPC"}],
                "resolution": "DNS",
                "endpoints": [{"address": each, "ports": {"grpc": 15443}} for each in addresses],
                **spec,
            },
        }
    )


@pytest.fixture
def single(tmp_path: Path) -> tuple[str, str]:
    """Settings of one cluster, which has the shop's entries and a wildcard, and no Services."""
    folder = tmp_path / "single" / "c"
    folder.mkdir(parents=True)
    wildcard = service_entry("any", "203.0.113.9", host="*.any.global")
    (folder / "entries.yaml").write_text(f"{DECLARED.read_text()}---\n{wildcard}")
    settings = {"apiVersion": "meshdns/v1", "sources": [{"kind": "manifests", "path": str(folder.parent)}]}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump({**settings, "vantage": {"cluster": "c"}}))
    return "--config", str(tmp_path / "settings.yaml")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Writes a manifest; returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "manifest.yaml"
        path.write_text(text)
        return str(path)

    return write


def answers(ended: CommandResult) -> dict[tuple[str, str, str], tuple[list[str], list[str]]]:
    """Before and after by vantage, name without the zone, and type."""
    found = json.loads(ended.out)["answers"]
    return {
        (each["vantage"], each["name"].removesuffix(".default.global"), each["type"]): (each["before"], each["after"])
        for each in found
    }


def test_a_changed_entry_is_seen_from_each_vantage(meshdns: CommandRunner, write: Callable[[str], str]) -> None:
    """From cluster2 nothing changes: its own Service comes first."""
    file = write(service_entry("cartservice", "203.0.113.21"))
    ended = meshdns("diff", "--with", file, "--in", "cluster1", "-o", "json", *BOUTIQUE)
    assert ended.status == 1
    changes = answers(ended)
    assert {key: each for key, each in changes.items() if key[2] != "SRV"} == {
        ("cluster1", "cartservice", "A"): (["203.0.113.20"], ["203.0.113.21"]),
        (OUTSIDE, "cartservice", "A"): (["203.0.113.20"], ["203.0.113.21"]),
    }
    document = json.loads(ended.out)
    assert (document["kind"], document["cluster"], document["vantages"]) == (
        "ManifestDifference",
        "cluster1",
        ["cluster1", "cluster2", OUTSIDE],
    )
    (first, *_) = document["answers"]
    assert first["declaredBy"] == ["cluster1: ServiceEntry default/cartservice"]
    assert (first["level"], first["levelText"]) == (2, "a ServiceEntry of the own cluster")
    assert "compared with the manifests in " in ended.err


def test_the_table_names_answers_and_problems(meshdns: CommandRunner, write: Callable[[str], str]) -> None:
    """A new name, of which an endpoint is never served; --vantage leaves the others out."""
    file = write(service_entry("orders", "203.0.113.20", "127.0.0.1"))
    ended = meshdns("diff", "--with", file, "--in", "cluster1", "--vantage", "cluster1", *BOUTIQUE)
    assert ended.status == 1
    header, first, second, _, heading, problem = ended.out.splitlines()
    assert header.split() == ["VANTAGE", "NAME", "TYPE", "BEFORE", "AFTER", "LEVEL", "DECLARED-BY", "REASON"]
    assert first.split()[:6] == ["cluster1", "orders.default.global", "A", "NXDOMAIN", "203.0.113.20", "2"]
    assert second.split()[2] == "SRV"
    assert heading.split()[0] == "PROBLEM"
    assert problem.split()[:4] == ["new", "cluster1", "cluster1", "error"]
    assert "127.0.0.1" in problem
    assert ended.err.splitlines()[-1] == "1 answers change, seen from cluster1; 1 problems begin, 0 end"


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_what_is_there_already_changes_nothing(meshdns: CommandRunner, form: str) -> None:
    """The status is 0."""
    ended = meshdns("diff", "--with", str(DECLARED), "--in", "cluster1", "-o", form, *BOUTIQUE)
    assert ended.status == 0
    assert "0 answers change" in ended.err
    assert (yaml.safe_load(ended.out) or {"answers": []})["answers"] == []


def test_what_is_deleted_gives_way_to_what_is_left(meshdns: CommandRunner, single: tuple[str, str]) -> None:
    """The entries lead to the gateway of cluster2, as its Services do: only ports have other names."""
    ended = meshdns("diff", "--without", str(DECLARED), "--in", "cluster1", "-o", "json", *BOUTIQUE)
    assert {rtype for _, _, rtype in answers(ended)} == {"SRV"}
    only = meshdns("diff", "--without", str(DECLARED), "-o", "json", *single)
    assert answers(only)["c", "frontend", "A"] == (["203.0.113.20"], ["NXDOMAIN"])


def test_host_names_are_shown_as_to_be_resolved(
    meshdns: CommandRunner, write: Callable[[str], str], single: tuple[str, str]
) -> None:
    """Nothing is asked for them, and what they will add is not kept quiet about."""
    file = write(service_entry("frontend", "gw.example") + "---\n" + service_entry("new", "gw.example"))
    found = answers(meshdns("diff", "--with", file, "-o", "json", *single))
    assert found["c", "new", "A"] == (["NXDOMAIN"], ["SERVFAIL", "to be resolved: gw.example"])
    assert found["c", "frontend", "A"] == (["203.0.113.20"], ["SERVFAIL", "to be resolved: gw.example"])
    file = write(service_entry("cartservice", "203.0.113.20", "gw.example"))
    found = answers(meshdns("diff", "--with", file, "-o", "json", *single))
    assert found["c", "cartservice", "A"] == (["203.0.113.20"], ["203.0.113.20", "to be resolved: gw.example"])


def test_a_name_that_a_wildcard_covered_is_shown_as_it_was_answered(
    meshdns: CommandRunner, write: Callable[[str], str], single: tuple[str, str]
) -> None:
    """It existed for clients."""
    file = write(service_entry("x", "203.0.113.10", host="x.any.global"))
    found = answers(meshdns("diff", "--with", file, "-o", "json", *single))
    assert found["c", "x.any.global", "A"] == (["203.0.113.9"], ["203.0.113.10"])


def test_manifests_may_be_a_folder_or_standard_input(
    meshdns: CommandRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, single: tuple[str, str]
) -> None:
    """Several are applied together; in a folder all files count, whatever its depth."""
    nested = tmp_path / "manifests" / "deeper"
    nested.mkdir(parents=True)
    (nested / "one.YAML").write_text(service_entry("one", "203.0.113.1"))
    (nested / ".hidden.yaml").write_text(service_entry("hidden", "203.0.113.1"))
    (nested.parent / "two.yml").write_text(service_entry("two", "203.0.113.2"))
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(service_entry("three", "203.0.113.3").encode())))
    ended = meshdns("diff", "--with", str(nested.parent), "--with", "-", "-o", "json", *single, "--vantage", "c")
    assert {name for _, name, rtype in answers(ended) if rtype == "A"} == {"one", "two", "three"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--with", "FILE", *BOUTIQUE), 2, "--in; there are: cluster1, cluster2"),
        (("--with", "FILE", "--in", "nosuch", *BOUTIQUE), 2, "there are: cluster1, cluster2"),
        (("--with", "FILE", "--in", "cluster1", "--vantage", "x", *BOUTIQUE), 2, "cluster1, cluster2, outside"),
        (("--with", "FILE", "--server", "192.0.2.53", *BOUTIQUE), 2, "leave one out"),
        (("--in", "cluster1", *BOUTIQUE), 2, "--with FILE"),
        ((*BOUTIQUE,), 2, "--server IP[:PORT]"),
        (("--with", "/nosuch.yaml", *BOUTIQUE), 2, "/nosuch.yaml: cannot be read: No such file"),
        (("--with", "BROKEN", *BOUTIQUE), 65, "correct the file"),
        (("--with", "OTHER", *BOUTIQUE), 65, "no object of a kind that meshdns reads"),
        (("--with", "FILE", "--state-dir", "STATE", "--config", "SETTINGS"), 69, "holds no name database"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_errors_say_what_to_do(
    meshdns: CommandRunner, tmp_path: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    """Each ends with the status of its kind."""
    files = {
        "FILE": service_entry("x", "203.0.113.1"),
        "BROKEN": "kind: [",
        "OTHER": "{kind: Deployment}",
        "SETTINGS": "sources: [{kind: kubeconfig, path: /nosuch}]",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "STATE").mkdir()
    ended = meshdns("diff", *(str(tmp_path / each) if (tmp_path / each).exists() else each for each in arguments))
    assert (ended.status, ended.out) == (status, "")
    assert said in ended.err


def test_with_other_sources_the_name_database_is_read(
    meshdns: CommandRunner, state: Path, tmp_path: Path, write: Callable[[str], str]
) -> None:
    """A running or stopped server's, with what it has resolved."""
    publish(
        settings_of("online-boutique", state),
        change=lambda publisher: publisher.set_resolved_addresses("gw.example", ("203.0.113.77",)),
    )
    settings = tmp_path / "meshdns.yaml"
    source = {"kind": "kubeconfig", "path": "/nosuch/kubeconfig", "contexts": ["cluster1"]}
    settings.write_text(
        yaml.safe_dump({"apiVersion": "meshdns/v1", "vantage": {"cluster": "cluster1"}, "sources": [source]})
    )
    file = write(service_entry("cartservice", "gw.example"))
    ended = meshdns(
        *("diff", "--with", file, "--in", "cluster1", "--vantage", "cluster1", "-o", "json"),
        *("--config", str(settings), "--state-dir", str(state)),
    )
    assert answers(ended)["cluster1", "cartservice", "A"] == (["203.0.113.20"], ["203.0.113.77"])
    assert f"compared with the name database {state}" in ended.err


# ------------------------------------------------------------------------------------------ what is stored


def with_ttl(name: str, ttl: int, **more: Any) -> Any:
    """An entry for the one host, with a TTL of its own; the oldest entry's counts."""
    return entry("203.0.113.7", name=name, annotations={"meshdns.io/ttl": str(ttl)}, **more)


def test_an_object_that_is_applied_keeps_its_creation() -> None:
    """A new one is the youngest, whatever its manifest leaves out."""
    known = Mesh({"east": [with_ttl("a", 9), with_ttl("b", 11, created="2026-04-01T00:00:00Z")]}, {}, {})
    changed = Change(
        "east", [with_ttl("a", 10, created=""), with_ttl("c", 7, created="")], set(), "2027-01-01T00:00:00Z"
    )
    found = compare(known, changed, mesh(vantage_cluster="east"), ["east"])
    assert [(each.before, each.after) for each in found.answers] == [
        (("203.0.113.7", "TTL 9"), ("203.0.113.7", "TTL 10"))
    ]


def test_a_network_of_the_settings_is_that_of_their_own_vantage() -> None:
    """Seen from west, east is on another network, whatever network the settings give to east."""
    known = Mesh({"east": [system_namespace("net-1"), gateway("203.0.113.7")], "west": [service("b")]}, {}, {})
    applied = [service("a", namespace="p"), endpoint_slice("10.40.1.1", service_name="a", namespace="p")]
    seen_from = mesh(vantage_cluster="east", vantage_network="net-1")
    found = compare(known, Change("east", applied, set(), "2027-01-01T00:00:00Z"), seen_from, ["east", "west"])
    assert {each.vantage: each.after for each in found.answers if each.type == "A"} == {
        "east": ("10.96.0.7",),
        "west": ("203.0.113.7",),
    }


def test_a_service_that_is_applied_keeps_the_addresses_it_was_given() -> None:
    """Its manifest has no status."""
    known = Mesh({"east": [service("a")], "west": [gateway("203.0.113.7"), service("b")]}, {}, {})
    changed = Change("west", [gateway(type="LoadBalancer")], set(), "2027-01-01T00:00:00Z")
    found = compare(known, changed, mesh(vantage_cluster="east"), ["east", "west", OUTSIDE])
    assert (found.answers, found.problems) == ((), ())
