"""Names of a zone itself: which they are, what they have, and that no declaration of a cluster claims them."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from meshdns.mesh.answer import Answer, AnswerKind
from meshdns.mesh.candidates import EndpointRule, Level
from meshdns.mesh.diagnostics import check_answer
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, Service, ServiceEntry, key_of
from meshdns.mesh.objects.problems import ProblemKind
from meshdns.mesh.own_names import gateway_names
from meshdns.mesh.settings import ClusterSettings, MeshSettings, MeshZone, StaticRecord
from meshdns.mesh.unserved_reasons import unreachable_reason
from meshdns.mesh.visibility import host_problems, served_hosts, unexported_names
from tests.mesh.scene import answer_text, entry, gateway, mesh, name_table, service

Clusters = Mapping[str, Iterable[AnyDeclaration]]
EAST = (gateway("198.51.100.10", "2001:db8::10"),)
WEST = (gateway("203.0.113.20"),)
NAME = "west.gateways.global"
REVERSE = (MeshZone("global"), MeshZone("113.0.203.in-addr.arpa"))


def found(scene: Clusters, name: str = NAME, **more: Any) -> Answer | None:
    """The answer of one name."""
    return name_table(mesh(**more), scene).refresh().get(name)


ADDRESSES: dict[str, tuple[Clusters, str, dict[str, Any], str]] = {
    "the gateways of the cluster": ({"east": EAST, "west": WEST}, NAME, {}, "203.0.113.20"),
    "both families": ({"east": EAST}, "east.gateways.global", {}, "198.51.100.10 2001:db8::10"),
    "those of the settings": (
        {"west": WEST},
        NAME,
        {"clusters": {"west": ClusterSettings(gateways=("192.0.2.1", "[2001:db8::1]:15443"))}},
        "192.0.2.1 2001:db8::1",
    ),
    "none, by the settings": ({"west": WEST}, NAME, {"clusters": {"west": ClusterSettings(gateways=())}}, "NODATA"),
    "none": ({"west": ()}, NAME, {}, "NODATA"),
    "one without an address yet": ({"west": (gateway(),)}, NAME, {}, "PENDING"),
    "a host name without a reply yet": ({"west": (gateway("gw.example"),)}, NAME, {}, "PENDING"),
    "by the label of the settings": (
        {"west": WEST},
        "w1.gateways.global",
        {"clusters": {"west": ClusterSettings(dns_name="w1")}},
        "203.0.113.20",
    ),
    "not by the name that is none": (
        {"west": WEST},
        NAME,
        {"clusters": {"west": ClusterSettings(dns_name="w1")}},
        "absent",
    ),
    "of a name in capitals": ({"West": WEST}, NAME, {}, "203.0.113.20"),
    "of a name that is no label": ({"we.st": WEST}, "we.st.gateways.global", {}, "absent"),
    "of two with one label the first": ({"WEST": WEST, "west": EAST}, NAME, {}, "203.0.113.20"),
    "of a cluster that is not read": (
        {"east": EAST},
        NAME,
        {"clusters": {"west": ClusterSettings(gateways=("192.0.2.1",))}},
        "absent",
    ),
    "without a vantage": ({"west": WEST}, NAME, {"vantage_cluster": ""}, "203.0.113.20"),
    "in another zone": (
        {"west": WEST},
        "west.gateways.mesh.example",
        {"zones": (MeshZone("mesh.example"),)},
        "203.0.113.20",
    ),
    "not in a fallthrough zone": ({"west": WEST}, NAME, {"zones": (MeshZone("global", fallthrough=True),)}, "absent"),
    "not in a fallback zone": ({"west": WEST}, NAME, {"zones": (MeshZone("global", fallback=True),)}, "absent"),
    "not in a reverse zone": (
        {"west": WEST},
        "west.gateways.10.in-addr.arpa",
        {"zones": (MeshZone("10.in-addr.arpa"),)},
        "absent",
    ),
    "in the zone that has the name": (
        {"west": WEST},
        "west.gateways.global",
        {"zones": (MeshZone("global"), MeshZone("gateways.global", fallthrough=True))},
        "absent",
    ),
    "whatever the mode of the zone": (
        {"west": WEST, "east": EAST},
        NAME,
        {"zones": (MeshZone("global", public_only=False, order=("east",), cross_levels=True),)},
        "203.0.113.20",
    ),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_the_gateways_of_a_cluster_have_a_name(case: str) -> None:
    """In every zone that is ours alone, for each cluster that is read."""
    clusters, name, more, expected = ADDRESSES[case]
    assert answer_text(found(clusters, name, **more)) == expected


def test_it_is_an_answer_like_others() -> None:
    """With its candidates and the cluster that it rests on, without names that would be made of it."""
    answer = found({"east": EAST})
    assert answer is None
    answer = found({"west": WEST})
    assert answer is not None
    (candidate,) = answer.candidates
    assert (answer.level, answer.clusters, answer.parts, answer.services) == (Level.ZONE, ("west",), (), ())
    assert (candidate.rule, candidate.via_cluster, candidate.port, candidate.passes_tls) == (
        EndpointRule.GATEWAY_NAME,
        "west",
        15443,
        None,
    )


def test_a_cluster_without_gateways_has_the_name_with_the_reason() -> None:
    """NODATA, and no problem: a flat network needs no gateways."""
    table = name_table(mesh(), {"west": ()})
    answer = table.refresh()[NAME]
    assert answer is not None
    assert (answer.outcome, answer.level, [each.rule for each in answer.candidates]) == (
        AnswerKind.NODATA,
        Level.ZONE,
        [EndpointRule.NO_GATEWAY],
    )
    assert list(check_answer(NAME, answer, table.inventory, table.topology)) == []
    reason = unreachable_reason(answer)
    assert reason is not None
    assert b"known in cluster west: the cluster has no gateway" in reason


def test_unhealthy_gateways_are_left_out_while_others_answer() -> None:
    """And all of them are answered once none is healthy."""
    table = name_table(mesh(), {"west": (gateway("203.0.113.20", "203.0.113.21"),)})
    assert answer_text(table.refresh()[NAME]) == "203.0.113.20 203.0.113.21"
    table.set_health("203.0.113.20", 15443, healthy=False)
    assert answer_text(table.refresh()[NAME]) == "203.0.113.21"
    table.set_health("203.0.113.21", 15443, healthy=False)
    assert answer_text(table.refresh()[NAME]) == "203.0.113.20 203.0.113.21"


def test_a_host_name_is_resolved_for_it() -> None:
    """Although nothing else rests on the gateway; what is never served is neither an address nor a PTR name."""
    table = name_table(mesh(zones=REVERSE), {"west": (gateway("gw.example"),)})
    table.refresh()
    assert "gw.example" in table.hosts_to_resolve
    table.set_resolved_addresses("gw.example", ("203.0.113.9", "127.0.0.1"))
    changed = table.refresh()
    assert answer_text(changed[NAME]) == "203.0.113.9"
    assert {name for name, answer in changed.items() if answer is not None and answer.records} == {
        "9.113.0.203.in-addr.arpa"
    }


def test_it_comes_and_goes_with_its_cluster() -> None:
    """And with it the name above all of them."""
    table = NameTable(mesh())
    table.add_cluster("west")
    assert set(table.refresh()) == {NAME, "gateways.global"}
    table.upsert("west", WEST[0])
    assert {name: answer_text(answer) for name, answer in table.refresh().items()} == {NAME: "203.0.113.20"}
    table.remove_cluster("west")
    assert table.refresh() == {NAME: None, "gateways.global": None}


# ------------------------------------------------------------------------------------------------ claims


def claim(host: str, **more: Any) -> AnyDeclaration:
    """A ServiceEntry that claims a host."""
    return entry("198.51.100.66", host=host, name="greedy", namespace="evil", location="MESH_EXTERNAL", **more)


CLAIMS: dict[str, AnyDeclaration] = {
    "by another cluster's host": claim(NAME),
    "by a derived name of a Service": service("west", "10.96.0.66", namespace="gateways"),
    "by a derived name of a svc host": claim("west.gateways.svc.cluster.local"),
    "in a mode of its own": claim(NAME, addresses=["10.0.0.1"], annotations={"meshdns.io/answer": "vip"}),
}


@pytest.mark.parametrize("claimant", ["east", "west", "north"])
@pytest.mark.parametrize("case", CLAIMS)
def test_no_declaration_claims_the_name_of_gateways(case: str, claimant: str) -> None:
    """The answer stays, what claims it is a problem of its object, and the problem ends with the claim."""
    clusters: dict[str, list[AnyDeclaration]] = {"east": [*EAST], "west": [*WEST], "north": []}
    clusters[claimant].append(CLAIMS[case])
    table = name_table(mesh(), clusters)
    answer = table.refresh()[NAME]
    assert answer_text(answer) == "203.0.113.20"
    assert answer is not None
    ((cluster, problem),) = set(check_answer(NAME, answer, table.inventory, table.topology))
    key = key_of(CLAIMS[case])
    assert (cluster, problem.kind, problem.object, problem.namespace, problem.name) == (
        claimant,
        ProblemKind.RESERVED_NAME,
        *(key[0].value, *key[1:]),
    )
    assert f"{NAME}, which belongs" in problem.reason or problem.reason.startswith(f"{NAME} belongs to the zone")
    table.remove(claimant, key)
    answer = table.refresh()[NAME]
    assert answer is not None
    assert list(check_answer(NAME, answer, table.inventory, table.topology)) == []


def test_a_name_that_is_claimed_before_its_cluster_is_read_changes_hands() -> None:
    """Until then nothing says that it will be one of the zone's."""
    table = name_table(mesh(), {"east": [claim(NAME)]})
    assert answer_text(table.refresh()[NAME]) == "198.51.100.66"
    table.upsert("west", WEST[0])
    assert answer_text(table.refresh()[NAME]) == "203.0.113.20"
    table.remove_cluster("west")
    assert answer_text(table.refresh()[NAME]) == "198.51.100.66"


def test_a_wildcard_does_not_cover_the_name_of_gateways() -> None:
    """Nor where the cluster has none; an unknown one is covered, for it is nobody's."""
    wild = [claim("*.global"), entry("198.51.100.67", host="*.gateways.global", name="wild")]
    answers = name_table(mesh(), {"east": wild, "west": ()}).refresh()
    assert answer_text(answers[NAME]) == "NODATA"


def test_a_static_record_may_claim_any_of_them() -> None:
    """As it may claim every name of a zone."""
    records = (StaticRecord(NAME, "A", "192.0.2.9", 60), StaticRecord("ns.global", "A", "192.0.2.53", 60))
    answers = name_table(mesh(records=records), {"west": WEST}).refresh()
    assert (answer_text(answers[NAME]), answer_text(answers["ns.global"])) == ("192.0.2.9", "192.0.2.53")


ZONES: dict[str, MeshZone] = {
    "ours": MeshZone("global"),
    "fallthrough": MeshZone("global", fallthrough=True),
    "fallback": MeshZone("global", fallback=True),
}
HOSTS: dict[str, tuple[str, ...]] = {  # host → the zones in which it is refused
    "ns.global": ("ours",),
    "NS.Global.": ("ours",),
    "_explain.global": ("ours", "fallthrough"),
    "_status.global": ("ours", "fallthrough"),
    "_tcp.global": ("ours",),
    "_x.global": ("ours",),
    "ns.prod.global": (),
    "a.ns.global": (),
    "gateways.global": (),
    "*.global": (),
    "*.ns.global": (),
}


@pytest.mark.parametrize("zone", ["ours", "fallthrough"])
@pytest.mark.parametrize("host", HOSTS)
def test_hosts_that_belong_to_the_zone_are_refused(host: str, zone: str) -> None:
    """With a problem that says so; whatever else the ServiceEntry declares is served."""
    settings = mesh(zones=(ZONES[zone],))
    declared = claim(host)
    assert isinstance(declared, ServiceEntry)
    if not declared.hosts:
        pytest.fail(f"{host} is read as no host")
    refused = [each for each in host_problems(declared, "west", settings) if each.kind is ProblemKind.RESERVED_NAME]
    assert bool(refused) == (zone in HOSTS[host])
    assert (list(served_hosts(declared, "west", settings)) == []) == (zone in HOSTS[host])


@pytest.mark.parametrize("host", ["cart.113.0.203.in-addr.arpa", "*.113.0.203.in-addr.arpa", "113.0.203.in-addr.arpa"])
def test_no_host_is_in_a_reverse_zone(host: str) -> None:
    """Of whatever form, and even one that would be a PTR name."""
    settings = mesh(zones=REVERSE)
    declared = claim(host)
    assert isinstance(declared, ServiceEntry)
    (problem,) = host_problems(declared, "west", settings)
    assert problem.kind is ProblemKind.RESERVED_NAME
    assert list(served_hosts(declared, "west", settings)) == []


def test_pointers_lead_to_the_cluster_whose_gateway_it_is() -> None:
    """To the first by name where several have it, by the label of the settings, and nowhere without a zone for it."""
    shared = {"b": WEST, "a": WEST}
    settings = {
        "a": mesh(zones=REVERSE),
        "x": mesh(zones=REVERSE, clusters={"a": ClusterSettings(dns_name="x")}),
        "b": mesh(zones=REVERSE, clusters={"a": ClusterSettings(gateways=())}),
    }
    pointers = {label: pointer(made, shared) for label, made in settings.items()}
    assert pointers == {label: f"{label}.gateways.global" for label in settings}
    for zone in (MeshZone("global", fallthrough=True), MeshZone("global", fallback=True)):
        assert pointer(mesh(zones=(zone, REVERSE[1])), shared) == ""
    inner = (*REVERSE, MeshZone("mesh.example"))
    assert pointer(mesh(zones=(MeshZone("corp.example", fallthrough=True), *inner)), shared) == "a.gateways.global"


def pointer(settings: MeshSettings, clusters: Clusters) -> str:
    """What the PTR record of the shared gateway says; empty where there is none."""
    answer = name_table(settings, clusters).refresh().get("20.113.0.203.in-addr.arpa")
    return answer.records[0].value if answer is not None else ""


@pytest.mark.parametrize("apex", ["x" * 63 + "." + "y" * 63 + "." + "z" * 63 + "." + "w" * 48, "global"])
def test_a_name_that_would_be_too_long_is_none(apex: str) -> None:
    """A zone of nearly 255 bytes has no room for it."""
    assert bool(gateway_names(["west"], mesh(zones=(MeshZone(apex),)))) is (apex == "global")


def test_a_pointer_leads_to_the_owner_of_a_gateway_that_others_use() -> None:
    """A cluster without an object of its own is entered through those of another one on its network."""
    shared = gateway("203.0.113.20", labels={"topology.istio.io/network": "net"})
    settings = mesh(zones=REVERSE, clusters={name: ClusterSettings(network="net") for name in ("a", "b", "c")})
    clusters: Clusters = {"a": (), "b": (shared,), "c": ()}
    answers = name_table(settings, clusters).refresh()
    names = [f"{cluster}.gateways.global" for cluster in clusters]
    assert {answer_text(answers[name]) for name in names} == {"203.0.113.20"}
    assert pointer(settings, clusters) == "b.gateways.global"


def test_what_a_host_name_must_not_resolve_to_has_no_pointer() -> None:
    """A reverse zone of loopback addresses stays empty, though the gateway's host name leads there."""
    zones = (MeshZone("global"), MeshZone("127.in-addr.arpa"), MeshZone("113.0.203.in-addr.arpa"))
    table = name_table(mesh(zones=zones), {"west": (gateway("gw.example"),)})
    table.refresh()
    table.set_resolved_addresses("gw.example", ("203.0.113.9", "127.0.0.1"))
    found = {name for name, answer in table.refresh().items() if answer is not None and answer.records}
    assert found == {"9.113.0.203.in-addr.arpa"}


def test_no_derived_name_is_in_a_reverse_zone() -> None:
    """Not even as the endpoint of another name, and no Service is said to lack one there."""
    hidden = service(name="hidden", annotations={"networking.istio.io/exportTo": "."})
    pointing = entry("reviews.prod.10.in-addr.arpa", host="alias.global", name="alias")
    settings = mesh(zones=(MeshZone("10.in-addr.arpa"), MeshZone("global")))
    answers = name_table(settings, {"east": (service(), hidden, pointing)}).refresh()
    assert {name for name in answers if name.endswith(".arpa")} == set()
    assert (answer_text(answers["reviews.prod.global"]), answer_text(answers["alias.global"])) == (
        "10.96.0.7",
        "NODATA",
    )
    assert isinstance(hidden, Service)
    assert list(unexported_names(hidden, "east", settings)) == ["hidden.prod.global"]
