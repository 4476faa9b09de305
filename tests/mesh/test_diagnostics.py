"""Problems: those that a declaration has by itself, and those that show only when its names are judged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from meshdns.controller.problem_index import problems_of
from meshdns.mesh.answer import Answer, AnswerKind
from meshdns.mesh.candidates import Candidate, EndpointRule, Level
from meshdns.mesh.diagnostics import MAX_PROBLEMS_PER_OBJECT, check_answer, limit_per_object, with_locations
from meshdns.mesh.inventory import Inventory
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind, ServiceEntry
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.objects.problems import Problem, ProblemKind, cause_of
from meshdns.mesh.objects.references import ENDPOINTS_FIELD, FieldRef, ObjectRef
from meshdns.mesh.settings import ClusterSettings, MeshSettings, MeshZone
from meshdns.mesh.topology import build_topology, topology_problems
from tests.mesh.scene import (
    endpoint_slice,
    entry,
    gateway,
    mesh,
    name_table,
    on_networks,
    parse_declaration,
    passthrough_gateway,
    service,
    system_namespace,
    workload_entry,
)

HTTP = [{"name": "http", "number": 80, "protocol": "HTTP"}]
AT_8080 = {"address": "198.51.100.2", "ports": {"http": 8080}}
NETWORKS = on_networks(east="net-e", west="net-w")
IN_FORWARD_ZONE = {"zones": (MeshZone("prod.global"),), "forward_zones": ("global",)}


def line(cluster: str, problem: Problem) -> str:
    """A problem on one line: kind, cluster, object, field."""
    return f"{problem.kind.value}: {cluster} {problem.object} {problem.namespace}/{problem.name} {problem.field}"


def judged(settings: MeshSettings, clusters: Mapping[str, Iterable[AnyDeclaration]]) -> list[str]:
    """The problems that show when the names of a mesh are judged, each once."""
    made = name_table(settings, clusters)
    found = [
        (line(*each), each[1])
        for name, answer in made.refresh().items()
        if answer is not None
        for each in check_answer(name, answer, made.inventory, made.topology)
    ]
    assert all(problem.reason and problem.advice for _, problem in found)
    return list(dict.fromkeys(text for text, _ in found))


def declared_problems(declaration: AnyDeclaration, settings: MeshSettings | None = None) -> list[str]:
    """The problems that a declaration of cluster east has by itself."""
    found = list(problems_of("east", declaration, settings or mesh()))
    assert all(problem.reason and problem.advice for problem in found)
    return [line("east", problem) for problem in found]


# ------------------------------------------------------------------------------------------ by itself

BY_ITSELF: dict[str, tuple[AnyDeclaration, list[str]]] = {
    "loopback": (entry("127.0.0.1"), ["never served: east ServiceEntry prod/reviews spec.endpoints[0].address"]),
    "link-local": (entry("fe80::1"), ["never served: east ServiceEntry prod/reviews spec.endpoints[0].address"]),
    "unspecified": (entry("0.0.0.0"), ["never served: east ServiceEntry prod/reviews spec.endpoints[0].address"]),  # noqa: S104
    "multicast, the second": (
        entry("198.51.100.2", "ff02::1"),
        ["never served: east ServiceEntry prod/reviews spec.endpoints[1].address"],
    ),
    "a WorkloadEntry on loopback": (
        workload_entry("vm", "127.0.0.1", app="reviews"),
        ["never served: east WorkloadEntry prod/vm spec.address"],
    ),
    "a loopback address of NONE": (
        entry(resolution="NONE", addresses=["127.0.0.1"]),
        ["never served: east ServiceEntry prod/reviews spec.addresses"],
    ),
    "a host name under STATIC": (
        entry("vm.example.net"),
        ["malformed: east ServiceEntry prod/reviews spec.endpoints[0].address"],
    ),
    "a host name under DNS": (entry("vm.example.net", resolution="DNS"), []),
    "a socket under STATIC": (entry("unix:///run/reviews.sock"), []),
    "only a network under STATIC": (entry({"network": "net-w"}), []),
    "endpoints under NONE": (
        entry("198.51.100.2", resolution="NONE"),
        ["malformed: east ServiceEntry prod/reviews spec.endpoints"],
    ),
    "endpoints without a resolution, which is NONE": (
        parse_declaration(
            ObjectKind.SERVICE_ENTRY,
            {
                "metadata": {"name": "reviews", "namespace": "prod"},
                "spec": {"hosts": ["reviews.prod.global"], "endpoints": [{"address": "198.51.100.2"}]},
            },
        ),
        ["malformed: east ServiceEntry prod/reviews spec.endpoints"],
    ),
    "the whole zone": (
        entry("198.51.100.2", host="*.global"),
        ["shadowed: east ServiceEntry prod/reviews spec.hosts[0]"],
    ),
    "a part of the zone": (entry("198.51.100.2", host="*.prod.global"), []),
    "a Service for its namespace": (
        service(annotations={"networking.istio.io/exportTo": "."}),
        ["not public: east Service prod/reviews metadata.annotations.networking.istio.io/exportTo"],
    ),
    "a Service for all": (service(annotations={"networking.istio.io/exportTo": ".,*"}), []),
    "a Service that has no derived names anyway": (
        service(annotations={"networking.istio.io/exportTo": "."}, labels={"meshdns.io/export": "false"}),
        [],
    ),
}


@pytest.mark.parametrize("case", BY_ITSELF)
def test_what_a_declaration_says_is_judged_by_itself(case: str) -> None:
    """Each doubtful thing is a problem of its field, and nothing else is."""
    declaration, expected = BY_ITSELF[case]
    assert declared_problems(declaration) == expected


def test_a_zone_that_ignores_exports_has_no_hidden_services() -> None:
    """``exportTo: ignore`` serves every Service, so none is listed as not public."""
    hidden = service(annotations={"networking.istio.io/exportTo": "."})
    assert declared_problems(hidden, mesh(zones=(MeshZone("global", public_only=False),))) == []


# ------------------------------------------------------------------------------------------ places


def read_entry(spec: Mapping[str, Any], **more: Any) -> ServiceEntry:
    """A ServiceEntry from a manifest in which each field is on a line of its own."""
    raw = {"metadata": {"name": "reviews", "namespace": "prod"}, "spec": spec}
    found = parse_object(ObjectKind.SERVICE_ENTRY, raw, **more)
    assert isinstance(found, ServiceEntry)
    return found


HOSTS = ["-bad.global", "a.other", "a.other", "good.global", "b.other"]


def test_a_host_keeps_its_place() -> None:
    """Bad and duplicate hosts before it change neither the index of a host nor its line."""
    found = read_entry({"hosts": HOSTS}, where=lambda field: f"a.yaml {field}")
    outside = [p for p in problems_of("east", found, mesh()) if p.kind is ProblemKind.OUTSIDE_ZONES]
    assert [(p.field, p.where) for p in outside] == [
        ("spec.hosts[1]", "a.yaml spec.hosts[1]"),
        ("spec.hosts[4]", "a.yaml spec.hosts[4]"),
    ]


def test_a_host_from_an_api_server_keeps_its_index() -> None:
    """Without a file the index is the manifest's all the same, and there is no place."""
    found = read_entry({"hosts": HOSTS})
    outside = [p for p in problems_of("east", found, mesh()) if p.kind is ProblemKind.OUTSIDE_ZONES]
    assert [(p.field, p.where) for p in outside] == [("spec.hosts[1]", ""), ("spec.hosts[4]", "")]


def test_what_goes_without_saying_is_not_kept() -> None:
    """A sound object from an API server carries no places: there may be very many of them."""
    found = read_entry({"hosts": ["a.global", "b.global"], "endpoints": [{"address": "198.51.100.2"}]})
    assert (found.where, found.host_places, found.endpoint_places) == ("", (), ())


def test_an_endpoint_keeps_its_place() -> None:
    """An endpoint that cannot be read does not move the others."""
    spec = {"hosts": ["a.global"], "resolution": "STATIC", "endpoints": [{"address": 7}, {"address": "127.0.0.1"}]}
    found = read_entry(spec, where=lambda field: f"a.yaml {field}")
    never = [p for p in problems_of("east", found, mesh()) if p.kind is ProblemKind.NEVER_SERVED]
    assert [(p.field, p.where) for p in never] == [
        ("spec.endpoints[1].address", "a.yaml spec.endpoints[1]"),
    ]


def test_every_kind_says_where_it_was_read() -> None:
    """A declaration from a manifest carries the place of its object, a broken one too."""
    for kind in ObjectKind:
        for raw in ({"metadata": {"name": "a"}}, {"metadata": {"name": "a"}, "spec": 7}):
            found = parse_object(kind, raw, where=lambda field: f"a.yaml:{1 + len(field)}")
            assert found is not None
            assert found.where == "a.yaml:1"


# ------------------------------------------------------------------------------------------ when names are judged


@dataclass(frozen=True)
class Case:
    """A mesh seen from east, and the problems that its names show."""

    clusters: Mapping[str, Iterable[AnyDeclaration]]
    expected: tuple[str, ...] = ()
    clusters_settings: Mapping[str, ClusterSettings] | None = None
    more: Mapping[str, Any] | None = None


OLD = "2026-01-05T08:00:00Z"
TTL = "metadata.annotations.meshdns.io/ttl"
MODE = "metadata.annotations.meshdns.io/answer"
JUDGED: dict[str, Case] = {
    "nothing to go by": Case(
        {"east": (entry(resolution="DNS"),)},
        ("no endpoints: east ServiceEntry prod/reviews spec.hosts[0]",),
    ),
    "nothing to go by, in another cluster": Case({"west": (entry(resolution="DNS"),)}),
    "nothing to go by, forwarded": Case({"east": (entry(resolution="DNS"),)}, more=IN_FORWARD_ZONE),
    "a wildcard with nothing to go by, under a name": Case(
        {"east": (entry(host="*.prod.global", resolution="NONE"),), "west": (entry("198.51.100.2"),)},
        ("no endpoints: east ServiceEntry prod/reviews spec.hosts[0]",),
    ),
    "another port than the Service's": Case(
        {"east": (entry(AT_8080, ports=HTTP),)},
        ("port mismatch: east ServiceEntry prod/reviews spec.endpoints[0].ports",),
    ),
    "another port by targetPort": Case(
        {"east": (entry("198.51.100.2", ports=[{**HTTP[0], "targetPort": 8080}]),)},
        ("port mismatch: east ServiceEntry prod/reviews spec.ports",),
    ),
    "the Service's port": Case({"east": (entry({**AT_8080, "ports": {"http": 80}}, ports=HTTP),)}),
    "another port at a private address of the own cluster": Case(
        {"east": (entry({**AT_8080, "address": "10.40.0.1"}, ports=HTTP),)},
        ("port mismatch: east ServiceEntry prod/reviews spec.endpoints[0].ports",),
    ),
    "another port at a gateway": Case(
        {
            "east": (entry({"address": "203.0.113.20", "ports": {"http": 15443}}, ports=HTTP),),
            "west": (gateway("203.0.113.20"),),
        },
        clusters_settings=NETWORKS,
    ),
    "another port of a level that does not answer": Case(
        {"east": (entry("198.51.100.9"),), "west": (entry(AT_8080, ports=HTTP),)}
    ),
    "another port at a selected WorkloadEntry": Case(
        {
            "east": (
                entry(ports=[{**HTTP[0], "targetPort": 8080}], workloadSelector={"labels": {"app": "reviews"}}),
                workload_entry("vm", "198.51.100.3", app="reviews"),
            )
        },
        ("port mismatch: east WorkloadEntry prod/vm spec.ports",),
    ),
    "a network without gateways": Case(
        {"east": (entry({"network": "net-sea"}),)},
        ("unreachable: east ServiceEntry prod/reviews spec.endpoints[0]",),
    ),
    "a network whose gateways may not carry it": Case(
        {
            "east": (entry({"network": "net-w", "address": "10.40.0.1"}, location="MESH_EXTERNAL"),),
            "west": (gateway("203.0.113.20"),),
        },
        ("unreachable: east ServiceEntry prod/reviews spec.endpoints[0]",),
        NETWORKS,
    ),
    "the own network without an address is normal": Case(
        {"east": (), "west": (entry({"network": "net-e"}),)}, clusters_settings=NETWORKS
    ),
    "a private address outside the mesh": Case(
        {"west": (entry("10.40.0.1", location="MESH_EXTERNAL"),)},
        ("unreachable: west ServiceEntry prod/reviews spec.endpoints[0]",),
        NETWORKS,
    ),
    "no gateway": Case(
        {"west": (entry("10.40.0.1"),)},
        ("no gateway: west ServiceEntry prod/reviews spec.endpoints[0]", "no gateway: west Cluster /west gateways"),
        NETWORKS,
    ),
    "no gateway for a selected WorkloadEntry": Case(
        {
            "west": (
                entry(workloadSelector={"labels": {"app": "reviews"}}),
                workload_entry("vm", "10.40.0.1", app="reviews"),
            )
        },
        ("no gateway: west WorkloadEntry prod/vm spec.address", "no gateway: west Cluster /west gateways"),
        NETWORKS,
    ),
    "a gateway without an address yet": Case(
        {"west": (entry("10.40.0.1"), gateway())},
        ("no gateway: west Cluster /west gateways",),
        clusters_settings=NETWORKS,
    ),
    "a Service that is not there": Case(
        {"east": (entry("missing.prod.svc.cluster.local", resolution="DNS"),)},
        ("unreachable: east ServiceEntry prod/reviews spec.endpoints[0]",),
    ),
    "one TTL, and none": Case(
        {"east": (entry("198.51.100.2", name="a"), entry("198.51.100.3", name="b", annotations={TTL[21:]: "9"}))}
    ),
    "two TTLs: the oldest wins": Case(
        {
            "east": (
                entry("198.51.100.2", name="a", annotations={TTL[21:]: "5"}),
                entry("198.51.100.3", name="b", annotations={TTL[21:]: "9"}, created=OLD),
            )
        },
        (f"conflict: east ServiceEntry prod/a {TTL}",),
    ),
    "two TTLs in two clusters": Case(
        {
            "east": (entry("198.51.100.2", annotations={TTL[21:]: "5"}),),
            "west": (entry("198.51.100.3", annotations={TTL[21:]: "9"}),),
        }
    ),
    "three modes, two alike": Case(
        {
            "east": tuple(
                entry("198.51.100.2", name=name, annotations={MODE[21:]: mode})
                for name, mode in (("a", "vip"), ("b", "gateway"), ("c", "vip"))
            )
        },
        (f"conflict: east ServiceEntry prod/b {MODE}",),
    ),
}


@pytest.mark.parametrize("case", JUDGED)
def test_what_names_show(case: str) -> None:
    """Each problem names the object and the field that somebody must change."""
    row = JUDGED[case]
    settings = mesh(clusters=dict(row.clusters_settings or {}), **(row.more or {}))
    assert judged(settings, row.clusters) == list(row.expected)


CAUSES = {
    "nothing to go by": "ServiceEntry east/prod/reviews",
    "another port than the Service's": "ServiceEntry east/prod/reviews",
    "a network without gateways": "network net-sea",
    "a private address outside the mesh": "ServiceEntry west/prod/reviews",
    "no gateway": "cluster west",
    "no gateway for a selected WorkloadEntry": "cluster west",
    "two TTLs: the oldest wins": "ServiceEntry east/prod/b",
}
"""What has to change, by the case of `JUDGED`."""


@pytest.mark.parametrize("case", CAUSES)
def test_problems_that_end_together_have_one_cause(case: str) -> None:
    """The cause is the cluster or network that lacks something, the declaration that wins, or the object itself."""
    row = JUDGED[case]
    made = name_table(mesh(clusters=dict(row.clusters_settings or {})), row.clusters)
    assert {
        cause_of(*found)
        for name, answer in made.refresh().items()
        if answer is not None
        for found in check_answer(name, answer, made.inventory, made.topology)
    } == {CAUSES[case]}


def test_the_cause_of_a_host_outside_the_zones_is_the_settings() -> None:
    """All such hosts, of whatever object and cluster, have one cause."""
    outside = entry("198.51.100.2", host="api.example.com")
    assert [cause_of("east", found) for found in problems_of("east", outside, mesh())] == ["settings"]


def test_many_hosts_show_a_problem_once() -> None:
    """What is wrong with an endpoint is one problem, however many hosts its ServiceEntry has."""
    hosts = [f"host{number}.prod.global" for number in range(50)]
    assert judged(mesh(), {"east": (entry(AT_8080, hosts=hosts, ports=HTTP),)}) == [
        "port mismatch: east ServiceEntry prod/reviews spec.endpoints[0].ports"
    ]


def test_one_object_shows_a_bounded_number_of_problems() -> None:
    """A thousand wrong endpoints must not fill the name database."""
    wrong = entry(*(f"10.40.{number >> 8}.{number & 255}" for number in range(1000)))
    made = name_table(mesh(clusters=NETWORKS), {"west": (wrong, entry("10.41.0.1", name="other"))})
    answer = made.refresh()["reviews.prod.global"]
    assert answer is not None
    found = list(limit_per_object(check_answer("reviews.prod.global", answer, made.inventory, made.topology)))
    assert len([1 for _, problem in found if problem.name == "reviews"]) == MAX_PROBLEMS_PER_OBJECT
    assert len([1 for _, problem in found if problem.name == "other"]) == 1


def test_a_declaration_that_is_gone_is_named_all_the_same() -> None:
    """An answer may be older than the inventory: the problem keeps the field that the candidate names."""
    candidate = Candidate(
        Level.OWN_ENTRY,
        "east",
        ObjectRef(ObjectKind.SERVICE_ENTRY, "a", "b"),
        FieldRef(ENDPOINTS_FIELD, 3),
        EndpointRule.PRIVATE_UNREACHABLE,
    )
    inventory = Inventory(mesh())
    found = list(
        check_answer(
            "b.global", Answer(AnswerKind.NODATA, candidates=(candidate,)), inventory, build_topology(inventory)
        )
    )
    assert [line(*each) for each in found] == ["unreachable: east ServiceEntry a/b spec.endpoints[3]"]


def test_a_gateway_object_is_placed() -> None:
    """A problem of an object that was read from a manifest says file and line."""
    raw = {
        "metadata": {"name": "gw", "namespace": "istio-system", "labels": {"istio": "eastwestgateway"}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 15443}]},
    }
    found = parse_object(ObjectKind.SERVICE, raw, where=lambda _: "gw.yaml:7")
    assert found is not None
    made = name_table(
        mesh(), {"west": (found, system_namespace("net-w")), "east": (service(), endpoint_slice("10.40.0.1"))}
    )
    made.refresh()
    problems = list(with_locations(topology_problems(made.inventory, made.topology), made.inventory))
    assert [(cluster, problem.name, problem.where) for cluster, problem in problems] == [("west", "gw", "gw.yaml:7")]


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        (("*.local",), ["no gateway: east ServiceEntry prod/reviews spec.endpoints[0]"]),
        (("*.local", "*.global"), []),
    ],
    ids=["only its own names", "the name too"],
)
def test_a_gateway_that_is_known_not_to_pass_a_name_is_a_problem(passed: tuple[str, ...], expected: list[str]) -> None:
    """Where Istio Gateways are read, a name that none of them passes through is pointed out beside its address."""
    clusters = {"east": (entry("203.0.113.20"),), "west": (gateway("203.0.113.20"), passthrough_gateway(*passed))}
    assert judged(mesh(vantage_cluster="east", clusters=NETWORKS), clusters) == expected
