"""The name table: its outcome depends on the declarations alone, and holds its rules for every mesh.

The address plan makes an oracle possible that knows none of the rules: every address says by itself whose it is.

    10.96.C.x   ClusterIPs of cluster C      10.40.C.x    pods and other private addresses of cluster C
    240.0.C.x   VIPs of cluster C            10.200.N.x   private addresses of network N
    everything else is public or never served
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.mesh.answer import Answer
from meshdns.mesh.diagnostics import ClusterProblem, check_answer
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, key_of
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.settings import AnswerMode, ClusterSettings, MeshSettings, MeshZone
from tests.mesh.scene import (
    answer_text,
    endpoint_slice,
    entry,
    gateway,
    mesh,
    name_table,
    passthrough_gateway,
    remote_gateway,
    service,
    static,
    system_namespace,
    workload_entry,
)

pytestmark = pytest.mark.long

CLUSTERS = ("c0", "c1", "c2", "c3")
SERVICES = (("p", "a"), ("p", "b"), ("q", "a"))
HOSTS = (
    "a.p.global",
    "b.p.global",
    "a.q.global",
    "x.y.z.global",
    "p.global",
    "*.p.global",
    "*.global",
    "*.z.global",
    "y.z.global",
    "x.legacy.z.global",
    "a.p.svc.cluster.local",
    "v.p.svc.cluster.local",
    "login.example.com",
)

Step = tuple[str, str, AnyDeclaration]
"""What happens (upsert, remove or leave), in which cluster, to what."""


def points(cluster: int) -> st.SearchStrategy[str | dict[str, Any]]:
    """Endpoints as cluster may write them under the address plan."""
    return st.one_of(
        st.integers(1, 3).map(lambda i: f"10.40.{cluster}.{i}"),
        st.integers(1, 3).map(lambda i: f"198.51.100.{i}"),
        st.builds(lambda n, i: {"address": f"10.200.{n}.{i}", "network": f"net-{n}"}, st.integers(0, 4), st.just(1)),
        st.integers(0, 2).map(lambda n: {"network": f"net-{n}"}),
        st.integers(0, 3).map(lambda g: f"203.0.113.{g}0"),
        st.sampled_from(["2001:db8::1", "127.0.0.1", "gw.example", "origin.example", "unix:///x"]),
        st.sampled_from(["198.51.100.9:80", "198.51.100.256", "x.legacy.z.global"]),
        st.sampled_from([f"{name}.{namespace}.svc.cluster.local" for namespace, name in SERVICES]),
        st.sampled_from(["b.p.global", "x.y.z.global", "w.p.global"]),
    )


def declarations(cluster: int) -> st.SearchStrategy[AnyDeclaration]:
    """Objects of one cluster."""
    entries = st.builds(
        lambda number, host, found, more, old: entry(
            *found, host=host, name=f"e{number}", namespace="p", created=f"2026-03-02T09:00:0{old}Z", **more
        ),
        st.integers(0, 3),
        st.sampled_from(HOSTS),
        st.lists(points(cluster), max_size=2),
        st.fixed_dictionaries(
            {},
            optional={
                "location": st.sampled_from(["MESH_INTERNAL", "MESH_EXTERNAL"]),
                "resolution": st.sampled_from(["NONE", "STATIC", "DNS"]),
                "addresses": st.just([f"240.0.{cluster}.1"]),
                "workloadSelector": st.just({"labels": {"app": "vm"}}),
                "exportTo": st.sampled_from([["*"], ["."]]),
                "annotations": st.fixed_dictionaries(
                    {}, optional={"meshdns.io/answer": st.just("vip"), "meshdns.io/ttl": st.sampled_from(["7", "9"])}
                ),
            },
        ).filter(lambda more: more.get("resolution") != "NONE" or "addresses" not in more),
        st.integers(0, 1),
    )
    services = st.builds(
        lambda key, headless, selector, export, ingress: service(
            key[1],
            "None" if headless else f"10.96.{cluster}.7",
            namespace=key[0],
            ingress=ingress,
            selector=selector,
            labels={"meshdns.io/export": export} if export else {},
            ports=[{"name": "http", "port": 80}],
        ),
        st.sampled_from(SERVICES),
        st.booleans(),
        st.sampled_from([{}, {"app": "vm"}, {"app": "vm", "tier": ["unreadable"]}]),
        st.sampled_from(["", "", "no", "unknown"]),
        st.lists(st.sampled_from([f"192.0.2.{cluster}", "lb.example"]), max_size=1),
    )
    slices = st.builds(
        lambda key, ready, named, i: endpoint_slice(
            f"10.40.{cluster}.1{i}", service_name=key[1], namespace=key[0], ready=ready, hostname=f"h{i}" * named
        ),
        st.sampled_from([*SERVICES, ("default", "kubernetes")]),
        st.booleans(),
        st.booleans(),
        st.integers(0, 1),
    )
    gateways = st.builds(
        lambda ingress, labels: gateway(*ingress, labels=labels),
        st.lists(st.sampled_from([f"203.0.113.{cluster}0", "gw.example"]), max_size=2),
        st.sampled_from(
            [{"istio": "eastwestgateway"}, {"istio": "ingressgateway"}, {"topology.istio.io/network": "net-1"}]
        ),
    )
    workloads = st.builds(
        lambda i, app, healthy: workload_entry(
            f"w{i}", f"10.40.{cluster}.2{i}", app=app, namespace="p", healthy=healthy
        ),
        st.integers(0, 1),
        st.sampled_from(["vm", "other"]),
        st.booleans(),
    )
    namespaces = st.sampled_from([system_namespace("net-0"), system_namespace("net-1")])
    passages = st.builds(
        lambda host, port: passthrough_gateway(host, port=port),
        st.sampled_from(["*.local", "*.global", "p/*", "./a.p.global"]),
        st.sampled_from([15443, 443]),
    )
    leads = st.builds(
        lambda n, port: remote_gateway(f"net-{n}", "203.0.113.77", port), st.integers(0, 4), st.just(15443)
    )
    return st.one_of(entries, entries, services, slices, gateways, workloads, namespaces, passages, leads)


def steps(leaving: int) -> st.SearchStrategy[list[Step]]:
    """Changes; `leaving` of ten may be removals."""
    happenings = ["upsert"] * (10 - leaving) + ["remove"] * leaving + ["leave"] * (leaving > 0)
    each = st.integers(0, len(CLUSTERS) - 1).flatmap(
        lambda number: st.tuples(st.sampled_from(happenings), st.just(CLUSTERS[number]), declarations(number))
    )
    return st.lists(each, min_size=1, max_size=16)


SETTINGS = st.builds(
    lambda cluster, network, default, explicit, mode, records, forward: mesh(
        zones=(MeshZone("global", answer=mode), MeshZone("z.global", ttl=60)),
        vantage_cluster=cluster,
        vantage_network=network,
        default_network=default,
        clusters={"c3": ClusterSettings(network="net-2", gateways=explicit)},
        records=records,
        forward_zones=forward,
    ),
    st.sampled_from(["", "c0", "c1"]),
    st.sampled_from(["", "", "net-0", "net-1"]),
    st.sampled_from(["", "net-1"]),
    st.sampled_from([None, (), ("203.0.113.30",)]),
    st.sampled_from([AnswerMode.GATEWAY, AnswerMode.VIP]),
    st.sampled_from([(), (static("a.p.global", "192.0.2.99", 60), static("*.q.global", "192.0.2.98", 60))]),
    st.sampled_from([(), ("legacy.z.global", "p.global")]),
)


def apply(made: NameTable, step: Step) -> None:
    """One change."""
    happening, cluster, declaration = step
    if happening == "upsert":
        made.upsert(cluster, declaration)
    elif happening == "remove":
        made.remove(cluster, key_of(declaration))
    else:
        made.remove_cluster(cluster)


def after(changes: Iterable[Step]) -> dict[str, dict[ObjectKey, AnyDeclaration]]:
    """The declarations of each cluster that remain."""
    left: dict[str, dict[ObjectKey, AnyDeclaration]] = {}
    for happening, cluster, declaration in changes:
        if happening == "upsert":
            left.setdefault(cluster, {})[key_of(declaration)] = declaration
        elif happening == "remove":
            left.get(cluster, {}).pop(key_of(declaration), None)
        else:
            left.pop(cluster, None)
    return left


def at_once(seen_from: MeshSettings, left: dict[str, dict[ObjectKey, AnyDeclaration]]) -> dict[str, Answer]:
    """All answers of a name table that got everything at once."""
    made = name_table(seen_from, {cluster: found.values() for cluster, found in left.items()})
    return {name: answer for name, answer in made.refresh().items() if answer is not None}


@pytest.mark.slow
@given(SETTINGS, steps(leaving=3), st.data())
def test_change_by_change_is_the_same_as_all_at_once(
    seen_from: MeshSettings, changes: list[Step], data: st.DataObject
) -> None:
    """Whatever happened, and wherever answers were taken in between, only what is declared now counts.

    The problems that names show are part of the outcome.
    """
    made, served, wrong = NameTable(seen_from), dict[str, Answer](), dict[str, set[ClusterProblem]]()
    first = data.draw(st.integers(0, len(changes) - 1))  # from here on answers are taken after every change
    for number, step in enumerate(changes):
        apply(made, step)
        if number >= first:
            for name, answer in made.refresh().items():
                served.pop(name, None)
                wrong.pop(name, None)
                if answer is not None:
                    served[name] = answer
                    wrong[name] = set(check_answer(name, answer, made.inventory, made.topology))
    again = name_table(seen_from, {cluster: found.values() for cluster, found in after(changes).items()})
    expected = {name: answer for name, answer in again.refresh().items() if answer is not None}
    assert served == expected
    assert wrong == {
        name: set(check_answer(name, answer, again.inventory, again.topology)) for name, answer in expected.items()
    }


HEARD = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["gw.example", "lb.example", "origin.example"]),
            st.lists(st.sampled_from(["198.51.100.9", "2001:db8::9", "127.0.0.1"]), max_size=2, unique=True).map(tuple),
        ),
        st.tuples(st.sampled_from(["203.0.113.00", "203.0.113.10", "198.51.100.9"]), st.booleans()),
    ),
    max_size=6,
)
"""What the background learns: the addresses of a host name, or whether a gateway is healthy."""


def apply_observation(made: NameTable, what: str, learned: tuple[str, ...] | bool) -> None:  # noqa: FBT001 — one of two
    """Tell the name table what was resolved or probed."""
    if isinstance(learned, bool):
        made.set_health(what, 15443, healthy=learned)
    else:
        made.set_resolved_addresses(what, learned)


@pytest.mark.slow
@given(SETTINGS, steps(leaving=2), HEARD, st.data())
def test_resolution_and_health_do_not_depend_on_when_they_are_learned(
    seen_from: MeshSettings, changes: list[Step], heard: list[tuple[str, Any]], data: st.DataObject
) -> None:
    """Told before, between or after the declarations that rest on it, the outcome is the same."""
    happenings: list[Any] = data.draw(st.permutations([*range(len(changes)), *(("hear", each) for each in heard)]))
    order = iter(changes)
    told = iter(heard)
    made, served = NameTable(seen_from), dict[str, Answer]()
    for happening in happenings:
        if isinstance(happening, int):
            apply(made, next(order))
        else:
            apply_observation(made, *next(told))
        for name, answer in made.refresh().items():
            served.pop(name, None)
            if answer is not None:
                served[name] = answer
    left = after(changes)
    again = name_table(seen_from, {cluster: found.values() for cluster, found in left.items()})
    for what, learned in heard:
        apply_observation(again, what, learned)
    assert served == {name: answer for name, answer in again.refresh().items() if answer is not None}


@pytest.mark.slow
@given(SETTINGS, steps(leaving=0), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(seen_from: MeshSettings, changes: list[Step], shuffler: Any) -> None:
    """Clusters, kinds and objects may arrive in any order."""
    left = after(changes)
    arrivals = [(cluster, declaration) for cluster, found in left.items() for declaration in found.values()]
    shuffler.shuffle(arrivals)
    made = NameTable(seen_from)
    for cluster, declaration in arrivals:
        made.upsert(cluster, declaration)
    found = {name: answer for name, answer in made.refresh().items() if answer is not None}
    assert found == at_once(seen_from, left)


def networks_of(seen_from: MeshSettings, left: dict[str, dict[ObjectKey, AnyDeclaration]]) -> dict[str, str]:
    """The oracle's own reading of the design: setting, label, default, else one of its own."""
    found = {}
    for cluster, declared in left.items():
        setting = "net-2" if cluster == "c3" else ""
        namespace: Any = declared.get((ObjectKind.NAMESPACE, "", "istio-system"))
        label = namespace.network if namespace is not None else ""
        found[cluster] = setting or label or seen_from.default_network or f"own of {cluster}"
    return found


def forbidden(address: str, seen_from: MeshSettings, networks: dict[str, str]) -> bool:
    """Whether an address may never be in an answer here, by the address plan alone."""
    here = seen_from.vantage_network or networks.get(seen_from.vantage_cluster, "")
    if ip_address(address).version == 6:
        return False
    first, second, owner, _ = (int(part) for part in address.split("."))
    if (first, second) in ((10, 96), (240, 0)):
        return seen_from.vantage_cluster != f"c{owner}"
    if (first, second) == (10, 40):
        return seen_from.vantage_cluster != f"c{owner}" and (not here or networks[f"c{owner}"] != here)
    if (first, second) == (10, 200):
        return here != f"net-{owner}"
    return first == 127


@pytest.mark.slow
@given(SETTINGS, steps(leaving=0))
def test_no_address_leaves_where_it_means_something(seen_from: MeshSettings, changes: list[Step]) -> None:
    """No VIP or ClusterIP of another cluster, and no private address of another network, is ever in an answer."""
    left = after(changes)
    networks = networks_of(seen_from, left)
    for name, answer in at_once(seen_from, left).items():
        served = [*answer.ipv4, *answer.ipv6]
        assert not [each for each in served if forbidden(each, seen_from, networks)], (name, served)
        assert len(set(served)) == len(served)
        assert name == "global" or name.endswith(".global")


@given(
    SETTINGS,
    st.sampled_from([((), False), (("c2",), False), ((), True), (("c1", "c3"), True)]),
    steps(leaving=0),
    HEARD,
)
def test_the_chosen_candidates_have_exactly_the_answer_s_addresses(
    seen_from: MeshSettings,
    preference: tuple[tuple[str, ...], bool],
    changes: list[Step],
    heard: list[tuple[str, Any]],
) -> None:
    """Whatever is healthy, ready, near or preferred: the answer's addresses come from what it says that it chose.

    What was chosen is of the answer's level and of one group, and no candidate outside it has a say in the clusters.
    """
    order, cross_levels = preference
    zones = tuple(msgspec.structs.replace(zone, order=order, cross_levels=cross_levels) for zone in seen_from.zones)
    left = after(changes)
    clusters = {cluster: found.values() for cluster, found in left.items()}
    made = name_table(msgspec.structs.replace(seen_from, zones=zones), clusters)
    for what, learned in heard:
        apply_observation(made, what, learned)
    for name, answer in made.refresh().items():
        assert answer is not None
        chosen = [answer.candidates[index] for index in answer.chosen]
        served = sorted(map(ip_address, (*answer.ipv4, *answer.ipv6)), key=str)
        assert sorted({ip_address(each.address) for each in chosen}, key=str) == served, name
        assert sorted(set(answer.chosen)) == list(answer.chosen), name
        assert not chosen or {each.level for each in chosen} == {answer.level}, name
        assert len({(each.reach, each.healthy) for each in chosen}) <= 1, name
        places = {each.cluster for each in chosen} | {each.via_cluster for each in chosen if each.via_cluster}
        assert tuple(sorted(places)) == answer.clusters, name


RAW = st.recursive(
    st.none() | st.integers(-1, 70000) | st.sampled_from(["a", "10.0.0.1", "*.p.global", "a.p.global", "", True]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["app", "ip", "address"]), inner, max_size=2)
    ),
    max_leaves=5,
)
HOSTILE = st.builds(
    lambda kind, name, namespace, spec, status, found, labels: parse_object(
        kind,
        {
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": labels},
            "spec": spec,
            "status": status,
            "endpoints": found,
        },
    ),
    st.sampled_from(ObjectKind),
    st.text(min_size=1, max_size=6),
    st.text(max_size=6),
    st.dictionaries(
        st.sampled_from(["hosts", "addresses", "ports", "endpoints", "workloadSelector", "clusterIP", "clusterIPs"]),
        RAW,
        max_size=5,
    ),
    st.fixed_dictionaries({}, optional={"loadBalancer": RAW, "addresses": RAW}),
    RAW,
    st.dictionaries(
        st.sampled_from(["istio", "networking.istio.io/gatewayPort", "kubernetes.io/service-name"]),
        st.sampled_from(["eastwestgateway", "a", "٣", "9" * 9, ""]),
        max_size=3,
    ),
).filter(lambda found: found is not None)


def own_names(made: NameTable, known: Iterable[str]) -> set[str]:
    """Of `known` the names that the zones have because of the clusters, with the names above them."""
    ends = [f"gateways.{zone.name}" for zone in made.inventory.settings.zones]
    return {name for name in known if any(name == end or name.endswith(f".{end}") for end in ends)}


@given(SETTINGS, st.lists(st.tuples(st.sampled_from(CLUSTERS), HOSTILE), max_size=8))
def test_no_object_makes_the_catalog_raise(seen_from: MeshSettings, found: list[tuple[str, AnyDeclaration]]) -> None:
    """Odd names and values are served or not, never a failure; taking all of it back leaves nothing behind."""
    made = NameTable(seen_from)
    known = {name for name, answer in made.refresh().items() if answer is not None}
    for cluster, declaration in found:
        made.upsert(cluster, declaration)
    names = {name for name, answer in made.refresh().items() if answer is not None}
    for cluster, declaration in found:
        made.remove(cluster, key_of(declaration))
    gone = made.refresh()
    left = {name for name in names | known if gone.get(name, "unchanged") is not None}
    assert left - own_names(made, names) == known


VM = entry(host="a.p.global", namespace="p", workloadSelector={"labels": {"app": "vm"}})
VM_SERVICE = entry(host="a.p.svc.cluster.local", namespace="p", workloadSelector={"labels": {"app": "vm"}})
VM_WILDCARD = entry(host="*.p.global", namespace="p", workloadSelector={"labels": {"app": "vm"}})
WORKLOAD = workload_entry("w", "10.9.0.1", app="vm", namespace="p")
BEHIND = entry("10.1.1.1", host="a.p.global")
NAMED = entry("203.0.113.20", host="a.p.global", name="named")
EMPTY = entry("127.0.0.1", host="a.p.global", name="empty")
COVERING = entry("198.51.100.9", host="*.p.global", name="covering")
TAGGED = entry({"address": "10.1.1.1", "network": "net-1"}, host="a.p.global")
POINTING = entry("a.p.svc.cluster.local", host="x.y.global", name="pointing")
SERVED = service("a", "10.96.0.7", namespace="p")
POD = endpoint_slice("10.40.0.1", service_name="a", namespace="p")
DOWN = endpoint_slice("10.40.0.1", service_name="a", namespace="p", ready=False)
OLD, NEW = (
    entry(f"10.9.0.{i}", host="a.p.svc.cluster.local", name=f"e{i}", annotations={"meshdns.io/ttl": f"{i}"})
    for i in (1, 2)
)
LABELLED = gateway("203.0.113.30", labels={"topology.istio.io/network": "net-1"})

MOVES: dict[str, tuple[dict[str, list[AnyDeclaration]], tuple[str, AnyDeclaration], str, str, str]] = {
    # what is there, what comes to it in which cluster, a name, and what it means before and after
    "a workload": ({"east": [VM]}, ("east", WORKLOAD), "a.p.global", "NODATA", "10.9.0.1"),
    "a workload of a svc host": ({"east": [VM_SERVICE]}, ("east", WORKLOAD), "a.p.global", "NODATA", "10.9.0.1"),
    "a workload of a wildcard": (
        {"east": [VM_WILDCARD, EMPTY]},
        ("east", WORKLOAD),
        "a.p.global",
        "NODATA",
        "10.9.0.1",
    ),
    "a gateway": ({"west": [BEHIND]}, ("west", gateway("203.0.113.20")), "a.p.global", "NODATA", "203.0.113.20"),
    "a gateway that an address belongs to": (
        {"far": [NAMED], "west": []},
        ("west", gateway("203.0.113.20", "203.0.113.21")),
        "a.p.global",
        "203.0.113.20",
        "203.0.113.20 203.0.113.21",
    ),
    "a gateway of a network": (
        {"far": [TAGGED], "west": [system_namespace("net-1")]},
        ("west", gateway("203.0.113.20")),
        "a.p.global",
        "NODATA",
        "203.0.113.20",
    ),
    "a gateway in another cluster of the network": (
        {"west": [system_namespace("net-1"), BEHIND], "same": [system_namespace("net-1")]},
        ("same", LABELLED),
        "a.p.global",
        "NODATA",
        "203.0.113.30",
    ),
    "a network's label": (
        {"east": [system_namespace("net-1")], "west": [BEHIND]},
        ("west", system_namespace("net-1")),
        "a.p.global",
        "NODATA",
        "10.1.1.1",
    ),
    "a Service": ({"east": []}, ("east", SERVED), "a.p.global", "absent", "10.96.0.7"),
    "readiness": ({"east": [SERVED, POD], "west": [NAMED]}, ("east", DOWN), "a.p.global", "10.96.0.7", "203.0.113.20"),
    "readiness becomes known by another Service's slice": (
        {"east": [SERVED], "west": [NAMED]},
        ("east", endpoint_slice("10.40.0.1", service_name="b", namespace="p")),
        "a.p.global",
        "10.96.0.7",
        "203.0.113.20",
    ),
    "the Service behind a ServiceEntry": ({"east": [POINTING]}, ("east", SERVED), "x.y.global", "NODATA", "10.96.0.7"),
    "the hairpin's Service": (
        {"east": [gateway("203.0.113.20"), NAMED, POD]},
        ("east", SERVED),
        "a.p.global",
        "203.0.113.20",
        "10.96.0.7",
    ),
    "a wildcard": ({"east": [EMPTY]}, ("east", COVERING), "a.p.global", "NODATA", "198.51.100.9"),
    "an own exact host under a wildcard": (
        {"east": [COVERING]},
        ("east", NAMED),
        "a.p.global",
        "absent",
        "203.0.113.20",
    ),
    "an older ServiceEntry of a svc host": (
        {"east": [NEW]},
        ("east", OLD),
        "a.p.global",
        "10.9.0.2",
        "10.9.0.1 10.9.0.2",
    ),
}


@pytest.mark.parametrize("case", MOVES)
def test_what_rests_on_a_change_moves_with_it(case: str) -> None:
    """The answer after a change is that of a name table that never knew otherwise, and taking it back restores it."""
    there, (cluster, coming), name, before, afterwards = MOVES[case]
    clusters = {"east": [], **there}
    made = name_table(mesh(), clusters)
    served = made.refresh()
    assert answer_text(served.get(name)) == before
    made.upsert(cluster, coming)
    served |= made.refresh()
    assert answer_text(served.get(name)) == afterwards
    left = {each: {key_of(found): found for found in declared} for each, declared in clusters.items()}
    replaced = left[cluster].get(key_of(coming))
    left[cluster][key_of(coming)] = coming
    assert {each: answer for each, answer in served.items() if answer is not None} == at_once(mesh(), left)
    if replaced is None:
        made.remove(cluster, key_of(coming))
    else:
        made.upsert(cluster, replaced)
    assert answer_text((served | made.refresh()).get(name)) == before


@pytest.mark.parametrize("arrival", [(OLD, NEW), (NEW, OLD)], ids=["old first", "new first"])
def test_entries_of_a_svc_host_count_by_age_not_by_arrival(arrival: tuple[AnyDeclaration, ...]) -> None:
    """Two ServiceEntries for one ``svc`` host: the first by age and name sets the TTL."""
    assert name_table(mesh(), {"east": arrival}).refresh()["a.p.global"] == at_once(
        mesh(), {"east": {key_of(each): each for each in (OLD, NEW)}}
    ).get("a.p.global")


def test_empty_non_terminals_come_and_go() -> None:
    """An ancestor of a known name exists without addresses, and vanishes with the last name below it."""
    deep = entry("198.51.100.2", host="a.b.c.global")
    other = entry("198.51.100.3", host="x.c.global", name="other")
    made = name_table(mesh(), {"east": [deep]})

    def changes() -> dict[str, str]:
        return {name: answer_text(answer) for name, answer in made.refresh().items()}

    own = {"gateways.global": "NODATA", "east.gateways.global": "NODATA"}
    assert changes() == {"a.b.c.global": "198.51.100.2", "b.c.global": "NODATA", "c.global": "NODATA", **own}
    made.upsert("east", other)
    assert changes() == {"x.c.global": "198.51.100.3"}
    made.remove("east", key_of(deep))
    assert changes() == {"a.b.c.global": "absent", "b.c.global": "absent"}
    made.upsert("east", entry("198.51.100.4", host="c.global", name="parent"))
    assert changes() == {"c.global": "198.51.100.4"}
    made.remove("east", (ObjectKind.SERVICE_ENTRY, "prod", "parent"))
    assert changes() == {"c.global": "NODATA"}
    made.remove("east", key_of(other))
    assert changes() == {"x.c.global": "absent", "c.global": "absent"}


def test_what_did_not_change_is_not_computed_again() -> None:
    """A change touches the names that rest on it and no others."""
    made = name_table(mesh(), {"east": [entry("198.51.100.2"), entry("198.51.100.3", host="a.test.global", name="b")]})
    made.refresh()
    assert not made.upsert("east", entry("198.51.100.2"))
    assert made.refresh() == {}
    assert made.upsert("east", entry("198.51.100.9"))
    assert set(made.refresh()) == {"reviews.prod.global"}


def test_a_gateway_s_new_address_reaches_the_names_that_rest_on_it() -> None:
    """Only the names behind that gateway are answered anew."""
    far = [gateway("203.0.113.20"), entry("10.1.1.1"), entry("198.51.100.3", host="a.test.global", name="b")]
    made = name_table(mesh(), {"east": [], "west": far})
    assert answer_text(made.refresh()["reviews.prod.global"]) == "203.0.113.20"
    made.upsert("west", gateway("203.0.113.21"))
    assert {name: answer_text(answer) for name, answer in made.refresh().items()} == {
        "reviews.prod.global": "203.0.113.21",
        "west.gateways.global": "203.0.113.21",
    }


def test_what_a_gateway_passes_through_is_judged_again_when_its_gateway_resource_changes() -> None:
    """The names whose gateways it concerns, and no others, are answered anew, with and without the problem."""
    far = [gateway("203.0.113.20"), entry("10.1.1.1"), entry("198.51.100.3", host="a.test.global", name="b")]
    made = name_table(mesh(), {"east": [], "west": far})

    def found() -> dict[str, list[str]]:
        return {
            name: [problem.reason for _, problem in check_answer(name, answer, made.inventory, made.topology)]
            for name, answer in made.refresh().items()
            if answer is not None and answer.candidates
        }

    own: dict[str, list[str]] = {"east.gateways.global": [], "west.gateways.global": []}
    reason = "the gateways of cluster west pass no TLS through for this host"
    assert found() == {"reviews.prod.global": [], "a.test.global": [], **own}
    made.upsert("west", passthrough_gateway("*.local"))
    assert found() == {"reviews.prod.global": [reason]}
    made.upsert("west", passthrough_gateway("*.global", port=443))
    assert found() == {"reviews.prod.global": [reason]}
    made.upsert("west", passthrough_gateway("*.global"))
    assert found() == {"reviews.prod.global": []}
    made.upsert("west", passthrough_gateway("other/*.global"))
    assert found() == {"reviews.prod.global": [reason]}
    made.remove("west", key_of(passthrough_gateway("*.global")))
    assert found() == {"reviews.prod.global": []}


def test_a_small_change_does_not_wait_for_a_large_one() -> None:
    """While names wait for their turn, what changes meanwhile is answered in the next part."""
    hosts = [f"h{number}.prod.global" for number in range(40)]
    behind = [entry("10.1.1.1", host=host, name=f"e{number}") for number, host in enumerate(hosts)]
    made = name_table(mesh(), {"east": [], "west": [gateway("203.0.113.20"), *behind, entry("198.51.100.2")]})
    made.refresh()
    made.upsert("west", gateway("203.0.113.21"))
    served = made.refresh(10)
    made.upsert("west", entry("198.51.100.3"))
    parts = [made.refresh(10) for _ in range(len(hosts) // 10)]
    assert answer_text(parts[0]["reviews.prod.global"]) == "198.51.100.3"
    assert all(parts)
    assert not made.has_pending_names
    served = {name: answer for part in (served, *parts) for name, answer in part.items()}
    assert {name for name, answer in served.items() if answer_text(answer) == "203.0.113.21"} == {
        *hosts,
        "west.gateways.global",
    }


def test_the_only_slice_of_a_cluster_changes_its_own_service_alone() -> None:
    """Readiness is known before and after: no other name is judged again."""
    bare = [service("b", namespace="p"), SERVED]
    made = name_table(mesh(), {"east": [*bare, POD]})
    made.refresh()
    made.upsert("east", DOWN)
    assert set(made.refresh()) == {"a.p.global"}
    made.remove("east", key_of(DOWN))
    assert set(made.refresh()) == {"a.p.global", "b.p.global"}


def test_the_first_slice_of_a_cluster_changes_its_services_alone() -> None:
    """Readiness is known from then on, of its Services: what its ServiceEntries declare is not judged again."""
    bare = [service("a", namespace="p"), service("b", namespace="p")]
    made = name_table(mesh(), {"east": [*bare, entry("203.0.113.9", host="x.y.z.global")], "west": bare})
    made.refresh()
    made.upsert("east", DOWN)
    assert set(made.refresh()) == {"a.p.global", "b.p.global"}
