"""Whatever ServiceEntries and Services say, each host that may be served is known, and says why it has no address.

The oracle is the list of hosts that were written; it knows nothing of levels, endpoints or gateways.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from meshdns.mesh.answer import AnswerKind
from meshdns.mesh.candidates import Candidate
from meshdns.mesh.objects.declarations import ObjectKind, ServiceEntry
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.objects.references import ENDPOINTS_FIELD
from meshdns.mesh.settings import AnswerMode, ClusterSettings, MeshSettings, MeshZone
from meshdns.mesh.unserved_reasons import unreachable_reason
from tests.mesh.scene import gateway, name_table, workload_entry

CLUSTERS: Final = ("east", "near", "west")
NAMES: Final = ("a", "b", "c")
NAMESPACES: Final = ("shop", "data")
HOST_NAMES: Final = ("one.example", "two.example", "gw.example")
ADDRESSES: Final = ("198.51.100.7", "10.9.9.9", "127.0.0.1", "2001:db8::7", "fe80::1", "240.0.0.9", "255.255.255.255")

written_hosts = st.sampled_from(
    [
        *(f"{name}.{namespace}.global" for name in NAMES for namespace in NAMESPACES),
        "*.shop.global",
        "*.global",
        "deep.er.data.global",
    ]
)
junk: st.SearchStrategy[Any] = st.sampled_from(
    [None, 7, True, "", "a b", "198.51.100.7:80", [], {}, "10.0.0.256", "unix:///run/x", "*"]
)
addresses = st.one_of(
    st.sampled_from(
        [
            *ADDRESSES,
            *HOST_NAMES,
            "a.shop.svc.cluster.local",
            "a.shop.svc.west.example",
            "b.data.global",
            "nobody.data.global",
        ]
    ),
    junk,
)
endpoints = st.one_of(
    junk,
    st.lists(
        st.one_of(
            junk,
            st.fixed_dictionaries(
                {"address": addresses},
                optional={"network": st.sampled_from(["net-e", "net-w", "net-x", ""]), "ports": st.just({"http": 80})},
            ),
        ),
        max_size=4,
    ),
)
entry_specs = st.fixed_dictionaries(
    {"hosts": st.lists(written_hosts, min_size=1, max_size=3)},
    optional={
        "endpoints": endpoints,
        "addresses": st.one_of(junk, st.lists(st.one_of(junk, st.sampled_from(ADDRESSES)), max_size=3)),
        "resolution": st.one_of(junk, st.sampled_from(["NONE", "STATIC", "DNS", "DYNAMIC_DNS", "DNS_ROUND_ROBIN"])),
        "location": st.one_of(junk, st.sampled_from(["MESH_INTERNAL", "MESH_EXTERNAL"])),
        "workloadSelector": st.one_of(
            junk, st.fixed_dictionaries({"labels": st.one_of(junk, st.sampled_from([{"app": "vm"}, {"app": "none"}]))})
        ),
        "ports": st.one_of(junk, st.just([{"name": "http", "number": 80, "protocol": "HTTP"}])),
    },
)
service_specs = st.fixed_dictionaries(
    {"ports": st.just([{"name": "http", "port": 80}])},
    optional={
        "clusterIP": st.sampled_from(["10.96.0.7", "None", "", "bad"]),
        "type": st.sampled_from(["ClusterIP", "LoadBalancer", "NodePort"]),
        "externalIPs": st.lists(st.sampled_from(ADDRESSES), max_size=1),
    },
)
slices = st.lists(
    st.fixed_dictionaries(
        {"addresses": st.just(["10.40.0.1"]), "conditions": st.fixed_dictionaries({"ready": st.booleans()})}
    ),
    max_size=2,
)
gateways = st.lists(st.sampled_from(["203.0.113.20", *HOST_NAMES, ""]), max_size=2, unique=True)
meshes = st.fixed_dictionaries(
    {
        "entries": st.lists(st.tuples(st.sampled_from(CLUSTERS), st.sampled_from(NAMES), entry_specs), max_size=5),
        "services": st.dictionaries(
            st.tuples(st.sampled_from(CLUSTERS), st.sampled_from(NAMESPACES), st.sampled_from(NAMES)),
            st.tuples(service_specs, st.none() | slices),
            max_size=4,
        ),
        "gateways": st.fixed_dictionaries(dict.fromkeys(CLUSTERS, gateways)),
        "resolved": st.dictionaries(
            st.sampled_from(HOST_NAMES), st.sampled_from([(), ("127.0.0.1",), ("203.0.113.9",), ("10.9.9.9", "::1")])
        ),
        "failing": st.sets(st.sampled_from(HOST_NAMES)),
        "vantage": st.sampled_from(["east", ""]),
        "answer": st.sampled_from(list(AnswerMode)),
        "forward": st.sampled_from([(), ("global",), ("west.example",)]),
        "closest": st.booleans(),
    }
)
NETWORKS: Final = {"east": "net-e", "near": "net-e", "west": "net-w"}


def declarations_of(drawn: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What the clusters declare, read at the border as an API server's objects are."""
    found: dict[str, list[Any]] = {cluster: [workload_entry("vm", "10.9.0.1", app="vm")] for cluster in CLUSTERS}
    for number, (cluster, name, spec) in enumerate(drawn["entries"]):
        metadata = {"name": f"{name}{number}", "namespace": NAMESPACES[number % 2]}
        found[cluster].append(parse_object(ObjectKind.SERVICE_ENTRY, {"metadata": metadata, "spec": spec}))
    for (cluster, namespace, name), (spec, points) in drawn["services"].items():
        metadata = {"name": name, "namespace": namespace}
        found[cluster].append(parse_object(ObjectKind.SERVICE, {"metadata": metadata, "spec": spec}))
        if points is not None:
            labels = {"kubernetes.io/service-name": name}
            part = {"metadata": {**metadata, "labels": labels}, "endpoints": points}
            found[cluster].append(parse_object(ObjectKind.ENDPOINT_SLICE, part))
    for cluster, holders in drawn["gateways"].items():
        for number, text in enumerate(holders):
            found[cluster].append(gateway(*filter(None, (text,)), name=f"gateway{number}"))
    return found


def written(drawn: Mapping[str, Any]) -> set[str]:
    """The names that the objects declare: hosts as they were written, and each Service's own."""
    hosts = {host for _, _, spec in drawn["entries"] for host in spec["hosts"]}
    return hosts | {f"{name}.{namespace}.global" for _, namespace, name in drawn["services"]}


@settings(max_examples=settings().max_examples // 3)
@given(meshes)
def test_every_declared_host_is_known_and_says_why_it_has_no_address(drawn: Mapping[str, Any]) -> None:
    """It has an answer of its own, and one without address has a reason for an extended error."""
    zone = MeshZone("global", answer=drawn["answer"], closest_encloser=drawn["closest"])
    domains = {"west": "west.example"}
    settings = MeshSettings(
        zones=(zone,),
        vantage_cluster=drawn["vantage"],
        clusters={
            name: ClusterSettings(network=network, domain=domains.get(name, "cluster.local"))
            for name, network in NETWORKS.items()
        },
        forward_zones=drawn["forward"],
    )
    made = name_table(settings, declarations_of(drawn))
    for host, found in drawn["resolved"].items():
        made.set_resolved_addresses(host, found)
    for host in drawn["failing"]:
        made.set_failing(host, failing=True)
    answers = made.refresh()
    for name in written(drawn):
        answer = answers.get(name)
        assert answer is not None, name
        assert answer.candidates, name
        assert made.is_declared(name), name
        if answer.outcome in (AnswerKind.NODATA, AnswerKind.PENDING):
            assert unreachable_reason(answer) is not None, name
            assert all(each.reason for each in answer.candidates if not each.address), name
        if drawn["answer"] is not AnswerMode.VIP:
            for cluster in CLUSTERS:
                for entry in made.inventory.entries(name, cluster):
                    _assert_each_endpoint_has_a_candidate(entry, answer.candidates)


def _assert_each_endpoint_has_a_candidate(entry: ServiceEntry, candidates: Iterable[Candidate]) -> None:
    """A dead endpoint shows beside a live one."""
    shown = {
        each.field.index
        for each in candidates
        if (each.origin.name, each.origin.namespace) == (entry.name, entry.namespace)
        and each.field.path == ENDPOINTS_FIELD
    }
    assert set(range(len(entry.endpoints))) <= shown
