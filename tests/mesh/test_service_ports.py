"""SRV: which ports an answer names, where, and what cannot be named."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from meshdns.mesh.answer import Answer, AnswerPart
from meshdns.mesh.diagnostics import check_answer
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.mesh.service_ports import MAX_POD_TARGETS, ServicePort
from meshdns.mesh.settings import AnswerMode, ClusterSettings, MeshZone
from tests.mesh.scene import (
    answers,
    entry,
    gateway,
    mesh,
    name_table,
    on_networks,
    parse_declaration,
    service,
    static,
    workload_entry,
)

NETWORKS = on_networks(east="net-e", near="net-e", west="net-w", far="net-f")
HOST = "reviews.prod.global"
WILDCARD = "*.prod.global"
PORTS = [{"name": "http", "number": 80, "protocol": "HTTP"}]
HEADLESS = service(ip="None", ports=[{"name": "http", "port": 80}])
Clusters = Mapping[str, Iterable[AnyDeclaration]]
Targets = dict[tuple[str, str], tuple[tuple[int, str], ...]]


def at(address: str, **ports: int) -> dict[str, Any]:
    """An endpoint with ports of its own."""
    return {"address": address, "ports": ports}


def pods(
    *points: Mapping[str, Any],
    ports: Iterable[Mapping[str, Any]] = ({"name": "http", "port": 8080},),
    name: str = "a",
    of: str = "reviews",
) -> AnyDeclaration:
    """An EndpointSlice of a Service."""
    labels = {"kubernetes.io/service-name": of}
    metadata = {"name": f"{of}-{name}", "namespace": "prod", "labels": labels}
    raw = {"metadata": metadata, "endpoints": list(points), "ports": list(ports)}
    return parse_declaration(ObjectKind.ENDPOINT_SLICE, raw)


def pod(address: str, hostname: str = "", *, ready: bool = True) -> dict[str, Any]:
    """One endpoint of a slice."""
    named = {"hostname": hostname} if hostname else {}
    return {"addresses": [address], "conditions": {"ready": ready}, **named}


def seen(declared: Clusters, **more: Any) -> dict[str, Answer]:
    """Every answer, from east where nothing else is said."""
    return answers(mesh(**{"clusters": NETWORKS, **more}), {"east": (), **declared})


def targets(answer: Answer) -> Targets:
    """The targets of each named port; a pod's begins with a slash."""
    return {
        (each.name, each.protocol): tuple((number, f"/{label}") for number, label in each.pods) or each.targets
        for each in answer.services
    }


# ----------------------------------------------------------------------------------------------- target by target


SHARED: dict[str, tuple[Clusters, Targets]] = {
    "an address of another entry that has no such port": (
        {
            "east": (
                entry("198.51.100.1", ports=PORTS),
                entry("198.51.100.2", ports=[{"name": "web", "number": 443, "protocol": "TLS"}], name="other"),
            )
        },
        {("http", "tcp"): ((80, "east"),), ("web", "tcp"): ((443, "east"),)},
    ),
    "one number under two names at different addresses is nobody's": (
        {
            "east": (
                entry("198.51.100.1", ports=PORTS),
                entry("198.51.100.2", ports=[{"name": "web", "number": 80, "protocol": "TLS"}], name="other"),
            )
        },
        {("http", "tcp"): (), ("web", "tcp"): ()},
    ),
    "two numbers at each address": (
        {
            "east": (
                entry(at("198.51.100.1", http=80), ports=PORTS),
                entry(at("198.51.100.1", http=8080), ports=PORTS, name="other"),
            )
        },
        {("http", "tcp"): ((80, ""), (8080, ""))},
    ),
    "a number that all have, and one that some have": (
        {
            "east": (
                entry("198.51.100.1", "198.51.100.2", ports=PORTS),
                entry(at("198.51.100.2", http=8080), ports=PORTS, name="other"),
            )
        },
        {("http", "tcp"): ((80, ""), (8080, "east"))},
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_a_target_has_only_addresses_that_listen(name: str) -> None:
    """The name itself where all addresses listen on the number, else the cluster's at that number."""
    clusters, expected = SHARED[name]
    assert targets(seen(clusters)[HOST]) == expected


def test_a_target_leads_to_what_the_answer_serves() -> None:
    """A workload that is not healthy is reached in the cluster, and is no target of SRV."""
    sick = parse_declaration(
        ObjectKind.WORKLOAD_ENTRY,
        {
            "metadata": {
                "name": "sick",
                "namespace": "prod",
                "annotations": {"proxy.istio.io/health-checks-enabled": "true"},
            },
            "spec": {"address": "198.51.100.9", "labels": {"app": "vm"}, "ports": {"http": 80}},
            "status": {"conditions": [{"type": "Healthy", "status": "False"}]},
        },
    )
    selecting = entry(ports=PORTS, workloadSelector={"labels": {"app": "vm"}})
    other = entry(at("198.51.100.2", http=8080), ports=PORTS, name="other")
    declared = (selecting, sick, workload_entry("vm", "198.51.100.1", app="vm"), other)
    found = seen({"east": declared})[HOST]
    assert found.ipv4 == ("198.51.100.1", "198.51.100.2")
    assert AnswerPart("east", 0, ("198.51.100.1", "198.51.100.2", "198.51.100.9"), ()) in found.parts
    assert AnswerPart("east", 80, ("198.51.100.1",), ()) in found.parts


def test_a_cluster_whose_name_is_no_label_is_no_target() -> None:
    """It has no names; without a number that all share the port has no record."""
    remote = entry("10.1.1.1", ports=PORTS)
    moved = {"istio": "eastwestgateway", "networking.istio.io/gatewayPort": "8443"}
    clusters = {
        "west": (remote, gateway("203.0.113.20")),
        "no.label": (remote, gateway("203.0.113.30", labels=moved, ports=(8443,))),
    }
    networks = {**NETWORKS, "no.label": ClusterSettings(network="net-n")}
    assert targets(seen(clusters, clusters=networks)[HOST]) == {("http", "tcp"): ((15443, "west"),)}
    named = {**networks, "no.label": ClusterSettings(network="net-n", dns_name="nolabel")}
    assert targets(seen(clusters, clusters=named)[HOST]) == {("http", "tcp"): ((8443, "no.label"), (15443, "west"))}


# ------------------------------------------------------------------------------------------------ under a wildcard


DIFFERENT = (at("198.51.100.1", http=8080), at("198.51.100.2", http=9090))
ALIKE = (at("198.51.100.1", http=8080), at("198.51.100.2", http=8080))

UNDER_WILDCARDS: dict[str, tuple[str, Clusters, MeshZone, Targets]] = {
    "the wildcard itself": (
        WILDCARD,
        {"east": (entry(*DIFFERENT, host=WILDCARD, ports=PORTS),)},
        MeshZone("global"),
        {("http", "tcp"): ()},
    ),
    "the wildcard itself by RFC 4592": (
        WILDCARD,
        {"east": (entry(*DIFFERENT, host=WILDCARD, ports=PORTS),)},
        MeshZone("global", closest_encloser=True),
        {("http", "tcp"): ()},
    ),
    "one whose addresses share the port": (
        WILDCARD,
        {"east": (entry(*ALIKE, host=WILDCARD, ports=PORTS),)},
        MeshZone("global"),
        {("http", "tcp"): ((8080, ""),)},
    ),
    "a host that another cluster's wildcard covers": (
        HOST,
        {
            "east": (entry(*DIFFERENT, ports=PORTS),),
            "west": (entry("198.51.100.9", host="*.global", ports=PORTS, name="all"),),
        },
        MeshZone("global"),
        {("http", "tcp"): ()},
    ),
    "a host below which is a wildcard": (
        HOST,
        {
            "east": (
                entry(*DIFFERENT, ports=PORTS),
                entry("198.51.100.9", host=f"*.{HOST}", name="all"),
            )
        },
        MeshZone("global", closest_encloser=True),
        {("http", "tcp"): ()},
    ),
    "by RFC 4592 a name that exists keeps it off": (
        HOST,
        {
            "east": (entry(*DIFFERENT, ports=PORTS),),
            "west": (entry("198.51.100.9", host=WILDCARD, ports=PORTS, name="all"),),
        },
        MeshZone("global", closest_encloser=True),
        {("http", "tcp"): ((8080, "east"), (9090, "east"))},
    ),
    "a host of a fallback zone": (
        "reviews.prod.svc.cluster.local",
        {"east": (entry(*DIFFERENT, host="reviews.prod.svc.cluster.local", ports=PORTS),)},
        MeshZone("cluster.local", fallback=True),
        {("http", "tcp"): ()},
    ),
}


@pytest.mark.parametrize("name", UNDER_WILDCARDS)
def test_no_targets_are_made_up_where_no_names_are(name: str) -> None:
    """A port that not all addresses share is known, and has no record there."""
    owner, clusters, zone, expected = UNDER_WILDCARDS[name]
    found = seen(clusters, zones=(zone,))[owner]
    assert targets(found) == expected
    assert not found.parts or owner != WILDCARD


def test_a_wildcard_that_comes_and_goes_changes_the_hosts_that_it_covers() -> None:
    """The host itself above it as well as those below it."""
    for wildcard in (WILDCARD, f"*.{HOST}", f"*.east.{HOST}"):
        made = name_table(mesh(), {"east": (entry(*DIFFERENT, ports=PORTS),)})
        before = made.refresh()[HOST]
        assert before is not None
        assert targets(before) == {("http", "tcp"): ((8080, "east"), (9090, "east"))}
        covering = entry("198.51.100.9", host=wildcard, name="all")
        made.upsert("east", covering)
        after = made.refresh()[HOST]
        assert after is not None
        assert targets(after) == {("http", "tcp"): ()}
        made.remove("east", (ObjectKind.SERVICE_ENTRY, "prod", "all"))
        assert made.refresh()[HOST] == before


def problems(settings: Any, clusters: Clusters, name: str) -> list[tuple[str, Problem]]:
    """What is wrong with the declarations behind a name."""
    made = name_table(settings, clusters)
    answer = made.refresh()[name]
    assert answer is not None
    return list(check_answer(name, answer, made.inventory, made.topology))


def test_what_has_no_record_is_a_problem_of_each_object() -> None:
    """Those that have the port say at which number; with one number for all there is none."""
    two = (
        entry(DIFFERENT[0], host=WILDCARD, ports=[{**PORTS[0], "number": 8080}], name="one"),
        entry(DIFFERENT[1], host=WILDCARD, ports=[{**PORTS[0], "number": 9090}], name="two"),
    )
    found = problems(mesh(), {"east": two}, WILDCARD)
    assert [(cluster, each.kind, each.name, each.field) for cluster, each in found] == [
        ("east", ProblemKind.PORT_MISMATCH, "one", "spec.ports"),
        ("east", ProblemKind.PORT_MISMATCH, "two", "spec.ports"),
    ]
    reason = "only some addresses have port http at 9090: SRV _http._tcp.<host> omits it"
    assert found[1][1].reason == reason
    alike = entry(*ALIKE, host=WILDCARD, ports=[{**PORTS[0], "number": 8080}])
    assert problems(mesh(), {"east": (alike,)}, WILDCARD) == []


# --------------------------------------------------------------------------------------------------------- pods


HTTP = ("http", "tcp")
SIX = "2001:db8::7"

HEADLESS_CASES: dict[str, tuple[Clusters, Targets]] = {
    "by host name": (
        {"east": (HEADLESS, pods(pod("10.40.0.1", "web-0"), pod("10.40.0.2", "web-1")))},
        {HTTP: ((8080, "/web-0"), (8080, "/web-1"))},
    ),
    "without a host name by address": (
        {"east": (HEADLESS, pods(pod("10.40.0.1"), pod(SIX)))},
        {HTTP: ((8080, "/10-40-0-1"), (8080, "/2001-db8--7"))},
    ),
    "both families of a pod are one target": (
        {"east": (HEADLESS, pods(pod("10.40.0.1", "web-0")), pods(pod(SIX, "web-0"), name="six"))},
        {HTTP: ((8080, "/web-0"),)},
    ),
    "a host name that several share": (
        {"east": (HEADLESS, pods(pod("10.40.0.1", "web"), pod("10.40.0.2", "web")))},
        {HTTP: ((8080, "/web"),)},
    ),
    "at the port of their slice": (
        {
            "east": (
                HEADLESS,
                pods(pod("10.40.0.1", "web-0")),
                pods(pod("10.40.0.2", "web-1"), ports=[{"name": "http", "port": 9090}], name="b"),
            )
        },
        {HTTP: ((8080, "/web-0"), (9090, "/web-1"))},
    ),
    "one host name at two ports is no target": (
        {
            "east": (
                HEADLESS,
                pods(pod("10.40.0.1", "web")),
                pods(pod("10.40.0.2", "web"), ports=[{"name": "http", "port": 9090}], name="b"),
            )
        },
        {HTTP: ((8080, "east"), (9090, "east"))},
    ),
    "the ready ones": (
        {"east": (HEADLESS, pods(pod("10.40.0.1", "web-0"), pod("10.40.0.2", "web-1", ready=False)))},
        {HTTP: ((8080, "/web-0"),)},
    ),
    "all where none is ready": (
        {"east": (HEADLESS, pods(pod("10.40.0.1", "web-0", ready=False), pod("10.40.0.2", ready=False)))},
        {HTTP: ((8080, "/10-40-0-2"), (8080, "/web-0"))},
    ),
    "of a cluster on the own network": (
        {"near": (HEADLESS, pods(pod("10.40.0.1", "web-0")))},
        {HTTP: ((8080, "/web-0"),)},
    ),
    "of another network the gateway": (
        {"west": (HEADLESS, pods(pod("10.40.0.1", "web-0")), gateway("203.0.113.20"))},
        {HTTP: ((15443, ""),)},
    ),
    "not of a Service with a ClusterIP": (
        {"near": (service(ports=[{"name": "http", "port": 80}]), pods(pod("10.40.0.1", "web-0")))},
        {HTTP: ((8080, ""),)},
    ),
    "one whose host name cannot be read has none": (
        {"east": (HEADLESS, pods(pod("10.40.0.1", "web-0"), pod("10.40.0.2", "a_b.c")))},
        {HTTP: ((8080, ""),)},
    ),
    "not those of another Service that a ServiceEntry names": (
        {
            "east": (
                service("other", "None", ports=[{"name": "http", "port": 80}]),
                pods(pod("10.40.0.9", "web-0"), of="other"),
                entry("other.prod.svc.cluster.local", host="reviews.prod.svc.cluster.local", ports=PORTS),
            )
        },
        {HTTP: ((8080, ""),)},
    ),
    "one whose name a ServiceEntry takes": (
        {
            "east": (
                HEADLESS,
                pods(pod("10.40.0.1", "web-0")),
                entry("198.51.100.9", host=f"web-0.{HOST}", name="taken"),
            )
        },
        {HTTP: ((8080, ""),)},
    ),
    "UDP and SCTP": (
        {
            "east": (
                HEADLESS,
                pods(
                    pod("10.40.0.1", "web-0"),
                    ports=[
                        {"name": "dns", "port": 53, "protocol": "UDP"},
                        {"name": "sip", "port": 5060, "protocol": "SCTP"},
                        {"port": 99},
                    ],
                ),
            )
        },
        {("dns", "udp"): ((53, "/web-0"),), ("sip", "sctp"): ((5060, "/web-0"),)},
    ),
}


@pytest.mark.parametrize("name", HEADLESS_CASES)
def test_srv_of_a_headless_service_names_its_pods(name: str) -> None:
    """Kubernetes DNS specification 2.4: one record for each ready endpoint and port."""
    clusters, expected = HEADLESS_CASES[name]
    assert targets(seen(clusters)[HOST]) == expected


def test_pods_that_have_no_names_are_not_named() -> None:
    """Where all networks are one, pods elsewhere answer, and have no names."""
    far = {"west": (HEADLESS, pods(pod("10.41.0.1", "web-0")), gateway("203.0.113.20"))}
    found = seen(far, zones=(MeshZone("global", answer=AnswerMode.ENDPOINTS),))
    assert found[HOST].ipv4 == ("10.41.0.1",)
    assert targets(found[HOST]) == {HTTP: ((8080, ""),)}


def test_pods_without_a_host_name_have_one_by_their_address() -> None:
    """As CoreDNS writes it, with the address alone, for five seconds, and only where pods have names."""
    slices = (HEADLESS, pods(pod("10.40.0.1"), pod(SIX), pod("10.40.0.3", "web-3"), pod("10.40.0.4", "a_b.c")))
    found = seen({"east": slices})
    below = {name: (*each.ipv4, *each.ipv6, each.ttl) for name, each in found.items() if name.endswith(f".{HOST}")}
    assert below == {
        f"10-40-0-1.{HOST}": ("10.40.0.1", 5),
        f"2001-db8--7.{HOST}": (SIX, 5),
        f"web-3.{HOST}": ("10.40.0.3", 5),
    }
    assert not [name for name in seen({"west": (*slices, gateway("203.0.113.20"))}) if name.endswith(f".{HOST}")]
    zone = MeshZone("cluster.local", fallback=True)
    fallback = seen({"east": slices}, zones=(zone,))
    assert [name for name, each in fallback.items() if each.is_declared] == ["reviews.prod.svc.cluster.local"]


def test_names_of_pods_come_and_go_with_their_slices() -> None:
    """A pod that goes takes its name along, and SRV follows."""
    made = name_table(mesh(), {"east": (HEADLESS, pods(pod("10.40.0.1"), pod("10.40.0.2")))})
    made.refresh()
    made.upsert("east", pods(pod("10.40.0.2"), pod("10.40.0.3", "web-3")))
    changed = made.refresh()
    assert changed[f"10-40-0-1.{HOST}"] is None
    assert changed[f"web-3.{HOST}"] is not None
    answer = changed[HOST]
    assert answer is not None
    assert targets(answer) == {HTTP: ((8080, "/10-40-0-2"), (8080, "/web-3"))}


def test_a_claim_on_the_name_of_a_pod_changes_srv_of_its_service() -> None:
    """Whatever comes first."""
    taken = entry("198.51.100.9", host=f"web-0.{HOST}", name="taken")
    made = name_table(mesh(), {"east": (HEADLESS, pods(pod("10.40.0.1", "web-0")))})
    made.refresh()
    made.upsert("east", taken)
    answer = made.refresh()[HOST]
    assert answer is not None
    assert answer.services == (ServicePort("http", "tcp", ((8080, ""),)),)
    record = static(f"web-0.{HOST}", "192.0.2.1")
    settled = seen({"east": (HEADLESS, pods(pod("10.40.0.1", "web-0")))}, records=(record,))[HOST]
    assert settled.services == answer.services


def test_pods_are_named_up_to_a_bound() -> None:
    """Beyond it SRV of the Service names the Service, whose addresses all listen."""
    for count in (MAX_POD_TARGETS // 4, MAX_POD_TARGETS // 4 + 1):
        many = [{"name": f"p{number}", "port": number} for number in range(1, count + 1)]
        found = seen({"east": (HEADLESS, pods(*(pod(f"10.40.0.{number}") for number in range(1, 5)), ports=many))})[
            HOST
        ]
        assert len(found.services) == count
        assert all(len(each.pods) == (4 if 4 * count <= MAX_POD_TARGETS else 0) for each in found.services)
        assert all(each.targets == ((int(each.name[1:]), ""),) for each in found.services)


def test_a_capped_answer_names_the_pods_that_it_holds() -> None:
    """At most 15 of a family, the same in A and SRV."""
    found = seen({"east": (HEADLESS, pods(*(pod(f"10.40.0.{number}") for number in range(1, 31))))})
    (http,) = found[HOST].services
    assert sorted(label for _, label in http.pods) == sorted(each.replace(".", "-") for each in found[HOST].ipv4)
    assert len(http.pods) == 15
